//! The peak of generated code: multiply-adds on twelve independent accumulators in registers and nothing else.
//!
//! It is written in loop IR and compiled as any layer is, so that it measures the clock, vector width and code generator
//! of the layers that it is compared with. Twelve chains exceed latency × rate of known CPUs (4 × 2), and leave
//! registers for the two factors on machines with sixteen.

use std::time::Instant;

use convoke_codegen::{Compiled, Options};
use convoke_ir::elem::Elem;
use convoke_ir::layer::Source;
use convoke_ir::loops::{Expr, FuncBuilder, Marks, ProgramBuilder, Role, VecType, verify};
use convoke_ir::types::{Layout, TensorType};
use convoke_ir::values::Values;
use convoke_machine::Machine;

use crate::error::Error;

const CHAINS: usize = 12;
/// Multiply-adds of each chain in one iteration, so that counting iterations costs nothing.
const REPEATS: usize = 2;
const ITERATIONS: usize = 100_000;

/// A compiled loop of multiply-adds.
pub struct Peak {
    compiled: Compiled,
    output: Vec<f32>,
    flops: f64,
}

impl std::fmt::Debug for Peak {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Peak").field("flops", &self.flops).finish_non_exhaustive()
    }
}

impl Peak {
    /// Compiles the loop for `machine`, at its full vector width, in `f32`.
    ///
    /// # Errors
    ///
    /// As [`crate::Compiler::compile`].
    pub fn new(machine: &Machine) -> Result<Peak, Error> {
        let lanes = machine.lanes(Elem::F32.bytes());
        let ty = VecType { elem: Elem::F32, lanes };
        let elements = CHAINS * usize::from(lanes);
        let mut f = FuncBuilder::kernel("multiply_add");
        let y = f.output("y", Elem::F32, elements);
        // x ← x/2 + 1 tends to 2, neither to infinity nor to a subnormal. The sum is a factor, since x86 code overwrites one
        // of its factors and would have to copy a constant one first.
        let (a, b) = (f.define(ty, Expr::Const(0.5)), f.define(ty, Expr::Const(1.0)));
        let sums: Vec<_> = (0..CHAINS).map(|_| f.reg(ty, Expr::Const(0.0))).collect();
        f.for_("i", 0..ITERATIONS, Marks::default(), |f, _| {
            for &sum in sums.iter().cycle().take(CHAINS * REPEATS) {
                f.set(sum, Expr::Fma(sum, a, b));
            }
        });
        for (i, &sum) in sums.iter().enumerate() {
            f.store(y, i * usize::from(lanes), sum);
        }
        let mut program = ProgramBuilder::new("peak");
        let ty = TensorType::new(Elem::F32, [elements], Layout::Nchw).map_err(|e| Error::Build(e.into()))?;
        let y = program.buffer("y", ty, Role::Output);
        let func = program.func(f.finish());
        program.run(func, &[y]);
        let program = program.finish();
        let verified = verify(&program).expect("the loop above is valid for any number of lanes");
        let none = |_: &Source, _: &TensorType| Ok(Values::of(Elem::F32, &[]));
        let options = Options { threads: 1, ..Options::default() };
        let compiled = convoke_codegen::compile(verified, machine, &none, &options)?;
        Ok(Peak { compiled, output: vec![0.0; elements], flops: (2 * elements * REPEATS * ITERATIONS) as f64 })
    }

    /// Floating-point operations of one run of the loop.
    pub fn flops(&self) -> f64 {
        self.flops
    }

    /// Runs the loop once, some milliseconds, and gives floating-point operations per second: two for each multiply-add.
    ///
    /// # Errors
    ///
    /// [`Error::Run`] for scratch that the system does not give.
    pub fn measure(&mut self) -> Result<f64, Error> {
        let start = Instant::now();
        self.compiled.run(&[] as &[&[f32]], &mut [&mut self.output])?;
        Ok(self.flops / start.elapsed().as_secs_f64())
    }
}
