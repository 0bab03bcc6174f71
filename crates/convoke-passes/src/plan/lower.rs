//! `lower`: make loops of a layer whose convolutions have plans.

use std::collections::{HashMap, HashSet};

use convoke_conv::strips::{chain, ends, links};
use convoke_conv::{broadcasts_in_place, storage, strips};
use convoke_ir::layer::{Instr, Layer, Op, Verified, verify};
use convoke_ir::limits::Bounds;
use convoke_ir::loops::{Program, ProgramBuilder};
use convoke_lower::halves::{self, Widened};
use convoke_lower::{LowerError, Lowering};
use convoke_machine::Machine;

use crate::loops::repeat;

/// Lowers a layer whose convolutions have their plans, for a machine.
///
/// # Errors
///
/// A convolution without a plan, or with one that does not compute it; strips and storage that are impossible; buffers that are too large; the time is
/// over.
pub fn lower(layer: Verified<'_>, machine: &Machine, bounds: &Bounds) -> Result<Program, LowerError> {
    match halves::widened(layer.layer(), broadcasts_in_place) {
        None => lowered(layer, None, machine, bounds),
        Some(wide) => {
            let verified = verify(&wide.layer).expect("a layer in the types computed in");
            lowered(verified, Some((layer.layer(), &wide)), machine, bounds)
        }
    }
}

/// Lowers a layer without half types. `stored`: the layer whose value types the buffers get, if that is another.
fn lowered(
    layer: Verified<'_>,
    stored: Option<(&Layer, &Widened)>,
    machine: &Machine,
    bounds: &Bounds,
) -> Result<Program, LowerError> {
    storage::check(&layer, machine)?;
    let mut lowering = Lowering::new(layer, machine, ProgramBuilder::new(layer.name.clone()));
    lowering.declare();
    // Fused convolutions are lowered in the place of the last of them.
    let links = links(layer.layer());
    let mut chains = HashMap::new();
    for end in ends(layer.layer(), &links) {
        let value = || layer.values[layer.layer().body[end].result].name.clone();
        let chain = chain(layer.layer(), &links, end).map_err(|reason| LowerError::Band { value: value(), reason })?;
        chains.insert(end, chain);
    }
    let earlier: HashSet<usize> = chains.values().flat_map(|chain| &chain[..chain.len() - 1]).copied().collect();
    let mut repeats = Vec::new();
    for (i, instr) in layer.layer().body.iter().enumerate().filter(|(i, _)| !earlier.contains(i)) {
        let value = &layer.values[instr.result].name;
        bounds.on_time(format_args!("lowering of `%{value}`")).map_err(LowerError::Late)?;
        match chains.get(&i) {
            Some(chain) => repeats.extend(strips::lower(&mut lowering, chain)?),
            None => when_known(&mut lowering, instr)?,
        }
    }
    lowering.copy_results();
    let mut program = lowering.program.finish();
    if let Some((layer, wide)) = stored {
        halves::store(&mut program, layer, wide, &lowering.buffers);
    }
    repeat::repeat(&mut program, &repeats)?;
    Ok(program)
}

/// Lowers an instruction: into `prepare` if its result is known at compile time.
fn when_known<'a>(lowering: &mut Lowering<'a>, instr: &'a Instr) -> Result<(), LowerError> {
    let program = lowering.program.program();
    let (runs, made) = (program.entry.len(), program.buffers.len());
    match instr.op {
        Op::Conv2d(_) => convoke_conv::lower(lowering, instr)?,
        _ => lowering.op(instr)?,
    }
    if lowering.known.has(instr.result) {
        lowering.program.prepare_from(runs, made);
    }
    Ok(())
}
