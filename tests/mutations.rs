//! Lowerings that are broken on purpose, and the net that finds each.
//!
//! The programs of eleven layers, after all passes, get small mistakes (`tests/mutation.rs`) at seeded places. Four nets lie beneath each other:
//!
//! | net | finds |
//! |---|---|
//! | verifier | what cannot be proved: an access outside of its buffer, types that do not fit |
//! | sanitiser | what happens in a run: such an access, an output that is not written, a number that was computed from memory that nobody wrote |
//! | estimate | errors beyond those to expect, on inputs that a right program keeps within them |
//! | bound | errors beyond the bound that no input exceeds, and numbers that are not finite |
//!
//! The first two need no reference. A mistake that changes no bit of any output on any of the inputs is equivalent. So is one of the flags by which tiles
//! are guarded, where each output that it changes is within the bound of a plain sum: a flag chooses between the tile and plain sums, and may choose plain
//! sums always. All others must be found. There are inputs of every kind:
//! seeded numbers, whole ones, ones over many magnitudes, one pixel far brighter than all others, several such, zeros, and numbers that are not finite. `CONVOKE_MUTATIONS` says how many mistakes of a kind there are for each layer, if not 4.

use std::collections::BTreeMap;
use std::fmt::Write;

use convoke::check::{Comparison, Reference};
use convoke::ir::layer::Source;
use convoke::ir::loops::{self, Program};
use convoke::{Compiler, Layer, Machine, RunError, Subnormals, TensorType};
use convoke_codegen::{CodegenError, Compiled, Element, Options, compile_unproved};
use convoke_data as data;
use convoke_tests::Random;
use convoke_tests::mutation::{Mutation, mutated, sites};
use ndarray::ArrayD;

/// A layer for each family of lowerings. Sizes leave a remainder for every vector.
const LAYERS: &[(&str, &str)] = &[
    (
        "direct",
        "layer @l(%x: f32[1, 5, 9, 13], %r: f32[1, 7, 9, 13]) -> f32[1, 7, 9, 13] {
           %w = const f32[7, 5, 3, 3] = normal(seed = 1)
           %b = const f32[7] = normal(seed = 2)
           %y = conv2d %x, %w { pads = [1, 1, 1, 1], algorithm = direct } then bias %b then add %r then relu
           return %y
         }",
    ),
    (
        "direct, nhwc",
        "layer @l(%x: f32[1, 7, 9, 5] nhwc) -> f32[1, 4, 5, 19] nhwc {
           %w = const f32[19, 5, 3, 3] = normal(seed = 1)
           // Where the last term of the polynomial of exp is largest.
           %b = const f32[19] = uniform(seed = 2, low = -1.06, high = -1.042)
           %y = conv2d %x, %w { pads = [1, 1, 1, 1], strides = [2, 2], algorithm = direct } then bias %b then silu
           return %y
         }",
    ),
    (
        "depthwise",
        "layer @l(%x: f32[1, 3, 11, 21]) -> f32[1, 3, 11, 21] {
           %w = const f32[3, 1, 5, 5] = normal(seed = 1)
           %b = const f32[3] = normal(seed = 2)
           %y = conv2d %x, %w { pads = [2, 2, 2, 2], group = 3, algorithm = depthwise } then relu then bias %b
           return %y
         }",
    ),
    (
        "im2col",
        "layer @l(%x: f32[1, 6, 11, 12]) -> f32[1, 10, 5, 6] {
           %w = const f32[10, 6, 3, 3] = normal(seed = 1)
           %b = const f32[10] = normal(seed = 2)
           %y = conv2d %x, %w { pads = [0, 1, 0, 1], strides = [2, 2], algorithm = im2col(explicit) } then bias %b then relu
           return %y
         }",
    ),
    (
        "winograd",
        "layer @l(%x: f32[1, 6, 14, 15]) -> f32[1, 9, 14, 15] {
           %w = const f32[9, 6, 3, 3] = normal(seed = 1)
           %b = const f32[9] = normal(seed = 2)
           %y = conv2d %x, %w { pads = [1, 1, 1, 1], algorithm = winograd(4x4) } then bias %b then relu
           return %y
         }",
    ),
    (
        "fft",
        "layer @l(%x: f32[1, 3, 13, 12]) -> f32[1, 4, 13, 12] {
           %w = const f32[4, 3, 5, 5] = normal(seed = 1)
           %y = conv2d %x, %w { pads = [2, 2, 2, 2], algorithm = fft(8x8) } then relu
           return %y
         }",
    ),
    (
        "strassen",
        "layer @l(%x: f32[1, 18, 7, 9]) -> f32[1, 22, 7, 9] {
           %w = const f32[22, 18, 1, 1] = normal(seed = 1)
           %y = conv2d %x, %w { algorithm = strassen(1) }
           return %y
         }",
    ),
    (
        "max pool",
        "layer @l(%x: f32[1, 3, 11, 14]) -> f32[1, 3, 6, 7] {
           %y = max_pool %x { kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 0] }
           return %y
         }",
    ),
    (
        "average pool",
        "layer @l(%x: f32[1, 3, 11, 14]) -> f32[1, 3, 6, 7] {
           %y = avg_pool %x { kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 0] }
           return %y
         }",
    ),
    (
        "strips",
        "layer @l(%x: f32[1, 2, 17, 13]) -> f32[1, 2, 17, 13] {
           %v = const f32[8, 2, 1, 1] = normal(seed = 1)
           %w = const f32[8, 8, 3, 3] = normal(seed = 2, std = 0.3)
           %u = const f32[2, 8, 1, 1] = normal(seed = 3)
           %b = const f32[8] = normal(seed = 4)
           %0 = conv2d %x, %v { algorithm = direct } then bias %b then relu
           %1 = conv2d %0, %w { pads = [1, 1, 1, 1], algorithm = direct, band = 6 } then bias %b
           %2 = conv2d %1, %u { algorithm = im2col, band = 6 }
           return %2
         }",
    ),
    (
        "mean, tanh",
        "layer @l(%x: f32[1, 19, 3, 5]) -> (f32[1, 19, 3, 5], f32[1, 19, 1, 1]) {
           %y = tanh %x
           %m = reduce_mean %x { axes = [2, 3] }
           return %y, %m
         }",
    ),
];

