//! Lowering: each op of the layer IR as loops.
//!
//! ```text
//! layer IR, algorithms chosen ──► buffers: inputs, outputs, constants, scratch
//!                                 prepare: values known at compile time; weights among them packed for the codelets that read them
//!                                 entry:   one or more kernels for each other op; weights of the run packed before
//! ```
//!
//! Kernels walk over tiles and call codelets; codelets are scalar loop nests with marks, which the loop passes turn
//! into vector code. A product (direct, im2col, pooling) sums a tile into a small local buffer, and a *store codelet*
//! takes it through the epilogue to where it belongs. A padded input is copied into a buffer with a halo first, so
//! that no loop has to ask where it is.
//!
//! Where few products meet in a sum, both would cost more than they save: tiles of pixels ([`pixels`]) or of channels ([`channels`]) in
//! the lanes are summed and stored by one codelet, written as vectors, and tiles at the edges have codelets of their own.

mod bands;
mod between;
mod blocked;
mod blocking;
mod chain;
mod channels;
mod compact;
mod conv;
mod copy;
mod direct;
mod elementwise;
mod gather;
mod grid;
mod halo;
mod im2col;
mod math;
mod matmul;
mod not_finite;
mod packed;
mod pixels;
mod plateaus;
mod pool;
mod share;
mod stored;
mod strassen;
pub(crate) mod tile;
mod tiles;
mod transposed;
mod turn;

use std::collections::{HashMap, HashSet};

use convoke_ir::attr::Algorithm;
use convoke_ir::elem::Elem;
use convoke_ir::layer::{Def, Instr, Layer, Op, ValueId, Verified, verify};
use convoke_ir::loops::{BufferId, Program, ProgramBuilder, Role};
use convoke_ir::shape::ShapeError;
use convoke_ir::types::{Layout, TensorType, TypeError};
use convoke_machine::Machine;

use crate::bands::{chain, ends, links};
use crate::known::Known;
use crate::rewrite::edit;
use bands::Repeat;
use between::Kept;
use chain::{Chain, Operand};
use grid::Grid;
pub(crate) use not_finite::with_padding_read;
use packed::Shared;

/// Why a layer cannot be lowered.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LowerError {
    /// Nobody chose an algorithm.
    #[error("`%{value}`: no algorithm is chosen; run `select` before lowering")]
    NotSelected {
        /// The convolution's result.
        value: String,
    },
    /// The chosen algorithm does not compute this convolution.
    #[error("`%{value}`: algorithm `{algorithm}` {reason}")]
    Algorithm {
        /// The convolution's result.
        value: String,
        /// The algorithm.
        algorithm: Algorithm,
        /// What it needs and what it got.
        reason: String,
    },
    /// A convolution cannot be computed by bands.
    #[error("`%{value}`: `band` {reason}")]
    Band {
        /// The convolution's result.
        value: String,
        /// Why not.
        reason: &'static str,
    },
    /// A buffer between two ops would be too large.
    #[error("a buffer for `{what}` would be too large: {source}")]
    TooLarge {
        /// What it holds.
        what: String,
        /// Why there is no such tensor.
        source: TypeError,
    },
}

/// Lowers a layer whose convolutions have their algorithm, for a machine.
pub fn lower(layer: Verified<'_>, machine: &Machine) -> Result<Program, LowerError> {
    match stored::widened(layer.layer(), machine) {
        None => lowered(layer, None, machine),
        Some(wide) => {
            let verified = verify(&wide.layer).expect("a layer in the types computed in");
            lowered(verified, Some((layer.layer(), &wide)), machine)
        }
    }
}

/// Lowers a layer of types that are computed with; its values are stored as those of the other are, if there is one.
fn lowered(
    layer: Verified<'_>,
    stored: Option<(&Layer, &stored::Widened)>,
    machine: &Machine,
) -> Result<Program, LowerError> {
    let program = ProgramBuilder::new(layer.name.clone());
    let mut lowering = Lowering::new(layer, machine, program);
    lowering.declare();
    // What takes turns is lowered where the last of it stands.
    let links = links(layer.layer());
    let mut chains = HashMap::new();
    for end in ends(layer.layer(), &links) {
        let value = || layer.values[layer.layer().body[end].result].name.clone();
        let chain = chain(layer.layer(), &links, end).map_err(|reason| LowerError::Band { value: value(), reason })?;
        chains.insert(end, chain);
    }
    let earlier: HashSet<usize> = chains.values().flat_map(|chain| &chain[..chain.len() - 1]).copied().collect();
    for (i, instr) in layer.layer().body.iter().enumerate().filter(|(i, _)| !earlier.contains(i)) {
        match chains.get(&i) {
            Some(chain) => lowering.chain(chain)?,
            None => lowering.when_known(instr)?,
        }
    }
    lowering.copy_results();
    let mut program = lowering.program.finish();
    if let Some((stored, wide)) = stored {
        stored::store(&mut program, stored, wide, &lowering.buffers);
    }
    bands::repeat(&mut program, &lowering.repeats)?;
    Ok(program)
}

/// A layer on its way into loops.
struct Lowering<'a> {
    layer: Verified<'a>,
    machine: &'a Machine,
    program: ProgramBuilder,
    /// Where each value lives.
    buffers: HashMap<ValueId, BufferId>,
    /// The values that stay in blocks of channels, and have no buffer of their own.
    kept: HashMap<ValueId, Kept>,
    /// How the values lie that are not stored densely.
    grids: HashMap<ValueId, Grid>,
    repeats: Vec<Repeat>,
    /// For each value, the place of the only instruction that reads it, if there is one.
    readers: Vec<Option<usize>>,
    /// The values that are known at compile time.
    known: Known,
    /// The weights packed so far.
    packed: Shared,
    /// Whether what is lowered is done for each of several bands.
    in_band: bool,
}

