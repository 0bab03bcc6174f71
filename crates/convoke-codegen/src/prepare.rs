//! The runs that prepare constants: natively, on all processors.
//!
//! ```text
//!   pack %w0 ─► %packed0                      a chain for itself
//!   pack %w1 ─► %t ── transform %t ─► %p1     one chain: the second run reads the result of the first
//! ```
//!
//! Runs with a buffer in common that one of them writes are a chain, in order. Chains run at the same time. Scratch buffers share memory, so
//! all runs that have any are one chain.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use convoke_ir::elem::Subnormals;
use convoke_ir::limits::Bounds;
use convoke_ir::loops::{BufferId, Program, Role, Run};
use convoke_ir::values::Values;
use convoke_machine::Machine;

use crate::aligned::Aligned;
use crate::control::{self, Arguments};
use crate::convention::parallel_loop;
use crate::error::CodegenError;
use crate::helpers;
use crate::jit::Code;
use crate::machine_code::reachable;
use crate::options::Options;
use crate::plan::Plan;
use crate::sanitize::{REPORT_BYTES, Report, fill};
use crate::sanitizer::Sanitizer;
use crate::target::{Place, Target};

/// Runs `prepare` from constants, some of which are `given` and all others in `memory`, and adds the prepared buffers. Its code is for this CPU,
/// whatever the program itself is compiled for, and freed at the end. Gives how long it took to make the code.
pub(crate) fn prepare(
    program: &Program,
    given: &[Option<Values>],
    memory: &mut [Option<Arc<Aligned>>],
    options: &Options,
) -> Result<Duration, CodegenError> {
    let start = Instant::now();
    let &Options { sanitize, ref bounds, .. } = options;
    let target = Target::new(&Machine::host(), Place::Jit)?.sanitized(sanitize);
    let mut code = Code::new(program, &reachable(program, &program.prepare), &target, bounds)?;
    let code_time = start.elapsed();
    for (id, buffer) in program.buffers.iter() {
        if buffer.role == Role::Prepared {
            let held = allocate("a prepared constant", buffer.ty.bytes())?;
            if sanitize {
                // SAFETY: fresh memory of as many elements.
                unsafe { fill(held.as_ptr(), buffer.ty.elem, buffer.ty.elements()) }
            }
            memory[id.index()] = Some(Arc::new(held));
        }
    }
    let plan = Plan::of(program, &program.prepare, sanitize);
    let scratch = allocate("preparing constants", plan.scratch_bytes)?;
    let sites = std::mem::take(&mut code.sites);
    let sanitizer = sanitize.then(|| Sanitizer::new(program, &program.prepare, &plan, sites));
    if let Some(sanitizer) = &sanitizer {
        // SAFETY: fresh memory, laid out by the plan.
        unsafe { sanitizer.poison(scratch.as_ptr()) }
    }
    let preparation = Preparation { program, code: &code, given, memory, plan, scratch, bounds, sanitizer };
    helpers::map(chains(program), |chain| preparation.run(&chain)).into_iter().collect::<Result<(), _>>()?;
    Ok(code_time)
}

fn allocate(what: &'static str, bytes: usize) -> Result<Aligned, CodegenError> {
    Aligned::new(bytes).ok_or(CodegenError::OutOfMemory { what, bytes })
}

/// The runs of `prepare` as chains.
fn chains(program: &Program) -> Vec<Vec<&Run>> {
    /// A thing that one chain alone may use: a prepared buffer, or all scratch.
    fn exclusive(program: &Program, arg: BufferId) -> Option<Option<BufferId>> {
        match program.buffers[arg].role {
            Role::Prepared => Some(Some(arg)),
            Role::Scratch => Some(None),
            _ => None,
        }
    }
    let runs = &program.prepare;
    let mut chain_of: Vec<usize> = (0..runs.len()).collect();
    let mut last: HashMap<Option<BufferId>, usize> = HashMap::new();
    for (i, run) in runs.iter().enumerate() {
        for key in run.args.iter().filter_map(|&arg| exclusive(program, arg)) {
            let (from, to) = (chain_of[i], last.insert(key, i).map_or(chain_of[i], |before| chain_of[before]));
            if from != to {
                chain_of[..=i].iter_mut().filter(|chain| **chain == from).for_each(|chain| *chain = to);
            }
        }
    }
    let mut chains = vec![Vec::new(); runs.len()];
    runs.iter().zip(chain_of).for_each(|(run, chain)| chains[chain].push(run));
    chains.retain(|chain| !chain.is_empty());
    chains
}

