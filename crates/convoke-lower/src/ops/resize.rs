//! `resize`: rows and columns one after the other, each output a few weighed inputs ([`super::resample`]).
//!
//! ```text
//!   x [H, W] ──columns──► [H, Q] ──rows──► y [P, Q]        rows first where that is less to compute
//! ```

use convoke_ir::attr::{Coordinates, ResizeMode, Rounding};
use convoke_ir::layer::{Instr, Resize};
use convoke_ir::loops::Role;
use convoke_ir::types::{Image, Layout};

use super::resample::{Along, Taps};
use crate::{LowerError, Lowering, too_large};

impl<'a> Lowering<'a> {
    pub(crate) fn resize(&mut self, instr: &'a Instr, resize: &Resize) -> Result<(), LowerError> {
        let (x, y) = (self.ty(instr.args[0]), self.ty(instr.result));
        let [from, to] = [x, y].map(|ty| ty.as_image().expect("the verifier asks for images"));
        let taps = [taps(resize, 0, [from.h, to.h]), taps(resize, 1, [from.w, to.w])];
        let columns_first = from.h.saturating_mul(to.w) <= to.h.saturating_mul(from.w);
        let moves = |axis: &usize| !is_identity(&taps[*axis], [from.h, from.w][*axis]);
        let order = if columns_first { [1, 0] } else { [0, 1] };
        let steps: Vec<usize> = order.into_iter().filter(moves).collect();
        let (mut image, mut buffer, end) = (from, self.buffers[&instr.args[0]], self.buffers[&instr.result]);
        for (i, &axis) in steps.iter().enumerate() {
            let along = along(image, x.layout, axis);
            match axis {
                0 => image.h = to.h,
                _ => image.w = to.w,
            }
            let next = if i + 1 == steps.len() {
                end
            } else {
                let name = format!("{}.columns", self.name(instr.result));
                let name = if axis == 1 { name } else { format!("{}.rows", self.name(instr.result)) };
                let elements = image.stored(x.layout).into_iter().try_fold(1usize, usize::checked_mul);
                let elements = elements.ok_or_else(|| too_large(&name, &image.stored(x.layout)))?;
                self.flat(&name, x.elem, elements, Role::Scratch)?
            };
            self.resample(self.name(instr.result), x.elem, [buffer, next], along, &taps[axis])?;
            buffer = next;
        }
        if steps.is_empty() {
            self.copy_all(buffer, end);
        }
        self.epilogue_in_place(instr);
        Ok(())
    }
}

/// The rows (0) or columns (1) of an image, as an axis of its memory.
fn along(Image { n, c, h, w }: Image, layout: Layout, axis: usize) -> Along {
    let (planes, run) = match layout {
        Layout::Nchw => (n * c, 1),
        Layout::Nhwc => (n, c),
    };
    match axis {
        0 => Along { outer: planes, extent: h, inner: w * run },
        _ => Along { outer: planes * h, extent: w, inner: run },
    }
}

fn is_identity(taps: &[Taps], extent: usize) -> bool {
    taps.len() == extent && taps.iter().enumerate().all(|(p, taps)| taps[..] == [(p, 1.0)])
}

/// For each output along an axis the inputs that it reads, with their weights.
fn taps(resize: &Resize, axis: usize, [extent, outputs]: [usize; 2]) -> Vec<Taps> {
    let last = extent as f64 - 1.0;
    let inside = |at: f64| at.max(0.0).min(last) as usize;
    let [n, o] = [extent, outputs].map(|count| count as f64);
    let scale = resize.scales.get(axis).copied();
    let (s, l) = (scale.unwrap_or(o / n), scale.map_or(o, |scale| scale * n));
    let place = |p: f64| match resize.coordinates {
        Coordinates::PytorchHalfPixel if l == 1.0 => -0.5,
        Coordinates::HalfPixel | Coordinates::PytorchHalfPixel => (p + 0.5) / s - 0.5,
        Coordinates::HalfPixelSymmetric => n / 2.0 * (1.0 - o / l) + (p + 0.5) / s - 0.5,
        Coordinates::AlignCorners => {
            if l == 1.0 {
                0.0
            } else {
                p * (n - 1.0) / (l - 1.0)
            }
        }
        Coordinates::Asymmetric => p / s,
    };
    let nearest = |t: f64| match resize.rounding {
        Rounding::RoundPreferFloor => (t - 0.5).ceil(),
        Rounding::RoundPreferCeil => (t + 0.5).floor(),
        Rounding::Floor => t.floor(),
        Rounding::Ceil => t.ceil(),
    };
    let weighed = |t: f64| -> Taps {
        let (first, weights) = match resize.mode {
            ResizeMode::Nearest => return vec![(inside(nearest(t)), 1.0)],
            _ if t == t.floor() => return vec![(inside(t), 1.0)],
            ResizeMode::Linear => (t.floor(), vec![1.0 - (t - t.floor()), t - t.floor()]),
            ResizeMode::Cubic => (t.floor() - 1.0, cubic(t - t.floor(), resize.cubic_a)),
        };
        let places = (0..).map(|k| first + f64::from(k)).zip(weights);
        let mut all: Vec<(f64, f64)> = places.collect();
        if resize.exclude_outside {
            all.retain(|(at, _)| (0.0..=last).contains(at));
            let sum: f64 = all.iter().map(|tap| tap.1).sum();
            all.iter_mut().for_each(|tap| tap.1 /= sum);
            if all.is_empty() {
                return vec![(inside(t), 1.0)];
            }
        }
        all.into_iter().filter(|tap| tap.1 != 0.0).map(|(at, weight)| (inside(at), weight)).collect()
    };
    (0..outputs).map(|p| weighed(place(p as f64))).collect()
}

/// The weights of four neighbours, of which the second is `f` before the place (R. G. Keys, Cubic convolution interpolation for digital
/// image processing, 1981).
fn cubic(f: f64, a: f64) -> Vec<f64> {
    let weight = |d: f64| match d <= 1.0 {
        true => (a + 2.0) * d * d * d - (a + 3.0) * d * d + 1.0,
        false => a * (d * d * d - 5.0 * d * d + 8.0 * d - 4.0),
    };
    [1.0 + f, f, 1.0 - f, 2.0 - f].map(weight).to_vec()
}
