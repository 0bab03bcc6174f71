//! The programs that are timed. Each is a kernel that calls one codelet some times, over an input and an output in `f32`.
//!
//! Codelets are written as lowering writes them and go through the same loop passes, so that the timed code is that of layers.

use std::time::{Duration, Instant};

use convoke_codegen::{Compiled, Options};
use convoke_data::Files;
use convoke_ir::elem::Elem;
use convoke_ir::layer::Source;
use convoke_ir::loops::{
    Affine, BinOp, Expr, Func, FuncBuilder, Marks, Place, ProgramBuilder, Role, SlotId, ValId, VecType, verify,
};
use convoke_ir::types::{Layout, TensorType};
use convoke_ir::values::Values;
use convoke_machine::Machine;
use convoke_passes::{Grants, Stage, State, registry};

use crate::compiler::Compiler;
use crate::error::Error;
use crate::memory;

/// Rows and vectors of the register tiles that are timed, by growing number of accumulators; those whose accumulators fill all registers of a machine with
/// few are left out.
pub(super) fn tiles(machine: &Machine) -> Vec<[usize; 2]> {
    let all = [[1, 1], [2, 1], [2, 2], [4, 2], [6, 2], [14, 2]];
    let most = machine.vector_registers as usize * if machine.vector_bits > 128 { 7 } else { 4 } / 8;
    all.into_iter().filter(|[rows, vectors]| rows * vectors <= most).collect()
}
/// Depths of the reductions that are timed.
pub(super) const DEPTHS: [usize; 4] = [9, 36, 144, 576];
/// Operations of the shorter and the longer straight-line code, whose difference is timed.
pub(super) const OPERATIONS: [usize; 2] = [32, 160];
/// As [`OPERATIONS`], for loads that are added up.
pub(super) const LOADS: [usize; 2] = [32, 160];
/// Vectors that a codelet moves: 4 KiB of them stay in the nearest cache.
pub(super) const MOVES: usize = 256;

/// Vectors in straight-line code.
const WIDTH: usize = 8;
/// Elements from lane to lane of gathers and scatters: more than a cache line, and no power of two.
const APART: usize = 19;
/// The largest array that memory is read from.
const MEMORY: usize = 256 << 20;
/// Cycles that a run takes, about.
const RUN: usize = 100_000;
const ELEM: Elem = Elem::F32;

/// The kinds of timed programs. The unit of each is one of the things in its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Multiply-adds of vectors in twelve independent accumulators.
    MultiplyAdd,
    /// Multiply-adds of vectors, each waiting for the one before.
    Chain,
    /// Bytes read in order from this level of cache; the level after the last is memory.
    Read(usize),
    /// Calls of a codelet that does next to nothing.
    Call,
    /// Calls of a product of this tile, rows and vectors, and this depth of [`DEPTHS`].
    Product([usize; 2], usize),
    /// Calls of straight-line code with this number of [`OPERATIONS`] between as many loads and stores.
    Operations(usize),
    /// Calls of straight-line code with this number of [`LOADS`], each added to a sum.
    Loads(usize),
    /// Calls of a copy of [`MOVES`] vectors.
    Copy,
    /// Calls of a copy of [`MOVES`] vectors, whose elements are loaded from places apart.
    Gather,
    /// Calls of a copy of [`MOVES`] vectors, whose elements are stored to places apart.
    Scatter,
}

impl Kind {
    /// Everything there is to time for a machine.
    pub(super) fn all(machine: &Machine) -> Vec<Kind> {
        let mut all = vec![Kind::MultiplyAdd, Kind::Chain, Kind::Call, Kind::Copy, Kind::Gather, Kind::Scatter];
        all.extend((0..=machine.caches.len()).map(Kind::Read));
        all.extend(tiles(machine).into_iter().flat_map(|t| (0..DEPTHS.len()).map(move |d| Kind::Product(t, d))));
        all.extend((0..OPERATIONS.len()).map(Kind::Operations));
        all.extend((0..LOADS.len()).map(Kind::Loads));
        all
    }
}

