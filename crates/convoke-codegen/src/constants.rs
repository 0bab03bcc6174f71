//! The numbers of constants, as given and as prepared.

use std::sync::Arc;
use std::time::{Duration, Instant};

use convoke_ir::elem::Subnormals;
use convoke_ir::layer::Source;
use convoke_ir::loops::{Program, Role, Run};
use convoke_ir::types::TensorType;
use convoke_ir::values::{Overflow, Values};
use convoke_machine::Machine;

use crate::aligned::Aligned;
use crate::control::{self, Arguments};
use crate::convention::parallel_loop;
use crate::error::{BoxError, CodegenError};
use crate::jit::Code;
use crate::machine_code::reachable;
use crate::plan::Plan;
use crate::target::{Place, Target};

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
    subnormals: Subnormals,
) -> Result<Resolved, CodegenError> {
    let start = Instant::now();
    let (in_entry, in_prepare) = (used(program, &program.entry), used(program, &program.prepare));
    let mut memory: Vec<Option<Arc<Aligned>>> = vec![None; program.buffers.len()];
    for (id, buffer) in program.buffers.iter() {
        let Role::Const(source) = &buffer.role else { continue };
        if !in_entry[id.index()] && !in_prepare[id.index()] {
            continue;
        }
        let name = || buffer.name.clone();
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
        let held = Aligned::of(rounded.bytes());
        memory[id.index()] = Some(Arc::new(held.ok_or(CodegenError::OutOfMemory { what: "a constant", bytes })?));
    }
    let code_time = if program.prepare.is_empty() { Duration::ZERO } else { prepare(program, &mut memory)? };
    let mut flushed = 0;
    for (id, buffer) in program.buffers.iter() {
        let held = &mut memory[id.index()];
        if !in_entry[id.index()] {
            *held = None;
        } else if let Some(held) = held.as_mut().and_then(Arc::get_mut).filter(|_| subnormals == Subnormals::Flush) {
            flushed += held.flush(buffer.ty.elem);
        }
    }
    Ok(Resolved { memory, weights_time: start.elapsed().saturating_sub(code_time), flushed })
}

/// Whether some run takes each buffer.
fn used(program: &Program, runs: &[Run]) -> Vec<bool> {
    let mut used = vec![false; program.buffers.len()];
    runs.iter().flat_map(|run| &run.args).for_each(|arg| used[arg.index()] = true);
    used
}

/// Runs `prepare` natively: its code is for this CPU, whatever the program itself is compiled for, and freed at the end. Gives how
/// long it took to make.
fn prepare(program: &Program, memory: &mut [Option<Arc<Aligned>>]) -> Result<Duration, CodegenError> {
    let start = Instant::now();
    let target = Target::new(&Machine::host(), Place::Jit)?;
    let code = Code::new(program, &reachable(program, &program.prepare), &target)?;
    let code_time = start.elapsed();
    let plan = Plan::new(program, &program.prepare);
    let allocate = |what, bytes| Aligned::new(bytes).ok_or(CodegenError::OutOfMemory { what, bytes });
    for (id, buffer) in program.buffers.iter() {
        if buffer.role == Role::Prepared {
            memory[id.index()] = Some(Arc::new(allocate("a prepared constant", buffer.ty.bytes())?));
        }
    }
    let workspace = allocate("preparing constants", plan.bytes(1))?;
    for run in &program.prepare {
        let slots: Vec<*mut u8> = run
            .args
            .iter()
            .map(|&id| match (&memory[id.index()], plan.scratch[id.index()]) {
                (Some(buffer), _) => Ok(buffer.as_ptr()),
                // SAFETY: the plan's offsets lie inside the workspace.
                (None, Some(offset)) => Ok(unsafe { workspace.as_ptr().add(offset) }),
                (None, None) => {
                    let name = &program.buffers[id].name;
                    Err(CodegenError::Internal(format!("prepare uses %{name}, which only a run has")))
                }
            })
            .collect::<Result<_, _>>()?;
        let trips = parallel_loop(&program.funcs[run.func]).map_or(1, |parallel| parallel.trips());
        if trips > 0 {
            let local = workspace.as_ptr().wrapping_add(plan.scratch_bytes);
            let arguments = Arguments { slots: slots.as_ptr(), local, range: (0, trips as i64) };
            // SAFETY: the verifier proved that the kernel stays inside its slots, each of which has the length it declares. Constants are
            // only read; prepared buffers and workspace are not shared with anyone yet.
            unsafe { control::call(code.kernel(run.func), &arguments, Subnormals::Keep) }
        }
    }
    Ok(code_time)
}
