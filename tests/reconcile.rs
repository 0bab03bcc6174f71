//! Plans beside their loops: multiplications, codelet calls and scratch that the plan of every candidate states, and those counted in the
//! lowered loop IR.

use std::collections::HashSet;
use std::path::Path;

use convoke::ir::layer::{Generator, Instr, Layer, Op, Source, Window, verify};
use convoke::ir::limits::Bounds;
use convoke::ir::loops::{Access, BinOp, Expr, Func, FuncId, Program, Role, Stmt, ValId};
use convoke::ir::text::parse_and_verify;
use convoke::{Layout, Machine, Plan};
use convoke_conv::{Allowed, Conv, Estimate, Selection};
use convoke_lower::known::Known;
use convoke_passes::plan::lower;
use convoke_tests::{ConvShape, corpus};

/// Counts of one run of a function, those of the functions that it calls included.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    /// Multiplications of two numbers that are no constants.
    products: u128,
    calls: u128,
}

fn of_func(func: &Func, callees: &[Counts]) -> Counts {
    let mut sum = Counts::default();
    let mut constants: HashSet<ValId> = HashSet::new();
    let mut blocks: Vec<(&[Stmt], u128)> = vec![(&func.body, 1)];
    while let Some((block, times)) = blocks.pop() {
        for stmt in block {
            match stmt {
                Stmt::Let(val, expr, _) | Stmt::Reg(val, expr, _) | Stmt::Set(val, expr, _) => match expr {
                    Expr::Const(_) => drop(constants.insert(*val)),
                    Expr::Fma(a, b, _) | Expr::Binary(BinOp::Mul, a, b)
                        if !constants.contains(a) && !constants.contains(b) =>
                    {
                        sum.products += times * u128::from(func.vals[*val].ty.lanes);
                    }
                    _ => {}
                },
                Stmt::For(inner) => blocks.push((&inner.body, times * u128::from(inner.trips()))),
                Stmt::Call(call) if call.when.is_none() => {
                    let callee = callees[call.func.index()];
                    sum.products += times * callee.products;
                    sum.calls += times * (1 + callee.calls);
                }
                _ => {}
            }
        }
    }
    sum
}

fn counted(program: &Program) -> Counts {
    let mut funcs: Vec<Counts> = Vec::new();
    for (_, func) in program.funcs.iter() {
        let counts = of_func(func, &funcs);
        funcs.push(counts);
    }
    let of = |func: FuncId| funcs[func.index()];
    program.entry.iter().fold(Counts::default(), |sum, run| Counts {
        products: sum.products + of(run.func).products,
        calls: sum.calls + of(run.func).calls,
    })
}

/// Bytes of the scratch buffers, and of the local ones of the largest kernel.
fn scratch(program: &Program) -> u128 {
    let buffers = program.buffers.iter().filter(|(_, buffer)| buffer.role == Role::Scratch);
    let buffers: u128 = buffers.map(|(_, buffer)| buffer.ty.bytes() as u128).sum();
    let locals = |func: &Func| -> u128 {
        let local = func.slots.iter().filter(|(_, slot)| slot.access == Access::Local);
        local.map(|(_, slot)| slot.len as u128 * slot.elem.bytes() as u128).sum()
    };
    let runs = program.entry.iter().map(|run| locals(&program.funcs[run.func]));
    buffers + runs.max().unwrap_or(0)
}

fn candidates(layer: &Layer, machine: &Machine) -> Vec<(Plan, Estimate)> {
    let conv = Conv::new(layer, &Known::of(layer), conv_of(layer)).expect("a convolution");
    let allowed = Allowed { max_error: Some(f64::MAX), ..Allowed::default() };
    let selection = Selection::new("y", conv, Plan::default(), machine, &allowed).expect("some plan applies");
    selection.candidates.into_iter().filter_map(|(plan, estimate)| Some((plan, estimate.ok()?))).collect()
}

fn lowered(layer: &Layer, plan: Plan, machine: &Machine) -> Program {
    let mut layer = layer.clone();
    for instr in &mut layer.body {
        if let Op::Conv2d(conv) = &mut instr.op {
            (conv.plan, conv.guard) = (plan, 0);
        }
    }
    lower(verify(&layer).expect("it is valid"), machine, &Bounds::default()).unwrap_or_else(|e| panic!("{plan}: {e}"))
}

/// How far the scratch that a plan of transformed tiles states may be from what its loops have. Too few blocks for threads to share are done
/// step by step, with buffers for each kind of block.
const SCRATCH_OF_TILES: [f64; 2] = [0.99, 2.25];