/// A program with its arrays and the fastest run so far.
pub(super) struct Probe {
    compiled: Compiled,
    input: Vec<f32>,
    output: Vec<f32>,
    /// Units of one run.
    units: f64,
    best: Duration,
}

/// A codelet over an input and an output.
struct Code {
    func: Func,
    input: usize,
    output: usize,
    /// Units of one call.
    units: usize,
    /// Cycles of one call, roughly.
    cycles: usize,
}

impl Probe {
    /// Compiles a probe.
    pub(super) fn new(machine: &Machine, kind: Kind) -> Result<Probe, Error> {
        let code = Code::new(machine, kind);
        let calls = (RUN / code.cycles).max(1);
        let ty = |len: usize| TensorType::new(ELEM, [len], Layout::Nchw).map_err(|e| Error::Build(e.into()));
        let mut program = ProgramBuilder::new("probe");
        let x = program.buffer("x", ty(code.input)?, Role::Input);
        let y = program.buffer("y", ty(code.output)?, Role::Output);
        let codelet = program.func(code.func);
        let mut f = FuncBuilder::kernel("repeat");
        let (x_slot, y_slot) = (f.input("x", ELEM, code.input), f.output("y", ELEM, code.output));
        f.for_("i", 0..calls, Marks::default(), |f, _| {
            f.call(codelet, [(x_slot, Affine::default()), (y_slot, Affine::default())]);
        });
        let kernel = program.func(f.finish());
        program.run(kernel, &[x, y]);

        let compiler = Compiler::for_machine(machine.clone());
        let passes = registry::pipeline(compiler.level(), Stage::Loops, &Grants::default(), &[])?;
        let passes: Vec<_> = passes.into_iter().filter(|pass| pass.stage() == Stage::Loops).collect();
        let state = compiler.run_passes(State::Loops(program.finish()), &passes, &Files::none(), |_, _| {})?;
        let State::Loops(program) = state else { unreachable!("passes over loops give loops") };
        let verified = verify(&program).expect("verified by the pass manager");
        let none = |_: &Source, _: &TensorType| Ok(Values::of(Elem::F32, &[]));
        let options = Options { threads: 1, ..Options::default() };
        let compiled = convoke_codegen::compile(verified, machine, &none, &options)?;
        Ok(Probe {
            compiled,
            input: memory::reserve(code.input)?,
            output: memory::reserve(code.output)?,
            units: (code.units * calls) as f64,
            best: Duration::MAX,
        })
    }

    /// Runs for `time`, at least once.
    pub(super) fn turn(&mut self, time: Duration) -> Result<(), Error> {
        let start = Instant::now();
        loop {
            let one = Instant::now();
            self.compiled.run(&[&self.input], &mut [&mut self.output])?;
            self.best = self.best.min(one.elapsed());
            if start.elapsed() >= time {
                return Ok(());
            }
        }
    }

    /// Seconds of one unit in the fastest run.
    pub(super) fn seconds_per_unit(&self) -> f64 {
        self.best.as_secs_f64() / self.units
    }
}

impl Code {
    fn new(machine: &Machine, kind: Kind) -> Code {
        let lanes = machine.lanes(ELEM.bytes());
        match kind {
            Kind::MultiplyAdd => multiply_adds(lanes, 12),
            Kind::Chain => multiply_adds(lanes, 1),
            Kind::Read(level) => read(lanes, working_set(machine, level)),
            Kind::Call => moves(lanes, 1, [1, 1]),
            Kind::Copy => moves(lanes, MOVES, [1, 1]),
            Kind::Gather => moves(lanes, MOVES, [APART, 1]),
            Kind::Scatter => moves(lanes, MOVES, [1, APART]),
            Kind::Product(tile, depth) => product(lanes, tile, DEPTHS[depth]),
            Kind::Operations(which) => operations(lanes, OPERATIONS[which]),
            Kind::Loads(which) => loads(lanes, LOADS[which]),
        }
    }
}

