//! Random nets through random options: machines, levels, passes by name, algorithms, limits on rounding, row strips, threads. Native code and the last loop
//! program stay within the bound of the interpreter of layers; for CPUs that this one is not, an object file is written.

use convoke::check::{Bounded, Reference};
use convoke::ir::layer::Op;
use convoke::objects::{Export, Nets};
use convoke::passes::{PassError, Spec, State};
use convoke::{Algorithm, Compiler, Elem, Error, Layer, Machine, Subnormals, Target, targets};
use convoke_data as data;
use convoke_interp::run_program;
use convoke_passes::registry;
use ndarray::ArrayD;

use crate::Random;
use crate::native::{Judged, beyond};
use crate::random_net;

/// The most multiplications of a program that the interpreter runs too.
const MOST: u128 = 100_000;

/// Algorithms with their sizes, besides those that leave them open.
const SIZED: [&str; 8] = [
    "winograd(2x2)",
    "winograd(4x4)",
    "winograd(1x4)",
    "winograd(6x6)",
    "fft(8x8)",
    "fft(16x16)",
    "fft(2x16)",
    "strassen(2)",
];

/// What bytes decide.
struct Case {
    layer: Layer,
    compiler: Compiler,
    /// A machine that is not this one is compiled for, not run on.
    target: Option<Target>,
    threads: usize,
}

pub(super) fn run(bytes: &[u8]) -> bool {
    let case = Case::of(bytes);
    if let Err(why) = case.check() {
        panic!("{why}\n{}\n{}", case.told(), case.layer.ir());
    }
    true
}

impl Case {
    fn of(bytes: &[u8]) -> Case {
        let mut random = Random::decided_by(bytes);
        // Options first: bytes that decide of them keep their places while the net grows.
        let elem = random.pick(&[Elem::F32, Elem::F32, Elem::F32, Elem::F64, Elem::F16, Elem::Bf16]);
        let target = foreign(&mut random);
        let machine = target.as_ref().map_or_else(|| here(&mut random), |target| target.machine.clone());
        let compiler = options(&mut random, machine);
        let plans: Vec<_> = (0..4).map(|_| plan(&mut random)).collect();
        let threads = random.between(1, 3);
        let net = random_net::net(random, elem);
        let layer = with_plans(&net, &compiler, &plans);
        Case { layer, compiler, target, threads }
    }
}

/// One time in four, a target that is not this system.
fn foreign(random: &mut Random) -> Option<Target> {
    let others: Vec<Target> = targets().into_iter().filter(|target| !target.host).collect();
    let at = random.between(0, 4 * others.len().max(1));
    others.into_iter().nth(at)
}

/// A machine that this CPU includes, with vectors of some width.
fn here(random: &mut Random) -> Machine {
    let named = Machine::NAMES.iter().map(|name| Machine::named(name).expect("listed"));
    let mut runs: Vec<Machine> = named.filter(|machine| machine.runs_on_host().is_ok()).collect();
    let machine = runs.swap_remove(random.between(0, runs.len() - 1));
    let mut widths = machine.widths();
    widths.swap_remove(random.between(0, widths.len() - 1))
}

fn options(random: &mut Random, machine: Machine) -> Compiler {
    let mut compiler = Compiler::for_machine(machine).with_level(random.pick(&[2, 2, 2, 0, 1, 3]));
    match random.between(0, 7) {
        0 => compiler = compiler.with_max_error(0.0),
        1 => compiler = compiler.with_max_error(random.pick(&[1e-6, 1e-4, 1e-2])),
        2 => compiler = compiler.with_max_error(1e-3).with_certified(true),
        3 => compiler = compiler.with_max_output_error(random.pick(&[1e-7, 1e-5, 1e-2])),
        _ => {}
    }
    if random.one_in(3) {
        compiler = compiler.with_guard(random.pick(&[0, 1, 2, 1 << 20]));
    }
    if random.one_in(4) {
        compiler = compiler.with_subnormals(Subnormals::Keep);
    }
    if random.one_in(8) {
        compiler = compiler.with_tolerance(random.pick(&[0.0, 0.01, 0.3]));
    }
    if random.one_in(2) {
        let passes = passes(random, &compiler);
        compiler = compiler.with_passes(passes);
    }
    compiler
}

/// Passes by name, which run whatever the level; strips of some rows.
fn passes(random: &mut Random, compiler: &Compiler) -> Vec<Spec> {
    let mut named = Vec::new();
    for entry in registry::LAYER.iter().filter(|entry| compiler.grants().allow(entry.guarantee)) {
        if random.one_in(5) && entry.name != "bands" && entry.level <= Compiler::MAX_LEVEL {
            named.push(Spec::new(entry.name));
        }
    }
    if random.one_in(2) {
        let rows = random.between(1, 9);
        named.extend(Spec::parse_list(&format!("bands(rows={rows})")).expect("a list of passes"));
    }
    named
}

