//! The state of a lowering: the layer that is read, the program that is written, and where each value lives in it.

use std::collections::HashMap;

use convoke_ir::elem::Elem;
use convoke_ir::layer::{Def, ValueId, Verified};
use convoke_ir::loops::{BufferId, ProgramBuilder, Role};
use convoke_ir::types::{Layout, TensorType};
use convoke_machine::Machine;

use crate::error::LowerError;
use crate::known::Known;
use crate::packed::PackedWeights;
use crate::share::work;
use crate::strides::Strides;

/// A layer on its way into loops.
pub struct Lowering<'a> {
    /// The layer.
    pub layer: Verified<'a>,
    /// The CPU to compile for.
    pub machine: &'a Machine,
    /// The program so far.
    pub program: ProgramBuilder,
    /// The buffer of each value.
    pub buffers: HashMap<ValueId, BufferId>,
    /// The strides of values that are not stored densely.
    pub strides: HashMap<ValueId, Strides>,
    /// The values that are known at compile time.
    pub known: Known,
    /// The weights packed so far.
    pub packed: PackedWeights,
    /// Whether the kernels are those of a row strip; threads then share the strips, not the loops of a kernel.
    pub in_strip: bool,
}

impl<'a> Lowering<'a> {
    /// Begins to lower a layer into a program.
    pub fn new(layer: Verified<'a>, machine: &'a Machine, program: ProgramBuilder) -> Lowering<'a> {
        Lowering {
            known: Known::of(&layer),
            packed: PackedWeights::default(),
            layer,
            machine,
            program,
            buffers: HashMap::new(),
            strides: HashMap::new(),
            in_strip: false,
        }
    }

    /// Declares inputs and outputs in the order of the signature; then the constants that are read.
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
            // A value returned twice is computed once and copied; a known value is computed by `prepare` and copied.
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

    /// Gives a value a scratch buffer if it has no buffer.
    pub fn make_room(&mut self, id: ValueId) {
        let value = &self.layer.layer().values[id];
        if !self.buffers.contains_key(&id) {
            let buffer = self.program.buffer(&value.name, value.ty.clone(), Role::Scratch);
            self.buffers.insert(id, buffer);
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

    /// The work of these sizes that threads can share: 0 inside a row strip, where the loop over strips is the parallel one.
    pub fn to_share<const N: usize>(&self, sizes: [usize; N]) -> usize {
        if self.in_strip { 0 } else { work(sizes) }
    }
}
