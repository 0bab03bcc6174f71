//! How many instructions a run of a layer takes, counted by valgrind's callgrind and compared with `counts.txt`. Unlike seconds they
//! are the same on every machine and beside any neighbour, so that a change that makes generated code longer is seen before it is merged.
//!
//! ```text
//! cargo test -p convoke-benches --test instructions                            at most 5 % more than written down
//! CONVOKE_COUNTS=update cargo test -p convoke-benches --test instructions      writes down what is counted
//! ```
//!
//! What is counted is the second run, on one thread, of each layer of `layers.conv`, compiled for `x86-64-v3`: valgrind knows no AVX-512.
//! Code for wider vectors comes from the same loops; its inner loops are counted statically by `convoke-codegen/tests/`. A static
//! count of whole layers was rejected: it would need the trips of every loop of the machine code, which is what valgrind sees anyway.

mod callgrind;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use convoke::{Compiler, Input, Machine, Module, Output};
use libtest_mimic::{Arguments, Failed, Trial};

/// How much more than is written down is allowed.
const ROOM: f64 = 0.05;
/// Set to `update`, counts are written down rather than compared.
const UPDATE: &str = "CONVOKE_COUNTS";
/// Names the layer that this process is to run, under valgrind.
const LAYER: &str = "CONVOKE_COUNT_LAYER";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("instructions")
}

fn main() {
    if let Ok(name) = std::env::var(LAYER) {
        return run(&name);
    }
    let arguments = Arguments::from_args();
    let update = std::env::var(UPDATE).is_ok_and(|v| v == "update");
    let missing = callgrind::missing();
    let known = read(&folder().join("counts.txt"));
    let counted = Arc::new(Mutex::new(BTreeMap::new()));
    let layers = Module::read(&folder().join("layers.conv")).expect("the layers are valid").layers().to_vec();
    let trial = |name: String| {
        let (counted, known) = (Arc::clone(&counted), known.get(&name).copied());
        let test = name.clone();
        let count = move || {
            let count = callgrind::count(LAYER, &name, callgrind::FUNCTION)?;
            counted.lock().expect("no test panics").insert(name, count);
            if update { Ok(()) } else { compare(count, known) }
        };
        Trial::test(test, count).with_ignored_flag(missing.is_some())
    };
    let trials = layers.iter().map(|layer| trial(layer.name().to_owned())).collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    let counted = counted.lock().expect("no test panics");
    if let Some(why) = missing {
        eprintln!("WARNING: no instructions were counted: {why}");
    }
    for (name, &count) in counted.iter() {
        let change = known.get(name).map(|&known| 100.0 * (count as f64 / known as f64 - 1.0));
        println!("{name:<16} {count:>12} {}", change.map_or("new".into(), |c| format!("{c:+.2} %")));
    }
    if update && !conclusion.has_failed() {
        let mut all = known;
        all.extend(counted.iter().map(|(name, count)| (name.clone(), *count)));
        all.retain(|name, _| layers.iter().any(|layer| layer.name() == name));
        let lines: String = all.iter().map(|(name, count)| format!("{name} {count}\n")).collect();
        std::fs::write(folder().join("counts.txt"), lines).expect("the folder of the test can be written");
    }
    conclusion.exit()
}

/// The counts written down, by layer.
fn read(path: &Path) -> BTreeMap<String, u64> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .filter_map(|line| line.split_once(' ').and_then(|(name, n)| Some((name.into(), n.parse().ok()?))))
        .collect()
}

fn compare(count: u64, known: Option<u64>) -> Result<(), Failed> {
    let again = format!("`{UPDATE}=update cargo test -p convoke-benches --test instructions` writes it down");
    let known = known.ok_or_else(|| format!("{count} instructions, and none written down; {again}"))?;
    let more = count as f64 / known as f64 - 1.0;
    if more <= ROOM {
        return Ok(());
    }
    Err(format!("{count} instructions, {:.1} % more than {known}; if there is a reason, {again}", 100.0 * more).into())
}

/// Runs a layer twice: the first run, which takes the workspace from the system, is not counted.
fn run(name: &str) {
    let module = Module::read(&folder().join("layers.conv")).expect("the layers are valid");
    let layer = module.layer(Some(name)).expect("the name of a layer");
    let compiled = Compiler::for_machine(Machine::x86_64_v3()).compile(&layer).expect("it compiles");
    let inputs = convoke_benches::inputs(&layer);
    let inputs: Vec<_> = inputs.iter().map(|x| x as &dyn Input).collect();
    let mut outputs = compiled.run::<f32>(&inputs).expect("it runs");
    let mut outputs: Vec<_> = outputs.iter_mut().map(|y| y as &mut dyn Output).collect();
    callgrind::counted(|| compiled.run_into(&inputs, &mut outputs).expect("it runs"));
}
