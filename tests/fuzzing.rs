//! The bodies of `fuzz/` on seeded inputs, in an ordinary test.
//!
//! `CONVOKE_FUZZ_RUNS` is the number of inputs of each body, `CONVOKE_FUZZ_SECONDS` a time for each instead, `CONVOKE_FUZZ_FROM` the first seed,
//! `CONVOKE_FUZZ_CORPUS` a folder for the valid inputs of each body, which a fuzzer begins with.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use convoke_tests::fuzz::{BODIES, Body};
use libtest_mimic::{Arguments, Failed, Trial};

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|number| number.parse().unwrap_or_else(|_| panic!("{name} is no whole number")))
}

fn runs(body: Body) -> Result<(), Failed> {
    let valid = (body.valid)();
    if let Some(folder) = std::env::var_os("CONVOKE_FUZZ_CORPUS") {
        let folder = Path::new(&folder).join(body.name);
        fs::create_dir_all(&folder)?;
        for (i, bytes) in valid.iter().enumerate() {
            fs::write(folder.join(format!("valid-{i}")), bytes)?;
        }
    }
    // Among the texts are some that must be refused.
    valid.iter().for_each(|bytes| _ = (body.run)(bytes));
    let (start, from) = (Instant::now(), number("CONVOKE_FUZZ_FROM").unwrap_or(0));
    let seconds = number("CONVOKE_FUZZ_SECONDS").map(Duration::from_secs);
    let count = if seconds.is_some() { u64::MAX } else { number("CONVOKE_FUZZ_RUNS").unwrap_or(body.runs) };
    let (mut executions, mut accepted, mut findings) = (0, 0, Vec::new());
    for seed in (from..).take(usize::try_from(count)?) {
        if seconds.is_some_and(|seconds| start.elapsed() >= seconds) {
            break;
        }
        let bytes = Body::seeded(seed, &valid);
        executions += 1;
        // The message of the panic was printed when it was raised.
        match catch_unwind(AssertUnwindSafe(|| (body.run)(&bytes))) {
            Ok(valid) => accepted += u64::from(valid),
            Err(_) => findings.push(seed),
        }
    }
    eprintln!("{}: {executions} executions, {accepted} of valid inputs, {} findings", body.name, findings.len());
    if executions >= body.runs && accepted * 50 < executions {
        return Err(format!("{}: only {accepted} of {executions} inputs are valid", body.name).into());
    }
    match findings.is_empty() {
        true => Ok(()),
        false => Err(format!("{}: seeds {findings:?}; see CONVOKE_FUZZ_FROM", body.name).into()),
    }
}

/// Every body is a target of cargo-fuzz, and every target is a body.
fn targets() -> Result<(), Failed> {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
    let manifest = fs::read_to_string(fuzz.join("Cargo.toml"))?;
    let mut there: Vec<String> = Vec::new();
    for entry in fs::read_dir(fuzz.join("fuzz_targets"))? {
        there.extend(entry?.path().file_stem().map(|stem| stem.to_string_lossy().into_owned()));
    }
    let mut known: Vec<String> = BODIES.iter().map(|body| body.name.to_owned()).collect();
    there.sort();
    known.sort();
    if there != known {
        return Err(format!("fuzz/fuzz_targets has {there:?}, the bodies are {known:?}").into());
    }
    for name in known {
        let call = format!("run(\"{name}\", bytes)");
        let target = fs::read_to_string(fuzz.join(format!("fuzz_targets/{name}.rs")))?;
        if !target.contains(&call) || !manifest.contains(&format!("name = \"{name}\"")) {
            return Err(format!("the target {name} lacks `{call}`, or its lines in fuzz/Cargo.toml").into());
        }
    }
    Ok(())
}

fn main() {
    let bodies = BODIES.iter().map(|&body| Trial::test(body.name, move || runs(body)));
    let trials = bodies.chain([Trial::test("every_body_is_a_target_of_cargo_fuzz", targets)]).collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}
