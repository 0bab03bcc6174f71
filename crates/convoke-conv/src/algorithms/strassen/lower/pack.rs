//! Weights of all products: combined in `f64`, rounded once.
//!
//! ```text
//!   packed[group][chunk][q][tile of output channels][depth][output channel of the tile]     depth: (c, r, s), in nhwc (r, s, c)
//! ```

use std::ops::Range;

use convoke_ir::elem::Elem;
use convoke_ir::loops::{Affine, BufferId, Expr, Func, FuncBuilder, Marks, SlotId, ValId, VarId, VecType};
use convoke_ir::types::Layout;

use super::super::geometry::{Part, Parts, ranges};
use super::pieces::pieces;
use super::rule::{Rule, combination};
use crate::lower::BoundConv;
use convoke_lower::cuts::Cut;
use convoke_lower::marks::each;
use convoke_lower::share::{Share, alike, shares};
use convoke_lower::{LowerError, Lowering};

/// The packed weights.
#[derive(Clone, Debug)]
pub(super) struct Weights {
    pub buffer: BufferId,
    pub len: usize,
    /// Elements of a group.
    group: usize,
    /// For each run of equal chunks, where the first begins.
    chunks: Vec<usize>,
}

impl Weights {
    /// Where the weights of product `q` begin: chunk `i` of the run of equal chunks number `run`.
    pub(super) fn at(&self, shape: &Shape<'_, '_>, g: VarId, (run, i): (usize, Affine), q: usize) -> Affine {
        Affine::from(g) * self.group + shape.within(shape.parts.chunks[run], i, q) + self.chunks[run]
    }
}

/// The convolution whose weights are packed, its parts and the algorithm.
pub(super) struct Shape<'s, 'c> {
    pub conv: &'s BoundConv<'c>,
    pub parts: &'s Parts,
    pub rule: &'s Rule,
}

impl Shape<'_, '_> {
    /// The depth of a part of a chunk.
    pub(super) fn depth(&self, chunk: Cut) -> usize {
        self.parts.chunk_channels(chunk.size) * self.conv.taps()
    }

    /// Where the weights of product `q` begin, of chunk `i` of equal ones.
    fn within(&self, chunk: Cut, i: Affine, q: usize) -> Affine {
        (i * self.rule.a.len() + q) * self.product(chunk)
    }

    /// Elements of the weights of one product.
    fn product(&self, chunk: Cut) -> usize {
        self.parts.channels * self.depth(chunk)
    }
}

/// Packs the weights of all products.
pub(super) fn pack_products(lowering: &mut Lowering<'_>, shape: &Shape<'_, '_>) -> Result<Weights, LowerError> {
    let (conv, rule) = (shape.conv, shape.rule);
    let mut group = 0;
    let mut chunks = Vec::new();
    for &chunk in &shape.parts.chunks {
        chunks.push(group);
        group += chunk.count * rule.a.len() * shape.product(chunk);
    }
    let len = conv.groups * group;
    let mut kernels = Vec::new();
    for (&chunk, &first) in shape.parts.chunks.iter().zip(&chunks) {
        let axes = [alike(conv.groups), alike(chunk.count)];
        let work = lowering.to_pack(conv.w, [conv.groups, chunk.count, rule.a.len(), shape.product(chunk)]);
        kernels.extend(shares(work, &axes).iter().map(|share| shape.kernel(chunk, (len, group, first), share)));
    }
    let buffer = lowering.packed("packed", (conv.elem, len), conv.w, kernels)?;
    Ok(Weights { buffer, len, group, chunks })
}

/// The axes of packed weights, and how many there are.
const GROUPS: usize = 0;
const CHUNKS: usize = 1;
const AXES: usize = 2;

