//! Random nets: ops of every kind in any order, on operands that earlier ops gave. Passes, lowering and native code at every width, on one thread and on
//! two, against the interpreter of layers.

use std::collections::BTreeMap;

use convoke::check::Reference;
use convoke::ir::layer::OPS;
use convoke::{Compiler, Elem, Layer, Machine, Subnormals};
use convoke_data as data;
use convoke_tests::Random;
use convoke_tests::native::{Arrays, Judged, always_sanitized, beyond, none, sanitized};
use convoke_tests::random_net::net;

/// A run of sanitised code beside another.
type Sanitize = fn(&Compiler, &Layer, Arrays<'_>) -> Result<(), String>;

/// What is wrong with a net, if something is: native code of every width, on one thread and on two, as `sanitize` says sanitised too. With `ieee` some
/// inputs are NaN or infinite.
fn complaint(layer: &Layer, ieee: bool, sanitize: Sanitize, judged: &mut Judged) -> Option<String> {
    let inputs = layer.inputs().into_iter().enumerate();
    let inputs = inputs.map(|(i, (_, ty))| data::random(ty, i as i64 + 3, layer.files()).expect("a small tensor"));
    let mut inputs: Vec<_> = inputs.collect();
    for (i, x) in inputs.iter_mut().flatten().enumerate().filter(|(i, _)| ieee && i % 37 == 5) {
        *x = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0][(i + layer.ir().body.len()) % 4];
    }
    let reference = Reference::new(layer, inputs, Subnormals::Flush).expect("the interpreter runs it");
    for machine in Machine::host().widths() {
        let compiler = Compiler::host().with_machine(machine.clone()).with_ieee(ieee);
        let mut bits = Vec::new();
        for threads in [1, 2] {
            let compiled = match compiler.clone().with_threads(threads).compile(layer) {
                Ok(compiled) => compiled,
                Err(error) => return Some(format!("{}: {}\n{}", machine.name, error.render(false), layer.ir())),
            };
            let outputs = compiled.run_rounded(reference.inputs()).expect("inputs of its types");
            let reference = reference.by(&compiler, layer).expect("it compiled");
            let mut pairs = reference.outputs().iter().zip(&outputs);
            if let Some(why) = pairs.find_map(|(expected, found)| beyond(expected, found, judged)) {
                return Some(format!("{}, {threads} threads: {why}\n{}", machine.name, layer.ir()));
            }
            if let Err(why) = sanitize(&compiler.clone().with_threads(threads), layer, (reference.inputs(), &outputs)) {
                return Some(why);
            }
            bits.push(outputs.iter().flatten().map(|v| v.to_bits()).collect::<Vec<_>>());
        }
        if bits[0] != bits[1] {
            return Some(format!("{}: other bits on two threads\n{}", machine.name, layer.ir()));
        }
    }
    None
}

/// `CONVOKE_NETS` says how many there are, if not 200, and `CONVOKE_NETS_FROM` the first seed.
#[test]
fn random_nets_agree_at_every_width_and_on_two_threads() {
    let number = |name: &str, default| std::env::var(name).map_or(default, |n| n.parse().expect("a whole number"));
    let (count, from) = (number("CONVOKE_NETS", 200), number("CONVOKE_NETS_FROM", 0));
    let (mut complaints, mut ops, mut judged) = (Vec::new(), BTreeMap::new(), Judged::default());
    for seed in from..from + count {
        let elem = if seed % 8 == 7 { [Elem::F16, Elem::Bf16, Elem::F64][seed as usize / 8 % 3] } else { Elem::F32 };
        let net = net(Random::new(seed), elem);
        // Some nets at each width and on each number of threads, of the others one of three such.
        let sanitize = if seed % 5 == 0 { always_sanitized } else { sanitized };
        net.ir().body.iter().for_each(|instr| *ops.entry(instr.op.name()).or_insert(0) += 1);
        complaints
            .extend(complaint(&net, seed % 4 == 2, sanitize, &mut judged).map(|why| format!("seed {seed}: {why}")));
    }
    none(complaints);
    let Judged { all, bounded } = judged;
    assert!(bounded * 10 > all * 8, "only {bounded} of {all} elements have a bound");
    let missing: Vec<_> = OPS.iter().filter(|op| !ops.contains_key(op.name)).map(|op| op.name).collect();
    assert!(missing.is_empty() || count < 200, "no net has {missing:?}; {ops:?}");
}
