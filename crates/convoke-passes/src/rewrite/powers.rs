//! Powers of a constant exponent as products, roots and reciprocals, for `normalise`.

use convoke_ir::layer::{Layer, Mul, Op, Reciprocal, Sqrt, Step, ValueId};

use super::edit;

/// The ops that a power of this exponent is, in order, of a base that has a name or flows through an epilogue.
fn chain(exponent: f64, base: Option<ValueId>) -> Option<Vec<(Op, Vec<ValueId>)>> {
    let times = |x: ValueId| (Op::from(Mul {}), vec![x]);
    let (root, reciprocal) = ((Op::from(Sqrt {}), vec![]), (Op::from(Reciprocal {}), vec![]));
    Some(match (exponent, base) {
        (0.5, _) => vec![root],
        (-0.5, _) => vec![root, reciprocal],
        (-1.0, _) => vec![reciprocal],
        (2.0, Some(x)) => vec![times(x)],
        (3.0, Some(x)) => vec![times(x), times(x)],
        (-2.0, Some(x)) => vec![times(x), reciprocal],
        _ => return None,
    })
}

/// The same as `op` with these operands, all but the first; the first is `base`, if it has a name.
fn simpler(layer: &Layer, op: &Op, others: &[ValueId], base: Option<ValueId>) -> Option<Vec<(Op, Vec<ValueId>)>> {
    let (Op::Pow(_), [exponent]) = (op, others) else { return None };
    let is = |e: &&f64| edit::is_all(layer, *exponent, **e);
    chain(*[0.5, -0.5, -1.0, 2.0, 3.0, -2.0].iter().find(is)?, base)
}

/// Rewrites the powers of the instruction at `at`, those of its epilogue too; says whether there were any.
pub(super) fn rewrite(layer: &mut Layer, at: usize) -> bool {
    let instr = &layer.body[at];
    let span = instr.span;
    let step = |(op, args): (Op, Vec<ValueId>)| Step { op, args, span };
    let mut changed = false;
    let mut then: Vec<Step> = Vec::new();
    // A base that is stretched to its exponents needs another op to be.
    let whole = instr.args.first().filter(|&&x| layer.ty(x) == layer.ty(instr.result));
    let first = whole.and_then(|&x| Some((x, simpler(layer, &instr.op, &instr.args[1..], Some(x))?)));
    for given in &instr.then {
        match simpler(layer, &given.op, &given.args, None) {
            Some(chain) => {
                then.extend(chain.into_iter().map(step));
                changed = true;
            }
            None => then.push(given.clone()),
        }
    }
    let instr = &mut layer.body[at];
    if let Some((x, chain)) = first {
        let mut chain = chain.into_iter();
        let (op, others) = chain.next().expect("a power is at least one op");
        (instr.op, instr.args) = (op, std::iter::once(x).chain(others).collect());
        then.splice(..0, chain.map(step));
        changed = true;
    }
    instr.then = then;
    changed
}
