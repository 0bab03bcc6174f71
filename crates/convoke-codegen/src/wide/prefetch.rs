//! Loads that are fetched ahead: by an iteration, or by a call.
//!
//! By an iteration. Rows of pixels of one input channel after another lie a plane apart. What fetches ahead in a CPU follows streams within a page,
//! so each of their lines would be waited for. A loop whose loads go on by a page or more asks for the lines of the next iteration, if one takes as
//! long as memory does. For shorter iterations, several of them ahead, it would gain on images that no cache holds and lose as much on others.
//!
//! By a call. A codelet whose loop goes through all of a parameter, number after number, reads packed weights, and a later call reads those that
//! follow. It asks for the lines as far ahead as the parameter is long. In a net the weights of a layer come from far away each time. They go to the
//! second cache: the first is full of what this call reads.
//!
//! An address that does not exist has no effect.

use std::ops::RangeInclusive;

use convoke_ir::loops::{Expr, Func, FuncKind, Place, SlotId, Stmt, VarId};
use convoke_machine::{LINE_BYTES, PAGE_BYTES, Prefetch};
use rustc_hash::{FxHashMap, FxHashSet};

use super::flat::{Address, Flat, Loop, Node, read_only};
use crate::x86::{Level, SHORT_BYTES};

/// Bytes of a line.
const LINE: i64 = LINE_BYTES as i64;

/// The most bytes that weights are asked for ahead. An instruction reaches no further than 2 GiB.
const FARTHEST: i64 = 1 << 30;

/// A line to ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ahead {
    /// Where it begins, in bytes beyond the address of the node that asks.
    pub(super) at: i64,
    /// The cache that it is brought into.
    pub(super) into: Level,
}

/// For nodes that load, the lines to ask for there.
pub(super) fn ahead(func: &Func, flat: &Flat<'_>, prefetch: Prefetch) -> FxHashMap<usize, Vec<Ahead>> {
    let [latency, for_each] = [prefetch.latency_operations, prefetch.operations_per_line].map(|number| number as usize);
    let mut all: FxHashMap<usize, Vec<Ahead>> = FxHashMap::default();
    let mut open: Vec<Body> = Vec::new();
    for (index, node) in flat.nodes.iter().enumerate() {
        match node {
            Node::Begin(number) => open.push(Body { number: *number, ..Body::default() }),
            Node::End(_) => {
                let body = open.pop().expect("loops are nested");
                let mut ask = |found: Vec<(usize, i64)>, into| {
                    found.into_iter().for_each(|(index, at)| all.entry(index).or_default().push(Ahead { at, into }));
                };
                if body.nodes >= latency.max(for_each * body.asked.len()) {
                    ask(body.found, Level::First);
                }
                if body.nodes >= for_each * body.weights.len() {
                    ask(body.weights, Level::Second);
                }
            }
            Node::Op(stmt, address) => {
                let Some(body) = open.last_mut() else { continue };
                body.nodes += 1;
                let (Stmt::Let(_, Expr::Load(place), _), Some(address)) = (stmt, address) else { continue };
                if !read_only(func, place.slot) {
                    continue;
                }
                let bytes = covered(func, place);
                let inner = &flat.loops[body.number];
                let step = step(inner, address);
                if place.stride == 1 && bytes >= SHORT_BYTES as i64 && step.unsigned_abs() >= PAGE_BYTES as u64 {
                    body.ask(index, address, bytes, step);
                }
                let slot = &func.slots[place.slot];
                let len = (slot.len * slot.elem.bytes()) as i64;
                let whole = step > 0 && step.checked_mul(inner.inner.trips() as i64) == Some(len);
                if whole && len <= FARTHEST && func.kind == FuncKind::Codelet {
                    body.ask_weights(index, address, bytes, len);
                }
            }
            Node::Call(..) => {}
        }
    }
    all
}

/// Facts about an open loop.
#[derive(Default)]
struct Body<'a> {
    number: usize,
    nodes: usize,
    asked: FxHashSet<Line<'a>>,
    /// Nodes, and lines beyond their addresses, of the next iteration.
    found: Vec<(usize, i64)>,
    asked_weights: FxHashSet<(SlotId, i64)>,
    /// The same of weights that a later call reads.
    weights: Vec<(usize, i64)>,
}

/// A line: an address, but for its bytes the line's number.
#[derive(PartialEq, Eq, Hash)]
struct Line<'a> {
    slot: SlotId,
    terms: &'a [(VarId, i64)],
    number: i64,
}

impl<'a> Body<'a> {
    /// Asks for the lines that a load of `bytes` bytes touches an iteration later, except lines that another load asks for.
    fn ask(&mut self, index: usize, address: &'a Address, bytes: i64, step: i64) {
        for number in lines(address, bytes) {
            if self.asked.insert(Line { slot: address.slot, terms: &address.terms, number }) {
                self.found.push((index, number * LINE - address.offset + step));
            }
        }
    }

