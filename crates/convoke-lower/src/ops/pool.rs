//! Pooling: a maximum or a mean over windows, channel by channel.
//!
//! ```text
//!   acc[t, j] = max(acc[t, j], x[…])     nchw: j are pixels of a row, t is 1       nhwc: j are channels, t pixels of a row
//! ```
//!
//! Padding is a halo of −∞ for the maximum and of 0 for the mean. The mean is a sum times the reciprocal of the number of taps counted, a
//! constant for each pixel.

use convoke_ir::elem::Elem;
use convoke_ir::layer::{AvgPool, Axis, Instr, MaxPool, Source, Window};
use convoke_ir::loops::{Affine, BinOp, BufferId, FuncBuilder, FuncId, Marks, Role};
use convoke_ir::types::Layout;

use crate::register_tile::RegisterTile;
use convoke_ir::values::Values;

use crate::cuts::cut;
use crate::epilogue::{Epilogue, Operand};
use crate::halo::{Border, ImageView};
use crate::marks::{UNROLLED, across, along, parallel, unrolled, written_out};
use crate::product::{Product, fill};
use crate::store::StoreTile;
use crate::strides::{Index, Strides, reach};
use crate::{LowerError, Lowering};

/// A pooling with its input, output and operands in place.
struct Pool<'a> {
    elem: Elem,
    layout: Layout,
    lanes: u8,
    x: ImageView,
    y: ImageView,
    window: Window,
    combine: BinOp,
    /// The result of an empty window: where the reduction starts.
    start: f64,
    epilogue: Epilogue<'a>,
    operands: Vec<Strides>,
}

impl<'a> Lowering<'a> {
    pub(crate) fn max_pool(&mut self, instr: &'a Instr, op: &MaxPool) -> Result<(), LowerError> {
        let window = op.window(self.ty(instr.args[0])).expect("the layer is verified");
        let pool = self.pool(instr, window, BinOp::Max, f64::NEG_INFINITY)?;
        self.pool_kernel(&pool, None);
        Ok(())
    }

    pub(crate) fn avg_pool(&mut self, instr: &'a Instr, op: &AvgPool) -> Result<(), LowerError> {
        let window = op.window(self.ty(instr.args[0])).expect("the layer is verified");
        let pool = self.pool(instr, window, BinOp::Add, 0.0)?;
        let counted = |axis: Axis, p: usize| {
            let (low, high) = if op.count_include_pad {
                (0, axis.begin + axis.input + axis.end)
            } else {
                (axis.begin, axis.begin + axis.input)
            };
            // The taps of the window in front of an element.
            let before = |at: usize| at.saturating_sub(p * axis.stride).div_ceil(axis.dilation).min(axis.kernel);
            before(high) - before(low)
        };
        let pixels = (0..window.h.output).flat_map(|p| (0..window.w.output).map(move |q| (p, q)));
        let inverse: Vec<f64> =
            pixels.map(|(p, q)| 1.0 / (counted(window.h, p) * counted(window.w, q)) as f64).collect();
        let len = inverse.len();
        let buffer = self.flat(
            "one_over_count",
            pool.elem,
            len,
            Role::Const(Source::Computed(Values::of(pool.elem, &inverse))),
        )?;
        self.pool_kernel(&pool, Some((buffer, len)));
        Ok(())
    }

