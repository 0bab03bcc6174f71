//! What storing a tensor as `f16` or `bf16` adds: one rounding, to the type's own numbers.
//!
//! Let r be the value v rounded, and u the roundoff of the type. A native run has a number within E of v. The caller of the layer gets it
//! rounded; an op inside may read it rounded, as it was because a pass left the tensor out of memory, or rounded on another scale, because
//! a pass moved a factor across it:
//!
//! ```text
//! rounded       max(|round(v + E) − r|, |round(v − E) − r|)       rounding is monotone, so that nothing between is further away
//! read inside   that, or E + u (|v| + E), at least half the smallest number
//! ```
//!
//! What is exact, such as a `relu` of stored numbers, has E = 0 and v = r and stays so. Where r is infinite and v is not, an op that reads it may
//! read anything.
//!
//! As a root mean square, at most two roundings come to √2/√3 · u |r|, u being the type's roundoff, so that u |r| is added.

use std::sync::Arc;

use convoke_ir::elem::Elem;

use super::tracked::{Tracked, each2};
use crate::Result;

/// The tensor as it is once it is stored in this type.
pub(super) fn stored(tensor: Tracked, elem: Elem) -> Result<Tracked> {
    if !elem.is_storage() {
        return Ok(tensor);
    }
    let mut value = Arc::clone(&tensor.value);
    elem.round_all(Arc::<Vec<f64>>::make_mut(&mut value));
    let exact = Arc::clone(&tensor.value);
    let near = each2(&exact, &tensor.error, |v, e| {
        let r = elem.round(v);
        if e == f64::INFINITY {
            return e;
        }
        distance(elem.round(v + e), r).max(distance(elem.round(v - e), r))
    })?;
    let inside =
        exact.iter().zip(tensor.error.iter()).zip(value.iter()).map(|((&v, &e), &r)| match e == 0.0 && v == r {
            true => 0.0,
            false if r.is_finite() || !v.is_finite() => {
                e + (elem.unit_roundoff() * (v.abs() + e)).max(elem.smallest() / 2.0)
            }
            false => f64::INFINITY,
        });
    let error = near.iter().zip(inside).map(|(&near, inside)| near.max(inside)).collect();
    let overflows = exact.iter().zip(value.iter()).any(|(v, r)| r.is_infinite() && v.is_finite());
    let roundoff = |r: f64| elem.unit_roundoff() * r.abs().max(elem.smallest_normal());
    let typical = |t: &Arc<Vec<f64>>| each2(t, &value, |t, r| t + roundoff(r)).map(Arc::new);
    let typical = [typical(&tensor.typical[0])?, typical(&tensor.typical[1])?];
    let (near, error) = (Some(Arc::new(near)), Arc::new(error));
    Ok(Tracked { value, error, typical, near, spoilt: tensor.spoilt || overflows, ..tensor })
}

/// How far two numbers are apart; 0 for the same infinity, and where both are NaN.
fn distance(a: f64, b: f64) -> f64 {
    if a == b || a.is_nan() && b.is_nan() { 0.0 } else { (a - b).abs() }
}
