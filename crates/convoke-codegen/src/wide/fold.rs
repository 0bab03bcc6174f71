//! Loads that need no register: the instruction that uses the value reads it from memory.
//!
//! A load with one use folds: of a contiguous vector everywhere, of a broadcast where instructions take one. Nothing folds across a store
//! that may change it. A broadcast with more uses takes a register: cores that start two multiply-adds a cycle do not load as fast as that.

use convoke_ir::loops::{BinOp, Expr, Func, Stmt, ValId};

use super::flat::{Flat, Node, read_only};
use crate::x86::{Isa, SHORT_BYTES};

/// How an instruction uses a folded value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// As a vector.
    Whole,
    /// As one number for all lanes.
    Broadcast,
}

/// How a load could fold.
pub(super) fn kind(func: &Func, val: ValId, expr: &Expr, isa: &Isa) -> Option<Kind> {
    let Expr::Load(place) = expr else { return None };
    // Numbers to be converted go through a register.
    if func.slots[place.slot].elem.is_storage() {
        return None;
    }
    let ty = func.vals[val].ty;
    let bytes = usize::from(ty.lanes) * ty.elem.bytes();
    match place.stride {
        // A single number: lanes of the register beyond the first are not used.
        _ if ty.lanes == 1 => isa.broadcast_from_memory.then_some(Kind::Broadcast),
        0 if place.lanes == ty.lanes => isa.broadcast_from_memory.then_some(Kind::Broadcast),
        1 if place.lanes == ty.lanes && bytes >= SHORT_BYTES => Some(Kind::Whole),
        _ => None,
    }
}

/// The operands of an instruction that may be memory, the best first.
fn foldable(expr: &Expr) -> Vec<ValId> {
    match *expr {
        Expr::Binary(BinOp::Add | BinOp::Mul, a, b) => vec![b, a],
        Expr::Binary(BinOp::Sub | BinOp::Div, _, b) => vec![b],
        Expr::Fma(a, b, _) => vec![b, a],
        _ => vec![],
    }
}

/// For each value that folds, the node of its load.
pub(super) fn folded(func: &Func, flat: &Flat<'_>, isa: &Isa) -> Vec<Option<usize>> {
    let mut found: Vec<Option<usize>> = vec![None; func.vals.len()];
    let mut uses = vec![0; func.vals.len()];
    // For each slot, the last store to it.
    let mut stored: Vec<Option<usize>> = vec![None; func.slots.len()];
    for (position, node) in flat.nodes.iter().enumerate() {
        match node {
            Node::Op(Stmt::Store(place, val, _), _) => {
                found[val.index()] = None;
                stored[place.slot.index()] = Some(position);
            }
            Node::Op(Stmt::Let(val, expr, _) | Stmt::Reg(val, expr, _) | Stmt::Set(val, expr, _), _) => {
                let mut room = 1;
                // Of `sub %x, %x` the first operand is in a register, so that the second is there too.
                let reads = expr.reads();
                let once = |val: &ValId| reads.iter().filter(|read| *read == val).count() == 1;
                let operands: Vec<ValId> = foldable(expr).into_iter().filter(once).collect();
                for &val in &operands {
                    let Some(load) = found[val.index()] else { continue };
                    let Node::Op(Stmt::Let(_, Expr::Load(place), _), _) = &flat.nodes[load] else { continue };
                    uses[val.index()] += 1;
                    let clean =
                        read_only(func, place.slot) || stored[place.slot.index()].is_none_or(|store| store < load);
                    let near = flat.segments[load] == flat.segments[position];
                    if room == 0 || uses[val.index()] > 1 || !clean || !near {
                        found[val.index()] = None;
                    } else {
                        room = 0;
                    }
                }
                for val in reads.iter().filter(|val| !operands.contains(val)) {
                    found[val.index()] = None;
                }
                if matches!(node, Node::Op(Stmt::Let(..), _)) && kind(func, *val, expr, isa).is_some() {
                    found[val.index()] = Some(position);
                }
            }
            _ => {}
        }
    }
    // A load without a use has no instruction to fold into.
    found.iter().enumerate().map(|(val, load)| load.filter(|_| uses[val] > 0)).collect()
}