fn plan(random: &mut Random) -> Algorithm {
    match random.between(0, 2) {
        0 => Algorithm::Auto,
        1 => random.pick(Algorithm::ALL),
        _ => random.pick(&SIZED).parse().expect("an algorithm"),
    }
}

/// The layer with these algorithms, in turn, where they apply.
fn with_plans(layer: &Layer, compiler: &Compiler, plans: &[Algorithm]) -> Layer {
    let mut found = layer.clone();
    let convs = layer.ir().body.iter().enumerate().filter(|(_, instr)| matches!(instr.op, Op::Conv2d(_)));
    for ((at, _), &plan) in convs.zip(plans.iter().cycle()) {
        let mut ir = found.ir().clone();
        if let Op::Conv2d(conv) = &mut ir.body[at].op {
            conv.plan = plan.into();
        }
        let Ok(asked) = Layer::from_ir(ir, layer.files().clone()) else { continue };
        if !matches!(compiler.select(&asked), Err(Error::Pass(PassError::Select(_)))) {
            found = asked;
        }
    }
    found
}

impl Case {
    /// The options, in words.
    fn told(&self) -> String {
        let target = self.target.as_ref().map(|target| target.triple.to_string());
        format!("{} threads, target {target:?}, {:?}", self.threads, self.compiler)
    }

    fn check(&self) -> Result<(), String> {
        let text = self.layer.ir().to_string();
        let again = Layer::parse(&text).map_err(|error| error.render(false))?;
        if again.ir().to_string() != text {
            return Err(format!("it prints otherwise after it was read back:\n{}", again.ir()));
        }
        match &self.target {
            Some(target) => self.object(target),
            None => self.runs(),
        }
    }

    fn object(&self, target: &Target) -> Result<(), String> {
        let export = Export { triple: target.triple.clone(), ..Export::default() };
        let nets = Nets::lower(std::slice::from_ref(&self.compiler), std::slice::from_ref(&self.layer), export);
        nets.and_then(|nets| nets.object()).map(drop).map_err(|error| error.render(false))
    }

    fn runs(&self) -> Result<(), String> {
        let Case { layer, compiler, .. } = self;
        let said = |error: Error| error.render(false);
        let inputs = layer.inputs().into_iter().enumerate();
        let inputs = inputs.map(|(i, (_, ty))| data::random(ty, i as i64 + 3, layer.files()).expect("a small tensor"));
        let reference = Reference::new(layer, inputs.collect(), compiler.subnormals()).map_err(said)?;
        let lowered = compiler.lower(layer).map_err(said)?;
        let bounded = reference.by(compiler, layer).map_err(said)?;
        let multiplications = State::Loops(lowered.program().clone()).stats().multiplications;
        if multiplications <= MOST {
            let outputs = run_program(lowered.verified(), reference.inputs(), &compiler.files(layer));
            let outputs = outputs.map_err(|error| format!("{error}\n{}", lowered.program()))?;
            within(bounded.outputs(), &outputs).map_err(|why| format!("loop interpreter: {why}"))?;
        }
        let run = |threads: usize| {
            let compiled = compiler.clone().with_threads(threads).compile(layer).map_err(said)?;
            compiled.run_rounded(reference.inputs()).map_err(said)
        };
        let outputs = run(self.threads)?;
        within(bounded.outputs(), &outputs).map_err(|why| format!("native code: {why}"))?;
        if self.threads > 1 && bits(&outputs) != bits(&run(1)?) {
            return Err("other bits on one thread".into());
        }
        Ok(())
    }
}

fn within(expected: &[Bounded], found: &[ArrayD<f64>]) -> Result<(), String> {
    let mut pairs = expected.iter().zip(found);
    let beyond = pairs.find_map(|(expected, found)| beyond(expected, found, &mut Judged::default()));
    beyond.map_or(Ok(()), Err)
}

fn bits(outputs: &[ArrayD<f64>]) -> Vec<u64> {
    outputs.iter().flatten().map(|number| number.to_bits()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::Body;

    #[test]
    fn cases_have_all_that_the_page_says() {
        let (mut texts, mut foreign, mut here) = (String::new(), 0, std::collections::BTreeSet::new());
        for seed in 0..600 {
            let case = Case::of(&Body::seeded(seed, &[]));
            let selected = case.compiler.select(&case.layer).unwrap_or_else(|error| panic!("{}", error.render(false)));
            texts += &selected.ir().to_string();
            texts += &case.told();
            foreign += usize::from(case.target.is_some());
            here.insert(case.compiler.machine().name.clone());
        }
        assert!((60..300).contains(&foreign) && here.len() > 5, "{foreign} of 600 for other systems, {here:?}");
        let words = ["winograd(", "strassen(", "im2col", "lanes = pixels", "depthwise"];
        let more = [" then ", " nhwc", "f16[", "bf16[", "f64[2,", "dilations", "strides", "group", "3 threads"];
        let missing: Vec<_> = words.iter().chain(&more).filter(|word| !texts.contains(**word)).collect();
        assert!(missing.is_empty(), "no case has {missing:?}");
    }
}
