//! What a kernel is as a filter: numbers in, answers out.
//!
//! | question | answered by |
//! |---|---|
//! | is it a column times a row, and in which sense | [`Rank`]: over the rationals, up to rounding, and the energy of each rank |
//! | what does it do to a constant image | [`Filter::dc_gain`]: the sum of its taps |
//! | what does it do to waves | [`Response`]: magnitude over the band, radial profile |
//! | what is it called | [`Class`], by the criterion written there |
//! | which way does it look | [`Orientation`] |
//! | which symmetries has it | [`Symmetry`] |
//!
//! Frequencies are in cycles per pixel: 0.5 is Nyquist's along an axis, and √½ the corner of the band.

#![forbid(unsafe_code)]

mod class;
mod rank;
mod response;
mod symmetry;

pub use class::{Bands, Class};
pub use rank::{Rank, Sense};
pub use response::{Orientation, Response};
pub use symmetry::Symmetry;

use convoke_factor::{FactorError, Matrix, svd};

/// The analysis of a kernel.
#[derive(Clone, Debug)]
pub struct Filter {
    /// The taps.
    pub kernel: Matrix,
    /// Rank, and the energy in each.
    pub rank: Rank,
    /// The sum of the taps: the gain of a constant image.
    pub dc_gain: f64,
    /// Symmetries, up to rounding.
    pub symmetries: Vec<Symmetry>,
    /// The frequency response.
    pub response: Response,
    /// Power in three bands.
    pub bands: Bands,
    /// What it is called.
    pub class: Class,
}

impl Filter {
    /// Multiplications of an analysis, about.
    pub fn cost(rows: usize, columns: usize) -> f64 {
        let n = Response::frequencies(rows, columns) as f64;
        svd::cost(rows, columns) + 64.0 * n * n
    }

    /// Analyses a kernel whose taps are rounded to `unit`, the unit roundoff of their type.
    pub fn new(kernel: Matrix, unit: f64) -> Result<Filter, FactorError> {
        let rank = Rank::new(&kernel, unit)?;
        let response = Response::new(&kernel);
        let bands = Bands::new(&response);
        Ok(Filter {
            dc_gain: kernel.numbers().iter().sum(),
            symmetries: Symmetry::of(&kernel, unit),
            class: Class::new(&response, &bands),
            rank,
            bands,
            response,
            kernel,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(rows: usize, taps: &[f64]) -> Filter {
        Filter::new(Matrix::new(rows, taps.len() / rows, taps.to_vec()), 2f64.powi(-24)).expect("finite")
    }

    #[test]
    fn known_kernels_are_what_they_are_called() {
        let gaussian: Vec<f64> = (0..81)
            .map(|i| f64::from((-(f64::from(i / 9 - 4).powi(2) + f64::from(i % 9 - 4).powi(2)) / 4.5).exp() as f32))
            .collect();
        let gabor: Vec<f64> = (0..225)
            .map(|i| {
                let (v, u) = (f64::from(i / 15 - 7), f64::from(i % 15 - 7));
                (-(u * u + v * v) / 18.0).exp() * (std::f64::consts::TAU * u / 4.0).cos()
            })
            .collect();
        for (name, kernel, class) in [
            ("gaussian", filter(9, &gaussian), Class::LowPass),
            ("box", filter(3, &[1.0 / 9.0; 9]), Class::LowPass),
            ("laplacian", filter(3, &[0.0, 1.0, 0.0, 1.0, -4.0, 1.0, 0.0, 1.0, 0.0]), Class::HighPass),
            ("sharpen", filter(3, &[0.0, -1.0, 0.0, -1.0, 5.0, -1.0, 0.0, -1.0, 0.0]), Class::HighBoost),
            ("identity", filter(3, &[0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0]), Class::AllPass),
            ("gabor", filter(15, &gabor), Class::BandPass),
            ("sobel", filter(3, &[-1.0, 0.0, 1.0, -2.0, 0.0, 2.0, -1.0, 0.0, 1.0]), Class::BandPass),
            ("zeros", filter(3, &[0.0; 9]), Class::Zero),
        ] {
            assert_eq!(kernel.class, class, "{name}: {:?}", kernel.bands);
        }
    }

    #[test]
    fn a_sobel_kernel_in_every_respect() {
        let sobel = filter(3, &[-1.0, 0.0, 1.0, -2.0, 0.0, 2.0, -1.0, 0.0, 1.0]);
        assert_eq!((sobel.rank.exact, sobel.rank.sense), (Some(1), Sense::Exact));
        assert_eq!(sobel.dc_gain, 0.0);
        assert_eq!(sobel.symmetries, [Symmetry::EvenDown, Symmetry::OddAcross, Symmetry::OddAround]);
        // |H| = |2 sin ω_x| · (2 + 2 cos ω_y), 8 at most, across.
        assert!((sobel.response.largest() - 8.0).abs() < 1e-9, "{}", sobel.response.largest());
        let orientation = sobel.response.orientation();
        assert!(orientation.degrees.abs() < 1e-6 && orientation.coherence > 0.3, "{orientation:?}");
    }
}
