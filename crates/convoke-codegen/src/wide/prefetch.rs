//! Loads that are fetched an iteration ahead.
//!
//! Rows of pixels of one input channel after another lie a plane apart. What fetches ahead in a CPU follows streams within a page, so each
//! of their lines would be waited for. A loop whose loads go on by a page or more asks for the lines of the next iteration, if one takes
//! as long as memory does. For shorter
//! iterations, several of them ahead, it would gain on images that no cache holds and lose as much on others. An address that does not exist has no effect.

use convoke_ir::loops::{Expr, Func, SlotId, Stmt, VarId};
use convoke_machine::{LINE_BYTES, PAGE_BYTES, Prefetch};
use rustc_hash::{FxHashMap, FxHashSet};

use super::flat::{Address, Flat, Loop, Node, read_only};
use crate::x86::SHORT_BYTES;

/// Bytes of a line.
const LINE: i64 = LINE_BYTES as i64;

/// For nodes that load, the lines to ask for there, in bytes beyond the node's address.
pub(super) fn ahead(func: &Func, flat: &Flat<'_>, prefetch: Prefetch) -> FxHashMap<usize, Vec<i64>> {
    let [latency, for_each] = [prefetch.latency_operations, prefetch.operations_per_line].map(|number| number as usize);
    let mut all = FxHashMap::default();
    let mut open: Vec<Body> = Vec::new();
    for (index, node) in flat.nodes.iter().enumerate() {
        match node {
            Node::Begin(number) => open.push(Body { number: *number, ..Body::default() }),
            Node::End(_) => {
                let body = open.pop().expect("loops are nested");
                if body.nodes >= latency.max(for_each * body.asked.len()) {
                    all.extend(body.found);
                }
            }
            Node::Op(stmt, address) => {
                let Some(body) = open.last_mut() else { continue };
                body.nodes += 1;
                let (Stmt::Let(_, Expr::Load(place), _), Some(address)) = (stmt, address) else { continue };
                let bytes = i64::from(place.lanes) * func.slots[place.slot].elem.bytes() as i64;
                let step = step(&flat.loops[body.number], address);
                if place.stride == 1
                    && bytes >= SHORT_BYTES as i64
                    && step.unsigned_abs() >= PAGE_BYTES as u64
                    && read_only(func, place.slot)
                {
                    body.ask(index, address, bytes, step);
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
    found: FxHashMap<usize, Vec<i64>>,
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
        let lines = address.offset.div_euclid(LINE)..=(address.offset + bytes - 1).div_euclid(LINE);
        for number in lines {
            if self.asked.insert(Line { slot: address.slot, terms: &address.terms, number }) {
                self.found.entry(index).or_default().push(number * LINE - address.offset + step);
            }
        }
    }
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
    fn asked(apart: usize, loads: usize, uses: usize) -> Vec<i64> {
        let len = 7 * apart + 16 + loads;
        let mut body = String::new();
        for i in 0..loads {
            writeln!(body, "%x{i} = load f32x16 %x[{apart}*%c + {i}]").expect("a string grows");
            (0..uses).for_each(|_| writeln!(body, "%sum <- fma %x{i}, %x{i}, %sum").expect("a string grows"));
        }
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
        let mut lines: Vec<i64> = ahead(func, &flat, Prefetch::default())
            .into_iter()
            .flat_map(|(index, lines)| {
                let Node::Op(_, Some(address)) = &flat.nodes[index] else { panic!("a load has an address") };
                lines.into_iter().map(|line| line + address.offset)
            })
            .collect();
        lines.sort_unstable();
        lines
    }

    #[test]
    fn each_line_of_the_next_iteration_once() {
        // 5 vectors from 0 to 80 bytes: lines 0 and 64, a page and some further.
        assert_eq!(asked(1040, 5, 40), [4160, 4224]);
    }

    #[test]
    fn neither_within_a_page_nor_in_short_loops() {
        assert!(asked(1000, 5, 40).is_empty());
        assert!(asked(1040, 5, 20).is_empty());
    }
}