impl<'a> Lowering<'a> {
    fn new(layer: Verified<'a>, machine: &'a Machine, program: ProgramBuilder) -> Lowering<'a> {
        Lowering {
            known: Known::of(&layer),
            readers: edit::single_readers(&layer),
            packed: Shared::default(),
            layer,
            machine,
            program,
            buffers: HashMap::new(),
            kept: HashMap::new(),
            grids: HashMap::new(),
            repeats: Vec::new(),
            in_band: false,
        }
    }

    /// Inputs and outputs in the order of the signature; then constants that something reads.
    fn declare(&mut self) {
        let layer = self.layer.layer();
        for &id in &layer.params {
            let value = &layer.values[id];
            let buffer = self.program.buffer(&value.name, value.ty.clone(), Role::Input);
            self.buffers.insert(id, buffer);
        }
        for &id in &layer.results {
            let value = &layer.values[id];
            let buffer = self.program.buffer(&value.name, value.ty.clone(), Role::Output);
            // A value returned twice is computed once and copied, and so is one that is known.
            if value.def == Def::Instr && !self.known.has(id) {
                self.buffers.entry(id).or_insert(buffer);
            }
        }
        let uses = layer.uses();
        for (id, value) in layer.values.iter().filter(|(id, _)| uses[id.index()] > 0) {
            if let Def::Const(source) = &value.def {
                let buffer = self.program.buffer(&value.name, value.ty.clone(), Role::Const(source.clone()));
                self.buffers.insert(id, buffer);
            }
        }
    }

    /// Outputs that no instruction writes: parameters and what is known handed through, and repeated results.
    fn copy_results(&mut self) {
        let layer = self.layer.layer();
        let outputs = self.program.outputs();
        for (&id, output) in layer.results.iter().zip(outputs) {
            if self.buffers[&id] != output {
                self.copy_all(self.buffers[&id], output);
            }
        }
    }

    fn instr(&mut self, instr: &'a Instr) -> Result<(), LowerError> {
        // Reshaping moves nothing: the result is the same memory, unless a caller owns it.
        if matches!(instr.op, Op::Reshape(_)) && instr.then.is_empty() && !self.buffers.contains_key(&instr.result) {
            self.buffers.insert(instr.result, self.buffers[&instr.args[0]]);
            return Ok(());
        }
        if !self.keep_in_blocks(instr)? {
            self.make_room(instr.result);
        }
        match &instr.op {
            Op::Conv2d(conv) => self.conv2d(instr, conv),
            Op::MaxPool(pool) => self.max_pool(instr, pool),
            Op::AvgPool(pool) => self.avg_pool(instr, pool),
            Op::GlobalAvgPool(_) => {
                self.global_avg_pool(instr);
                Ok(())
            }
            Op::MatMul(_) => self.matmul(instr),
            Op::Pad(pad) => self.pad(instr, pad),
            Op::Concat(_) | Op::Reshape(_) | Op::Transpose(_) | Op::ToLayout(_) => {
                self.movement(instr);
                Ok(())
            }
            op if op.is_elementwise() => {
                let (chain, first) = Chain::whole(self, instr);
                self.elementwise(instr.result, &chain, &first);
                Ok(())
            }
            other => unreachable!("`{}` is neither elementwise nor listed above", other.name()),
        }
    }

    /// Memory for a value that has none.
    fn make_room(&mut self, id: ValueId) {
        let value = &self.layer.layer().values[id];
        if !self.buffers.contains_key(&id) {
            let buffer = self.program.buffer(&value.name, value.ty.clone(), Role::Scratch);
            self.buffers.insert(id, buffer);
        }
    }

    /// How a chain reads the value `id`.
    fn operand(&self, id: ValueId, strides: Vec<usize>) -> Operand {
        let ty = self.ty(id);
        Operand { buffer: self.buffers[&id], elem: ty.elem, len: ty.elements(), strides }
    }

    /// Applies an epilogue that the op itself could not take along, in place.
    fn epilogue_in_place(&mut self, instr: &'a Instr) {
        let chain = Chain::epilogue(self, instr);
        if !instr.then.is_empty() {
            debug_assert!(
                !self.grids.contains_key(&instr.result),
                "epilogues of bands are the same in all rows and fused"
            );
            let ty = self.ty(instr.result);
            let first = self.operand(instr.result, ty.shape.strides());
            self.elementwise(instr.result, &chain, &first);
        }
    }

    /// A flat buffer of `len` elements.
    fn flat(&mut self, name: &str, elem: Elem, len: usize, role: Role) -> Result<BufferId, LowerError> {
        let ty = TensorType::new(elem, [len], Layout::Nchw)
            .map_err(|source| LowerError::TooLarge { what: name.into(), source })?;
        Ok(self.program.buffer(name, ty, role))
    }

    fn ty(&self, id: ValueId) -> &'a TensorType {
        self.layer.layer().ty(id)
    }

    fn name(&self, id: ValueId) -> &'a str {
        &self.layer.layer().values[id].name
    }

    fn lanes(&self, elem: Elem) -> u8 {
        self.machine.lanes(elem.bytes())
    }
}

/// The error of a size that has no room in 2^44 elements.
fn too_large(what: &str, dims: &[usize]) -> LowerError {
    LowerError::TooLarge { what: what.into(), source: ShapeError::TooLarge { dims: dims.to_vec() }.into() }
}
