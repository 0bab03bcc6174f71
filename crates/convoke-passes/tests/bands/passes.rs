//! Random small nets with row strips and pads: a net that can be lowered before a pass can be lowered after it, and the numbers are the same.

use std::fmt::Write;

use convoke_data::Files;
use convoke_ir::attr::{Algorithm, Plan};
use convoke_ir::layer::{self, Layer, Op};
use convoke_ir::limits::Bounds;
use convoke_ir::text;
use convoke_machine::Machine;
use convoke_passes::plan::lower;
use convoke_passes::registry::{self, Entry};
use convoke_passes::{Context, Grants, Guarantee, PassManager, State};
use ndarray::ArrayD;

use crate::common;

/// A sequence of numbers that look random.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    fn of<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len() as u64) as usize]
    }

    fn list(&mut self, count: usize, end: u64) -> String {
        format!("{:?}", (0..count).map(|_| self.below(end)).collect::<Vec<_>>())
    }
}

/// A net of some steps over two channels, in which convolutions often have a `band`.
fn net(random: &mut Random) -> String {
    let (mut constants, mut body) = (String::new(), String::new());
    let mut last = "x".to_owned();
    for i in 0..2 + random.below(4) {
        let _ = match random.below(8) {
            0 => writeln!(body, "%p{i} = pad %{last} {{ pads = {} }}", random.list(4, 8)),
            1 => writeln!(body, "%p{i} = pad %{last} {{ pads = [{}, 0, -1, 1] }}", random.below(3)),
            2 => writeln!(body, "%p{i} = relu %{last}"),
            3 => {
                let _ = writeln!(constants, "%s{i} = const f64[2] = uniform(seed = {i}, low = 0.5, high = 1.5)");
                writeln!(body, "%p{i} = batch_norm %{last}, %s{i}, %s{i}, %s{i}, %s{i}")
            }
            _ => {
                let depthwise = random.below(2) == 0;
                let (group, c) = if depthwise { (2, 1) } else { (1, 2) };
                let kernel = [random.of(&[1, 3, 3, 7]), random.of(&[1, 3])];
                let _ = writeln!(
                    constants,
                    "%w{i} = const f64[2, {c}, {}, {}] = normal(seed = {i}, std = 0.5)",
                    kernel[0], kernel[1]
                );
                let pads = match random.below(4) {
                    0 => "auto_pad = SAME_UPPER".to_owned(),
                    _ => format!("pads = {}", random.list(4, kernel[0] + 1)),
                };
                let algorithm = if depthwise { "depthwise" } else { random.of(&["direct", "im2col", "winograd(2x2)"]) };
                let named = if random.below(3) == 0 { format!(", algorithm = {algorithm}") } else { String::new() };
                writeln!(
                    body,
                    "%p{i} = conv2d %{last}, %w{i} {{ {pads}, strides = [{}, 1], dilations = [{}, 1], group = {group}, band = {}{named} }}",
                    random.of(&[1, 1, 1, 2]),
                    random.of(&[1, 1, 2]),
                    random.of(&[0, 1, 2, 3, 3, 5]),
                )
            }
        };
        last = format!("p{i}");
    }
    let x = random.of(&["f64[1, 2, 9, 5]", "f64[1, 2, 1, 4]", "f64[1, 7, 6, 2] nhwc"]);
    format!("layer @l(%x: {x}) -> {{result}} {{\n{constants}{body}return %{last}\n}}\n")
}

/// Whether a layer can be lowered, with `direct` for the convolutions that name no algorithm.
fn lowers(layer: &Layer) -> Result<(), String> {
    let mut layer = layer.clone();
    for instr in &mut layer.body {
        if let Op::Conv2d(conv) = &mut instr.op
            && conv.plan == Plan::default()
        {
            conv.plan = Algorithm::Direct.into();
        }
    }
    let machine = Machine::x86_64_v3();
    let planned = common::planned(&layer, &machine).map_err(|error| error.to_string())?;
    let verified = layer::verify(&planned).expect("passes leave verified layers");
    lower(verified, &machine, &Bounds::default()).map(drop).map_err(|error| error.to_string())
}

fn numbers(layer: &Layer, inputs: &[ArrayD<f64>]) -> Vec<ArrayD<f64>> {
    convoke_interp::run_layer(layer::verify(layer).expect("verified"), inputs, &Files::none()).expect("it runs")
}

/// The layer after a pass, whose numbers are checked.
fn checked(layer: &Layer, entry: &Entry, inputs: &[ArrayD<f64>], expected: &[ArrayD<f64>]) -> Layer {
    let (machine, files) = (Machine::x86_64_v3(), Files::none());
    let cx = Context { machine: &machine, files: &files, grants: Grants::default() };
    let pass = entry.make(&[]).expect("it has no options that must be given");
    let state = PassManager::new(cx).run(State::Layer(layer.clone()), &[pass]);
    let State::Layer(after) = state.unwrap_or_else(|error| panic!("{}: {error}\n{layer}", entry.name)) else {
        unreachable!("a pass over layers")
    };
    if let Err(error) = lowers(&after) {
        panic!("after {}: {error}\nbefore:\n{layer}\nafter:\n{after}", entry.name);
    }
    for (found, expected) in numbers(&after, inputs).iter().zip(expected) {
        let close = |(f, e): (&f64, &f64)| (f - e).abs() <= 1e-9 * (1.0 + e.abs());
        assert!(found.iter().zip(expected).all(close), "{}:\n{layer}\n{after}", entry.name);
    }
    after
}

#[test]
fn what_lowering_accepts_it_accepts_after_every_pass() {
    let mut random = Random(1);
    let exact = |entry: &&Entry| matches!(entry.guarantee, Guarantee::Exact | Guarantee::Rounding);
    let passes: Vec<&Entry> = registry::LAYER.iter().filter(exact).filter(|e| e.level != registry::BY_NAME).collect();
    let mut nets = 0;
    while nets < 150 {
        let source = net(&mut random);
        // Not every window fits.
        let fits = |message: &str| message.contains("as its result");
        let open = source.replace("{result}", "f64[12345]");
        if text::parse(&open).is_err_and(|found| !found.iter().all(|d| fits(&d.message))) {
            continue;
        }
        let given = common::layer(&source);
        let banded = given.body.iter().any(|instr| matches!(&instr.op, Op::Conv2d(conv) if conv.band > 0));
        if !banded || lowers(&given).is_err() {
            continue;
        }
        let inputs = [convoke_data::random(given.ty(given.params[0]), 1, &Files::none()).expect("a small input")];
        let expected = numbers(&given, &inputs);
        passes.iter().for_each(|entry| drop(checked(&given, entry, &inputs, &expected)));
        let mut layer = given;
        for entry in &passes {
            layer = checked(&layer, entry, &inputs, &expected);
        }
        let program = lower(layer::verify(&layer).expect("verified"), &Machine::x86_64_v3(), &Bounds::default())
            .expect("it lowers");
        common::compare(&layer, &program, &inputs, &expected, "lowered");
        nets += 1;
    }
}