/// A layer with the inputs that its program is judged on.
struct Subject {
    name: &'static str,
    layer: Layer,
    machine: Machine,
    program: Program,
    judges: Vec<Judge>,
}

/// Inputs, what is expected of them, and what the right program makes of them.
struct Judge {
    reference: Reference,
    /// The same with the bounds of plain sums.
    plain: Reference,
    right: Vec<ArrayD<f64>>,
    /// Whether the right program has the errors to expect.
    expected: bool,
}

/// What found a mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Net {
    Verifier,
    Sanitiser,
    Estimate,
    Bound,
    Equivalent,
    Nothing,
}

const NETS: [(Net, &str); 6] = [
    (Net::Verifier, "verifier"),
    (Net::Sanitiser, "sanitiser"),
    (Net::Estimate, "estimate"),
    (Net::Bound, "bound"),
    (Net::Equivalent, "equivalent"),
    (Net::Nothing, "escaped"),
];

/// This CPU as far as it is an x86-64 of 2015, so that the programs are the same everywhere.
fn machine() -> Machine {
    let common = Machine::x86_64_v3();
    if common.runs_on_host().is_ok() { common } else { Machine::host() }
}

/// Inputs of a kind.
fn inputs(layer: &Layer, kind: usize) -> Vec<ArrayD<f64>> {
    let mut random = Random::new(kind as u64);
    let inputs = layer.inputs().into_iter().enumerate().map(|(i, (_, ty)): (usize, (&str, &TensorType))| {
        let seed = (10 * kind + i) as i64;
        let mut x = match kind {
            1 => data::random_integers(ty, 8, seed, layer.files()),
            _ => data::random(ty, seed, layer.files()),
        }
        .expect("a small tensor");
        let len = x.len();
        match kind {
            2 => x.iter_mut().for_each(|x| *x *= 2.0_f64.powi(random.between(0, 40) as i32 - 20)),
            3 => *x.iter_mut().nth(len / 2).expect("it has elements") = 1e6,
            4 => {
                let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
                odd.iter().enumerate().for_each(|(i, &v)| *x.iter_mut().nth(len * (2 * i + 1) / 7).expect("in it") = v);
            }
            5 => x.iter_mut().for_each(|x| *x = x.abs() + 0.5),
            // Sums of zeros round nothing, so that the error of what follows them is seen.
            6 => x.fill(0.0),
            // Bright numbers beside dark ones in many tiles, for their guards.
            BRIGHT.. => x.iter_mut().for_each(|x| *x *= if random.one_in(150) { 1e4 } else { 1.0 }),
            _ => {}
        }
        x.mapv(|x| f64::from(x as f32))
    });
    inputs.collect()
}