    /// Asks for the lines that lie the parameter's length `len` behind those that a load of `bytes` bytes touches.
    fn ask_weights(&mut self, index: usize, address: &Address, bytes: i64, len: i64) {
        for number in lines(address, bytes) {
            if self.asked_weights.insert((address.slot, number)) {
                self.weights.push((index, number * LINE - address.offset + len));
            }
        }
    }
}

/// The numbers of the lines that `bytes` bytes touch.
fn lines(address: &Address, bytes: i64) -> RangeInclusive<i64> {
    address.offset.div_euclid(LINE)..=(address.offset + bytes - 1).div_euclid(LINE)
}

/// Bytes from the first to the last that a load reads.
fn covered(func: &Func, place: &Place) -> i64 {
    (i64::from(place.lanes - 1) * place.stride.abs() + 1) * func.slots[place.slot].elem.bytes() as i64
}

/// How far an address goes on from one iteration to the next.
fn step(of: &Loop<'_>, address: &Address) -> i64 {
    let by = |var: VarId| match of.inner.inductions.iter().find(|induction| induction.var == var) {
        Some(induction) => induction.by,
        None if var == of.inner.var => of.inner.step,
        None => 0,
    };
    address.terms.iter().map(|&(var, bytes)| bytes.wrapping_mul(by(var))).fold(0, i64::wrapping_add)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::super::flat::flatten;
    use super::*;

    /// The lines that a loop asks for whose iterations are `apart` elements apart, load `loads` overlapping vectors of a row and use each in
    /// `uses` sums.
    fn asked(apart: usize, loads: usize, uses: usize) -> Vec<(i64, Level)> {
        let len = 7 * apart + 16 + loads;
        let mut body = String::new();
        for i in 0..loads {
            writeln!(body, "%x{i} = load f32x16 %x[{apart}*%c + {i}]").expect("a string grows");
            (0..uses).for_each(|_| writeln!(body, "%sum <- fma %x{i}, %x{i}, %sum").expect("a string grows"));
        }
        asked_of(len, &body)
    }

    /// The lines that a loop of 8 iterations asks for, which reads `len` elements.
    fn asked_of(len: usize, body: &str) -> Vec<(i64, Level)> {
        let text = format!(
            "program @p {{
               input %x: f32[{len}]
               output %y: f32[16]
               codelet @f(in %x: f32[{len}], out %y: f32[16]) {{
                 %sum = reg f32x16 0.0
                 for %c in 0..8 {{ {body} }}
                 store %y[0], %sum
               }}
               kernel @k(in %x: f32[{len}], out %y: f32[16]) {{ call @f(%x[0], %y[0]) }}
               entry {{ run @k(%x, %y) }}
             }}"
        );
        let program = convoke_ir::text::parse(&text).expect("a program").programs.remove(0);
        let (_, func) = program.funcs.iter().next().expect("the codelet");
        let flat = flatten(func, None);
        let mut lines: Vec<(i64, Level)> = ahead(func, &flat, Prefetch::default())
            .into_iter()
            .flat_map(|(index, lines)| {
                let Node::Op(_, Some(address)) = &flat.nodes[index] else { panic!("a load has an address") };
                lines.into_iter().map(|line| (line.at + address.offset, line.into))
            })
            .collect();
        lines.sort_unstable();
        lines
    }

    #[test]
    fn each_line_of_the_next_iteration_once() {
        // 5 vectors from 0 to 80 bytes: lines 0 and 64, a page and some further.
        assert_eq!(asked(1040, 5, 40), [(4160, Level::First), (4224, Level::First)]);
    }

    #[test]
    fn neither_within_a_page_nor_in_short_loops() {
        assert!(asked(1000, 5, 40).is_empty());
        assert!(asked(1040, 5, 20).is_empty());
    }

    #[test]
    fn weights_are_asked_for_as_far_ahead_as_a_call_reads() {
        let used = "%sum <- fma %a, %b, %sum\n".repeat(6);
        let vectors = format!("%a = load f32x16 %x[32*%c]\n%b = load f32x16 %x[32*%c + 16]\n{used}");
        assert_eq!(asked_of(256, &vectors), [(1024, Level::Second), (1088, Level::Second)]);
        // Two numbers of one line.
        let numbers = format!("%a = load f32x16 %x[2*%c] broadcast\n%b = load f32x16 %x[2*%c + 1] broadcast\n{used}");
        assert_eq!(asked_of(16, &numbers), [(64, Level::Second)]);
        // A part of the parameter, and a loop that does little else.
        assert!(asked_of(257, &vectors).is_empty());
        assert!(asked_of(256, &vectors.replace(&used, "%sum <- fma %a, %b, %sum")).is_empty());
    }
}
