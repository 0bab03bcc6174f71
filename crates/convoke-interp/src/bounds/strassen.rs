//! Rounding errors of convolutions by Strassen's product.
//!
//! The product is that of the weights of a group, `[K/group, D]`, with its patches, `[D, pixels]`, D = C/group · R · S. How output channels,
//! input channels and pixels are cut into blocks is not known here and does not matter. With w_d = max over output channels of
//! |w[k, d]| + E_w, x_d = max over images and pixels of |x| + E_x in the channel of d, and the growth with each level of Strassen's own
//! algorithm as of `convoke_bilinear::error::Growth`,
//!
//! ```text
//!   E = γ_α · min( ‖N‖₂^levels · ‖w‖₂ ‖x‖₂,  G^levels · max over k of Σ_d |w[k, d]| + E_w, times max_d x_d ) + underflow
//! ```
//!
//! The same for all outputs of a group. Products and sums lose to underflow, where subnormal numbers are flushed.

use convoke_bilinear::error::Growth;
use convoke_bilinear::matmul::strassen;

use super::operands::{Operands, Rounded};
use super::tracked::each2;
use super::unit::Unit;
use crate::layer::{Operand, image, planes, stored};
use crate::{Result, filled};

/// The rounding error of the convolution itself, with operands anywhere within their errors.
pub(super) fn rounded(operands: Operands<'_>, levels: u8, unit: Unit) -> Result<Rounded> {
    let Operands { x, w, types: [x_type, w_type], result } = operands;
    let &[outputs, inputs, ..] = w_type.shape.dims() else { unreachable!("weights have four axes") };
    let depth = w_type.shape.dims()[1..].iter().product::<usize>();
    let (from, to) = (image(x_type), image(result));
    let groups = from.c / inputs;
    let growth = Growth::of(&strassen()).expect("a product of matrices");
    let (norms, sums) = (growth.norms.powi(levels.into()), growth.sums.powi(levels.into()));
    let roundings = growth.alpha(levels.into(), inputs, depth / inputs);

    let wide = each2(&x.value, &x.error, |x, e| x.abs() + e)?;
    let wide = planes(Operand { data: &wide, ty: x_type })?;
    // A number that is not finite counts as infinite.
    let larger = |a: f64, b: f64| if b.is_nan() { f64::INFINITY } else { a.max(b) };
    let mut x_max = filled(from.c, 0.0)?;
    for (plane, numbers) in wide.chunks_exact(from.h * from.w).enumerate() {
        x_max[plane % from.c] = numbers.iter().copied().fold(x_max[plane % from.c], larger);
    }
    let w_wide = each2(&w.value, &w.error, |w, e| w.abs() + e)?;
    let mut error = filled(result.elements(), 0.0)?;
    for group in 0..groups {
        let rows = w_wide.chunks_exact(depth).skip(group * (outputs / groups)).take(outputs / groups);
        let (mut w_max, mut row_sum) = (filled(depth, 0.0)?, 0.0);
        for row in rows {
            w_max.iter_mut().zip(row).for_each(|(most, &w)| *most = larger(*most, w));
            row_sum = larger(row_sum, row.iter().sum());
        }
        let x_max = &x_max[group * inputs..][..inputs];
        let most = x_max.iter().copied().fold(0.0, larger);
        // Numbers are scaled so that their squares neither overflow nor vanish.
        let w_most = w_max.iter().copied().fold(0.0, larger);
        let norm = |numbers: &[f64], most: f64, times: f64| match most {
            0.0 => 0.0,
            most => most * (numbers.iter().map(|x| (x / most).powi(2)).sum::<f64>() * times).sqrt(),
        };
        let by_norms = norms * norm(&w_max, w_most, 1.0) * norm(x_max, most, (depth / inputs) as f64);
        let magnitude = by_norms.min(sums * row_sum * most);
        // Sums of blocks are at most so many times their largest number.
        let grown = [w_most, most].map(|most| most * sums);
        let overflows = !(magnitude <= unit.largest && grown.iter().all(|g| *g <= unit.largest));
        // Products and sums of products; and, for each level, sums of blocks, which the other operand multiplies.
        let blocks = f64::from(4 * levels) * (1.0 + row_sum + depth as f64 * most);
        let underflow = sums * (2.0 * depth as f64 + blocks) * unit.lost;
        let bound = if overflows { f64::INFINITY } else { unit.gamma(roundings) * magnitude + underflow };
        for (plane, numbers) in error.chunks_exact_mut(to.h * to.w).enumerate() {
            if plane % outputs / (outputs / groups) == group {
                numbers.fill(bound);
            }
        }
    }
    Ok(Rounded { error: stored(error.into(), result)?, roundings })
}
