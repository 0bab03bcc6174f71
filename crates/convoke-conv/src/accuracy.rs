//! How accurate a convolution is by the algorithm that it names: what a run is held against.

use convoke_bilinear::error::matmul_estimate;
use convoke_bilinear::matmul;
use convoke_ir::attr::Algorithm;

use crate::algorithms::tiles::Tiling;
use crate::budget::{Allowed, Budget};
use crate::conv::Conv;

/// The error to expect of `conv` by `algorithm`, relative to Σ|w||x| where inputs are of like magnitude within a tile: that of a plain sum where
/// the algorithm is one or has no sizes.
pub fn expected(algorithm: Algorithm, conv: &Conv) -> f64 {
    let unit = conv.elem.unit_roundoff();
    match algorithm {
        Algorithm::Winograd { outputs: Some(_) } | Algorithm::Fft { points: Some(_) } => {
            Tiling::new(algorithm, &conv.window)
                .map_or(conv.error_typical(), |t| t.error_typical(conv.c_per_group(), unit))
        }
        Algorithm::Strassen { levels: Some(levels) } => {
            // How the depth is cut depends on the machine. More chunks err less.
            matmul_estimate(&matmul::strassen(), levels.into(), conv.depth(), 1, unit)
        }
        _ => conv.error_typical(),
    }
}

/// The error allowed, relative to Σ|w||x|. Plain sums always are; another algorithm that was asked for by name is held against nothing but the
/// user's own limit. A certified limit is held against the bound, and says nothing of this error.
pub fn allowed(algorithm: Algorithm, conv: &Conv, allowed: &Allowed) -> f64 {
    let budget = Budget::new(conv, allowed);
    if budget.certified {
        f64::INFINITY
    } else if budget.given && !algorithm.is_plain_sum() {
        budget.limit
    } else {
        budget.limit.max(expected(algorithm, conv))
    }
}
