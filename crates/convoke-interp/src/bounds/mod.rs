//! Running error analysis: how far a native run of a layer may be from [`run_layer`](crate::run_layer).
//!
//! Each tensor carries its value v, a bound E on the distance of the native value v̂, its natural scale S, and the
//! depth d: how many roundings a term of the sum that v is may meet. An op turns the bounds of its operands into that
//! of its result, for **any order of summation, with or without fused multiply-add**, and for what passes of
//! guarantee `Rounding` may do: biases and batch norm folded into a convolution, additions joined to its sum.
//!
//! With u the unit roundoff of the element type plus that of the interpreter's own `f64`, γ_n = n·u / (1 − n·u), and
//! M = S + E where d > 0 (the magnitudes that were summed), else |v| + E:
//!
//! ```text
//! conv2d, matmul  K products    E = Σ|w|·E_x + Σ|x|·E_w + Σ E_x·E_w + γ_K Σ(|w| + E_w)(|x| + E_x)  S = Σ|w||x|   d = K
//! add, bias                     E = E_a + E_b + γ_(d_b+3) M_a + γ_(d_a+3) M_b                  S = S_a + S_b  d = d_a + d_b + 1
//! mul                           E = |a| E_b + |b| E_a + E_a E_b + γ_2 M_a M_b                  S = S_a S_b    d = d_a + d_b
//! batch_norm, a = scale / √(var + ε)
//!                               E = |a| E_x + γ_8 |a| M_x + γ_(d_x+8) (|a||mean| + |b|)        S = |a|(S_x + |mean|) + |b|
//! avg_pool, n terms             E = mean E_x + γ_(n+2) mean(|x| + E_x)                         S = mean S_x
//! max_pool                      E = max E_x                                                    S = max S_x
//! reductions                    as avg_pool and max_pool; the sum of n terms n times the mean
//! resize, weights w             E = Σ|w| E_x + γ_12 Σ|w|(|x| + E_x)                            S = Σ|w| S_x
//! activations, Lipschitz L      E = L·E_x + m·u (|y| + L·E_x)     relu, relu6: m = 0; clip, leaky_relu: m = 2;
//!                               sigmoid, silu: m = 8, their exponential being a polynomial; hardswish: γ_6 (|x| + E_x)
//! pad, concat, reshape, …       as their elements
//! other elementwise ops         see [`pointwise`]
//! ```
//!
//! To each operation comes an absolute term η for underflow. Where subnormal numbers are kept, η is the smallest of them. Where they are
//! flushed to zero, η is the smallest normal number N, and operands are read with more error too:
//!
//! ```text
//! operand x with |x| − E_x < N  E_x becomes max(E_x, min(|x|, N + E_x)): its native value may be subnormal, and is then read as 0
//! ```
//!
//! To sigmoid and silu comes a term for an exponential that is clamped where its result would no longer be normal. Weights that passes computed, such
//! as those with a batch norm folded in, may be subnormal where those given are not; whoever compares with such a layer adds the bounds of the layer
//! that has them. Where M exceeds the largest finite number of the element type a native sum may overflow, and E is infinite. Where v is NaN or
//! infinite E is 0: a native run gives the same.
//!
//! Inputs and constants have E = 0: they are given in the element type. u, η, N and the largest number are those of the type computed in; what
//! storing a result as `f16` or `bf16` adds is in [`stored`].
//!
//! A convolution that names `winograd`, `fft` or `strassen` with its sizes rounds more than a sum does. In place of γ_K Σ(|w| + E_w)(|x| + E_x)
//! it has the terms of [`tiles`] and [`strassen`]; S and what is inherited are the same. Where such a convolution reads numbers that
//! are not finite, or may overflow on the way, a native run may give anything: E is infinite, also where v is not finite, and
//! so are the bounds of results that are computed of it. Where the guard surely has a tile computed by plain sums, the tile has their terms; see [`guard`].
//!
//! Source  N. J. Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., §3.1 and §4.2: for any order of
//!         summation each term of a sum of n products meets at most n roundings.

mod activations;
mod elementwise;
mod enclosure;
mod guard;
mod operands;
mod pointwise;
mod products;
mod rearrange;
mod rules;
mod stored;
mod strassen;
mod tiles;
mod tracked;
mod typical;
mod unit;

