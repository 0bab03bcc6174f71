//! A program in memory, ready to run: checked at the door, then native.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use convoke_ir::elem::Elem;
use convoke_ir::loops::{BufferId, Program, Role, Run, Verified};
use convoke_machine::Machine;
use rayon::prelude::*;

use crate::aligned::Aligned;
use crate::constants::{self, Constants, Resolved};
use crate::element::{Element, Raw, Slice, SliceMut};
use crate::emit;
use crate::error::{CodegenError, RunError, Side};
use crate::jit::{Code, Kernel};
use crate::machine_code::reachable;
use crate::plan::Plan;
use crate::target::{Place, Target};
use crate::work;

/// What may be chosen about compiled code without changing what it computes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The most threads a run uses; they come from the rayon pool that `run` is called in, or the global one. 1 uses none but
    /// the caller's. `None` is as many as that pool had when the program was compiled.
    pub threads: Option<usize>,
    /// The most bytes that constants and workspace may take together.
    pub max_bytes: u64,
}

impl Default for Options {
    /// All threads, 4 GiB.
    fn default() -> Options {
        Options { threads: None, max_bytes: 4 << 30 }
    }
}

/// A compiled program. `Send + Sync`: any number of threads may run it at once, each run with a workspace of its own.
///
/// Code rounds as the calling thread's control register says: a caller that sets flush-to-zero gets flushed results
/// in its thread; other threads of the pool use their own register. The register is never changed.
pub struct Compiled {
    /// Tells the workspaces of this program from those of others.
    id: u64,
    code: Code,
    inputs: Vec<Param>,
    outputs: Vec<Param>,
    /// Constants that the entry reads, by buffer.
    constants: Vec<Option<Arc<Aligned>>>,
    steps: Vec<Step>,
    plan: Plan,
    weights_time: Duration,
    threads: usize,
    pool: Mutex<Vec<Workspace>>,
}

/// An input or output.
#[derive(Clone, Debug)]
struct Param {
    buffer: BufferId,
    name: String,
    elem: Elem,
    len: usize,
}

/// One kernel of the entry.
struct Step {
    kernel: Kernel,
    args: Vec<BufferId>,
    /// Iterations of the parallel loop; 1 without one.
    trips: u64,
    chunks: u64,
}

/// Memory for one run at a time, made by [`Compiled::workspace`].
pub struct Workspace {
    /// The `id` of the program it was made by, whose constants it points to.
    owner: u64,
    memory: Aligned,
    /// Where each buffer of the program is in this run.
    buffers: Vec<*mut u8>,
    /// Slot tables of all steps, one after the other.
    tables: Vec<*mut u8>,
}

// SAFETY: the pointers are only used within a run, which sets them anew first.
unsafe impl Send for Workspace {}

static NEXT_ID: AtomicU64 = AtomicU64::new(0);

/// Compiles a program for the CPU this process runs on.
///
/// `machine` is what the code may use; it must be a subset of this CPU. `constants` gives the numbers of constants. What the
/// program prepares is computed here, once.
pub fn compile(
    program: Verified<'_>,
    machine: &Machine,
    constants: &dyn Constants,
    options: &Options,
) -> Result<Compiled, CodegenError> {
    machine.runs_on_host()?;
    let program = program.program();
    let threads = options.threads.unwrap_or_else(rayon::current_num_threads).max(1);
    let plan = Plan::new(program, &program.entry);
    check_size(program, &plan, threads, options)?;

    let target = Target::new(machine, Place::Jit)?;
    let Resolved { memory: constants, weights_time } = constants::resolve(program, constants)?;
    let code = Code::new(program, &reachable(program, &program.entry), &target)?;
    let params = |role: Role| -> Vec<Param> {
        let with_role = program.buffers.iter().filter(|(_, buffer)| buffer.role == role);
        with_role
            .map(|(id, buffer)| Param {
                buffer: id,
                name: buffer.name.clone(),
                elem: buffer.ty.elem,
                len: buffer.ty.elements(),
            })
            .collect()
    };
    let steps = program.entry.iter().map(|run| step(program, run, &code, threads)).collect();
    Ok(Compiled {
        id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
        inputs: params(Role::Input),
        outputs: params(Role::Output),
        steps,
        code,
        constants,
        plan,
        weights_time,
        threads,
        pool: Mutex::new(Vec::new()),
    })
}

