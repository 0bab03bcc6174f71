//! The numbers of constants, as given and as prepared.

use std::sync::Arc;
use std::time::{Duration, Instant};

use convoke_ir::elem::{Elem, Subnormals};
use convoke_ir::layer::Source;
use convoke_ir::loops::{Program, Role, Run};
use convoke_ir::types::TensorType;
use convoke_ir::values::{Overflow, Values};

use crate::aligned::Aligned;
use crate::error::{BoxError, CodegenError};
use crate::helpers;
use crate::options::Options;
use crate::prepare::prepare;

/// Gives the numbers of constants. Closures are such.
pub trait Constants {
    /// As many numbers as `ty` has elements, in storage order; rounded where they are of another type.
    fn values(&self, source: &Source, ty: &TensorType) -> Result<Values, BoxError>;
}

impl<F> Constants for F
where
    F: Fn(&Source, &TensorType) -> Result<Values, BoxError>,
{
    fn values(&self, source: &Source, ty: &TensorType) -> Result<Values, BoxError> {
        self(source, ty)
    }
}

/// The memory of constants.
pub(crate) struct Resolved {
    /// Of every constant and prepared buffer that `entry` reads, by buffer. What only `prepare` needed is freed.
    pub memory: Vec<Option<Arc<Aligned>>>,
    /// How long all of it took, without the compilation of `prepare`.
    pub weights_time: Duration,
    /// How many of its numbers were subnormal and are zero now.
    pub flushed: usize,
}

/// Reads constants and prepares what `entry` reads.
///
/// Where runs flush subnormal numbers, those of the result are zero: a run takes them as zero anyway, and sooner from memory.
pub(crate) fn resolve(
    program: &Program,
    constants: &dyn Constants,
    options: &Options,
) -> Result<Resolved, CodegenError> {
    let start = Instant::now();
    let (in_entry, in_prepare) = (used(program, &program.entry), used(program, &program.prepare));
    let mut memory: Vec<Option<Arc<Aligned>>> = vec![None; program.buffers.len()];
    let mut given: Vec<Option<Values>> = vec![None; program.buffers.len()];
    for (id, buffer) in program.buffers.iter() {
        let Role::Const(source) = &buffer.role else { continue };
        if !in_entry[id.index()] && !in_prepare[id.index()] {
            continue;
        }
        let name = || buffer.name.clone();
        options.bounds.on_time(format_args!("the numbers of `%{}`", buffer.name))?;
        let numbers =
            constants.values(source, &buffer.ty).map_err(|source| CodegenError::Constant { buffer: name(), source })?;
        if numbers.len() != buffer.ty.elements() {
            let (found, expected) = (numbers.len(), buffer.ty.elements());
            return Err(CodegenError::ConstantCount { buffer: name(), found, expected });
        }
        let bytes = buffer.ty.bytes();
        let rounded = numbers.to(buffer.ty.elem).map_err(|Overflow(index)| CodegenError::Constant {
            buffer: name(),
            source: format!("number {index} is beyond the largest of `{}`", buffer.ty.elem).into(),
        })?;
        // Numbers that `prepare` alone reads are not copied.
        if !in_entry[id.index()] && rounded.bytes().as_ptr().align_offset(buffer.ty.elem.bytes()) == 0 {
            given[id.index()] = Some(rounded);
            continue;
        }
        let held = Aligned::of(rounded.bytes());
        memory[id.index()] = Some(Arc::new(held.ok_or(CodegenError::OutOfMemory { what: "a constant", bytes })?));
    }
    let code_time =
        if program.prepare.is_empty() { Duration::ZERO } else { prepare(program, &given, &mut memory, options)? };
    drop(given);
    memory.iter_mut().zip(&in_entry).filter(|(_, read)| !**read).for_each(|(held, _)| *held = None);
    let flush = |(held, elem): (&mut Arc<Aligned>, Elem)| Arc::get_mut(held).map_or(0, |held| held.flush(elem));
    let held = memory.iter_mut().zip(program.buffers.iter());
    let held = held.filter_map(|(held, (_, buffer))| Some((held.as_mut()?, buffer.ty.elem))).collect();
    let flushed = match options.subnormals {
        Subnormals::Keep => 0,
        Subnormals::Flush => helpers::map(held, flush).into_iter().sum(),
    };
    Ok(Resolved { memory, weights_time: start.elapsed().saturating_sub(code_time), flushed })
}

/// Whether some run takes each buffer.
fn used(program: &Program, runs: &[Run]) -> Vec<bool> {
    let mut used = vec![false; program.buffers.len()];
    runs.iter().flat_map(|run| &run.args).for_each(|arg| used[arg.index()] = true);
    used
}
