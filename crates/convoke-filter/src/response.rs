//! The frequency response of a kernel.
//!
//! ```text
//!   H(f_y, f_x) = Σ k[r,s] · exp(−2πi (r·f_y + s·f_x)),    |H| on a grid of n × n frequencies from −½ to ½
//! ```
//!
//! The kernel is laid into n × n zeros, around their ends if it is longer, and goes through an FFT of its rows, then of its columns. A correlation
//! conjugates H; its magnitude is the same.

use convoke_factor::Matrix;
use rustfft::FftPlanner;
use rustfft::num_complex::Complex;

/// The most frequencies along an axis. A kernel of more than half as many taps is folded: at these frequencies its response is the same.
const FREQUENCIES: usize = 256;
/// Points of the radial profile, from 0 to √½.
const RADII: usize = 48;

/// Magnitudes over the band.
#[derive(Clone, Debug)]
pub struct Response {
    /// `n × n` magnitudes; frequency 0 is at row and column n/2, and row i is `(i − n/2)/n` cycles per pixel.
    pub magnitudes: Matrix,
}

/// Which way most of a filter's power lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Orientation {
    /// The direction of the waves that pass, from −90 to 90: 0 is across, so that edges from top to bottom are found.
    pub degrees: f64,
    /// From 0 for a filter that looks the same all around to 1 for one that passes waves of one direction alone.
    pub coherence: f64,
}

impl Response {
    pub(crate) fn new(kernel: &Matrix) -> Response {
        let n = Response::frequencies(kernel.rows(), kernel.columns());
        let mut plane = vec![Complex::new(0.0, 0.0); n * n];
        for i in 0..kernel.rows() {
            for (j, tap) in kernel.row(i).iter().enumerate() {
                plane[i % n * n + j % n].re += tap;
            }
        }
        let fft = FftPlanner::new().plan_fft_forward(n);
        fft.process(&mut plane);
        let mut columns: Vec<_> = (0..n * n).map(|at| plane[at % n * n + at / n]).collect();
        fft.process(&mut columns);
        let centred = |i: usize| (i + n / 2) % n;
        Response { magnitudes: Matrix::from_fn(n, n, |i, j| columns[centred(j) * n + centred(i)].norm()) }
    }

    /// How many frequencies along one axis the response of a kernel has.
    pub fn frequencies(rows: usize, columns: usize) -> usize {
        (2 * rows.max(columns)).next_power_of_two().clamp(64, FREQUENCIES)
    }

    /// Frequencies along one axis.
    pub fn size(&self) -> usize {
        self.magnitudes.rows()
    }

    /// The frequency of row or column `i`.
    pub fn frequency(&self, i: usize) -> f64 {
        (i as f64 - (self.size() / 2) as f64) / self.size() as f64
    }

    /// The largest magnitude on the grid.
    pub fn largest(&self) -> f64 {
        self.magnitudes.numbers().iter().copied().fold(0.0, f64::max)
    }

    /// The smallest.
    pub fn smallest(&self) -> f64 {
        self.magnitudes.numbers().iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// Every frequency with its magnitude: `(f_y, f_x, |H|)`.
    pub fn points(&self) -> impl Iterator<Item = (f64, f64, f64)> + '_ {
        let n = self.size();
        (0..n * n).map(move |at| (self.frequency(at / n), self.frequency(at % n), self.magnitudes.at(at / n, at % n)))
    }

    /// The root mean square of the magnitude around each radius: `(radius, |H|)`.
    pub fn radial(&self) -> Vec<(f64, f64)> {
        let most = 0.5f64.sqrt();
        let mut sums = vec![(0.0, 0usize); RADII];
        for (fy, fx, h) in self.points() {
            let bin = ((fy.hypot(fx) / most * (RADII - 1) as f64).round() as usize).min(RADII - 1);
            sums[bin].0 += h * h;
            sums[bin].1 += 1;
        }
        let radius = |bin: usize| bin as f64 / (RADII - 1) as f64 * most;
        let mean = |(bin, (sum, count)): (usize, (f64, usize))| {
            (count > 0).then(|| (radius(bin), (sum / count as f64).sqrt()))
        };
        sums.into_iter().enumerate().filter_map(mean).collect()
    }

    /// The band around the peak of the radial profile, as two radii: within it the profile stays above 1/√2 of the peak.
    pub fn half_power(&self) -> [f64; 2] {
        let radial = self.radial();
        let peak = (0..radial.len()).max_by(|&a, &b| radial[a].1.total_cmp(&radial[b].1)).unwrap_or(0);
        let above = |i: &usize| radial[*i].1 >= radial[peak].1 / 2f64.sqrt();
        let low = (0..=peak).rev().take_while(above).last().unwrap_or(peak);
        let high = (peak..radial.len()).take_while(above).last().unwrap_or(peak);
        [radial[low].0, radial[high].0]
    }

    /// Which way most of the power lies: the main axis of Σ|H|²·f·fᵀ.
    pub fn orientation(&self) -> Orientation {
        let (mut xx, mut xy, mut yy) = (0.0, 0.0, 0.0);
        // The row and column of −½ have no counterpart at ½ and would tilt the sum.
        for (fy, fx, h) in self.points().filter(|(fy, fx, _)| *fy > -0.5 && *fx > -0.5) {
            let power = h * h;
            xx += power * fx * fx;
            xy += power * fx * fy;
            yy += power * fy * fy;
        }
        let spread = (xx - yy).hypot(2.0 * xy);
        let coherence = if xx + yy > 0.0 { spread / (xx + yy) } else { 0.0 };
        Orientation { degrees: 0.5 * (2.0 * xy).atan2(xx - yy).to_degrees(), coherence }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_kernels_are_folded_without_loss() {
        let taps: Vec<f64> = (0..601).map(|i| 1.0 / (1.0 + f64::from(i))).collect();
        let response = Response::new(&Matrix::new(1, 601, taps.clone()));
        assert_eq!(response.size(), FREQUENCIES);
        for j in [0, 5, 128, 200] {
            let turn = -std::f64::consts::TAU * response.frequency(j);
            let sum: Complex<f64> =
                taps.iter().enumerate().map(|(i, tap)| Complex::from_polar(*tap, turn * i as f64)).sum();
            assert!((response.magnitudes.at(7, j) - sum.norm()).abs() < 1e-9, "column {j}");
        }
    }
}
