//! In which sense a kernel is separable.

use convoke_factor::{FactorError, Matrix, Svd, exact};

/// In which sense a kernel is a column times a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sense {
    /// Exactly: every minor of two rows and columns is 0.
    Exact,
    /// Up to rounding: a separable kernel lies within the rounding of its numbers.
    Rounding,
    /// Only approximately: the nearest separable kernel loses energy.
    Approximate,
}

/// The rank of a kernel.
#[derive(Clone, Debug)]
pub struct Rank {
    /// Over the rationals; `None` if its minors are too long to tell.
    pub exact: Option<usize>,
    /// The least that rounding allows: what is left is at most the unit roundoff, relative, in the Frobenius norm.
    pub rounding: usize,
    /// The part of the energy in each rank, largest first.
    pub energies: Vec<f64>,
    /// Whether one product is the kernel.
    pub sense: Sense,
}

impl Rank {
    pub(crate) fn new(kernel: &Matrix, unit: f64) -> Result<Rank, FactorError> {
        let svd = Svd::new(kernel)?;
        let rounding = svd.rank_within(unit.max(1e-15));
        let exact = exact::rank(kernel);
        let sense = match (exact, rounding) {
            (Some(0 | 1), _) => Sense::Exact,
            (_, 0 | 1) => Sense::Rounding,
            _ => Sense::Approximate,
        };
        Ok(Rank { exact, rounding, energies: svd.energies(), sense })
    }
}
