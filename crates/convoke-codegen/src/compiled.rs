//! A program in memory, ready to run: checked at the door, then native.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use convoke_ir::elem::Subnormals;
use convoke_ir::limits::Limit;
use convoke_ir::loops::{Program, Role, Run, Verified};
use convoke_machine::Machine;
use rayon::Scope;

use crate::aligned::Aligned;
use crate::constants::{self, Constants, Resolved};
use crate::control::{self, Arguments};
use crate::convention::parallel_loop;
use crate::element::{Element, Raw, Slice, SliceMut};
use crate::error::{CodegenError, RunError, Side};
use crate::helpers::Helpers;
use crate::jit::Code;
use crate::machine_code::reachable;
use crate::options::Options;
use crate::parts::{Machinery, Param, Step, enter};
use crate::plan::Plan;
use crate::region::Region;
use crate::sanitize::{REPORT_BYTES, Report};
use crate::sanitizer::{Sanitizer, poison_outputs, written};
use crate::target::{Place, Target};
use crate::work;

/// A compiled program. `Send + Sync`: any number of threads may run it at once, each run with a workspace of its own.
///
/// Kernels round to nearest and take subnormal numbers as [`Options::subnormals`] says, whatever the control register of the calling
/// thread says; each thread that takes part has its register back after each kernel.
pub struct Compiled {
    /// Tells the workspaces of this program from those of others.
    id: u64,
    pub(crate) code: Machinery,
    pub(crate) inputs: Vec<Param>,
    pub(crate) outputs: Vec<Param>,
    /// Constants that the entry reads, by buffer.
    pub(crate) constants: Vec<Option<Arc<Aligned>>>,
    pub(crate) steps: Vec<Step>,
    /// Into how many chunks each step is split.
    chunks: Vec<u64>,
    pub(crate) plan: Plan,
    weights_time: Duration,
    pub(crate) flushed: usize,
    subnormals: Subnormals,
    threads: usize,
    pub(crate) helpers: Option<Arc<Helpers>>,
    /// Of sanitised code.
    pub(crate) sanitizer: Option<Sanitizer>,
    pool: Mutex<Vec<Workspace>>,
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
    generate(program.program(), machine, constants, options)
}

/// As [`compile`]. The program is verified, or its code is sanitised and the verifier refuses accesses alone.
pub(crate) fn generate(
    program: &Program,
    machine: &Machine,
    constants: &dyn Constants,
    options: &Options,
) -> Result<Compiled, CodegenError> {
    machine.runs_on_host()?;
    let threads = options.threads.max(1);
    let plan = Plan::of(program, &program.entry, options.sanitize);
    check_size(program, &plan, threads, options)?;
    let helpers = Helpers::of(threads, options.bounds.limits())?;

    let target = Target::new(machine, Place::Jit)?.sanitized(options.sanitize);
    let Resolved { memory: constants, weights_time, flushed } = constants::resolve(program, constants, options)?;
    let mut code = Code::new(program, &reachable(program, &program.entry), &target, &options.bounds)?;
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
    let (mut steps, mut table) = (Vec::new(), 0);
    for Run { func, args, .. } in &program.entry {
        let kernel = &program.funcs[*func];
        let trips = parallel_loop(kernel).map_or(1, |parallel| parallel.trips());
        let work = work::Step::new(program, kernel, trips);
        steps.push(Step { kernel: code.kernel(*func), args: args.clone(), table, work });
        table += args.len();
    }
    let (inputs, outputs) = (params(Role::Input), params(Role::Output));
    let sites = std::mem::take(&mut code.sites);
    let sanitizer = options.sanitize.then(|| Sanitizer::new(program, &program.entry, &plan, sites));
    let made = Compiled::new(Machinery::Made(Box::new(code)), steps, plan, machine, options);
    Ok(Compiled { inputs, outputs, constants, weights_time, flushed, helpers, sanitizer, ..made })
}

