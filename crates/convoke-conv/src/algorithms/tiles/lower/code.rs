//! Transforms as codelets: straight-line code along lines, with channels in the lanes.

use convoke_bilinear::straight::{Op, Straight, Var};
use convoke_bilinear::{Lines, Rational, Transform};
use convoke_ir::elem::Elem;
use convoke_ir::loops::{Affine, BinOp, FuncBuilder, Marks, SlotId, UnOp, ValId, VarId};
use num_traits::ToPrimitive;

use crate::algorithms::tiles::flat::Flat;
use convoke_lower::marks::{across, along};

/// Numbers in a buffer: those of the channel 0 from `origin` on.
pub(super) struct Numbers<'a> {
    pub slot: SlotId,
    pub origin: Affine,
    pub flat: &'a Flat,
}

/// Both passes of a transform for one vector of channels. `between` holds the numbers between the passes, unless registers do.
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

/// A value, or with `minus` its negative.
#[derive(Clone, Copy)]
struct Signed {
    val: ValId,
    minus: bool,
}

/// One run of straight-line code. Inputs are read when they are first needed, outputs written when they are known. Signs are kept
/// beside values and go into factors and differences; only an output is ever negated.
fn straight(
    f: &mut FuncBuilder,
    elem: Elem,
    code: &Straight,
    mut input: impl FnMut(&mut FuncBuilder, usize) -> ValId,
    mut output: impl FnMut(&mut FuncBuilder, usize, ValId),
) {
    let mut inputs: Vec<Option<ValId>> = vec![None; code.inputs];
    let mut results: Vec<Signed> = Vec::with_capacity(code.ops.len());
    let mut write = |f: &mut FuncBuilder, j: usize, known: Signed, negated: bool| {
        let value = if known.minus != negated { f.unary(UnOp::Neg, known.val) } else { known.val };
        output(f, j, value);
    };
    for (i, op) in code.ops.iter().enumerate() {
        let mut get = |f: &mut FuncBuilder, var: Var, minus: bool| match var {
            Var::Input(i) => Signed { val: *inputs[i].get_or_insert_with(|| input(f, i)), minus },
            Var::Op(i) => Signed { minus: results[i].minus != minus, ..results[i] },
        };
        let result = match op {
            Op::Add { x, minus_x, y, minus_y } => {
                let (x, y) = (get(f, *x, *minus_x), get(f, *y, *minus_y));
                let val = match (x.minus, y.minus) {
                    (false, true) => f.binary(BinOp::Sub, x.val, y.val),
                    (true, false) => f.binary(BinOp::Sub, y.val, x.val),
                    _ => f.binary(BinOp::Add, x.val, y.val),
                };
                Signed { val, minus: x.minus && y.minus }
            }
            Op::Mul { factor, x } => {
                let x = get(f, *x, false);
                let factor = number(f, elem, factor, x.minus);
                Signed { val: f.binary(BinOp::Mul, factor, x.val), minus: false }
            }
            Op::Fma { factor, x, y, minus_y } => {
                let (x, y) = (get(f, *x, false), get(f, *y, *minus_y));
                let factor = number(f, elem, factor, x.minus != y.minus);
                Signed { val: f.fma(factor, x.val, y.val), minus: y.minus }
            }
        };
        results.push(result);
        for (j, out) in code.outputs.iter().enumerate().filter(|(_, out)| out.var == Some(Var::Op(i))) {
            write(f, j, result, out.negated);
        }
    }
    // Outputs that are inputs, and those that are 0.
    for (j, out) in code.outputs.iter().enumerate() {
        let val = match out.var {
            None => f.number(elem, 0.0),
            Some(Var::Input(i)) => *inputs[i].get_or_insert_with(|| input(f, i)),
            Some(Var::Op(_)) => continue,
        };
        write(f, j, Signed { val, minus: false }, out.negated && out.var.is_some());
    }
}

fn number(f: &mut FuncBuilder, elem: Elem, number: &Rational, minus: bool) -> ValId {
    let number = number.to_f64().unwrap_or(f64::NAN);
    f.number(elem, if minus { -number } else { number })
}