/// Bytes that are read to measure a level: between the level before and this one, so that all of it comes from here.
fn working_set(machine: &Machine, level: usize) -> usize {
    let caches = &machine.caches;
    let bytes = match (level.checked_sub(1).map(|before| caches[before].bytes), caches.get(level)) {
        (None, Some(first)) => first.bytes / 2,
        (Some(before), Some(this)) => (before as f64 * this.bytes as f64).sqrt() as usize,
        (before, None) => before.unwrap_or(1 << 20).saturating_mul(2).min(MEMORY),
    };
    bytes.clamp(1 << 10, MEMORY)
}

/// The codelet of this name, and its two parameters.
fn codelet(name: &str, input: usize, output: usize) -> (FuncBuilder, SlotId, SlotId) {
    let mut f = FuncBuilder::codelet(name);
    let (x, y) = (f.input("x", ELEM, input), f.output("y", ELEM, output));
    (f, x, y)
}

fn vector(slot: SlotId, at: impl Into<Affine>, lanes: u8) -> Expr {
    Expr::Load(Place { slot, at: at.into(), stride: 1, lanes })
}

/// `x ← x/2 + 1`, which tends to 2, in `chains` registers. The sum is a factor, since x86 code overwrites one of its factors and
/// would have to copy a constant one first.
fn multiply_adds(lanes: u8, chains: usize) -> Code {
    const STEPS: usize = 1000;
    const REPEATS: usize = 4;
    let ty = VecType { elem: ELEM, lanes };
    let output = chains * usize::from(lanes);
    let (mut f, _, y) = codelet("multiply_add", 1, output);
    let (a, b) = (f.define(ty, Expr::Const(0.5)), f.define(ty, Expr::Const(1.0)));
    let sums: Vec<ValId> = (0..chains).map(|_| f.reg(ty, Expr::Const(0.0))).collect();
    f.for_("i", 0..STEPS, Marks::default(), |f, _| {
        for &sum in sums.iter().cycle().take(chains * REPEATS) {
            f.set(sum, Expr::Fma(sum, a, b));
        }
    });
    store_all(&mut f, y, &sums, lanes);
    let units = chains * REPEATS * STEPS;
    Code { func: f.finish(), input: 1, output, units, cycles: units }
}

/// Adds up `bytes` bytes.
fn read(lanes: u8, bytes: usize) -> Code {
    let ty = VecType { elem: ELEM, lanes };
    let step = WIDTH * usize::from(lanes);
    let input = (bytes / ELEM.bytes()).next_multiple_of(step);
    let (mut f, x, y) = codelet("read", input, step);
    let sums: Vec<ValId> = (0..WIDTH).map(|_| f.reg(ty, Expr::Const(0.0))).collect();
    f.for_step("i", 0..input, step, Marks::default(), |f, i| {
        for (n, &sum) in sums.iter().enumerate() {
            let v = f.define(ty, vector(x, Affine::from(i) + n * usize::from(lanes), lanes));
            f.set(sum, Expr::Binary(BinOp::Add, sum, v));
        }
    });
    store_all(&mut f, y, &sums, lanes);
    let units = input * ELEM.bytes();
    Code { func: f.finish(), input, output: step, units, cycles: units / 24 }
}

/// Copies `vectors` vectors, with `[load, store]` elements from lane to lane. Vectors follow each other lane by lane.
fn moves(lanes: u8, vectors: usize, [load, store]: [usize; 2]) -> Code {
    let ty = VecType { elem: ELEM, lanes };
    let wide = usize::from(lanes);
    // With lanes apart, vector v begins at element v: each place is read once.
    let len = |apart: usize| if apart == 1 { vectors * wide } else { vectors + (wide - 1) * apart };
    let at = |v: Affine, apart: usize| if apart == 1 { v * wide } else { v };
    let (input, output) = (len(load), len(store));
    let (mut f, x, y) = codelet("move", input, output);
    f.for_("v", 0..vectors, Marks { unroll: Some(4), ..Marks::default() }, |f, v| {
        let from = Place { slot: x, at: at(v.into(), load), stride: load as i64, lanes };
        let value = f.define(ty, Expr::Load(from));
        f.store_to(Place { slot: y, at: at(v.into(), store), stride: store as i64, lanes }, value);
    });
    let cycles = 10 + vectors * 2 * if load + store > 2 { wide } else { 1 };
    Code { func: f.finish(), input, output, units: 1, cycles }
}

