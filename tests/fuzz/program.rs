//! A verified program accesses no element outside its buffers, in the interpreter and natively, before the loop passes and after; the passes change no result
//! of the interpreter by more than rounding.

use convoke::ir::loops::{self, Buffer, Func, Program, Role, Stmt};
use convoke::ir::text::parse_bytes;
use convoke::passes::{PassError, Stage, State};
use convoke::{Compiler, Elem, Error, Files, InterpError, Machine, Subnormals};
use convoke_codegen::{CodegenError, Options};
use convoke_data as data;
use convoke_interp::run_program;
use convoke_passes::registry;
use ndarray::ArrayD;

/// Numbers at each end of an output, and what they are.
const GUARDS: usize = 64;
const GUARD: f32 = 12345.0;

/// The most statements that a run may execute, and elements that buffers may have.
const MOST: u64 = 1 << 18;

/// Statements that a function executes, about.
fn work(body: &[Stmt], funcs: &[u64]) -> u64 {
    let one = |stmt: &Stmt| match stmt {
        Stmt::For(each) => each.trips().saturating_mul(work(&each.body, funcs).saturating_add(1)),
        Stmt::Call(call) => funcs.get(call.func.index()).copied().unwrap_or(u64::MAX),
        _ => 1,
    };
    body.iter().fold(0, |sum: u64, stmt| sum.saturating_add(one(stmt)))
}

fn is_small(program: &Program) -> bool {
    let elements = program.buffers.iter().map(|(_, buffer)| buffer.ty.elements() as u64);
    let locals = program.funcs.iter().flat_map(|(_, func)| func.slots.iter()).map(|(_, slot)| slot.len as u64);
    let mut funcs = Vec::new();
    program.funcs.iter().for_each(|(_, Func { body, .. })| funcs.push(work(body, &funcs)));
    let runs = program.prepare.iter().chain(&program.entry).map(|run| funcs[run.func.index()]);
    let total = |numbers: &mut dyn Iterator<Item = u64>| numbers.fold(0, u64::saturating_add);
    total(&mut elements.chain(locals)) <= MOST && total(&mut runs.into_iter()) <= MOST
}

pub(super) fn run(bytes: &[u8]) -> bool {
    let Ok(module) = parse_bytes(bytes) else { return false };
    let runs = |program: &&Program| loops::verify(program).is_ok() && is_small(program);
    module.programs.iter().filter(runs).map(check).count() > 0
}

fn check(program: &Program) {
    let given = interpreted(program);
    native(program);
    let compiler = Compiler::host();
    let passes = registry::pipeline(2, Stage::Loops, &compiler.grants(), &[]).expect("the passes of -O2");
    let passes: Vec<_> = passes.into_iter().filter(|pass| pass.stage() == Stage::Loops).collect();
    let state = State::Loops(program.clone());
    match compiler.run_passes(state, &passes, &Files::none(), |_, _| {}) {
        Ok(State::Loops(after)) => {
            same(&given, &interpreted(&after), &after);
            native(&after);
        }
        Ok(State::Layer(_)) => panic!("loop passes gave a layer"),
        Err(Error::Pass(PassError::Refused { .. })) => {}
        Err(error) => panic!("{}\n{program}", error.render(false)),
    }
}

/// Seeded numbers for the inputs.
fn inputs(program: &Program) -> Vec<ArrayD<f64>> {
    let inputs = program.buffers.iter().filter(|(_, buffer)| buffer.role == Role::Input);
    inputs.map(|(_, buffer)| data::random(&buffer.ty, 1, &Files::none()).expect("small")).collect()
}

/// What the interpreter computes; `None` where constants have no numbers.
fn interpreted(program: &Program) -> Option<Vec<ArrayD<f64>>> {
    let verified = loops::verify(program).expect("it was verified");
    match run_program(verified, &inputs(program), &Files::none()) {
        Ok(outputs) => Some(outputs),
        Err(InterpError::Constant { .. }) => None,
        Err(error) => panic!("a verified program fails: {error}\n{program}"),
    }
}

fn same(before: &Option<Vec<ArrayD<f64>>>, after: &Option<Vec<ArrayD<f64>>>, program: &Program) {
    let (Some(before), Some(after)) = (before, after) else { return };
    let size = before.iter().flatten().fold(0.0, |most: f64, x| most.max(x.abs()));
    for (a, b) in before.iter().flatten().zip(after.iter().flatten()) {
        let near = a == b || !size.is_finite() || !a.is_finite() || (a - b).abs() <= 1e-3 * size;
        assert!(near, "{a} is {b} after the loop passes\n{program}");
    }
}

/// Compiles it, and runs it on arrays with guards at both ends.
fn native(program: &Program) {
    let constants = |source: &_, ty: &_| Ok(data::values(source, ty, &Files::none())?);
    let options = Options { threads: 2, max_bytes: 1 << 26, subnormals: Subnormals::Flush, ..Options::default() };
    let verified = loops::verify(program).expect("it was verified");
    let compiled = match convoke_codegen::compile(verified, &Machine::host(), &constants, &options) {
        Ok(compiled) => compiled,
        Err(CodegenError::Constant { .. } | CodegenError::Limit(_) | CodegenError::Memory { .. }) => return,
        Err(error) => panic!("{error}\n{program}"),
    };
    let arrays = |role: Role| program.buffers.iter().filter(move |(_, buffer)| buffer.role == role);
    if arrays(Role::Input).chain(arrays(Role::Output)).any(|(_, buffer)| buffer.ty.elem != Elem::F32) {
        return;
    }
    let inputs = inputs(program).into_iter().map(|input| input.iter().map(|&x| x as f32).collect::<Vec<_>>());
    let inputs: Vec<_> = inputs.collect();
    let guarded = |(_, buffer): (_, &Buffer)| vec![GUARD; buffer.ty.elements() + 2 * GUARDS];
    let mut outputs: Vec<_> = arrays(Role::Output).map(guarded).collect();
    let inside = outputs.iter_mut().map(|output| {
        let end = output.len() - GUARDS;
        &mut output[GUARDS..end]
    });
    let inputs: Vec<&[f32]> = inputs.iter().map(|input| &input[..]).collect();
    compiled.run(&inputs, &mut inside.collect::<Vec<_>>()).unwrap_or_else(|error| panic!("{error}\n{program}"));
    for output in &outputs {
        let guards = output[..GUARDS].iter().chain(&output[output.len() - GUARDS..]);
        assert!(guards.into_iter().all(|&guard| guard == GUARD), "an output is written outside\n{program}");
    }
}
