//! From layer IR to loops: what all lowerings share, and every op but convolution.
//!
//! ```text
//! planned layer ──► buffers: inputs, outputs, constants, scratch
//!                   prepare: values known at compile time; weights among them packed for the codelets that read them
//!                   entry:   one or more kernels for each other op; weights of the run packed before
//! ```
//!
//! Kernels walk over tiles and call codelets. Codelets are scalar loop nests with marks, which the loop passes turn into vector code.
//! A matrix product ([`product`]) sums a tile into a small local buffer, and a store codelet ([`store`]) takes it through the epilogue to
//! its place. A padded input is copied into a buffer with a halo first, so that no loop has to ask where it is.
//!
//! Lowering decides nothing that a plan says: it depends on no cost model.
//!
//! | module | holds |
//! |---|---|
//! | [`strides`], [`halo`], [`blocked`] | where the elements of an image lie, and copies with a border |
//! | [`cuts`], [`marks`], [`share`] | axes cut into tiles, loops over them, and which loop threads share |
//! | [`product`], [`store`], [`epilogue`] | the codelets of a tile |
//! | [`packed`], [`known`] | work of compile time |
//! | [`stored`] | buffers of types that are stored alone |
//! | [`register_tile`] | the accumulators that registers hold |

pub mod block_transpose;
pub mod blocked;
pub mod cuts;
pub mod epilogue;
pub mod halo;
pub mod known;
pub mod marks;
mod math;
mod not_finite;
mod ops;
pub mod packed;
mod pointwise;
pub mod product;
pub mod register_tile;
pub mod share;
pub mod store;
pub mod stored;
pub mod strides;

use std::collections::HashMap;

use convoke_ir::attr::Plan;
use convoke_ir::elem::Elem;
use convoke_ir::layer::{Def, Instr, Op, ValueId, Verified};
use convoke_ir::loops::{BufferId, ProgramBuilder, Role};
use convoke_ir::shape::ShapeError;
use convoke_ir::types::{Layout, TensorType, TypeError};
use convoke_machine::Machine;

use epilogue::{Epilogue, Operand};
use known::Known;
pub use not_finite::with_padding_read;
use packed::Shared;
use strides::Strides;

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
    /// The plan does not compute this convolution.
    #[error("`%{value}`: algorithm `{plan}` {reason}")]
    Algorithm {
        /// The convolution's result.
        value: String,
        /// The plan.
        plan: Box<Plan>,
        /// What it needs and what it got.
        reason: String,
    },
    /// A convolution cannot be computed by fused row strips.
    #[error("`%{value}`: `band` {reason}")]
    Band {
        /// The convolution's result.
        value: String,
        /// Why not.
        reason: &'static str,
    },
    /// A value cannot lie as it is said to.
    #[error("`%{value}`: storage `{storage}` {reason}")]
    Storage {
        /// The value.
        value: String,
        /// How it is to lie.
        storage: convoke_ir::layer::Storage,
        /// Why not.
        reason: &'static str,
    },
    /// The indices of a gather, or the neighbours of a resize, fall into too many runs of equal steps.
    #[error(
        "`%{value}` would copy {runs} runs of elements one by one, the limit is {limit}; where the indices are in no order, \
         cut the list in parts and concatenate what they give"
    )]
    Runs {
        /// The value.
        value: String,
        /// How many there are.
        runs: usize,
        /// How many there may be.
        limit: usize,
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

/// A layer on its way into loops.
pub struct Lowering<'a> {
    /// The layer.
    pub layer: Verified<'a>,
    /// The CPU that code is made for.
    pub machine: &'a Machine,
    /// The loops so far.
    pub program: ProgramBuilder,
    /// Where each value lives.
    pub buffers: HashMap<ValueId, BufferId>,
    /// The strides of values that are not stored densely.
    pub strides: HashMap<ValueId, Strides>,
    /// The values that are known at compile time.
    pub known: Known,
    /// The weights packed so far.
    pub packed: Shared,
    /// Whether the kernels are repeated for each of several row strips, which threads share.
    pub in_strip: bool,
}