/// Compares every candidate of a layer; how many there were.
fn compare(name: &str, layer: &Layer, machine: &Machine, complaints: &mut Vec<String>) -> usize {
    let candidates = candidates(layer, machine);
    let conv = Conv::new(layer, &Known::of(layer), conv_of(layer)).expect("a convolution");
    for (plan, estimate) in &candidates {
        let program = lowered(layer, *plan, machine);
        let (counts, scratch) = (counted(&program), scratch(&program));
        let mut wrong = |what: &str, found: u128, stated: u128| {
            complaints.push(format!("{name}, {}, {plan}: {found} {what}, the plan states {stated}", machine.name));
        };
        if counts.products != estimate.cost.multiplications {
            wrong("multiplications", counts.products, estimate.cost.multiplications);
        }
        if let Some(calls) = estimate.cost.calls.filter(|&calls| calls != counts.calls) {
            wrong("codelet calls", counts.calls, calls);
        }
        let [least, most] = if plan.algorithm.transforms_tiles() { SCRATCH_OF_TILES } else { [1.0; 2] };
        let stated = estimate.cost.scratch_bytes as f64;
        if (scratch as f64) < least * stated || (scratch as f64) > most * stated {
            wrong("bytes of scratch", scratch, estimate.cost.scratch_bytes);
        }
        // Weights and outputs are moved once at the least, and of the input what is read; what is moved again is a model.
        let [_, weights, outputs] = conv.bytes();
        if estimate.cost.bytes_moved < weights + outputs {
            wrong("bytes of weights and outputs", weights + outputs, estimate.cost.bytes_moved);
        }
    }
    candidates.len()
}

fn conv_of(layer: &Layer) -> &Instr {
    layer.body.iter().find(|instr| matches!(instr.op, Op::Conv2d(_))).expect("a convolution")
}

/// The shape of a convolution.
fn alone(conv: &Conv) -> ConvShape {
    let Window { h, w } = conv.window;
    ConvShape {
        n: conv.x.n,
        g: conv.group,
        c: conv.x.c,
        h: conv.x.h,
        w: conv.x.w,
        k: conv.y.c,
        r: h.kernel,
        s: w.kernel,
        strides: [h.stride, w.stride],
        pads: [h.begin, w.begin, h.end, w.end],
        dilations: [h.dilation, w.dilation],
    }
}

/// Compares shapes in both layouts, on two machines.
fn compare_all(shapes: &[(String, ConvShape)]) -> usize {
    let (mut complaints, mut count) = (Vec::new(), 0);
    for machine in [Machine::x86_64_v3(), Machine::x86_64_v4()] {
        for (name, shape) in shapes {
            for layout in [Layout::Nchw, Layout::Nhwc] {
                let weights = Source::Generate(Generator::Ones {});
                let Ok(layer) = shape.layer(layout, weights, false) else { continue };
                let name = format!("{name} {shape} {}", layout.name());
                count += compare(&name, layer.ir(), &machine, &mut complaints);
            }
        }
    }
    convoke_tests::native::none(complaints);
    count
}

fn read(file: &str) -> Vec<(String, ConvShape)> {
    corpus::read(Path::new(file)).expect("a file of shapes")
}

#[test]
fn layers_of_networks_do_what_their_plans_state() {
    let shapes = read("corpus/network_layers.csv");
    assert_eq!(shapes.len(), 61);
    let count = compare_all(&shapes);
    assert!(count > 1500, "{count} candidates");
}

#[test]
fn odd_shapes_do_what_their_plans_state() {
    let count = compare_all(&read("corpus/benchdnn_conv_shapes.csv"));
    assert!(count > 5000, "{count} candidates");
}

/// Kernels that FFTs cut into blocks.
#[test]
fn large_kernels_do_what_their_plans_state() {
    let shape = |[g, c, k]: [usize; 3], [h, w]: [usize; 2], [r, s]: [usize; 2], pads| {
        let shape = ConvShape { n: 2, g, c: g * c, h, w, k: g * k, r, s, strides: [1, 1], pads, dilations: [1, 1] };
        ("large".to_owned(), shape)
    };
    let shapes = [
        shape([1, 1, 1], [400, 410], [150, 160], [75, 80, 74, 79]),
        shape([1, 1, 1], [1, 3000], [1, 501], [0; 4]),
        shape([40, 1, 1], [300, 7], [290, 3], [145, 1, 145, 1]),
        shape([2, 3, 17], [300, 160], [129, 130], [0; 4]),
    ];
    let count = compare_all(&shapes);
    assert!(count > 80, "{count} candidates");
}

/// With `CONVOKE_CORPUS`, a whole file of shapes.
#[test]
fn a_whole_corpus_does_what_its_plans_state() {
    let Ok(path) = std::env::var("CONVOKE_CORPUS") else {
        println!("CONVOKE_CORPUS names no file of shapes: skipped");
        return;
    };
    let shapes: Vec<_> = read(&path).into_iter().step_by(7).collect();
    println!("{} candidates of {} shapes", compare_all(&shapes), shapes.len());
}

#[test]
fn examples_do_what_their_plans_state() {
    let (mut complaints, mut count) = (Vec::new(), 0);
    for entry in std::fs::read_dir("../ir-examples").expect("the examples are there") {
        let path = entry.expect("an entry").path();
        let text = std::fs::read_to_string(&path).expect("an example can be read");
        let module = parse_and_verify(&text).expect("an example is valid");
        for layer in &module.layers {
            let known = Known::of(layer);
            for conv in layer.body.iter().filter_map(|instr| Conv::new(layer, &known, instr)) {
                let name = path.display().to_string();
                let weights = Source::Generate(Generator::Ones {});
                let alone = alone(&conv).layer(conv.layout, weights, false).expect("a convolution by itself");
                count += compare(&name, alone.ir(), &Machine::x86_64_v3(), &mut complaints);
            }
        }
    }
    convoke_tests::native::none(complaints);
    assert!(count > 300, "{count} candidates");
}
