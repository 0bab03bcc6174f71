//! Kernels of a row strip, repeated for each strip.

use std::collections::HashMap;

use convoke_conv::strips::Repeat;
use convoke_ir::arena::Id;
use convoke_ir::loops::{Affine, Buffer, BufferId, For, Func, Program, Role, Run, Stmt, Var};
use convoke_ir::span::Span;
use convoke_ir::types::{Layout, TensorType};
use convoke_lower::marks::parallel;
use convoke_lower::{LowerError, too_large};

use super::util::block;
use super::util::compact::compact;
use super::util::prune::prune;

/// Repeats the runs of each strip; runs that pack weights come first, once.
pub(crate) fn repeat(program: &mut Program, repeats: &[Repeat]) -> Result<(), LowerError> {
    for repeat in repeats {
        let packed: Vec<BufferId> =
            repeat.packing.iter().filter_map(|&at| program.entry[at].args.last().copied()).collect();
        let packing_first = repeat.packing.iter().copied();
        let packing_first = packing_first.chain(repeat.runs.clone().filter(|at| !repeat.packing.contains(at)));
        let runs: Vec<Run> = packing_first.map(|at| program.entry[at].clone()).collect();
        program.entry.splice(repeat.runs.clone(), runs);
        let made: HashMap<BufferId, usize> = repeat
            .made
            .clone()
            .map(Id::new)
            .filter(|&id| program.buffers[id].role == Role::Scratch && !packed.contains(&id))
            .map(|id| (id, program.buffers[id].ty.elements()))
            .collect();
        for (&buffer, &len) in &made {
            let Buffer { name, ty, .. } = &mut program.buffers[buffer];
            let all = len.checked_mul(repeat.count).and_then(|all| TensorType::new(ty.elem, [all], Layout::Nchw).ok());
            *ty = all.ok_or_else(|| too_large(name, &[repeat.count, len]))?;
        }
        for at in repeat.runs.clone().skip(repeat.packing.len()) {
            let Run { func, args, .. } = &program.entry[at];
            let places = args.iter().map(|arg| {
                let end = repeat.ends.iter().find(|(buffer, ..)| buffer == arg);
                let (first, step) =
                    end.map_or((0, made.get(arg).copied().unwrap_or(0)), |&(_, first, step)| (first, step));
                (program.buffers[*arg].ty.elements(), first, step)
            });
            let mut func = repeated(&program.funcs[*func], &places.collect::<Vec<_>>(), repeat.count);
            func.name = format!("{}.strips.{at}", func.name);
            program.entry[at].func = program.funcs.push(func);
        }
    }
    if !repeats.is_empty() {
        prune(program);
    }
    Ok(())
}

/// The kernel for `count` strips. `places` has for each parameter the elements of the whole buffer, the begin of the first strip, and the elements
/// from strip to strip.
fn repeated(func: &Func, places: &[(usize, usize, usize)], count: usize) -> Func {
    let mut func = func.clone();
    let strip = (count > 1).then(|| func.vars.push(Var { name: "strip".into() }));
    for (slot, &(len, ..)) in func.slots.ids().zip(places).collect::<Vec<_>>() {
        func.slots[slot].len = len;
    }
    block::each_mut(&mut func.body, &mut |stmt| {
        let shift = |slot: usize, at: &mut Affine| {
            if let Some(&(_, first, step)) = places.get(slot) {
                let strips = strip.map_or_else(Affine::default, |strip| Affine::from(strip) * step);
                *at = std::mem::take(at) + strips + first;
            }
        };
        if let Some(place) = block::place_mut(stmt) {
            shift(place.slot.index(), &mut place.at);
        }
        match stmt {
            Stmt::Call(call) => call.views_mut().for_each(|view| shift(view.slot.index(), &mut view.at)),
            Stmt::For(inner) => inner.marks.parallel &= count == 1,
            _ => {}
        }
    });
    if let Some(var) = strip {
        let (marks, body) = (parallel(), std::mem::take(&mut func.body));
        let (begin, end, span) = (0, count as i64, Span::default());
        func.body = vec![Stmt::For(For { var, begin, end, step: 1, marks, inductions: vec![], body, span })];
        compact(&mut func);
    }
    func
}
