//! Relative errors of kernels in the Frobenius norm.

use convoke_factor::matrix::norm;
use convoke_ir::elem::Elem;

/// ‖a − b‖ / ‖b‖, 0 where both are 0.
pub(crate) fn frobenius(a: &[f64], b: &[f64]) -> f64 {
    let rest: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    let (rest, whole) = (norm(&rest), norm(b));
    if rest == 0.0 { 0.0 } else { rest / whole }
}

/// ‖a‖ / ‖b‖, 0 where b is 0.
pub(crate) fn norm_ratio(a: &[f64], b: &[f64]) -> f64 {
    let whole = norm(b);
    if whole == 0.0 { 0.0 } else { norm(a) / whole }
}

/// The relative error that rounding the weights to `elem` explains: a kernel nearer than this to one of some form counts as of that form.
/// It is the unit roundoff, since each number moved by at most that much of itself; for `f64`, the resolution of a decomposition in `f64`.
pub(crate) fn rounding(elem: Elem) -> f64 {
    elem.unit_roundoff().max(1e-15)
}

/// The squares of norms, relative to the largest: they neither overflow nor vanish.
pub(crate) fn squares(norms: impl Iterator<Item = f64>) -> Vec<f64> {
    let norms: Vec<f64> = norms.collect();
    let most = norms.iter().copied().fold(0.0, f64::max);
    norms.iter().map(|norm| if most > 0.0 { (norm / most).powi(2) } else { 0.0 }).collect()
}
