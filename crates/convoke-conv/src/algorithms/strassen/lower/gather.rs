//! Panels of patches for the products: parts of the input are added while they are gathered.
//!
//! ```text
//!   nchw   panel[tile of pixels][d][pixel of the tile]   d = (c, r, s)     the pixels of a register tile are contiguous
//!   nhwc   panel[pixel][d]                               d = (r, s, c)
//! ```
//!
//! Parts differ a little in size. Beyond the end of one the others are added alone; beyond the end of all, the panel is zero.

use std::ops::Range;

use convoke_ir::loops::{Affine, Func, FuncBuilder, Marks, SlotId, ValId};
use convoke_ir::types::Layout;

use super::super::geometry::{Unit, ranges};
use super::pieces::pieces;
use super::rule::{combination, letters};
use crate::lower::BoundConv;
use convoke_lower::marks::{across, along, each};
use convoke_lower::strides::reach;

/// A part of the input that is added to a panel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source {
    /// The factor of it in the sum.
    pub by: f64,
    /// Input channels it has.
    pub channels: usize,
    /// Units of pixels it has.
    pub units: usize,
}

/// The codelet that makes a panel.
pub(super) struct Gather<'g, 'c> {
    pub conv: &'g BoundConv<'c>,
    pub unit: Unit,
    pub sources: Vec<Source>,
    /// Channels and pixels of the panel.
    pub channels: usize,
    pub pixels: usize,
    /// Pixels of a tile.
    pub tile: usize,
}

impl Gather<'_, '_> {
    /// The pixels of a unit, and how far the input under one unit is from that under the next.
    fn unit(&self) -> (usize, usize) {
        let (row, col) = self.conv.step();
        if self.unit == Unit::Row { (self.conv.y.image.w, row) } else { (1, col) }
    }

    fn depth(&self) -> usize {
        self.channels * self.conv.taps()
    }

    /// The sources that have all of these channels and units.
    fn present(&self, channels: &Range<usize>, units: &Range<usize>) -> Vec<usize> {
        let there = |s: &Source| s.channels >= channels.end && s.units >= units.end;
        self.sources.iter().enumerate().filter(|(_, s)| there(s)).map(|(i, _)| i).collect()
    }

    /// The codelet, with a parameter for each source, then the panel.
    pub(super) fn codelet(&self) -> Func {
        let BoundConv { elem, window, .. } = *self.conv;
        let (r, s) = (window.h.kernel, window.w.kernel);
        let (r_step, s_step) = self.conv.tap_strides();
        let ((per, unit_step), (_, q_step)) = (self.unit(), self.conv.step());
        let axes = [(r, r_step), (s, s_step), (per, q_step)];
        let mut f = FuncBuilder::codelet(format!("gather_{}", letters(self.sources.iter().map(|s| s.by))));
        let mut xs = Vec::new();
        for (i, source) in self.sources.iter().enumerate() {
            let own = [(source.channels, self.conv.x.strides.c), (source.units, unit_step)];
            xs.push(f.input(&format!("x{i}"), elem, reach(&[&axes[..], &own].concat())));
        }
        let panel = f.output("panel", elem, self.depth() * self.pixels);
        match self.conv.layout {
            Layout::Nchw => self.by_tiles(&mut f, &xs, panel),
            Layout::Nhwc => self.by_pixels(&mut f, &xs, panel),
        }
        f.finish()
    }