impl<'a> Lowering<'a> {
    /// Begins to lower a layer into a program.
    pub fn new(layer: Verified<'a>, machine: &'a Machine, program: ProgramBuilder) -> Lowering<'a> {
        Lowering {
            known: Known::of(&layer),
            packed: Shared::default(),
            layer,
            machine,
            program,
            buffers: HashMap::new(),
            strides: HashMap::new(),
            in_strip: false,
        }
    }

    /// Declares inputs and outputs in the order of the signature; then constants that something reads.
    pub fn declare(&mut self) {
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

    /// Copies to the outputs that no instruction writes: parameters and known values handed through, and repeated results.
    pub fn copy_results(&mut self) {
        let layer = self.layer.layer();
        let outputs = self.program.outputs();
        for (&id, output) in layer.results.iter().zip(outputs) {
            if self.buffers[&id] != output {
                self.copy_all(self.buffers[&id], output);
            }
        }
    }

    /// Lowers an instruction that is no convolution.
    pub fn op(&mut self, instr: &'a Instr) -> Result<(), LowerError> {
        // Reshaping moves nothing: the result is the same memory, unless a caller owns it.
        if matches!(instr.op, Op::Reshape(_)) && instr.then.is_empty() && !self.buffers.contains_key(&instr.result) {
            self.buffers.insert(instr.result, self.buffers[&instr.args[0]]);
            return Ok(());
        }
        self.make_room(instr.result);
        match &instr.op {
            Op::MaxPool(pool) => self.max_pool(instr, pool),
            Op::AvgPool(pool) => self.avg_pool(instr, pool),
            Op::GlobalAvgPool(_) => {
                self.global_avg_pool(instr);
                Ok(())
            }
            Op::MatMul(_) => self.matmul(instr),
            Op::Pad(pad) => self.pad(instr, pad),
            Op::Concat(_) | Op::Reshape(_) | Op::Transpose(_) | Op::ToLayout(_) | Op::Slice(_) | Op::Broadcast(_) => {
                self.movement(instr);
                Ok(())
            }
            Op::Gather(gather) => self.gather(instr, gather),
            Op::Resize(resize) => self.resize(instr, resize),
            op if op.reduction().is_some() => self.reduce(instr),
            op if op.is_elementwise() => {
                let (epilogue, first) = Epilogue::whole(self, instr);
                self.elementwise(instr.result, &epilogue, &first);
                Ok(())
            }
            other => unreachable!("`{}` is neither elementwise nor listed above", other.name()),
        }
    }

    /// Memory for a value that has none.
    pub fn make_room(&mut self, id: ValueId) {
        let value = &self.layer.layer().values[id];
        if !self.buffers.contains_key(&id) {
            let buffer = self.program.buffer(&value.name, value.ty.clone(), Role::Scratch);
            self.buffers.insert(id, buffer);
        }
    }

    /// How an epilogue reads the value `id`.
    fn operand(&self, id: ValueId, strides: Vec<usize>) -> Operand {
        let ty = self.ty(id);
        Operand { buffer: self.buffers[&id], elem: ty.elem, len: ty.elements(), strides }
    }

    /// Applies an epilogue that the op itself could not take along, in place.
    pub fn epilogue_in_place(&mut self, instr: &'a Instr) {
        let epilogue = Epilogue::of(self, instr);
        if !instr.then.is_empty() {
            debug_assert!(
                !self.strides.contains_key(&instr.result),
                "epilogues of row strips are the same in all rows and fused"
            );
            let ty = self.ty(instr.result);
            let first = self.operand(instr.result, ty.shape.strides());
            self.elementwise(instr.result, &epilogue, &first);
        }
    }

    /// A flat buffer of `len` elements.
    pub fn flat(&mut self, name: &str, elem: Elem, len: usize, role: Role) -> Result<BufferId, LowerError> {
        let ty = TensorType::new(elem, [len], Layout::Nchw)
            .map_err(|source| LowerError::TooLarge { what: name.into(), source })?;
        Ok(self.program.buffer(name, ty, role))
    }

    /// The type of a value.
    pub fn ty(&self, id: ValueId) -> &'a TensorType {
        self.layer.layer().ty(id)
    }

    /// The name of a value.
    pub fn name(&self, id: ValueId) -> &'a str {
        &self.layer.layer().values[id].name
    }

    /// The lanes of a vector.
    pub fn lanes(&self, elem: Elem) -> u8 {
        self.machine.lanes(elem.bytes())
    }
}

/// The error of a size that has no room in 2^44 elements.
pub fn too_large(what: &str, dims: &[usize]) -> LowerError {
    LowerError::TooLarge { what: what.into(), source: ShapeError::TooLarge { dims: dims.to_vec() }.into() }
}