use std::sync::Arc;

use convoke_data::Files;
use convoke_ir::elem::Subnormals;
use convoke_ir::layer::{Conv2d, Op, Verified};
use convoke_ir::types::TensorType;
use ndarray::ArrayD;

use crate::layer::{constant, prepare, walk};
use crate::{Result, flat, shaped};
pub use enclosure::{Enclosed, Enclosure, Extent, Lost, enclose};
use rules::Applied;
use tracked::Tracked;
pub use typical::{Accuracies, Accuracy};
use unit::Unit;

/// A result with its error bound. All three arrays are in storage order of the result's type.
#[derive(Clone, Debug, PartialEq)]
pub struct Bounded {
    /// The value, as [`run_layer`](crate::run_layer) gives it.
    pub value: ArrayD<f64>,
    /// The largest distance of a native run's value. Where the value is not finite it is 0, or infinite if a fast algorithm may have spoilt the
    /// result. Where the run may overflow it is infinite.
    pub bound: ArrayD<f64>,
    /// What errors are relative to: Σ|w||x| of the last convolution or matrix product, and what was added to it.
    pub scale: ArrayD<f64>,
    /// The root mean square of the error to expect, wherever the numbers of the tile or product that it comes from lie.
    pub expected: ArrayD<f64>,
    /// The root mean square of the error allowed.
    pub allowed: ArrayD<f64>,
}

/// Runs a layer and bounds how far a native run of it, in the element types of the layer, may be from the result.
///
/// # Errors
///
/// As [`run_layer`](crate::run_layer); about six times the memory is needed, seven where numbers are stored in types that are not computed with.
pub fn error_bounds(
    layer: Verified<'_>,
    inputs: &[ArrayD<f64>],
    files: &Files,
    subnormals: Subnormals,
) -> Result<Vec<Bounded>> {
    let plain = |_: &Conv2d, x: &TensorType, w: &TensorType| {
        Accuracy::plain(w.shape.dims()[1..].iter().product(), x.elem.compute().unit_roundoff())
    };
    errors(layer, inputs, files, subnormals, &plain)
}

/// As [`error_bounds`], with the accuracy of each convolution as it is given rather than that of a plain sum.
///
/// # Errors
///
/// As [`error_bounds`].
pub fn errors(
    layer: Verified<'_>,
    inputs: &[ArrayD<f64>],
    files: &Files,
    subnormals: Subnormals,
    accuracies: Accuracies<'_>,
) -> Result<Vec<Bounded>> {
    let layer = layer.layer();
    let stored = layer.values.iter().any(|(_, value)| value.ty.elem.is_storage());
    prepare(layer, inputs, files, if stored { 7 } else { 6 })?;
    let inputs = inputs.iter().map(|input| Tracked::exact(Arc::new(flat(input)?))).collect::<Result<Vec<_>>>()?;
    let step = |op: &Op, args: &[&Tracked], types: &[&TensorType], result: &TensorType| {
        let unit = Unit::of(result.elem.compute(), subnormals);
        if subnormals == Subnormals::Keep {
            return Applied { op, args, types, result, unit }.tracked(accuracies);
        }
        let read = args.iter().map(|arg| arg.read(unit)).collect::<Result<Vec<_>>>()?;
        Applied { op, args: &read.iter().collect::<Vec<_>>(), types, result, unit }.tracked(accuracies)
    };
    let constant = |id| Tracked::exact(constant(layer, id, files)?);
    let results = walk::walk(layer, inputs, constant, step, |tensor, ty| stored::stored(tensor, ty.elem))?;
    let results = layer.results.iter().zip(results).map(|(&id, tracked)| {
        let array = |numbers: Arc<Vec<f64>>| shaped(layer.ty(id), Arc::unwrap_or_clone(numbers));
        let [expected, allowed] = tracked.typical.map(array);
        let bound = tracked.near.unwrap_or(tracked.error);
        let [value, bound, scale] = [tracked.value, bound, tracked.scale].map(array);
        Bounded { value, bound, scale, expected, allowed }
    });
    Ok(results.collect())
}