fn step(program: &Program, run: &Run, code: &Code, threads: usize) -> Step {
    let func = &program.funcs[run.func];
    let trips = emit::parallel_loop(func).map_or(1, |parallel| parallel.trips());
    let chunks = work::chunks(trips, work::of(program, func), threads);
    Step { kernel: code.kernel(run.func), args: run.args.clone(), trips, chunks }
}

/// Refuses what would need too much memory before any of it is allocated.
fn check_size(program: &Program, plan: &Plan, threads: usize, options: &Options) -> Result<(), CodegenError> {
    let constants = program.buffers.iter().filter(|(_, b)| matches!(b.role, Role::Const(_) | Role::Prepared));
    let constants: u128 = constants.map(|(_, b)| b.ty.bytes() as u128).sum();
    let workspace = plan.bytes(threads) as u128;
    // Locals of the kernels that prepare constants; freed before the first run.
    let preparing = Plan::new(program, &program.prepare).bytes(1) as u128;
    for (what, needed) in [
        ("constants", constants),
        ("workspace", workspace),
        ("memory in all", constants + workspace),
        ("memory to prepare constants", constants + preparing),
    ] {
        if needed > u128::from(options.max_bytes) {
            return Err(CodegenError::Memory { what, needed, limit: options.max_bytes });
        }
    }
    Ok(())
}

/// A step's slot table and workspace, as its threads see them.
#[derive(Clone, Copy)]
struct Shared(*const *mut u8, *mut u8);

// SAFETY: the table is only read, and iterations that run at the same time write to different elements, which is what `parallel`
// means, and to locals of their own.
unsafe impl Sync for Shared {}