/// How many kinds of inputs there are.
const KINDS: usize = BRIGHT + 9;

/// Kinds of inputs from here on are bright numbers, each in other places.
const BRIGHT: usize = 7;

impl Subject {
    fn new(name: &'static str, text: &str) -> Subject {
        let layer = Layer::parse(text).unwrap_or_else(|e| panic!("{name}: {}", e.render(false)));
        let machine = machine();
        let compiler = Compiler::for_machine(machine.clone());
        let lowered = compiler.lower(&layer).unwrap_or_else(|e| panic!("{name}: {}", e.render(false)));
        let mut subject = Subject { name, layer, machine, program: lowered.into_program(), judges: Vec::new() };
        let compiled = subject.compile(&subject.program).expect("it compiles");
        for kind in 0..KINDS {
            let plain = Reference::new(&subject.layer, inputs(&subject.layer, kind), Subnormals::Flush);
            let plain = plain.expect("the interpreter runs it");
            let reference = plain.by(&compiler, &subject.layer).expect("it compiles");
            let right = subject.run(&compiled, &reference).unwrap_or_else(|e| panic!("{name}: {e}"));
            let found = reference.compare(&right);
            assert!(found.passes(), "{name}, inputs {kind}: {found:?}");
            subject.judges.push(Judge { expected: found.is_expected(), reference, plain, right });
        }
        assert!(
            subject.judges[0].expected && subject.judges[1].expected,
            "{name}: seeded inputs have errors to expect"
        );
        subject
    }

    /// Sanitised code of a program.
    fn compile(&self, program: &Program) -> Result<Compiled, CodegenError> {
        let files = self.layer.files();
        let constants = |source: &Source, ty: &TensorType| Ok(data::values(source, ty, files)?);
        compile_unproved(program, &self.machine, &constants, &Options::default())
    }

    /// A run on the inputs of a reference.
    fn run(&self, compiled: &Compiled, reference: &Reference) -> Result<Vec<ArrayD<f64>>, RunError> {
        let narrow = |x: &ArrayD<f64>| x.iter().map(|&x| x as f32).collect::<Vec<f32>>();
        let inputs: Vec<Vec<f32>> = reference.inputs().iter().map(narrow).collect();
        let mut outputs: Vec<Vec<f32>> = self.layer.outputs().iter().map(|(_, ty)| vec![0.0; ty.elements()]).collect();
        let read: Vec<_> = inputs.iter().map(|x| f32::slice(x)).collect();
        let mut write: Vec<_> = outputs.iter_mut().map(|y| f32::slice_mut(y)).collect();
        compiled.run_mixed(&read, &mut write)?;
        let wide = outputs.into_iter().zip(self.layer.outputs()).map(|(y, (_, ty))| {
            let y = y.into_iter().map(f64::from).collect();
            ArrayD::from_shape_vec(ty.shape.dims(), y).expect("as many elements")
        });
        Ok(wide.collect())
    }

    /// The first net that finds the mistake of a program, and whether the sanitiser does. `flags` says whether it is one of the flags of guarded tiles.
    fn judge(&self, program: &Program, flags: bool) -> (Net, bool) {
        let proved = loops::verify(program).is_ok();
        let mut found = if proved { Net::Equivalent } else { Net::Verifier };
        let sanitiser = if proved { Net::Sanitiser } else { Net::Verifier };
        let compiled = match self.compile(program) {
            // For more than its accesses.
            Err(CodegenError::Refused(_)) => return (Net::Verifier, false),
            // In the preparation of constants.
            Err(CodegenError::Sanitizer(_)) => return (sanitiser, true),
            compiled => compiled.unwrap_or_else(|error| panic!("{}: {error}", self.name)),
        };
        for Judge { reference, plain, right, expected } in &self.judges {
            let Ok(outputs) = self.run(&compiled, reference) else { return (sanitiser, true) };
            let comparison: Comparison = reference.compare(&outputs);
            let net = if *expected && !comparison.is_expected() {
                Net::Estimate
            } else if !comparison.passes() {
                Net::Bound
            } else if same(right, &outputs) || (flags && plain.compare(&changed(plain, right, &outputs)).passes()) {
                Net::Equivalent
            } else {
                Net::Nothing
            };
            // The nets in their order; nothing is worse than equal bits.
            found = match (found, net) {
                (Net::Equivalent, net) => net,
                (found, Net::Equivalent) => found,
                (found, net) => found.min(net),
            };
        }
        (found, false)
    }
}

