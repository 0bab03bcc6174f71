//! New instructions and constants in place of convolutions.

use std::collections::HashMap;

use convoke_ir::layer::{Add, Def, Instr, Layer, Op, Source, ValueId};

use super::super::edit::{self, Names};
use super::chain::numbers;
use super::deviation::Filled;

/// Puts each sum of chains in the place of the convolution at its index of the body.
pub(super) fn apply(layer: &mut Layer, plans: Vec<(usize, Filled)>, names: &mut Names) {
    let mut plans: HashMap<usize, Filled> = plans.into_iter().collect();
    let body = std::mem::take(&mut layer.body);
    for (at, instr) in body.into_iter().enumerate() {
        match plans.remove(&at) {
            None => layer.body.push(instr),
            Some(plan) => replace(layer, &instr, plan, names),
        }
    }
    edit::forget_unread(layer);
}

fn replace(layer: &mut Layer, old: &Instr, plan: Filled, names: &mut Names) {
    let x = old.args[0];
    let elem = layer.ty(x).elem;
    let result_name = layer.values[old.result].name.clone();
    let mut sum: Option<ValueId> = None;
    let terms = plan.terms.len();
    for (term, chain) in plan.terms.iter().enumerate() {
        let mut input = x;
        for (i, factor) in chain.iter().enumerate() {
            let w_ty = factor.ty(elem).expect("its cost was computed");
            // Terms and factors of the same part are told apart by the numbers that `fresh` adds.
            let stem = format!("{}.{}", plan.weights_name, factor.part);
            let w = match &plan.weights {
                Some(weights) => names.constant(layer, &stem, w_ty.clone(), weights[term][i].clone()),
                None => names.value(layer, &stem, w_ty.clone(), Def::Const(Source::Unbound)),
            };
            let (_, y_ty) = numbers(&factor.op, layer.ty(input), &w_ty).expect("its cost was computed");
            let last = i + 1 == chain.len();
            let result = match last && terms == 1 {
                true => old.result,
                false => names.value(layer, &format!("{result_name}.{}", factor.part), y_ty.clone(), Def::Instr),
            };
            layer.body.push(edit::instr(result, factor.op.clone(), vec![input, w]));
            input = result;
            if let (Some(op), false) = (&factor.activation, last) {
                let activated = names.value(layer, &format!("{result_name}.{}", op.name()), y_ty, Def::Instr);
                layer.body.push(edit::instr(activated, Op::clone(op), vec![input]));
                input = activated;
            }
        }
        sum = Some(match sum {
            None => input,
            Some(before) => {
                let result = match term + 1 == terms {
                    true => old.result,
                    false => names.value(layer, &format!("{result_name}.sum"), layer.ty(before).clone(), Def::Instr),
                };
                layer.body.push(edit::instr(result, Add {}, vec![before, input]));
                result
            }
        });
    }
    let last = layer.body.last_mut().expect("a sum has a term");
    last.then = old.then.clone();
}
