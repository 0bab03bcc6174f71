//! Outputs along one axis that read some inputs each, with weights: `gather`, and each axis of `resize`.
//!
//! ```text
//!   y[o, p, e] = Σ_k w[p, k] · x[o, s(p, k), e]         o: axes before, e: axes behind, which are contiguous
//! ```
//!
//! Outputs that read alike are a group ([`super::periods`]) and a codelet. Its lanes run along e; along the groups where there is no e.
//! Weights that are the same all along a group are constants of its codelet, others come from a table.

use convoke_ir::elem::Elem;
use convoke_ir::layer::{Gather, Instr, Source};
use convoke_ir::loops::{Affine, BinOp, BufferId, Func, FuncBuilder, FuncId, Marks, Role, SlotId, ValId};
use convoke_ir::values::Values;

use super::periods::{Group, Reads, groups};
use crate::cuts::cut;
use crate::marks::{along, looped, parallel};
use crate::{LowerError, Lowering};

/// The most groups of one axis: each is a call.
const MAX_GROUPS: usize = 1 << 14;
/// Elements behind the axis that one thread takes, where there are none before it.
const CHUNK: usize = 1 << 8;

/// The inputs that an output reads, and their weights.
pub(super) type Taps = Vec<(usize, f64)>;

/// An axis of a tensor: elements before it, of it, behind it.
#[derive(Clone, Copy)]
pub(super) struct Along {
    pub(super) outer: usize,
    pub(super) extent: usize,
    pub(super) inner: usize,
}

/// A weight of a tap, all along a group.
#[derive(Clone, Copy)]
enum Weight {
    One,
    Constant(f64),
    /// Where in the group's part of the table the weights of its outputs begin.
    Table(usize),
}

/// A group with its weights: of each output of a period those of its taps.
struct Weighed {
    group: Group,
    weights: Vec<Vec<Weight>>,
    /// The group's part of the table.
    table: std::ops::Range<usize>,
}

impl<'a> Lowering<'a> {
    pub(crate) fn gather(&mut self, instr: &'a Instr, gather: &Gather) -> Result<(), LowerError> {
        let x = self.ty(instr.args[0]);
        let axis = usize::try_from(gather.axis).expect("a verified axis");
        let dims = x.shape.dims();
        let along = Along {
            outer: dims[..axis].iter().product(),
            extent: dims[axis],
            inner: dims[axis + 1..].iter().product(),
        };
        let index = |&index: &i64| vec![(usize::try_from(index).expect("a verified index"), 1.0)];
        let taps: Vec<Taps> = gather.indices.iter().map(index).collect();
        let ends = [self.buffers[&instr.args[0]], self.buffers[&instr.result]];
        self.resample(self.name(instr.result), x.elem, ends, along, &taps)?;
        self.epilogue_in_place(instr);
        Ok(())
    }

    /// Writes y of `taps.len()` outputs along an axis of x.
    pub(super) fn resample(
        &mut self,
        value: &str,
        elem: Elem,
        [x, y]: [BufferId; 2],
        axis: Along,
        taps: &[Taps],
    ) -> Result<(), LowerError> {
        let reads: Vec<Reads> = taps.iter().map(|taps| reads(taps)).collect();
        let groups = groups(&reads);
        if groups.len() > MAX_GROUPS {
            return Err(LowerError::Runs { value: value.into(), runs: groups.len(), limit: MAX_GROUPS });
        }
        let mut table = Vec::new();
        let groups: Vec<Weighed> = groups.into_iter().map(|group| weighed(group, taps, &mut table)).collect();
        let weights = match table.len() {
            0 => None,
            len => {
                let role = Role::Const(Source::Computed(Values::of(elem, &table)));
                Some((self.flat("weights", elem, len, role)?, len))
            }
        };
        let lanes = self.lanes(elem);
        let [x_len, y_len] = [x, y].map(|buffer| self.program.ty(buffer).elements());
        let size = if axis.outer == 1 { CHUNK.min(axis.inner) } else { axis.inner };
        for part in cut(axis.inner, size) {
            let group = Codelet { elem, lanes, inner: axis.inner, run: part.size, reads: &reads };
            let calls: Vec<(FuncId, [usize; 2], &Weighed)> = groups
                .iter()
                .map(|weighed| (self.program.func(group.func(weighed)), group.begin(weighed), weighed))
                .collect();
            let mut f = FuncBuilder::kernel("resample");
            let (xs, ys) = (f.input("x", elem, x_len), f.output("y", elem, y_len));
            let ws = weights.map(|(_, len)| f.input("w", elem, len));
            let all = |f: &mut FuncBuilder, from: Affine, to: Affine| {
                for &(func, [x, y], weighed) in &calls {
                    let ends = [(xs, from.clone() + x), (ys, to.clone() + y)];
                    let table = ws.filter(|_| !weighed.table.is_empty());
                    f.call(func, ends.into_iter().chain(table.map(|w| (w, weighed.table.start.into()))));
                }
            };
            let behind = |e: Affine| e * part.size + part.begin;
            if axis.outer > 1 {
                f.for_("o", 0..axis.outer, parallel(), |f, o| {
                    let at = |extent: usize| Affine::from(o) * (extent * axis.inner) + part.begin;
                    all(f, at(axis.extent), at(taps.len()));
                });
            } else {
                f.for_("e", 0..part.count, parallel(), |f, e| all(f, behind(e.into()), behind(e.into())));
            }
            let kernel = self.program.func(f.finish());
            let args = [x].into_iter().chain([y]).chain(weights.map(|(buffer, _)| buffer));
            self.program.run(kernel, &args.collect::<Vec<_>>());
        }
        Ok(())
    }
}

