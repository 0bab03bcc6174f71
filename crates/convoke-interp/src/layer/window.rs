//! Ops that sum over a window or a whole extent: convolution, pooling, matrix product.

use convoke_ir::layer::{AvgPool, Axis, Conv2d, MaxPool, Window};
use convoke_ir::types::{Image, TensorType};

use super::operand::{Operand, image, planes, stored};
use crate::number::max;
use crate::{Result, filled};

/// The outputs `from..to` for which tap `tap` lies inside the input; tap and output give the input element
/// `output · stride + tap · dilation − begin`.
fn inside(axis: &Axis, tap: usize) -> (usize, usize) {
    let before = tap * axis.dilation;
    let from = axis.begin.saturating_sub(before).div_ceil(axis.stride);
    let to = (axis.input + axis.begin).saturating_sub(before).div_ceil(axis.stride).min(axis.output);
    (from.min(to), to)
}

/// The taps of output `output` that lie inside the input, as `(from, to)`.
fn taps(axis: &Axis, output: usize) -> (usize, usize) {
    let before = output * axis.stride;
    let from = axis.begin.saturating_sub(before).div_ceil(axis.dilation);
    let to = (axis.input + axis.begin).saturating_sub(before).div_ceil(axis.dilation).min(axis.kernel);
    (from.min(to), to)
}

/// How many taps of output `output` lie inside the input or its padding; those of the last output may reach further.
fn padded_taps(axis: &Axis, output: usize) -> usize {
    let padded = axis.begin + axis.input + axis.end;
    padded.saturating_sub(output * axis.stride).div_ceil(axis.dilation).min(axis.kernel)
}

const FITS: &str = "the verifier derived this window before";

/// Each tap adds its weight times a shifted plane. Plain loops, with the columns innermost so that they run along memory.
pub(super) fn conv2d(op: &Conv2d, x: Operand<'_>, w: Operand<'_>, result: &TensorType) -> Result<Vec<f64>> {
    let Window { h, w: v } = op.window(x.ty, w.ty).expect(FITS);
    let &[outputs, inputs, ..] = w.ty.shape.dims() else { unreachable!("weights have four axes") };
    let group = image(x.ty).c / inputs;
    let input = planes(x)?;
    let (input_plane, output_plane) = (h.input * v.input, h.output * v.output);
    let mut y = filled(result.elements(), 0.0)?;
    for (plane, sum) in y.chunks_exact_mut(output_plane).enumerate() {
        let (n, k) = (plane / outputs, plane % outputs);
        let first = n * inputs * group + k / (outputs / group) * inputs;
        for c in 0..inputs {
            let x = &input[(first + c) * input_plane..][..input_plane];
            let kernel = &w.data[(k * inputs + c) * h.kernel * v.kernel..][..h.kernel * v.kernel];
            for (tap, &weight) in kernel.iter().enumerate() {
                let (r, s) = (tap / v.kernel, tap % v.kernel);
                let ((top, bottom), (left, right)) = (inside(&h, r), inside(&v, s));
                for p in top..bottom {
                    let sums = &mut sum[p * v.output + left..p * v.output + right];
                    let row = (p * h.stride + r * h.dilation - h.begin) * v.input;
                    let Some(at) = (left * v.stride + s * v.dilation).checked_sub(v.begin).filter(|_| left < right)
                    else {
                        continue;
                    };
                    match v.stride {
                        1 => sums.iter_mut().zip(&x[row + at..]).for_each(|(y, x)| *y += weight * x),
                        step => {
                            sums.iter_mut().zip(x[row + at..].iter().step_by(step)).for_each(|(y, x)| *y += weight * x)
                        }
                    }
                }
                // Padding reads as 0, and 0 · ∞ and 0 · NaN are NaN.
                if !weight.is_finite() {
                    for (i, y) in sum.iter_mut().enumerate() {
                        let (p, q) = (i / v.output, i % v.output);
                        if !((top..bottom).contains(&p) && (left..right).contains(&q)) {
                            *y += 0.0 * weight;
                        }
                    }
                }
            }
        }
    }
    stored(y.into(), result)
}

