//! Transforms as codelets: straight-line code along lines, with channels in the lanes.

use convoke_bilinear::straight::{Op, Straight, Var};
use convoke_bilinear::{Lines, Rational};
use convoke_ir::elem::Elem;
use convoke_ir::loops::{BinOp, FuncBuilder, Marks, UnOp, ValId, VarId};
use num_traits::ToPrimitive;

use crate::lower::tile::along;

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