/// Program, code and memory, which all chains share.
struct Preparation<'p> {
    program: &'p Program,
    code: &'p Code,
    given: &'p [Option<Values>],
    memory: &'p [Option<Arc<Aligned>>],
    plan: Plan,
    scratch: Aligned,
    bounds: &'p Bounds,
    sanitizer: Option<Sanitizer>,
}

impl Preparation<'_> {
    fn run(&self, chain: &[&Run]) -> Result<(), CodegenError> {
        let memory = allocate("preparing constants", self.plan.local_bytes)?;
        let local = memory.as_ptr().wrapping_add(if self.sanitizer.is_some() { REPORT_BYTES } else { 0 });
        for run in chain {
            self.bounds.on_time(format_args!("packing of weights by `@{}`", self.program.funcs[run.func].name))?;
            let slots: Vec<*mut u8> = run.args.iter().map(|&id| self.slot(id)).collect::<Result<_, _>>()?;
            let trips = parallel_loop(&self.program.funcs[run.func]).map_or(1, |parallel| parallel.trips());
            if trips > 0 {
                let arguments = Arguments { slots: slots.as_ptr(), local, range: (0, trips as i64) };
                // SAFETY: the verifier proved that the kernel stays inside its slots, each of which has the length it declares. Constants are
                // only read; what this run writes, other runs of this chain alone read or write, and they are over or have not begun.
                // Of sanitised code, which may do without the proof, the report lies in front of the locals, zero at first.
                unsafe {
                    let (kernel, subnormals) = (self.code.kernel(run.func), Subnormals::Keep);
                    let Some(sanitizer) = &self.sanitizer else {
                        control::call(kernel, &arguments, subnormals);
                        continue;
                    };
                    let step = self.program.prepare.iter().position(|other| std::ptr::eq(other, *run));
                    sanitizer.call(step.unwrap_or_default(), kernel, &arguments, subnormals);
                    if let Some(found) = sanitizer.violation(Report::before(local)) {
                        return Err(CodegenError::Sanitizer(Box::new(found)));
                    }
                }
            }
        }
        Ok(())
    }

    /// Where a buffer begins.
    fn slot(&self, id: BufferId) -> Result<*mut u8, CodegenError> {
        match (&self.given[id.index()], &self.memory[id.index()], self.plan.scratch[id.index()]) {
            (Some(values), ..) => Ok(values.bytes().as_ptr().cast_mut()),
            (None, Some(buffer), _) => Ok(buffer.as_ptr()),
            // The plan's offsets lie inside.
            (None, None, Some(offset)) => Ok(self.scratch.as_ptr().wrapping_add(offset)),
            (None, None, None) => {
                let name = &self.program.buffers[id].name;
                Err(CodegenError::Internal(format!("prepare uses %{name}, which only a run has")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_that_share_what_they_write_are_one_chain() {
        let text = "program @p {
            const %w: f32[4] = ones
            input %x: f32[4]
            output %y: f32[4]
            scratch %t: f32[4]
            scratch %u: f32[4]
            prepared %a: f32[4]
            prepared %b: f32[4]
            prepared %c: f32[4]
            prepared %d: f32[4]
            kernel @k(in %x: f32[4], out %y: f32[4]) { %0 = load f32x4 %x[0] store %y[0], %0 }
            prepare { run @k(%w, %a) run @k(%w, %t) run @k(%w, %b) run @k(%u, %c) run @k(%b, %d) run @k(%a, %d) }
            entry { run @k(%x, %y) }
        }";
        let program = convoke_ir::text::parse(text).expect("a program").programs.remove(0);
        let names = |run: &&Run| run.args.iter().map(|&id| program.buffers[id].name.as_str()).collect::<String>();
        let found: Vec<Vec<String>> = chains(&program).iter().map(|chain| chain.iter().map(names).collect()).collect();
        assert_eq!(found, [vec!["wt", "uc"], vec!["wa", "wb", "bd", "ad"]]);
    }
}
