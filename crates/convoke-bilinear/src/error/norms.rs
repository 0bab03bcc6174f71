//! Errors in the Euclidean norm: what an FFT is good for.
//!
//! A Fourier transform of N points multiplies lengths by √N, while every sign a plus would multiply them by N. With ‖M x‖ ≤ ν‖x‖ and
//! ‖fl(M x) − M x‖ ≤ η‖x‖ for the transforms A of data and C of products, u_c the largest transformed tap of channel c in magnitude, and
//! Û = U(1 + δ),
//!
//! ```text
//!   |ŷ − y| ≤ ((ν_C + η_C) (ν_A + η_A) (1 + γ_C) (1 + u) − ν_C ν_A) · Σ_c u_c ‖x_c‖₂            at every output of the tile
//! ```
//!
//! for V̂ is off by η_A‖x‖, each product V̂Û and its C − 1 additions by γ_C|V̂||Û|, |V̂Û| by u_c‖V̂‖ in the norm, and no output is longer than all
//! (Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed., §24.1, counts the same way). η of straight-line code: the errors that
//! operations make reach the outputs as G ε, with ε at most u times the values that are rounded. Operations are taken together that are
//! equally far from the inputs; with F what makes their values from x,
//!
//! ```text
//!   η = Σ over distances of ‖G‖₂ · u (‖F‖₂ + γ ‖|F|‖_F)                 γ|F||x|: how far the values are from exact ones
//! ```
//!
//! ‖F‖₂² is at most the largest sum of magnitudes in a row of F Fᵀ or FᵀF (Gershgorin), which for orthogonal rows or columns is exact.

use super::code::Code;
use super::gamma;
use super::passes::Passes;

/// How a linear map treats lengths.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Norm {
    /// ν: no vector becomes longer than so many times.
    pub(super) length: f64,
    /// η: nor is the error longer than this, times the vector.
    pub(super) error: f64,
}

impl Norm {
    /// Of code, in arithmetic of unit roundoff `u`.
    fn of_code(code: &Code, u: f64) -> Norm {
        let depth = code.roundings().into_iter().max().unwrap_or(0);
        let gamma = gamma(depth as f64 * u);
        let absolute = code.clone().absolute();
        let error = code.rounded(&absolute).into_iter().map(|rounded| {
            let most: f64 = rounded.magnitudes.iter().flatten().map(|x| x * x).sum();
            spectral(&rounded.gains) * (spectral(&rounded.values) + gamma * most.sqrt())
        });
        // γ_n ≤ n u (1 + 8u) for the up to three roundings of an operation.
        Norm { length: spectral(&code.dense()), error: error.sum::<f64>() * u * (1.0 + 8.0 * u) }
    }

    /// Of a transform. Infinite if a pass reads a number twice, so that its lines are not orthogonal.
    pub(super) fn of(passes: &Passes, u: f64) -> Norm {
        let [first, then] = passes.codes().map(|codes| {
            codes.iter().map(|code| Norm::of_code(code, u)).fold(Norm { length: 0.0, error: 0.0 }, |most, norm| Norm {
                length: most.length.max(norm.length),
                error: most.error.max(norm.error),
            })
        });
        let length = first.length * then.length;
        let error = first.error * (then.length + then.error) + first.length * then.error;
        if passes.reads_once() { Norm { length, error } } else { Norm { length: f64::INFINITY, error: f64::INFINITY } }
    }
}

/// An upper bound on the largest singular value.
fn spectral(rows: &[Vec<f64>]) -> f64 {
    let Some(first) = rows.first() else { return 0.0 };
    let turned: Vec<Vec<f64>>;
    let vectors = if rows.len() <= first.len() {
        rows
    } else {
        turned = (0..first.len()).map(|j| rows.iter().map(|row| row[j]).collect()).collect();
        &turned
    };
    let mut sums = vec![0.0; vectors.len()];
    for (i, a) in vectors.iter().enumerate() {
        for (j, b) in vectors[..=i].iter().enumerate() {
            let product = a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>().abs();
            sums[i] += product;
            sums[j] += if i == j { 0.0 } else { product };
        }
    }
    // The sums here are of some hundred terms in f64.
    sums.into_iter().fold(0.0, f64::max).sqrt() * (1.0 + 1e-10)
}
