//! Transforms as codelets: straight-line code along lines, with channels in the lanes.

use convoke_bilinear::straight::{Op, Straight, Var};
use convoke_bilinear::{Lines, Rational, Transform};
use convoke_ir::elem::Elem;
use convoke_ir::loops::{Affine, BinOp, FuncBuilder, Marks, SlotId, UnOp, ValId, VarId};
use num_traits::ToPrimitive;

use super::flat::Flat;
use crate::lower::tile::{across, along};

/// The most numbers between the passes that are not stored: what registers do not hold of them is spilled, which is less.
const HELD: usize = 64;

/// Numbers in a buffer: those of the channel 0 from `origin` on.
pub(super) struct Numbers<'a> {
    pub slot: SlotId,
    pub origin: Affine,
    pub flat: &'a Flat,
}

/// Whether what is between the passes of a transform is held in registers, and needs no buffer.
pub(super) fn held(transform: &Transform) -> bool {
    transform.between <= HELD
}

/// Both passes of a transform for one vector of channels. `between` holds what is between them, where that is not held in registers.
pub(super) fn transform(
    f: &mut FuncBuilder,
    elem: Elem,
    transform: &Transform,
    lanes: usize,
    from: &Numbers<'_>,
    between: Option<&Numbers<'_>>,
    to: &Numbers<'_>,
) {
    if let Some(between) = between {
        let pass = |f: &mut FuncBuilder, all: &[Lines], from: &Numbers<'_>, to: &Numbers<'_>| {
            let read = |f: &mut FuncBuilder, lines: &Lines, i, j, c| {
                f.load(from.slot, from.origin.clone() + from.flat.at(&lines.from, i, j) + c)
            };
            let write = |f: &mut FuncBuilder, lines: &Lines, i, j, c, value| {
                f.store(to.slot, to.origin.clone() + to.flat.at(&lines.to, i, j) + c, value);
            };
            pass(f, elem, all, (lanes, lanes as u8), read, write);
        };
        pass(f, &transform.first, from, between);
        pass(f, &transform.then, between, to);
        return;
    }
    f.for_("c", 0..lanes, across(lanes as u8), |f, c| {
        let mut held: Vec<Option<ValId>> = vec![None; transform.between];
        for (lines, i) in lines(&transform.first) {
            let read = |f: &mut FuncBuilder, j| {
                let at = from.flat.number(lines.from.at(i, j));
                f.load(from.slot, from.origin.clone() + at + c)
            };
            straight(f, elem, &lines.code, read, |_, j, value| held[lines.to.at(i, j)] = Some(value));
        }
        for (lines, i) in lines(&transform.then) {
            let read = |_: &mut FuncBuilder, j| held[lines.from.at(i, j)].expect("the first pass writes every number");
            straight(f, elem, &lines.code, read, |f, j, value| {
                f.store(to.slot, to.origin.clone() + to.flat.number(lines.to.at(i, j)) + c, value);
            });
        }
    });
}

/// Each line, by its number among those of its code.
fn lines(all: &[Lines]) -> impl Iterator<Item = (&Lines, usize)> {
    all.iter().flat_map(|lines| (0..lines.count).map(move |i| (lines, i)))
}

/// Applies every piece of code to its lines, for `channels` channels at a time.
///
/// `read` and `write` give number j of a line of some `lines`; the line's variable and the channel's are theirs to place.
pub(super) fn pass(
    f: &mut FuncBuilder,
    elem: Elem,
    all: &[Lines],
    (channels, lanes): (usize, u8),
    mut read: impl FnMut(&mut FuncBuilder, &Lines, VarId, usize, VarId) -> ValId,
    mut write: impl FnMut(&mut FuncBuilder, &Lines, VarId, usize, VarId, ValId),
) {
    for lines in all {
        f.for_("line", 0..lines.count, Marks::default(), |f, i| {
            f.for_("c", 0..channels, along(lanes), |f, c| {
                straight(f, elem, &lines.code, |f, j| read(f, lines, i, j, c), |f, j, v| write(f, lines, i, j, c, v));
            });
        });
    }
}

/// One run of straight-line code. Inputs are read when they are first needed, outputs written when they are known.
fn straight(
    f: &mut FuncBuilder,
    elem: Elem,
    code: &Straight,
    mut input: impl FnMut(&mut FuncBuilder, usize) -> ValId,
    mut output: impl FnMut(&mut FuncBuilder, usize, ValId),
) {
    let mut inputs: Vec<Option<ValId>> = vec![None; code.inputs];
    let mut results: Vec<ValId> = Vec::with_capacity(code.ops.len());
    let mut write = |f: &mut FuncBuilder, op: usize, known: ValId| {
        for (j, out) in code.outputs.iter().enumerate().filter(|(_, out)| out.var == Some(Var::Op(op))) {
            let value = if out.negated { f.unary(UnOp::Neg, known) } else { known };
            output(f, j, value);
        }
    };
    for (i, op) in code.ops.iter().enumerate() {
        let mut get = |f: &mut FuncBuilder, var: Var, results: &[ValId]| match var {
            Var::Input(i) => *inputs[i].get_or_insert_with(|| input(f, i)),
            Var::Op(i) => results[i],
        };
        let result = match op {
            Op::Add { x, minus_x, y, minus_y } => {
                let (x, y) = (get(f, *x, &results), get(f, *y, &results));
                match (minus_x, minus_y) {
                    (false, false) => f.binary(BinOp::Add, x, y),
                    (false, true) => f.binary(BinOp::Sub, x, y),
                    (true, false) => f.binary(BinOp::Sub, y, x),
                    (true, true) => {
                        let sum = f.binary(BinOp::Add, x, y);
                        f.unary(UnOp::Neg, sum)
                    }
                }
            }
            Op::Mul { factor, x } => {
                let (factor, x) = (number(f, elem, factor), get(f, *x, &results));
                f.binary(BinOp::Mul, factor, x)
            }
            Op::Fma { factor, x, y, minus_y } => {
                let (factor, x, y) = (number(f, elem, factor), get(f, *x, &results), get(f, *y, &results));
                let y = if *minus_y { f.unary(UnOp::Neg, y) } else { y };
                f.fma(factor, x, y)
            }
        };
        results.push(result);
        write(f, i, result);
    }
    // Outputs that are inputs, and those that are 0.
    for (j, out) in code.outputs.iter().enumerate() {
        let value = match out.var {
            None => f.number(elem, 0.0),
            Some(Var::Input(i)) => {
                let x = *inputs[i].get_or_insert_with(|| input(f, i));
                if out.negated { f.unary(UnOp::Neg, x) } else { x }
            }
            Some(Var::Op(_)) => continue,
        };
        output(f, j, value);
    }
}

fn number(f: &mut FuncBuilder, elem: Elem, number: &Rational) -> ValId {
    f.number(elem, number.to_f64().unwrap_or(f64::NAN))
}
