//! Classes of filters, and the criterion of each.
//!
//! With P the mean of |H|² over the low (below 1/8 cycle per pixel), middle (1/8 to 3/8) and high (from 3/8) frequencies, all around:
//!
//! | class | criterion, the first that holds |
//! |---|---|
//! | zero | no power at all |
//! | all-pass | largest and smallest \|H\| within 1 dB of each other |
//! | low-pass | P falls: low ≥ middle ≥ high, high at most a quarter of low |
//! | high-boost | P rises, low at most a quarter of high, and \|H(0)\| at least a twentieth of the largest: it keeps the mean and raises detail |
//! | high-pass | P rises, low at most a quarter of high |
//! | band-pass | middle is at least twice low and twice high |
//! | mixed | anything else |
//!
//! A quarter of the power is half the amplitude, 6 dB.

use std::fmt;

use crate::Response;

/// Mean power in three bands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bands {
    /// Below 1/8 cycle per pixel.
    pub low: f64,
    /// From 1/8 to 3/8.
    pub middle: f64,
    /// From 3/8.
    pub high: f64,
}

impl Bands {
    pub(crate) fn new(response: &Response) -> Bands {
        let mut sums = [(0.0, 0.0); 3];
        for (fy, fx, h) in response.points() {
            let radius = fy.hypot(fx);
            let band = usize::from(radius >= 0.125) + usize::from(radius >= 0.375);
            sums[band].0 += h * h;
            sums[band].1 += 1.0;
        }
        let [low, middle, high] = sums.map(|(sum, count)| sum / count);
        Bands { low, middle, high }
    }
}

/// The class of a filter; see the [module](self).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// It gives nothing.
    Zero,
    /// It changes phases alone.
    AllPass,
    /// It blurs.
    LowPass,
    /// It sharpens.
    HighBoost,
    /// It keeps detail alone.
    HighPass,
    /// It keeps detail of one scale.
    BandPass,
    /// None of these.
    Mixed,
}

impl Class {
    /// Every class.
    pub const ALL: [Class; 7] =
        [Class::LowPass, Class::HighPass, Class::BandPass, Class::HighBoost, Class::AllPass, Class::Mixed, Class::Zero];

    pub(crate) fn new(response: &Response, bands: &Bands) -> Class {
        const QUARTER: f64 = 0.25;
        let (most, least) = (response.largest(), response.smallest());
        let Bands { low, middle, high } = *bands;
        let centre = response.size() / 2;
        let dc = response.magnitudes.at(centre, centre);
        if most == 0.0 {
            Class::Zero
        } else if least > 0.0 && 20.0 * (most / least).log10() <= 1.0 {
            Class::AllPass
        } else if low >= middle && middle >= high && high <= QUARTER * low {
            Class::LowPass
        } else if high >= middle && middle >= low && low <= QUARTER * high {
            if dc >= most / 20.0 { Class::HighBoost } else { Class::HighPass }
        } else if middle >= 2.0 * low && middle >= 2.0 * high {
            Class::BandPass
        } else {
            Class::Mixed
        }
    }

    /// The name.
    pub fn name(self) -> &'static str {
        match self {
            Class::Zero => "zero",
            Class::AllPass => "all-pass",
            Class::LowPass => "low-pass",
            Class::HighBoost => "high-boost",
            Class::HighPass => "high-pass",
            Class::BandPass => "band-pass",
            Class::Mixed => "mixed",
        }
    }

    /// The criterion, in words.
    pub fn criterion(self) -> &'static str {
        match self {
            Class::Zero => "no power at all",
            Class::AllPass => "the largest and smallest response are within 1 dB of each other",
            Class::LowPass => "power falls with frequency, to a quarter or less from 3/8 cycle per pixel on",
            Class::HighBoost => "power rises fourfold or more with frequency, and a constant image passes",
            Class::HighPass => "power rises fourfold or more with frequency, and a constant image does not pass",
            Class::BandPass => "power between 1/8 and 3/8 cycle per pixel is at least twice that below and that above",
            Class::Mixed => "power neither rises nor falls fourfold, and no band has twice that of the others",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
