//! The order of a layer's instructions: operands, epilogues, lifetimes, memory.

use convoke_ir::layer::{Layer, Op, ValueId};
use convoke_ir::types::TensorType;

use crate::Result;

/// For each value, the last instruction that reads it; results outlive all.
fn last_reads(layer: &Layer) -> Vec<usize> {
    let mut last = vec![0; layer.values.len()];
    for (at, instr) in layer.body.iter().enumerate() {
        instr.reads().for_each(|id| last[id.index()] = at);
        last[instr.result.index()] = at;
    }
    layer.results.iter().for_each(|id| last[id.index()] = usize::MAX);
    last
}

/// The most elements alive at any time in [`walk`], with room for one copy of an instruction's operands and result.
pub(crate) fn peak_elements(layer: &Layer) -> u128 {
    let last = last_reads(layer);
    let size = |id: ValueId| layer.ty(id).elements() as u128;
    let mut alive = vec![false; layer.values.len()];
    let mut live = 0;
    for &id in &layer.params {
        alive[id.index()] = true;
        live += size(id);
    }
    let mut peak = live;
    for (at, instr) in layer.body.iter().enumerate() {
        let touched = || instr.reads().chain([instr.result]);
        for id in touched() {
            if !std::mem::replace(&mut alive[id.index()], true) {
                live += size(id);
            }
        }
        peak = peak.max(live + touched().map(size).sum::<u128>());
        for id in touched() {
            if last[id.index()] <= at && std::mem::replace(&mut alive[id.index()], false) {
                live -= size(id);
            }
        }
    }
    let late = layer.results.iter().filter(|id| !alive[id.index()]).map(|&id| size(id)).sum::<u128>();
    peak.max(live + late)
}

/// Runs every instruction. `step` computes an op from the op, its operands, their types and the type of the result; `store` takes what the epilogue
/// gives. A value is dropped after its last use; a constant is asked for at its first.
pub(crate) fn walk<T: Clone>(
    layer: &Layer,
    inputs: Vec<T>,
    mut constant: impl FnMut(ValueId) -> Result<T>,
    mut step: impl FnMut(&Op, &[&T], &[&TensorType], &TensorType) -> Result<T>,
    mut store: impl FnMut(T, &TensorType) -> Result<T>,
) -> Result<Vec<T>> {
    let last = last_reads(layer);
    let mut values: Vec<Option<T>> = vec![None; layer.values.len()];
    for (&id, input) in layer.params.iter().zip(inputs) {
        values[id.index()] = Some(input);
    }
    for (at, instr) in layer.body.iter().enumerate() {
        for id in instr.reads() {
            if values[id.index()].is_none() {
                values[id.index()] = Some(constant(id)?);
            }
        }
        let ty = layer.ty(instr.result);
        let types: Vec<_> = instr.args.iter().map(|&id| layer.ty(id)).collect();
        let mut result =
            step(&instr.op, &instr.args.iter().map(|&id| get(&values, id)).collect::<Vec<_>>(), &types, ty)?;
        for then in &instr.then {
            let args: Vec<_> = std::iter::once(&result).chain(then.args.iter().map(|&id| get(&values, id))).collect();
            let types: Vec<_> = std::iter::once(ty).chain(then.args.iter().map(|&id| layer.ty(id))).collect();
            let next = step(&then.op, &args, &types, ty)?;
            result = next;
        }
        values[instr.result.index()] = Some(store(result, ty)?);
        for id in instr.reads().chain([instr.result]) {
            if last[id.index()] <= at {
                values[id.index()] = None;
            }
        }
    }
    let mut results = Vec::new();
    for &id in &layer.results {
        results.push(match &values[id.index()] {
            Some(value) => value.clone(),
            None => constant(id)?,
        });
    }
    Ok(results)
}

fn get<T>(values: &[Option<T>], id: ValueId) -> &T {
    values[id.index()].as_ref().expect("operands were made or asked for before")
}
