//! The bound of a convolution's rounding, from its numbers.

use convoke_bilinear::Tile;
use convoke_bilinear::error::{matmul_bound, plain_bound, tile_bound};
use convoke_bilinear::matmul::strassen;
use convoke_ir::attr::Algorithm;
use convoke_ir::layer::Window;

/// What no rounding error of a convolution over `channels` channels of a group exceeds, for any weights, in numbers of this unit roundoff; `None`
/// of an algorithm without sizes or with sizes that no tile has. What it is relative to: see [`crate::Convolution::bound`].
pub fn bound(algorithm: Algorithm, window: &Window, channels: usize, unit_roundoff: f64) -> Option<f64> {
    let taps = [window.h.kernel, window.w.kernel];
    let tile = match algorithm {
        Algorithm::Direct | Algorithm::Im2col { .. } | Algorithm::Depthwise => {
            return Some(plain_bound(channels * taps[0] * taps[1], unit_roundoff));
        }
        Algorithm::Strassen { levels } => {
            let levels = levels?.into();
            return Some(matmul_bound(&strassen(), levels, channels, taps[0] * taps[1], unit_roundoff));
        }
        Algorithm::Winograd { outputs } => {
            let outputs = outputs?;
            let sizes = [outputs.h.into(), outputs.w.into()];
            Tile::winograd(sizes, taps, [window.h.steps(), window.w.steps()]).ok()?
        }
        Algorithm::Fft { points } => {
            let points = points?;
            Tile::fft([points.h.into(), points.w.into()], taps).ok()?
        }
        Algorithm::Auto => return None,
    };
    Some(tile_bound(&tile, channels, unit_roundoff))
}
