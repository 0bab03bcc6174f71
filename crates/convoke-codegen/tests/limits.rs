//! What would take more memory than allowed is refused before any of it is allocated.

use convoke_codegen::{BoxError, CodegenError, Options, compile};
use convoke_ir::elem::Elem;
use convoke_ir::layer::Source;
use convoke_ir::limits::Bounds;
use convoke_ir::loops::*;
use convoke_ir::types::{Layout, TensorType};
use convoke_ir::values::Values;
use convoke_machine::Machine;

/// 256 GiB: more than a test machine has, less than a program may name.
const HUGE: usize = 1 << 36;
const ELEM: Elem = Elem::F32;

/// Copies one element through a local of `local` elements.
fn copy(local: usize) -> Func {
    let mut f = FuncBuilder::kernel("copy");
    let (x, y) = (f.input("x", ELEM, 1), f.output("y", ELEM, 1));
    let through = f.local("local", ELEM, local);
    let v = f.load(x, 0usize);
    f.store(through, 0usize, v);
    let v = f.load(through, 0usize);
    f.store(y, 0usize, v);
    f.finish()
}

/// `y = packed`, where `packed` is prepared from a constant.
fn program(prepare_local: usize, run_local: usize) -> Program {
    let ty = || TensorType::new(ELEM, vec![1], Layout::Nchw).expect("small");
    let mut program = ProgramBuilder::new("limits");
    let w = program.buffer("w", ty(), Role::Const(Source::Numbers(vec![3.5])));
    let packed = program.buffer("packed", ty(), Role::Prepared);
    let y = program.buffer("y", ty(), Role::Output);
    let pack = program.func(copy(prepare_local));
    program.prepare(pack, &[w, packed]);
    let run = program.func(copy(run_local));
    program.run(run, &[packed, y]);
    program.finish()
}

fn compiled(program: &Program, max_bytes: u64, threads: usize) -> Result<Vec<f32>, CodegenError> {
    let one = |_: &Source, _: &TensorType| -> Result<Values, BoxError> { Ok(Values::of(Elem::F32, &[3.5])) };
    let options = Options { threads, max_bytes, ..Options::default() };
    let verified = verify(program).unwrap_or_else(|found| panic!("{found:#?}"));
    let compiled = compile(verified, &Machine::host(), &one, &options)?;
    let mut y = [0.0];
    compiled.run(&[], &mut [&mut y]).expect("the lengths are right");
    Ok(y.to_vec())
}

/// Displacements have 32 bits; what lies further is reached all the same. Only assembled: nobody has the memory to run it.
#[test]
fn memory_beyond_a_displacement_is_reached() {
    let ty = |n: usize| TensorType::new(ELEM, vec![n], Layout::Nchw).expect("it has a shape");
    let (apart, lanes) = (1usize << 28, 4u8);
    let mut program = ProgramBuilder::new("far");
    let (x, y) = (program.buffer("x", ty(3 * apart + 1), Role::Input), program.buffer("y", ty(4), Role::Output));
    let mut f = FuncBuilder::kernel("far");
    let (a, b) = (f.input("x", ELEM, 3 * apart + 1), f.output("y", ELEM, 4));
    f.local("large", ELEM, 1 << 29);
    let small = f.local("small", ELEM, 4);
    let place = Place { slot: a, at: Affine::default(), stride: apart as i64, lanes };
    let vector = f.define(VecType { elem: ELEM, lanes }, Expr::Load(place));
    f.store(small, 0usize, vector);
    let vector = f.load_vector(small, 0usize, lanes);
    f.store(b, 0usize, vector);
    let kernel = program.func(f.finish());
    program.run(kernel, &[x, y]);
    let program = program.finish();
    let verified = verify(&program).unwrap_or_else(|found| panic!("{found:#?}"));
    for machine in ["x86-64-v3", "x86-64-v4", "avx10.1-256"].map(|name| Machine::named(name).expect("listed")) {
        let text = convoke_codegen::asm(verified, &machine, &Bounds::default()).expect("it assembles");
        // Lanes 1, 2 and 3, and the local behind 2 GiB of another.
        for (bytes, times) in [("40000000h", 1), ("80000000h", 2), ("0C0000000h", 1)] {
            assert_eq!(text.matches(&format!(", {bytes}")).count(), times, "{}: {bytes} in\n{text}", machine.name);
        }
    }
}

#[test]
fn small_programs_are_under_the_limit() {
    assert_eq!(compiled(&program(1, 1), 1 << 20, 1).expect("it compiles"), [3.5]);
}

#[test]
fn memory_of_runs_is_limited() {
    let result = compiled(&program(1, HUGE), 4 << 30, 1);
    assert!(matches!(result, Err(CodegenError::Memory { what: "workspace", .. })), "{result:?}");
    // Each thread has locals of its own; so many that the sum is no `usize` any more.
    let result = compiled(&program(1, HUGE), u64::MAX - 1, usize::MAX);
    assert!(matches!(result, Err(CodegenError::Memory { what: "workspace", .. })), "{result:?}");
}

#[test]
fn memory_to_prepare_constants_is_limited() {
    let result = compiled(&program(HUGE, 1), 4 << 30, 1);
    assert!(matches!(result, Err(CodegenError::Memory { what: "memory to prepare constants", .. })), "{result:?}");
}