    fn pool(&mut self, instr: &'a Instr, window: Window, combine: BinOp, start: f64) -> Result<Pool<'a>, LowerError> {
        let end = |axis: Axis| axis.read().saturating_sub(axis.begin + axis.input);
        let pads = [window.h.begin, window.w.begin, end(window.h), end(window.w)];
        let x = self.with_halo(instr.args[0], pads, Border::Number(start))?;
        let ty = self.ty(instr.result);
        let (elem, layout, lanes) = (ty.elem, ty.layout, self.lanes(ty.elem));
        let epilogue = Epilogue::of(self, instr);
        let operands = epilogue.operands.iter().map(|o: &Operand| Strides::stored(&o.strides, layout)).collect();
        let y = self.view(instr.result);
        Ok(Pool { elem, layout, lanes, x, y, window, combine, start, epilogue, operands })
    }

    /// The kernel of a pooling. `scale` holds a factor for each output pixel.
    fn pool_kernel(&mut self, pool: &Pool<'_>, scale: Option<(BufferId, usize)>) {
        let nchw = pool.layout == Layout::Nchw;
        let (rows, cols) = if nchw {
            (1, 4 * usize::from(pool.lanes))
        } else {
            Product::tile(RegisterTile::of(self.machine), pool.lanes)
        };
        let image = pool.y.image;
        // Columns of a tile are contiguous: pixels of a row in nchw, channels in nhwc.
        let (col_cuts, row_cuts) = match nchw {
            true => (cut(image.w, cols), cut(1, 1)),
            false => (cut(image.c, cols), cut(image.w, rows)),
        };
        let steps = |strides: Strides| if nchw { (0, strides.w) } else { (strides.w, strides.c) };
        let factor = Strides { n: 0, c: 0, h: image.w, w: 1 };
        let mut tiles = Vec::new();
        for (col, row) in col_cuts.iter().flat_map(|c| row_cuts.iter().map(move |r| (*c, *r))) {
            let sum = self.program.func(pool_tile(pool, row.size, col.size));
            let store = self.pool_store(pool, (row.size, col.size), steps, scale.is_some(), factor);
            tiles.push((col, row, sum, store));
        }
        let elem = pool.elem;
        let mut f = FuncBuilder::kernel("pool");
        let x = f.input("x", elem, pool.x.len);
        let scale_slot = scale.map(|(_, len)| f.input("scale", elem, len));
        let y = f.output("y", elem, pool.y.len);
        let operands: Vec<_> =
            pool.epilogue.operands.iter().enumerate().map(|(i, o)| f.input(&format!("e{i}"), elem, o.len)).collect();
        let acc = f.local("acc", elem, rows * cols);
        let outer = if nchw { image.c } else { image.h };
        let inner = if nchw { image.h } else { 1 };
        f.for_("o", 0..outer, parallel(), |f, o| {
            f.for_("n", 0..image.n, Marks::default(), |f, n| {
                f.for_("p", 0..inner, Marks::default(), |f, p| {
                    for &(col, row, sum, store) in &tiles {
                        f.for_("j", 0..col.count, Marks::default(), |f, j| {
                            f.for_("t", 0..row.count, Marks::default(), |f, t| {
                                let j = Affine::from(j) * col.size + col.begin;
                                let t = Affine::from(t) * row.size + row.begin;
                                let site = match nchw {
                                    true => Index { n: n.into(), c: o.into(), h: p.into(), w: j },
                                    false => Index { n: n.into(), c: j, h: o.into(), w: t },
                                };
                                let under = Strides {
                                    h: pool.window.h.stride * pool.x.strides.h,
                                    w: pool.window.w.stride * pool.x.strides.w,
                                    ..pool.x.strides
                                };
                                let zero = Affine::default();
                                f.call(sum, [(x, under.at(&site)), (acc, zero.clone())]);
                                let reads =
                                    operands.iter().zip(&pool.operands).map(|(&s, strides)| (s, strides.at(&site)));
                                let args = [(acc, zero), (y, pool.y.strides.at(&site))].into_iter().chain(reads);
                                f.call(store, args.chain(scale_slot.map(|s| (s, factor.at(&site)))));
                            });
                        });
                    }
                });
            });
        });
        let kernel = self.program.func(f.finish());
        let read = pool.epilogue.operands.iter().map(|o| o.buffer);
        let args = std::iter::once(pool.x.buffer).chain(scale.map(|(b, _)| b)).chain([pool.y.buffer]).chain(read);
        self.program.run(kernel, &args.collect::<Vec<_>>());
    }

    fn pool_store(
        &mut self,
        pool: &Pool<'_>,
        (rows, cols): (usize, usize),
        steps: impl Fn(Strides) -> (usize, usize),
        scaled: bool,
        factor: Strides,
    ) -> FuncId {
        let store = StoreTile {
            elem: pool.elem,
            lanes: pool.lanes,
            rows,
            cols,
            acc: (cols, 1),
            out: steps(pool.y.strides),
            epilogue: &pool.epilogue,
            operands: pool.operands.iter().map(|&strides| steps(strides)).collect(),
        };
        self.program.func(store.scaled(scaled.then(|| steps(factor))))
    }

    pub(crate) fn global_avg_pool(&mut self, instr: &'a Instr) {
        let (x, y) = (self.view(instr.args[0]), self.view(instr.result));
        let ty = self.ty(instr.result);
        let (elem, lanes) = (ty.elem, self.lanes(ty.elem));
        let pixels = x.image.h * x.image.w;
        let mut f = FuncBuilder::kernel("global_avg_pool");
        let (xs, ys) = (f.input("x", elem, x.len), f.output("y", elem, y.len));
        let mean = |f: &mut FuncBuilder, sum| {
            let factor = f.number(elem, 1.0 / pixels as f64);
            f.binary(BinOp::Mul, sum, factor)
        };
        let scalar = convoke_ir::loops::VecType::scalar(elem);
        match ty.layout {
            // A plane is one run of numbers.
            Layout::Nchw => f.for_("plane", 0..x.image.n * x.image.c, parallel(), |f, plane| {
                let sum = f.reg(scalar, convoke_ir::loops::Expr::Const(0.0));
                f.for_("i", 0..pixels, along(lanes), |f, i| {
                    let value = f.load(xs, Affine::from(plane) * pixels + i);
                    f.set(sum, convoke_ir::loops::Expr::Binary(BinOp::Add, sum, value));
                });
                let result = mean(f, sum);
                f.store(ys, plane, result);
            }),
            // Channels lie side by side: sum rows of them.
            Layout::Nhwc => {
                let c = x.image.c;
                let sums = f.local("sums", elem, c);
                f.for_("n", 0..x.image.n, parallel(), |f, n| {
                    f.for_("c", 0..c, along(lanes), |f, e| {
                        let zero = f.number(elem, 0.0);
                        f.store(sums, e, zero);
                    });
                    f.for_("i", 0..pixels, Marks::default(), |f, i| {
                        f.for_("c", 0..c, along(lanes), |f, e| {
                            let value = f.load(xs, (Affine::from(n) * pixels + i) * c + e);
                            let sum = f.load(sums, e);
                            let sum = f.binary(BinOp::Add, sum, value);
                            f.store(sums, e, sum);
                        });
                    });
                    f.for_("c", 0..c, along(lanes), |f, e| {
                        let sum = f.load(sums, e);
                        let result = mean(f, sum);
                        f.store(ys, Affine::from(n) * c + e, result);
                    });
                });
            }
        }
        let kernel = self.program.func(f.finish());
        self.program.run(kernel, &[x.buffer, y.buffer]);
        self.epilogue_in_place(instr);
    }
}

/// The codelet that combines a tile over the window, with parameters x, acc.
fn pool_tile(pool: &Pool<'_>, rows: usize, cols: usize) -> convoke_ir::loops::Func {
    let (elem, lanes) = (pool.elem, pool.lanes);
    let Window { h, w } = pool.window;
    let strides = pool.x.strides;
    let (r_step, s_step) = (h.dilation * strides.h, w.dilation * strides.w);
    let (t_step, j_step) = match pool.layout {
        Layout::Nchw => (0, w.stride * strides.w),
        Layout::Nhwc => (w.stride * strides.w, strides.c),
    };
    let mut f = FuncBuilder::codelet(format!("{}_{elem}_{}x{}_{rows}x{cols}", pool.combine.name(), h.kernel, w.kernel));
    let x = f.input("x", elem, reach(&[(rows, t_step), (cols, j_step), (h.kernel, r_step), (w.kernel, s_step)]));
    let acc = f.output("acc", elem, rows * cols);
    fill(&mut f, acc, Affine::default(), (rows, cols), cols, lanes, pool.start);
    let marks = unrolled([h.kernel, w.kernel].into_iter(), UNROLLED);
    f.for_("r", 0..h.kernel, marks[0].clone(), |f, r| {
        f.for_("s", 0..w.kernel, marks[1].clone(), |f, s| {
            f.for_("t", 0..rows, written_out(), |f, t| {
                f.for_("j", 0..cols, across(lanes), |f, j| {
                    let tap = Affine::from(r) * r_step + Affine::from(s) * s_step;
                    let value = f.load(x, tap + Affine::from(t) * t_step + Affine::from(j) * j_step);
                    let at = Affine::from(t) * cols + j;
                    let old = f.load(acc, at.clone());
                    let new = f.binary(pool.combine, old, value);
                    f.store(acc, at, new);
                });
            });
        });
    });
    f.finish()
}