fn reads(taps: &[(usize, f64)]) -> Reads {
    let at = taps[0].0 as i64;
    Reads { at, others: taps[1..].iter().map(|tap| tap.0 as i64 - at).collect() }
}

/// The weights of a group; those that are no constants go to the table, output behind output.
fn weighed(group: Group, taps: &[Taps], table: &mut Vec<f64>) -> Weighed {
    let begin = table.len();
    let of = |i: usize, k: usize| (0..group.times).map(move |t| taps[group.first + group.period * t + i][k].1);
    let weights = (0..group.period).map(|i| {
        let tap = |k: usize| {
            let first = taps[group.first + i][k].1;
            if of(i, k).all(|weight| weight == 1.0) {
                return Weight::One;
            }
            // A single output shares its codelet with others.
            if group.times > 1 && of(i, k).all(|weight| weight == first) {
                return Weight::Constant(first);
            }
            table.extend(of(i, k));
            Weight::Table(table.len() - begin - group.times)
        };
        (0..taps[group.first + i].len()).map(tap).collect()
    });
    let weights = weights.collect();
    Weighed { group, weights, table: begin..table.len() }
}

/// What the codelets of an axis have in common.
struct Codelet<'r> {
    elem: Elem,
    lanes: u8,
    /// Elements behind the axis, and how many of them a codelet takes.
    inner: usize,
    run: usize,
    reads: &'r [Reads],
}

impl Codelet<'_> {
    /// The first and the last source that a group reads.
    fn sources(&self, group: Group) -> [i64; 2] {
        let all = (0..group.period).flat_map(|i| {
            let Reads { at, others } = &self.reads[group.first + i];
            let last = at + group.by * (group.times as i64 - 1);
            [*at, last].into_iter().flat_map(move |at| others.iter().map(move |other| at + other).chain([at]))
        });
        all.fold([i64::MAX, i64::MIN], |[low, high], at| [low.min(at), high.max(at)])
    }

    /// Where the parts of x and y begin that a group is given.
    fn begin(&self, weighed: &Weighed) -> [usize; 2] {
        let [low, _] = self.sources(weighed.group);
        let low = usize::try_from(low).expect("sources are indices");
        [low, weighed.group.first].map(|index| index * self.inner)
    }

    /// The codelet of a group, with parameters x, y and, if there is one, its part of the table.
    fn func(&self, weighed: &Weighed) -> Func {
        let Weighed { group, table, .. } = weighed;
        let [low, high] = self.sources(*group);
        let outputs = group.outputs();
        let mut f = FuncBuilder::codelet(format!("resample_{}_{outputs}", self.elem));
        let span = usize::try_from(high - low).expect("high is the largest");
        let x = f.input("x", self.elem, span * self.inner + self.run);
        let y = f.output("y", self.elem, (outputs - 1) * self.inner + self.run);
        let w = (!table.is_empty()).then(|| f.input("w", self.elem, table.len()));
        // Neighbours are outputs that read alike, or elements behind the axis.
        let outputs = if self.inner == 1 { along(self.lanes) } else { Marks::default() };
        looped(&mut f, "t", group.times, outputs, |f, t| {
            for i in 0..group.period {
                let weights: Vec<_> = weighed.weights[i].iter().map(|&weight| self.weight(f, weight, w, &t)).collect();
                let Reads { at, others } = &self.reads[group.first + i];
                let first = t.clone() * group.by + (at - low);
                let sources = others.iter().map(|&other| first.clone() + other);
                let sources: Vec<_> = [first.clone()].into_iter().chain(sources).map(|at| at * self.inner).collect();
                let to = (t.clone() * group.period + i) * self.inner;
                let one = |f: &mut FuncBuilder, e: Affine| {
                    let sources = sources.iter().map(|source| source.clone() + e.clone());
                    sum(f, (x, y), sources.zip(&weights), to.clone() + e.clone());
                };
                match self.inner {
                    1 => one(f, Affine::default()),
                    _ => looped(f, "e", self.run, along(self.lanes), one),
                }
            }
        });
        f.finish()
    }

    /// The value of a weight; `None` for 1.
    fn weight(&self, f: &mut FuncBuilder, weight: Weight, table: Option<SlotId>, t: &Affine) -> Option<ValId> {
        match weight {
            Weight::One => None,
            Weight::Constant(weight) => Some(f.number(self.elem, weight)),
            Weight::Table(at) => table.map(|table| f.load(table, t.clone() + at)),
        }
    }
}

/// Stores a sum of weighed elements.
fn sum<'w>(
    f: &mut FuncBuilder,
    (x, y): (SlotId, SlotId),
    taps: impl Iterator<Item = (Affine, &'w Option<ValId>)>,
    to: Affine,
) {
    let mut sum = None;
    for (at, &weight) in taps {
        let value = f.load(x, at);
        sum = Some(match (sum, weight) {
            (None, None) => value,
            (None, Some(weight)) => f.binary(BinOp::Mul, value, weight),
            (Some(sum), None) => f.binary(BinOp::Add, sum, value),
            (Some(sum), Some(weight)) => f.fma(value, weight, sum),
        });
    }
    let sum = sum.expect("every output reads something");
    f.store(y, to, sum);
}
