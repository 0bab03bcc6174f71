//! The parts of a compiled program: its code, its parameters, its steps.

use convoke_ir::elem::Elem;
use convoke_ir::loops::BufferId;
use memmap2::Mmap;

use crate::element::Raw;
use crate::error::{RunError, Side};
use crate::jit::{Code, Kernel};
use crate::work;

/// The owner of the memory that kernels lie in.
pub(crate) enum Machinery {
    /// Made by this process.
    Made(Box<Code>),
    /// Loaded from a file; with the bytes of machine code.
    Loaded(#[expect(dead_code, reason = "held so that it stays mapped")] Mmap, usize),
}

/// An input or output.
#[derive(Clone, Debug)]
pub(crate) struct Param {
    pub(crate) buffer: BufferId,
    pub(crate) name: String,
    pub(crate) elem: Elem,
    pub(crate) len: usize,
}

/// One kernel of the entry.
pub(crate) struct Step {
    pub(crate) kernel: Kernel,
    pub(crate) args: Vec<BufferId>,
    /// Where its slots begin in the tables.
    pub(crate) table: usize,
    pub(crate) work: work::Step,
}

/// Checks the slices of one side and enters them in the table of buffers.
pub(crate) fn enter(
    side: Side,
    params: &[Param],
    slices: impl Iterator<Item = Raw>,
    buffers: &mut [*mut u8],
) -> Result<(), RunError> {
    for (index, (param, slice)) in params.iter().zip(slices).enumerate() {
        let name = || param.name.clone();
        if slice.elem != param.elem {
            return Err(RunError::Elem { side, index, name: name(), found: slice.elem, expected: param.elem });
        }
        if slice.len != param.len {
            return Err(RunError::Length { side, index, name: name(), found: slice.len, expected: param.len });
        }
        buffers[param.buffer.index()] = slice.begin;
    }
    Ok(())
}