/// Checks the slices of one side and enters them in the table of buffers.
fn enter(
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

impl Compiled {
    /// Runs the program: one slice for each input and output, in the order they are declared, in storage order.
    ///
    /// Everything is checked first; on an error nothing was written. All slices have the same element type here; a program with
    /// several takes [`Compiled::run_mixed`].
    pub fn run<T: Element>(&self, inputs: &[&[T]], outputs: &mut [&mut [T]]) -> Result<(), RunError> {
        self.with_workspace(|workspace| self.run_with(workspace, inputs, outputs))
    }

    /// As [`Compiled::run`], in a workspace of the caller's. Allocates nothing.
    pub fn run_with<T: Element>(
        &self,
        workspace: &mut Workspace,
        inputs: &[&[T]],
        outputs: &mut [&mut [T]],
    ) -> Result<(), RunError> {
        let (i, o) = (inputs.len(), outputs.len());
        let read = inputs.iter().map(|slice| T::slice(slice).raw());
        let write = outputs.iter_mut().map(|slice| T::slice_mut(slice).raw());
        self.run_raw(workspace, (i, read), (o, write))
    }

    /// As [`Compiled::run`], with an element type of its own for each slice.
    pub fn run_mixed(&self, inputs: &[Slice<'_>], outputs: &mut [SliceMut<'_>]) -> Result<(), RunError> {
        self.with_workspace(|workspace| {
            let (i, o) = (inputs.len(), outputs.len());
            let read = inputs.iter().map(Slice::raw);
            let write = outputs.iter_mut().map(SliceMut::raw);
            self.run_raw(workspace, (i, read), (o, write))
        })
    }

    fn with_workspace(&self, work: impl FnOnce(&mut Workspace) -> Result<(), RunError>) -> Result<(), RunError> {
        let spare = self.pool.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).pop();
        let mut workspace = spare.map_or_else(|| self.workspace(), Ok)?;
        let result = work(&mut workspace);
        self.pool.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(workspace);
        result
    }

    fn run_raw(
        &self,
        workspace: &mut Workspace,
        inputs: (usize, impl Iterator<Item = Raw>),
        outputs: (usize, impl Iterator<Item = Raw>),
    ) -> Result<(), RunError> {
        if workspace.owner != self.id {
            return Err(RunError::Workspace);
        }
        for (side, found, expected) in
            [(Side::Input, inputs.0, self.inputs.len()), (Side::Output, outputs.0, self.outputs.len())]
        {
            if found != expected {
                return Err(RunError::Count { side, found, expected });
            }
        }
        enter(Side::Input, &self.inputs, inputs.1, &mut workspace.buffers)?;
        enter(Side::Output, &self.outputs, outputs.1, &mut workspace.buffers)?;

        let mut next = 0;
        for step in &self.steps {
            let table = &mut workspace.tables[next..next + step.args.len()];
            next += step.args.len();
            for (slot, buffer) in table.iter_mut().zip(&step.args) {
                *slot = workspace.buffers[buffer.index()];
            }
            self.run_step(step, table.as_ptr(), workspace.memory.as_ptr());
        }
        Ok(())
    }

    /// `table` has the step's slots, `memory` is a workspace of this program.
    fn run_step(&self, step: &Step, table: *const *mut u8, memory: *mut u8) {
        let pointers = Shared(table, memory);
        let call = |thread: usize, chunk: u64| {
            // The whole, not its two pointers, is what may be shared among threads.
            let pointers: &Shared = &pointers;
            let Shared(table, memory) = *pointers;
            // The bounds of a chunk depend on nothing but its number.
            let bound = |chunk: u64| (u128::from(step.trips) * u128::from(chunk) / u128::from(step.chunks)) as i64;
            let (begin, end) = (bound(chunk), bound(chunk + 1));
            if begin < end {
                let local = self.plan.scratch_bytes + self.plan.local_bytes * thread;
                // SAFETY: the verifier proved that the kernel stays inside its slots; each slot is a buffer of the length the kernel
                // declares, checked at the door or laid out by the plan; no two that it writes overlap; `local` is this
                // thread's part of the workspace; the CPU has the extensions that the code uses.
                unsafe { (step.kernel)(table, memory.add(local), begin, end) }
            }
        };
        if step.chunks == 1 {
            return call(0, 0);
        }
        let threads = self.threads.min(step.chunks as usize);
        let taken = AtomicU64::new(0);
        // Each of these jobs has a thread's locals to itself, whichever thread it runs on.
        (0..threads).into_par_iter().with_max_len(1).for_each(|thread| {
            while let Some(chunk) = Some(taken.fetch_add(1, Ordering::Relaxed)).filter(|&chunk| chunk < step.chunks) {
                call(thread, chunk);
            }
        });
    }

    /// Memory for runs, to be used again and again.
    pub fn workspace(&self) -> Result<Workspace, RunError> {
        let bytes = self.workspace_bytes();
        let memory = Aligned::new(bytes).ok_or(RunError::OutOfMemory { bytes })?;
        let mut buffers = vec![std::ptr::null_mut(); self.constants.len()];
        for (i, buffer) in buffers.iter_mut().enumerate() {
            if let Some(constant) = &self.constants[i] {
                *buffer = constant.as_ptr();
            }
            if let Some(offset) = self.plan.scratch[i] {
                // SAFETY: the plan's offsets lie inside the workspace.
                *buffer = unsafe { memory.as_ptr().add(offset) };
            }
        }
        let tables = vec![std::ptr::null_mut(); self.steps.iter().map(|step| step.args.len()).sum()];
        Ok(Workspace { owner: self.id, memory, buffers, tables })
    }

    /// Bytes of scratch buffers and of the locals of every thread.
    pub fn workspace_bytes(&self) -> usize {
        self.plan.bytes(self.threads)
    }

    /// Bytes of the constants that runs read.
    pub fn constant_bytes(&self) -> usize {
        self.constants.iter().flatten().map(|constant| constant.len()).sum()
    }

    /// Bytes of machine code.
    pub fn code_bytes(&self) -> usize {
        self.code.bytes
    }

    /// How long it took to read or make the numbers of constants, and to pack and transform them, without the compilation of the code that
    /// does it.
    pub fn weights_time(&self) -> Duration {
        self.weights_time
    }

    /// Whether a run gives work to more than one thread.
    pub fn splits(&self) -> bool {
        self.steps.iter().any(|step| step.chunks > 1)
    }

    /// The most threads a run uses.
    pub fn threads(&self) -> usize {
        self.threads
    }
}
