//! Runs of sanitised code: what is poisoned before a kernel, and what is looked at after it.

use convoke_ir::elem::{Elem, Subnormals};
use convoke_ir::loops::{Func, Program, Run};

use crate::control::{self, Arguments};
use crate::convention::locals;
use crate::error::RunError;
use crate::jit::Kernel;
use crate::parts::Param;
use crate::plan::Plan;
use crate::sanitize::{Report, Sites, Trace, Violation, fill, find};

/// What runs of a list of kernels need besides their code.
pub(crate) struct Sanitizer {
    sites: Sites,
    /// The scratch buffers, in the workspace.
    scratch: Vec<Area>,
    /// The locals of each run, in the memory of a thread.
    locals: Vec<Vec<Area>>,
}

/// Elements of one type, from a byte on.
struct Area {
    at: usize,
    elem: Elem,
    len: usize,
}

impl Area {
    /// # Safety
    ///
    /// The area lies in memory of the caller's that begins at `memory`.
    unsafe fn poison(&self, memory: *mut u8) {
        // SAFETY: the caller's promise.
        unsafe { fill(memory.wrapping_add(self.at), self.elem, self.len) }
    }
}

impl Sanitizer {
    /// For `runs`, whose memory is laid out by `plan`.
    pub(crate) fn new(program: &Program, runs: &[Run], plan: &Plan, sites: Sites) -> Sanitizer {
        let scratch = program.buffers.iter().filter_map(|(id, buffer)| {
            let at = plan.scratch[id.index()]?;
            Some(Area { at, elem: buffer.ty.elem, len: buffer.ty.elements() })
        });
        let locals = runs.iter().map(|run| areas(&program.funcs[run.func]));
        Sanitizer { sites, scratch: scratch.collect(), locals: locals.collect() }
    }

    /// Makes scratch memory poison.
    ///
    /// # Safety
    ///
    /// The plan's scratch memory begins at `memory` and is the caller's.
    pub(crate) unsafe fn poison(&self, memory: *mut u8) {
        // SAFETY: the caller's promise; the plan's areas lie inside.
        self.scratch.iter().for_each(|area| unsafe { area.poison(memory) });
    }

    /// Calls the kernel of run `step`, iteration by iteration, until a check fails. A thread that has failed calls nothing more.
    ///
    /// # Safety
    ///
    /// The kernel is sanitised code, its slots have the lengths that it declares, and behind the report of this thread lie its locals.
    pub(crate) unsafe fn call(&self, step: usize, kernel: Kernel, arguments: &Arguments, subnormals: Subnormals) {
        let report = Report::before(arguments.local);
        for i in arguments.range.0..arguments.range.1 {
            // SAFETY: the caller's promise.
            unsafe {
                if report.failed() {
                    return;
                }
                self.locals[step].iter().for_each(|area| area.poison(arguments.local));
                control::call(kernel, &Arguments { range: (i, i + 1), ..*arguments }, subnormals);
                report.of_step(step);
            }
        }
    }

    /// What the report of a thread says, if a check has failed.
    ///
    /// # Safety
    ///
    /// The report is the caller's, and was cleared before the run.
    pub(crate) unsafe fn violation(&self, report: Report) -> Option<Violation> {
        // SAFETY: the caller's promise.
        unsafe { report.failed().then(|| self.sites.violation(&report.words())) }
    }
}

/// Makes outputs poison.
///
/// # Safety
///
/// In `buffers` the outputs have the lengths that `params` says, and are the caller's.
pub(crate) unsafe fn poison_outputs(params: &[Param], buffers: &[*mut u8]) {
    for Param { buffer, elem, len, .. } in params {
        // SAFETY: the caller's promise.
        unsafe { fill(buffers[buffer.index()], *elem, *len) }
    }
}

/// Refuses outputs with an element that was not written, or was computed from memory that was not.
///
/// # Safety
///
/// As [`poison_outputs`].
pub(crate) unsafe fn written(params: &[Param], buffers: &[*mut u8]) -> Result<(), RunError> {
    for Param { buffer, name, elem, len } in params {
        // SAFETY: the caller's promise.
        if let Some((index, trace)) = unsafe { find(buffers[buffer.index()], *elem, *len) } {
            return Err(RunError::Unwritten { name: name.clone(), index, computed: trace == Trace::Computed });
        }
    }
    Ok(())
}

/// The locals of a kernel.
fn areas(func: &Func) -> Vec<Area> {
    let slots = func.slots.iter().zip(locals(func).0);
    slots.filter_map(|((_, slot), at)| Some(Area { at: at?, elem: slot.elem, len: slot.len })).collect()
}