/// `y[i, j] = Σ_d x[d·rows + i] · x[d·columns + j]`, as lowering writes products: columns in the lanes, rows broadcast.
fn product(lanes: u8, [rows, vectors]: [usize; 2], depth: usize) -> Code {
    let columns = vectors * usize::from(lanes);
    let (input, output) = (depth * (rows + columns), rows * columns);
    let (mut f, x, y) = codelet("product", input, output);
    let written_out = || Marks { unroll: Some(0), ..Marks::default() };
    let across = || Marks { vector: Some(lanes), unroll: Some(0), ..Marks::default() };
    f.for_("i", 0..rows, written_out(), |f, i| {
        f.for_("j", 0..columns, across(), |f, j| {
            let zero = f.number(ELEM, 0.0);
            f.store(y, Affine::from(i) * columns + j, zero);
        });
    });
    f.for_("d", 0..depth, Marks { unroll: Some(4), ..Marks::default() }, |f, d| {
        f.for_("i", 0..rows, written_out(), |f, i| {
            f.for_("j", 0..columns, across(), |f, j| {
                let b = f.load(x, Affine::from(d) * columns + j + depth * rows);
                let a = f.load(x, Affine::from(d) * rows + i);
                let at = Affine::from(i) * columns + j;
                let sum = f.load(y, at.clone());
                let sum = f.fma(a, b, sum);
                f.store(y, at, sum);
            });
        });
    });
    Code { func: f.finish(), input, output, units: 1, cycles: 20 + depth * (rows * vectors).max(8) / 2 }
}

/// Loads eight vectors, adds and subtracts them like the butterflies of a transform, stores eight.
fn operations(lanes: u8, count: usize) -> Code {
    let wide = usize::from(lanes);
    let len = WIDTH * wide;
    let (mut f, x, y) = codelet("operations", len, len);
    let mut v: Vec<ValId> = (0..WIDTH).map(|n| f.load_vector(x, n * wide, lanes)).collect();
    for n in 0..count / 2 {
        // The distance of partners changes, as in a fast transform.
        let (i, j) = (n % WIDTH, (n + 1 + n / WIDTH % (WIDTH - 1)) % WIDTH);
        let (a, b) = (f.binary(BinOp::Add, v[i], v[j]), f.binary(BinOp::Sub, v[i], v[j]));
        (v[i], v[j]) = (a, b);
    }
    store_all(&mut f, y, &v, lanes);
    Code { func: f.finish(), input: len, output: len, units: 1, cycles: 20 + count }
}

/// Loads `count` vectors and adds each to one of eight accumulators.
fn loads(lanes: u8, count: usize) -> Code {
    let wide = usize::from(lanes);
    let (input, output) = (count * wide, WIDTH * wide);
    let (mut f, x, y) = codelet("loads", input, output);
    let mut sums: Vec<ValId> = Vec::new();
    for n in 0..count {
        let value = f.load_vector(x, n * wide, lanes);
        match n.checked_sub(WIDTH) {
            None => sums.push(value),
            Some(_) => sums[n % WIDTH] = f.binary(BinOp::Add, sums[n % WIDTH], value),
        }
    }
    store_all(&mut f, y, &sums, lanes);
    Code { func: f.finish(), input, output, units: 1, cycles: 20 + count }
}

fn store_all(f: &mut FuncBuilder, y: SlotId, values: &[ValId], lanes: u8) {
    for (n, &value) in values.iter().enumerate() {
        f.store(y, n * usize::from(lanes), value);
    }
}