    fn by_tiles(&self, f: &mut FuncBuilder, xs: &[SlotId], panel: SlotId) {
        let (r, s) = (self.conv.window.h.kernel, self.conv.window.w.kernel);
        let (r_step, s_step) = self.conv.tap_strides();
        let ((per, unit_step), (_, q_step)) = (self.unit(), self.conv.step());
        let units = self.sources.iter().map(|s| s.units).max().unwrap_or(0);
        // Runs of pixels that are contiguous in the input: their range, where they begin there, and the sources that have them.
        let runs = |channels: &Range<usize>| {
            let mut runs: Vec<(Range<usize>, usize, Vec<usize>)> = Vec::new();
            for range in ranges(self.sources.iter().map(|s| s.units), units) {
                let present = self.present(channels, &range);
                let all = if per > 1 { range.map(|u| u..u + 1).collect() } else { vec![range] };
                let run = |u: Range<usize>| (u.start * per..u.end * per, u.start * unit_step, present.clone());
                runs.extend(all.into_iter().map(run));
            }
            runs.push((units * per..self.pixels, 0, Vec::new()));
            runs
        };
        let step = if per > 1 { q_step } else { unit_step };
        for channels in ranges(self.sources.iter().map(|s| s.channels), self.channels) {
            let runs = runs(&channels);
            f.for_("c", channels, Marks::default(), |f, c| {
                each(f, "r", r, |f, i| {
                    each(f, "s", s, |f, j| {
                        let d = Affine::from(c) * (r * s) + i.clone() * s + j.clone();
                        let tap = Affine::from(c) * self.conv.x.strides.c + i.clone() * r_step + j * s_step;
                        for (pixels, input, present) in &runs {
                            for piece in pieces(pixels.clone(), self.tile) {
                                let skipped = piece.tile * self.tile + piece.lane - pixels.start;
                                each(f, "tile", piece.tiles, |f, t| {
                                    f.for_("e", 0..piece.lanes, across(self.conv.lanes), |f, e| {
                                        let pixel = t.clone() * self.tile + e + skipped;
                                        let value = self.sum(f, xs, present, tap.clone() + pixel * step + *input);
                                        let tile = (t.clone() + piece.tile) * self.depth() + d.clone();
                                        f.store(panel, tile * self.tile + e + piece.lane, value);
                                    });
                                });
                            }
                        }
                    });
                });
            });
        }
    }

    fn by_pixels(&self, f: &mut FuncBuilder, xs: &[SlotId], panel: SlotId) {
        let (r, s) = (self.conv.window.h.kernel, self.conv.window.w.kernel);
        let (r_step, s_step) = self.conv.tap_strides();
        let ((per, unit_step), (_, q_step)) = (self.unit(), self.conv.step());
        let units = self.sources.iter().map(|s| s.units).max().unwrap_or(0);
        for range in ranges(self.sources.iter().map(|s| s.units), units) {
            f.for_("u", range.clone(), Marks::default(), |f, u| {
                each(f, "q", per, |f, q| {
                    let pixel = Affine::from(u) * per + q.clone();
                    let under = Affine::from(u) * unit_step + q * q_step;
                    each(f, "r", r, |f, i| {
                        each(f, "s", s, |f, j| {
                            let d = (i.clone() * s + j.clone()) * self.channels;
                            let tap = under.clone() + i.clone() * r_step + j * s_step;
                            for channels in ranges(self.sources.iter().map(|s| s.channels), self.channels) {
                                let present = self.present(&channels, &range);
                                f.for_("c", channels, along(self.conv.lanes), |f, c| {
                                    let at = tap.clone() + Affine::from(c) * self.conv.x.strides.c;
                                    let value = self.sum(f, xs, &present, at);
                                    f.store(panel, pixel.clone() * self.depth() + d.clone() + c, value);
                                });
                            }
                        });
                    });
                });
            });
        }
        let rest = units * per * self.depth()..self.pixels * self.depth();
        f.for_("e", rest, along(self.conv.lanes), |f, e| {
            let value = f.number(self.conv.elem, 0.0);
            f.store(panel, e, value);
        });
    }

    /// The sum of the sources that are present, at `at` from where each begins.
    fn sum(&self, f: &mut FuncBuilder, xs: &[SlotId], present: &[usize], at: Affine) -> ValId {
        if present.is_empty() {
            return f.number(self.conv.elem, 0.0);
        }
        let coefficients: Vec<f64> = present.iter().map(|&i| self.sources[i].by).collect();
        combination(f, self.conv.elem, &coefficients, |f, i| f.load(xs[present[i]], at.clone()))
    }
}