/// Whether all bits are equal, but for those of a NaN.
fn same(a: &[ArrayD<f64>], b: &[ArrayD<f64>]) -> bool {
    let same = |(x, y): (&f64, &f64)| x.to_bits() == y.to_bits() || (x.is_nan() && y.is_nan());
    a.iter().flatten().zip(b.iter().flatten()).all(same)
}

/// The outputs, but the reference where no bit is changed.
fn changed(reference: &Reference, right: &[ArrayD<f64>], outputs: &[ArrayD<f64>]) -> Vec<ArrayD<f64>> {
    let mut changed = outputs.to_vec();
    for ((y, right), expected) in changed.iter_mut().zip(right).zip(reference.outputs()) {
        let elements = y.iter_mut().zip(right).zip(&expected.value);
        elements.filter(|((y, right), _)| y.to_bits() == right.to_bits()).for_each(|((y, _), &value)| *y = value);
    }
    changed
}

/// How many mistakes each net found.
type Counts = BTreeMap<Net, usize>;

/// How many mistakes of a kind there are for each layer, of which none may escape. Of more, one of [`OF_MORE`] may.
const MISTAKES: usize = 4;
const OF_MORE: usize = 100;

fn row(name: &str, counts: &Counts) -> String {
    let mut row = format!("| {name} |");
    for (net, _) in NETS {
        let _ = write!(row, " {} |", counts.get(&net).copied().unwrap_or(0));
    }
    row
}

#[test]
fn mistakes_are_found_by_a_net_or_change_no_result() {
    let most = std::env::var("CONVOKE_MUTATIONS").map_or(MISTAKES, |n| n.parse().expect("a whole number"));
    let mut random = Random::new(11);
    let (mut by_layer, mut by_kind) = (BTreeMap::<&str, Counts>::new(), BTreeMap::<Mutation, Counts>::new());
    let (mut escaped, mut twice) = (Vec::new(), 0);
    for &(name, text) in LAYERS {
        let subject = Subject::new(name, text);
        for kind in Mutation::ALL {
            let sites = sites(&subject.program, kind);
            for number in 0..most.min(sites.len()) {
                let site = &sites[random.between(0, sites.len() - 1)];
                let (program, was) = mutated(&subject.program, site, kind, number);
                let (net, sanitiser) = subject.judge(&program, was.starts_with("@flag_tiles"));
                *by_layer.entry(name).or_default().entry(net).or_default() += 1;
                *by_kind.entry(kind).or_default().entry(net).or_default() += 1;
                twice += usize::from(net == Net::Verifier && sanitiser);
                if net == Net::Nothing {
                    escaped.push(format!("{name}, {kind:?} {number} of {was}"));
                }
            }
        }
    }
    let heads: Vec<&str> = NETS.iter().map(|(_, name)| *name).collect();
    let mut table = format!("| | {} |\n", heads.join(" | "));
    by_layer.iter().for_each(|(name, counts)| table += &format!("{}\n", row(name, counts)));
    by_kind.iter().for_each(|(kind, counts)| table += &format!("{}\n", row(&format!("{kind:?}"), counts)));
    let mut all = Counts::new();
    by_kind.values().flatten().for_each(|(&net, count)| *all.entry(net).or_default() += count);
    table += &row("all", &all);
    eprintln!("{table}\nthe sanitiser finds {twice} of those that the verifier refuses");
    eprintln!("{} escaped:\n{}", escaped.len(), escaped.join("\n"));
    let total: usize = all.values().sum();
    let may_escape = if most <= MISTAKES { 0 } else { total / OF_MORE };
    assert!(escaped.len() <= may_escape, "{} of {total} escaped:\n{}", escaped.len(), escaped.join("\n"));
    for (net, name) in &NETS[..4] {
        assert!(all.get(net).copied().unwrap_or(0) > 0, "the {name} found none: it is not tested");
    }
}
