//! How far algorithms round from the exact result: bounds that no input exceeds, and errors to expect.
//!
//! u is the unit roundoff of the element type, C the number of channels that are summed, each as often as its filter has blocks. Fused and unfused multiply-adds are both
//! covered, as is any order of the sum over channels. Underflow and overflow are not: the interpreter's analysis of actual numbers has
//! terms for them.
//!
//! | function | algorithm | relative to |
//! |---|---|---|
//! | [`plain_bound`] | a sum of products | Σ\|w\|\|x\| of the output element |
//! | [`tile_bound`], [`tile_bound_for`] | Winograd, FFT | Σ\|w\| · max\|x\|, w the filter of the output element, x the inputs of its tile |
//! | [`matmul_bound`] | Strassen | max over rows of Σ\|w\|, times max\|x\| of the whole product |
//! | [`plain_estimate`], [`tile_estimate`], [`tile_estimate_at`], [`matmul_estimate`] | each | Σ\|w\|\|x\|, root mean square over output elements |
//!
//! # Bounds
//!
//! A result of rounded additions and multiplications is Σ over paths of products of coefficients, inputs and factors 1 + δ, |δ| ≤ u, one
//! for each rounding on the path. At most α of them on any path give, with γ_α = αu / (1 − αu) (Higham, *Accuracy and Stability of
//! Numerical Algorithms*, 2nd ed., §3.1),
//!
//! ```text
//!   |ŷ − y| ≤ γ_α · Σ_c |C|ᵀ ( |A||x_c| ⊙ |B||w_c| )            componentwise, for y = Σ_c Cᵀ (A x_c ⊙ B w_c)
//! ```
//!
//! where |A| is not the matrix of absolute values but the *code* of A run with every sign a plus, since terms that cancel on the way
//! have been rounded before. This is the bound of Barabasz et al. 2020 (*Error Analysis and Improving the Accuracy of Winograd
//! Convolution for Deep Neural Networks*, §3) with their counts of non-zeros replaced by those of the code:
//!
//! ```text
//!   α = roundings of A + 1 + C + roundings of C
//! ```
//!
//! The longest path counts, with one rounding for an addition, two for a multiply-add, one for a multiplication, none for one by
//! a power of two, and one more for a factor that has to be rounded itself. Filters are transformed in `f64` and rounded once, which is the 1
//! (what they lose in `f64` is added to γ); each product meets itself and C − 1 additions, which is the C. For any weights, with x = 1:
//!
//! ```text
//!   |ŷ_l − y_l| / (Σ|w| · max|x|) ≤ γ_α · max over l, j of Σ_q |C|[q,l] |B|[q,j] Σ_i |A|[q,i]
//! ```
//!
//! Where cosines of many angles are summed up, as in an FFT, that is far above what happens: then the bound through Euclidean
//! norms (module `norms`) is smaller. The functions here give the smaller of both.
//!
//! # Estimates
//!
//! Each operation is taken to err independently, with variance ρ²u² times the expected square of its result. Inputs and weights
//! are independent with mean 0, uniform, for which Σ|w||x| is ¾ σ_w σ_x for each product. A number m·2^e, 1 ≤ m < 2, is rounded
//! with an error uniform up to u·2^e, of variance u²/3m² relative to its square; where log m is uniform (Knuth, *The Art of Computer
//! Programming*, vol. 2, §4.2.4) the mean of that is ρ²u² with ρ² = 1 / (8 ln 2) = 0.180. Multiply-adds are fused, sums run over all terms
//! one after the other. Module `estimate` has the formulas for tiles.
//!
//! The assumptions of an estimate, and the bound that holds without them:
//!
//! - Mean zero. Terms of one sign make partial sums grow in proportion to their number, and the error of every algorithm with them, by a factor of
//!   up to √(K/3) for K terms. Transforms of Winograd's take differences: data that are smooth or have a mean err less than estimated.
//! - Inputs of like magnitude within a tile, for Strassen in the whole input. The error of an output follows from all that its tile reads, but the
//!   estimate is relative to what the output itself reads. Where inputs differ by a factor of s, it may be s times as large: only
//!   the bound holds for any input, relative to Σ|w| times the largest input of the tile, for Strassen of the whole input.
//! - Sums of some nine products or more. The error of few products, relative to their own Σ|w||x|, may be larger where all of them happen to be small.

mod code;
mod estimate;
mod matmul;
mod norms;
mod passes;
mod tile;

pub use estimate::{Alike, tile_estimate, tile_estimate_at};
pub use matmul::{Growth, LEAST_CHUNK, matmul_bound, matmul_estimate};
pub use tile::{Analysis, tile_bound, tile_bound_for};

/// The variance of a rounding error, relative to u² and to the square of the rounded number: see the [module](self).
const ROUNDING: f64 = 0.125 / std::f64::consts::LN_2;

/// E|w||x| / (σ_w σ_x) of uniform numbers.
pub const SCALE: f64 = 0.75;

/// The unit roundoff of filters while they are transformed.
const DOUBLE: f64 = f64::EPSILON / 2.0;

/// The root mean square of a rounding error, relative to the rounded number.
pub fn rounding(u: f64) -> f64 {
    u * ROUNDING.sqrt()
}

/// `γ = θ / (1 − θ)` for the sum θ of the unit roundoffs on a path; infinite where the theory ends.
pub fn gamma(theta: f64) -> f64 {
    if theta < 1.0 { theta / (1.0 - theta) } else { f64::INFINITY }
}

/// What no error of a sum of `terms` products exceeds in any order, relative to Σ|w||x|: γ for each product and `terms` − 1
/// additions, and one more for a bias that the sum may begin with.
pub fn plain_bound(terms: usize, u: f64) -> f64 {
    gamma((terms + 1) as f64 * u)
}

/// The error to expect of a sum of `terms` products, one after the other, relative to Σ|w||x|: ρu / ¾ · √((K + 1) / 2K).
///
/// Partial sum k has variance k σ_w² σ_x². For terms of one sign it would grow as √K; then that of every algorithm does.
pub fn plain_estimate(terms: usize, u: f64) -> f64 {
    let k = terms.max(1) as f64;
    u * (ROUNDING * sequential(k)).sqrt() / (SCALE * k)
}

/// Σ of the variances of the partial sums of `k` independent terms of variance 1.
fn sequential(k: f64) -> f64 {
    k * (k + 1.0) / 2.0
}