/// Refuses what would need too much memory before any of it is allocated.
fn check_size(program: &Program, plan: &Plan, threads: usize, options: &Options) -> Result<(), CodegenError> {
    let constants = program.buffers.iter().filter(|(_, b)| matches!(b.role, Role::Const(_) | Role::Prepared));
    let constants: u128 = constants.map(|(_, b)| b.ty.bytes() as u128).sum();
    let workspace = plan.bytes(threads) as u128;
    options.bounds.limits().check(Limit::Scratch, workspace, "a run needs")?;
    // Locals of the kernels that prepare constants; freed before the first run.
    let preparing = Plan::of(program, &program.prepare, options.sanitize).bytes(1) as u128;
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

/// The slot tables and the workspace of a run, as its threads see them.
struct Shared(*const *mut u8, *mut u8);

// SAFETY: the tables are only read, and iterations that run at the same time write to different elements, which is what `parallel`
// means, and to locals of their own.
unsafe impl Sync for Shared {}

impl Compiled {
    /// A program without parameters and constants.
    pub(crate) fn new(code: Machinery, steps: Vec<Step>, plan: Plan, machine: &Machine, options: &Options) -> Compiled {
        let threads = options.threads.max(1);
        let work: Vec<work::Step> = steps.iter().map(|step| step.work).collect();
        Compiled {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            code,
            inputs: Vec::new(),
            outputs: Vec::new(),
            constants: Vec::new(),
            steps,
            chunks: work::chunks(&work, threads, &machine.sharing),
            plan,
            weights_time: Duration::ZERO,
            flushed: 0,
            subnormals: options.subnormals,
            threads,
            helpers: None,
            sanitizer: None,
            pool: Mutex::new(Vec::new()),
        }
    }

    /// Runs the program: one slice for each input and output, in the order they are declared, in storage order.
    ///
    /// Everything is checked first; on an error nothing was written. All slices have the same element type here; a program with
    /// several takes [`Compiled::run_mixed`].
    pub fn run<T: Element>(&self, inputs: &[&[T]], outputs: &mut [&mut [T]]) -> Result<(), RunError> {
        self.with_workspace(|workspace| self.run_with(workspace, inputs, outputs))
    }

    /// As [`Compiled::run`], in a workspace of the caller's. Allocates nothing, but for what rayon needs to ask helpers.
    pub fn run_with<T: Element>(
        &self,
        workspace: &mut Workspace,
        inputs: &[&[T]],
        outputs: &mut [&mut [T]],
    ) -> Result<(), RunError> {
        let (i, o) = (inputs.len(), outputs.len());
        let read = inputs.iter().map(|slice| T::slice(slice).raw());
        let write = outputs.iter_mut().map(|slice| T::slice_mut(slice).raw());
        self.run_raw(workspace, (i, read), (o, write), |_| ())
    }

    /// As [`Compiled::run`], with an element type of its own for each slice.
    pub fn run_mixed(&self, inputs: &[Slice<'_>], outputs: &mut [SliceMut<'_>]) -> Result<(), RunError> {
        self.run_observed(inputs, outputs, |_| ())
    }

    /// As [`Compiled::run_mixed`]; `after` gets the number of each run of [`Program::entry`] when it is done, in order.
    pub fn run_observed(
        &self,
        inputs: &[Slice<'_>],
        outputs: &mut [SliceMut<'_>],
        after: impl FnMut(usize),
    ) -> Result<(), RunError> {
        self.with_workspace(|workspace| {
            let (i, o) = (inputs.len(), outputs.len());
            let read = inputs.iter().map(Slice::raw);
            let write = outputs.iter_mut().map(SliceMut::raw);
            self.run_raw(workspace, (i, read), (o, write), after)
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
        after: impl FnMut(usize),
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

        for step in &self.steps {
            let table = &mut workspace.tables[step.table..][..step.args.len()];
            for (slot, buffer) in table.iter_mut().zip(&step.args) {
                *slot = workspace.buffers[buffer.index()];
            }
        }
        self.poison(workspace);
        self.run_steps(&Shared(workspace.tables.as_ptr(), workspace.memory.as_ptr()), after);
        self.judge(workspace)
    }

    /// Makes all memory that sanitised code writes poison, and clears the reports.
    fn poison(&self, workspace: &Workspace) {
        let Some(sanitizer) = &self.sanitizer else { return };
        let memory = workspace.memory.as_ptr();
        // SAFETY: memory is that of the workspace, laid out by the plan; the outputs were checked at the door.
        unsafe {
            sanitizer.poison(memory);
            (0..self.threads).for_each(|thread| Report::before(self.locals(memory, thread)).clear());
            poison_outputs(&self.outputs, &workspace.buffers);
        }
    }

    /// The finding of a run of sanitised code.
    fn judge(&self, workspace: &Workspace) -> Result<(), RunError> {
        let Some(sanitizer) = &self.sanitizer else { return Ok(()) };
        let report = |thread| Report::before(self.locals(workspace.memory.as_ptr(), thread));
        // SAFETY: as above; no thread of the run is left.
        unsafe {
            let found = (0..self.threads).find_map(|thread| sanitizer.violation(report(thread)));
            found.map_or(Ok(()), |found| Err(RunError::Sanitizer(Box::new(found))))?;
            written(&self.outputs, &workspace.buffers)
        }
    }

    /// Where the locals of a thread begin in the workspace: behind its report, if there is one.
    fn locals(&self, memory: *mut u8, thread: usize) -> *mut u8 {
        let report = if self.sanitizer.is_some() { REPORT_BYTES } else { 0 };
        memory.wrapping_add(self.plan.scratch_bytes + self.plan.local_bytes * thread + report)
    }

    /// `pointers` are to the slot tables of all steps, and to a workspace of this program.
    fn run_steps(&self, pointers: &Shared, after: impl FnMut(usize)) {
        let most = self.chunks.iter().copied().max().unwrap_or(1);
        let most = (self.threads - 1).min(most as usize - 1);
        let taken = self.helpers.as_ref().filter(|_| most > 0).map(|helpers| (helpers, helpers.take(most)));
        let region = &Region::new(taken.as_ref().map_or(0, |(_, taken)| taken.count));
        let run = |step, chunk| self.run_chunk(step, chunk, 0, pointers);
        let lead = || region.lead(&self.chunks, run, after);
        match &taken {
            Some((helpers, taken)) => {
                helpers.pool.in_place_scope(|scope| self.run_together(scope, (taken.count, region), pointers, lead));
            }
            None => lead(),
        }
    }

    /// A run with helpers: the caller leads.
    fn run_together<'s>(
        &'s self,
        scope: &Scope<'s>,
        (helpers, region): (usize, &'s Region),
        pointers: &'s Shared,
        lead: impl FnOnce(),
    ) {
        for thread in 1..=helpers {
            let help = move |step: usize, chunk: u64| self.run_chunk(step, chunk, thread, pointers);
            scope.spawn(move |_| region.help(thread, &self.chunks, help));
        }
        lead();
    }

    /// A chunk of a step. Each `thread` of a run has locals to itself.
    fn run_chunk(&self, number: usize, chunk: u64, thread: usize, &Shared(tables, memory): &Shared) {
        let (chunks, step) = (self.chunks[number], &self.steps[number]);
        // The bounds of a chunk depend on nothing but its number.
        let bound = |chunk: u64| (u128::from(step.work.trips) * u128::from(chunk) / u128::from(chunks)) as i64;
        let (begin, end) = (bound(chunk), bound(chunk + 1));
        if begin < end {
            let (slots, local) = (tables.wrapping_add(step.table), self.locals(memory, thread));
            let arguments = Arguments { slots, local, range: (begin, end) };
            // SAFETY: the verifier proved that the kernel stays inside its slots, or its code checks that it does; each slot is a buffer of the length the kernel
            // declares, checked at the door or laid out by the plan; no two that it writes overlap; `local` is this
            // thread's part of the workspace; the CPU has the extensions that the code uses.
            unsafe {
                match &self.sanitizer {
                    None => control::call(step.kernel, &arguments, self.subnormals),
                    Some(sanitizer) => sanitizer.call(number, step.kernel, &arguments, self.subnormals),
                }
            }
        }
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
        match &self.code {
            Machinery::Made(code) => code.bytes,
            Machinery::Loaded(_, bytes) => *bytes,
        }
    }

    /// How long it took to read or make the numbers of constants, and to pack and transform them, without the compilation of the code that
    /// does it.
    pub fn weights_time(&self) -> Duration {
        self.weights_time
    }

    /// How many of the numbers that runs read, weights as packed among them, were subnormal and are zero now.
    pub fn flushed(&self) -> usize {
        self.flushed
    }

    /// The most threads a run uses.
    pub fn threads(&self) -> usize {
        self.threads
    }
}
