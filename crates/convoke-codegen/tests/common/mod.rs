//! From the text of a layer to compiled code.

#![allow(dead_code, reason = "each test program uses its part")]

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::{Mutex, OnceLock};

use convoke_codegen::{BoxError, Compiled, Options, compile};
use convoke_data::Files;
use convoke_ir::elem::Elem;
use convoke_ir::layer::{Layer, Source};
use convoke_ir::loops::{self, Program, VecType};
use convoke_ir::text;
use convoke_ir::types::TensorType;
use convoke_ir::values::Values;
use convoke_machine::Machine;
use convoke_passes::{Context, Grants, PassManager, Stage, State, registry};

/// The lane counts of values of this type.
pub(crate) fn lane_counts(elem: Elem) -> impl Iterator<Item = u8> {
    VecType::LANES.iter().copied().filter(move |&lanes| VecType { elem, lanes }.exists())
}

/// The only layer of a text.
pub(crate) fn layer(source: &str) -> Layer {
    text::parse_and_verify(source).unwrap_or_else(|found| panic!("{found:#?}\n{source}")).layers.remove(0)
}

/// The layer as loops, all passes done.
pub(crate) fn program(source: &str, machine: &Machine) -> Program {
    let files = Files::none();
    let grants = Grants::default();
    let passes = registry::pipeline(2, Stage::Loops, &grants, &[]).expect("the passes of -O2");
    let mut manager = PassManager::new(Context { machine, files: &files, grants });
    match manager.run(State::Layer(layer(source)), &passes).unwrap_or_else(|error| panic!("{error}\n{source}")) {
        State::Loops(program) => program,
        State::Layer(_) => unreachable!("the pipeline lowers"),
    }
}

/// The numbers of constants that need no files.
pub(crate) fn constants(source: &Source, ty: &TensorType) -> Result<Values, BoxError> {
    Ok(convoke_data::values(source, ty, &Files::none())?)
}

/// What this CPU runs: itself and the named machines, each with vectors of every width that it has, which are code of both emitters;
/// and one with SSE4.1 and nothing more.
pub(crate) fn machines() -> Vec<Machine> {
    let named = Machine::NAMES.iter().map(|name| Machine::named(name).expect("listed"));
    let mut machines: Vec<Machine> = named.filter(runs).flat_map(|machine| machine.widths()).collect();
    let mut plain = Machine::named("x86-64").expect("listed");
    plain.name = "x86-64 with SSE4.1".into();
    plain.features = ["sse3", "ssse3", "sse41"].map(String::from).to_vec();
    machines.extend(plain.runs_on_host().is_ok().then_some(plain));
    machines
}

/// Whether code for a machine can be run here; says so where it cannot, past the capture of tests that pass.
fn runs(machine: &Machine) -> bool {
    static SAID: OnceLock<Mutex<BTreeSet<String>>> = OnceLock::new();
    let Err(missing) = machine.runs_on_host() else { return true };
    if SAID.get_or_init(Mutex::default).lock().is_ok_and(|mut said| said.insert(machine.name.clone())) {
        let _ = writeln!(std::io::stderr(), "warning: not run here: {missing}");
    }
    false
}

/// Compiled for this CPU.
pub(crate) fn compiled(source: &str, threads: usize) -> Compiled {
    compiled_for(&Machine::host(), source, threads)
}

/// Compiled for a machine that this CPU includes.
pub(crate) fn compiled_for(machine: &Machine, source: &str, threads: usize) -> Compiled {
    compiled_with(machine, source, &Options { threads, ..Options::default() })
}

/// The same with these options.
pub(crate) fn compiled_with(machine: &Machine, source: &str, options: &Options) -> Compiled {
    let program = program(source, machine);
    let verified = loops::verify(&program).expect("the pass manager verified it");
    compile(verified, machine, &constants, options).expect("it compiles")
}

/// Convolutions of awkward shapes, by every algorithm, in both layouts.
pub(crate) fn convolutions() -> Vec<String> {
    // Input n, c, h, w; weights k, c, r, s; attributes; output h, w.
    type Shape = ([usize; 4], [usize; 4], &'static str, [usize; 2]);
    const DENSE: &[&str] = &["direct", "im2col", "im2col(explicit)"];
    const DEPTHWISE: &[&str] = &["direct", "im2col", "depthwise"];
    let shapes: &[(Shape, &[&str])] = &[
        (([1, 5, 5, 5], [5, 5, 3, 3], "pads = [1, 1, 1, 1]", [5, 5]), DENSE),
        (([2, 3, 7, 9], [6, 3, 3, 5], "pads = [0, 2, 1, 3]", [6, 10]), DENSE),
        (([1, 3, 17, 19], [10, 3, 3, 3], "strides = [2, 2]", [8, 9]), DENSE),
        (([1, 3, 17, 19], [4, 3, 2, 2], "strides = [5, 3]", [4, 6]), DENSE),
        (([1, 2, 13, 13], [3, 2, 3, 3], "dilations = [2, 3]", [9, 7]), DENSE),
        (([1, 16, 7, 7], [24, 16, 1, 1], "group = 1", [7, 7]), DENSE),
        (([1, 1, 1, 1], [1, 1, 1, 1], "group = 1", [1, 1]), DENSE),
        (([1, 7, 4, 11], [9, 7, 1, 1], "strides = [2, 2]", [2, 6]), DENSE),
        (([1, 2, 3, 3], [4, 2, 7, 7], "pads = [3, 3, 3, 3]", [3, 3]), DENSE),
        (([1, 130, 5, 6], [17, 130, 3, 3], "pads = [1, 1, 1, 1]", [5, 6]), DENSE),
        (([1, 12, 6, 7], [18, 4, 3, 3], "group = 3", [4, 5]), DENSE),
        (([1, 10, 9, 11], [10, 1, 3, 3], "group = 10", [7, 9]), DEPTHWISE),
        (([2, 5, 9, 23], [15, 1, 3, 5], "group = 5, strides = [2, 2]", [4, 10]), DEPTHWISE),
        (([1, 1, 33, 37], [1, 1, 31, 31], "group = 1", [3, 7]), DEPTHWISE),
    ];
    let mut all = Vec::new();
    for &(([n, c, h, w], [k, cg, r, s], attributes, [p, q]), algorithms) in shapes {
        for algorithm in algorithms {
            for (layout, x, y) in [("", [n, c, h, w], [n, k, p, q]), (" nhwc", [n, h, w, c], [n, p, q, k])] {
                all.push(format!(
                    "layer @l(%x: f32{x:?}{layout}) -> f32{y:?}{layout} {{\n  %w = const f32[{k}, {cg}, {r}, {s}] = normal(seed = 1)\n  \
                     %b = const f32[{k}] = normal(seed = 2)\n  \
                     %0 = conv2d %x, %w {{ {attributes}, algorithm = {algorithm} }} then bias %b then relu\n  return %0\n}}\n"
                ));
            }
        }
    }
    all
}