/// Combines the elements of each output's window that lie inside the input. Then `finish` gets how many taps of a window lie inside the
/// input, and how many inside the input and its padding.
fn pool(
    window: Window,
    x: Operand<'_>,
    result: &TensorType,
    first: f64,
    combine: impl Fn(f64, f64) -> f64,
    finish: impl Fn(f64, [usize; 2]) -> f64,
) -> Result<Vec<f64>> {
    let Window { h, w } = window;
    let input = planes(x)?;
    let mut y = filled(result.elements(), first)?;
    for (x, y) in input.chunks_exact(h.input * w.input).zip(y.chunks_exact_mut(h.output * w.output)) {
        for (i, y) in y.iter_mut().enumerate() {
            let (p, q) = (i / w.output, i % w.output);
            let (rows, columns) = (taps(&h, p), taps(&w, q));
            for r in rows.0..rows.1 {
                for s in columns.0..columns.1 {
                    let row = p * h.stride + r * h.dilation - h.begin;
                    let column = q * w.stride + s * w.dilation - w.begin;
                    *y = combine(*y, x[row * w.input + column]);
                }
            }
            let inside = (rows.1 - rows.0) * (columns.1 - columns.0);
            *y = finish(*y, [inside, padded_taps(&h, p) * padded_taps(&w, q)]);
        }
    }
    stored(y.into(), result)
}

pub(super) fn max_pool(op: &MaxPool, x: Operand<'_>, result: &TensorType) -> Result<Vec<f64>> {
    pool(op.window(x.ty).expect(FITS), x, result, f64::NEG_INFINITY, max, |y, _| y)
}

pub(super) fn avg_pool(op: &AvgPool, x: Operand<'_>, result: &TensorType) -> Result<Vec<f64>> {
    let window = op.window(x.ty).expect(FITS);
    let divisor = |[inside, padded]: [usize; 2]| if op.count_include_pad { padded } else { inside };
    pool(window, x, result, 0.0, |a, b| a + b, |y, counts| y / divisor(counts) as f64)
}

/// The most terms of a mean that an `avg_pool` computes.
pub(crate) fn pool_terms(op: &AvgPool, x: &TensorType) -> usize {
    let window = op.window(x).expect(FITS);
    window.h.kernel.min(window.h.input) * window.w.kernel.min(window.w.input)
}

pub(super) fn global_avg_pool(x: Operand<'_>, result: &TensorType) -> Result<Vec<f64>> {
    let Image { h, w, .. } = image(x.ty);
    let input = planes(x)?;
    // With one pixel left, both layouts are the same sequence.
    let mut y = filled(result.elements(), 0.0)?;
    for (x, y) in input.chunks_exact(h * w).zip(&mut y) {
        *y = x.iter().sum::<f64>() / (h * w) as f64;
    }
    Ok(y)
}

pub(super) fn matmul(a: Operand<'_>, b: Operand<'_>, result: &TensorType) -> Result<Vec<f64>> {
    let (&[ref outer_a @ .., m, k], &[ref outer_b @ .., _, n]) = (a.ty.shape.dims(), b.ty.shape.dims()) else {
        unreachable!("operands are matrices or batches of them")
    };
    let outer = &result.shape.dims()[..outer_a.len()];
    // The place of the matrix that product number `i` reads: axes of extent 1 are stretched.
    let place = |dims: &[usize], mut i: usize| {
        let (mut at, mut stride) = (0, 1);
        for (&extent, &whole) in dims.iter().zip(outer).rev() {
            at += if extent == 1 { 0 } else { i % whole * stride };
            (i, stride) = (i / whole, stride * extent);
        }
        at
    };
    let mut y = filled(result.elements(), 0.0)?;
    for (i, y) in y.chunks_exact_mut(m * n).enumerate() {
        let (a, b) = (&a.data[place(outer_a, i) * m * k..][..m * k], &b.data[place(outer_b, i) * k * n..][..k * n]);
        for (a, y) in a.chunks_exact(k).zip(y.chunks_exact_mut(n)) {
            for (a, b) in a.iter().zip(b.chunks_exact(n)) {
                y.iter_mut().zip(b).for_each(|(y, b)| *y += a * b);
            }
        }
    }
    Ok(y)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_to_find_the_taps_inside_agree_with_the_definition() {
        let mut axis = Axis { input: 0, kernel: 0, stride: 0, dilation: 0, begin: 0, end: 0, output: 0 };
        for code in 0..6_usize.pow(5) {
            let digit = |place: u32| code / 6_usize.pow(place) % 6;
            axis = Axis {
                input: digit(0) + 1,
                kernel: digit(1) + 1,
                stride: digit(2) + 1,
                dilation: digit(3) + 1,
                ..axis
            };
            (axis.begin, axis.output) = (digit(4), 4);
            for p in 0..axis.output {
                for r in 0..axis.kernel {
                    let at = (p * axis.stride + r * axis.dilation).checked_sub(axis.begin);
                    let expected = at.is_some_and(|at| at < axis.input);
                    let (by_tap, by_output) = (inside(&axis, r), taps(&axis, p));
                    assert_eq!((by_tap.0..by_tap.1).contains(&p), expected, "{axis:?}");
                    assert_eq!((by_output.0..by_output.1).contains(&r), expected, "{axis:?}");
                }
            }
        }
    }
}