impl Shape<'_, '_> {
    /// The kernel that packs equal chunks, the first of which begins at `first`, of groups of `group` of the `len` elements.
    fn kernel(&self, chunk: Cut, (len, group, first): (usize, usize, usize), share: &Share<AXES>) -> Func {
        let conv = self.conv;
        let mut f = FuncBuilder::kernel("pack_products");
        let w = f.input("w", conv.elem, conv.groups * conv.kg * conv.cg * conv.taps());
        let packed = f.output("p", conv.elem, len);
        share.around(&mut f, |f, loops| {
            loops.each(f, (GROUPS, "g"), conv.groups, |f, g| {
                loops.each(f, (CHUNKS, "chunk"), chunk.count, |f, i| {
                    for q in 0..self.rule.a.len() {
                        let to = g.clone() * group + self.within(chunk, i.clone(), q) + first;
                        let c = i.clone() * chunk.size + chunk.begin;
                        let from = (g.clone() * (conv.kg * conv.cg) + c) * conv.taps();
                        self.combine(f, chunk, q, (w, from), (packed, to));
                    }
                });
            });
        });
        f.finish()
    }
}

/// A buffer and a place in it.
type At = (SlotId, Affine);

impl Shape<'_, '_> {
    /// The weights of product `q`: its sources are cut where one of them ends.
    fn combine(&self, f: &mut FuncBuilder, chunk: Cut, q: usize, from: At, to: At) {
        let of_depth = self.parts.of_chunk(chunk.size);
        let sources: Vec<(Part, Part, f64)> = self.rule.a[q]
            .iter()
            .map(|&(part, by)| (self.parts.k[part / of_depth.len()], of_depth[part % of_depth.len()], by))
            .collect();
        for cs in ranges(sources.iter().map(|s| s.1.size), self.parts.chunk_channels(chunk.size)) {
            for ks in ranges(sources.iter().map(|s| s.0.size), self.parts.channels) {
                let there = |s: &&(Part, Part, f64)| s.0.size >= ks.end && s.1.size >= cs.end;
                let sources: Vec<_> = sources.iter().filter(there).copied().collect();
                self.block(f, &sources, self.parts.chunk_channels(chunk.size), (cs.clone(), ks), &from, &to);
            }
        }
    }

    /// The channels `cs` and `ks` of a product's weights, where all `sources` have some; zeros where there are none.
    fn block(
        &self,
        f: &mut FuncBuilder,
        sources: &[(Part, Part, f64)],
        channels: usize,
        (cs, ks): (Range<usize>, Range<usize>),
        from: &At,
        to: &At,
    ) {
        let (elem, taps) = (self.conv.elem, self.conv.taps());
        let tile = self.parts.tile[0];
        let (k_step, depth) = (self.conv.cg * taps, channels * taps);
        let (c_place, t_place) = if self.conv.layout == Layout::Nchw { (taps, 1) } else { (1, channels) };
        let coefficients: Vec<f64> = sources.iter().map(|s| s.2).collect();
        for piece in pieces(ks, tile) {
            each(f, "tile", piece.tiles, |f, i| {
                f.for_("c", cs.clone(), Marks::default(), |f, c| {
                    each(f, "t", taps, |f, t| {
                        f.for_("k", 0..piece.lanes, Marks::default(), |f, k| {
                            let k_at = (i.clone() + piece.tile) * tile + k + piece.lane;
                            let w_at = from.1.clone() + k_at * k_step + Affine::from(c) * taps + t.clone();
                            let load = |f: &mut FuncBuilder, (k, d, _): (Part, Part, f64)| {
                                f.load(from.0, w_at.clone() + (k.begin * k_step + d.begin * taps))
                            };
                            let value = match *sources {
                                [] => f.number(elem, 0.0),
                                [source] if source.2 == 1.0 => load(f, source),
                                _ => {
                                    let sum = combination(f, Elem::F64, &coefficients, |f, s| {
                                        let value = load(f, sources[s]);
                                        convert(f, value, Elem::F64)
                                    });
                                    convert(f, sum, elem)
                                }
                            };
                            let d = Affine::from(c) * c_place + t.clone() * t_place;
                            let at = (i.clone() + piece.tile) * (tile * depth) + d * tile + k + piece.lane;
                            f.store(to.0, to.1.clone() + at, value);
                        });
                    });
                });
            });
        }
    }
}

/// The number in another element type.
fn convert(f: &mut FuncBuilder, value: ValId, elem: Elem) -> ValId {
    if f.ty(value).elem == elem { value } else { f.define(VecType::scalar(elem), Expr::Convert(value)) }
}
