//! `resize`: each output as the sum over its neighbours, weight by weight.

use convoke_ir::attr::{Coordinates, ResizeMode, Rounding};
use convoke_ir::layer::Resize;
use convoke_ir::types::{Image, TensorType};

use super::{Operand, image, planes, stored};
use crate::{Result, filled};

/// The result; with `absolute`, that of weights without their signs.
pub(crate) fn eval(op: &Resize, x: Operand<'_>, result: &TensorType, absolute: bool) -> Result<Vec<f64>> {
    let (from, to) = (image(x.ty), image(result));
    let (rows, columns) = (neighbours(op, 0, from, to), neighbours(op, 1, from, to));
    let input = planes(x)?;
    let mut y = filled(result.elements(), 0.0)?;
    for (x, y) in input.chunks_exact(from.h * from.w).zip(y.chunks_exact_mut(to.h * to.w)) {
        for (i, y) in y.iter_mut().enumerate() {
            let (p, q) = (i / to.w, i % to.w);
            for &(row, u) in &rows[p] {
                for &(column, v) in &columns[q] {
                    let weight = if absolute { (u * v).abs() } else { u * v };
                    *y += weight * x[row * from.w + column];
                }
            }
        }
    }
    stored(y.into(), result)
}

/// For each output along rows (0) or columns (1), the inputs it reads and their weights.
fn neighbours(op: &Resize, axis: usize, from: Image, to: Image) -> Vec<Vec<(usize, f64)>> {
    let (n, o) = [(from.h, to.h), (from.w, to.w)][axis];
    (0..o).map(|p| weighed(op, place(op, axis, p, n, o), n)).collect()
}

/// Where output p lies in the input.
fn place(op: &Resize, axis: usize, p: usize, n: usize, o: usize) -> f64 {
    let (p, n, o) = (p as f64, n as f64, o as f64);
    let (s, l) = match op.scales.get(axis) {
        Some(&scale) => (scale, scale * n),
        None => (o / n, o),
    };
    match op.coordinates {
        Coordinates::HalfPixel => (p + 0.5) / s - 0.5,
        Coordinates::HalfPixelSymmetric => n / 2.0 * (1.0 - o / l) + (p + 0.5) / s - 0.5,
        Coordinates::PytorchHalfPixel if l == 1.0 => -0.5,
        Coordinates::PytorchHalfPixel => (p + 0.5) / s - 0.5,
        Coordinates::AlignCorners if l == 1.0 => 0.0,
        Coordinates::AlignCorners => p * (n - 1.0) / (l - 1.0),
        Coordinates::Asymmetric => p / s,
    }
}

fn weighed(op: &Resize, t: f64, n: usize) -> Vec<(usize, f64)> {
    let below = t.floor();
    let edge = |i: f64| i.clamp(0.0, n as f64 - 1.0) as usize;
    if op.mode == ResizeMode::Nearest {
        let nearest = match op.rounding {
            Rounding::RoundPreferFloor => (t - 0.5).ceil(),
            Rounding::RoundPreferCeil => (t + 0.5).floor(),
            Rounding::Floor => below,
            Rounding::Ceil => t.ceil(),
        };
        return vec![(edge(nearest), 1.0)];
    }
    let (f, a) = (t - below, op.cubic_a);
    if f == 0.0 {
        return vec![(edge(t), 1.0)];
    }
    let near = |d: f64| (a + 2.0) * d * d * d - (a + 3.0) * d * d + 1.0;
    let far = |d: f64| a * (d * d * d - 5.0 * d * d + 8.0 * d - 4.0);
    let mut weights = match op.mode {
        ResizeMode::Cubic => {
            vec![
                (below - 1.0, far(1.0 + f)),
                (below, near(f)),
                (below + 1.0, near(1.0 - f)),
                (below + 2.0, far(2.0 - f)),
            ]
        }
        _ => vec![(below, 1.0 - f), (below + 1.0, f)],
    };
    if op.exclude_outside {
        weights.retain(|&(i, _)| i >= 0.0 && i < n as f64);
        if weights.is_empty() {
            return vec![(edge(t), 1.0)];
        }
        let sum: f64 = weights.iter().map(|(_, weight)| weight).sum();
        weights.iter_mut().for_each(|(_, weight)| *weight /= sum);
    }
    weights.into_iter().map(|(i, weight)| (edge(i), weight)).filter(|&(_, weight)| weight != 0.0).collect()
}
