//! Native code by an algorithm beside the interpreter.

use std::hash::{DefaultHasher, Hash, Hasher};

use convoke::check::{Bounded, Reference};
use convoke::{Algorithm, Compiler, Error, Layer, Machine};
use convoke_conv::SelectError;
use convoke_data as data;
use convoke_passes::PassError;
use ndarray::ArrayD;

/// The largest whole number among inputs and weights: sums of n products are exact while n · most² ≤ 2^24.
pub const MOST: u32 = 8;

/// For this CPU, or as the description in the file that `CONVOKE_MACHINE` names says.
pub fn compiler() -> Compiler {
    let Some(path) = std::env::var_os("CONVOKE_MACHINE") else { return Compiler::host() };
    let text = std::fs::read_to_string(path).expect("CONVOKE_MACHINE names a file");
    Compiler::for_machine(Machine::from_toml(&text).expect("a description of a machine"))
}

/// Small whole numbers for every input.
pub fn integers(layer: &Layer, seed: u64) -> Vec<ArrayD<f64>> {
    let inputs = layer.inputs().into_iter();
    let inputs = inputs.map(|(_, ty)| data::random_integers(ty, MOST, seed as i64, layer.files()));
    inputs.collect::<Result<_, _>>().expect("a small tensor")
}

/// Compares native code by `algorithm` with the reference: to the bit where the algorithm chosen is exact on integers, else within its
/// bound. Whether the algorithm applies.
pub fn exact(layer: &Layer, reference: &Reference, algorithm: Algorithm, threads: usize) -> Result<bool, String> {
    native(layer, reference, algorithm, threads, |chosen| chosen.is_plain_sum() || is_strassen(chosen), false)
}

fn is_strassen(algorithm: Algorithm) -> bool {
    matches!(algorithm, Algorithm::Strassen { .. })
}

/// As [`exact`], where `to_the_bit` says of which algorithms the numbers must be equal. Of `seeded` inputs errors must be no larger than
/// expected, either.
pub fn native(
    layer: &Layer,
    reference: &Reference,
    algorithm: Algorithm,
    threads: usize,
    to_the_bit: impl Fn(Algorithm) -> bool,
    seeded: bool,
) -> Result<bool, String> {
    let compiler = compiler().with_algorithm(algorithm).with_threads(threads);
    let compiled = match compiler.compile(layer) {
        Err(Error::Pass(PassError::Select(SelectError::Plan { .. }))) => return Ok(false),
        compiled => compiled.map_err(|e| format!("@{} by {algorithm}: {}", layer.name(), e.render(false)))?,
    };
    let outputs = compiled.run_rounded(reference.inputs()).map_err(|e| e.to_string())?;
    let reference = reference.by(&compiler, layer).map_err(|e| e.to_string())?;
    let values = || outputs.iter().flatten().zip(reference.outputs().iter().flat_map(|output| &output.value));
    if values().any(|(found, expected)| found.is_finite() && !expected.is_finite()) {
        return Err(format!("@{} by {algorithm}: a number where there is none", layer.name()));
    }
    sanitized(&compiler, layer, (reference.inputs(), &outputs))?;
    let c = reference.compare(&outputs);
    let fine = match compiled.report().choices.iter().all(|choice| to_the_bit(choice.algorithm.algorithm)) {
        true => c.max_error == 0.0,
        false => c.passes() && (c.is_expected() || !seeded),
    };
    match fine {
        true => Ok(true),
        false => Err(format!("@{} by {algorithm}: {c:?}, {:?}", layer.name(), layer.ir().to_string())),
    }
}

/// Of so many layers one runs sanitised too.
const SANITIZED: u64 = 3;

/// For one of [`SANITIZED`] layers, whether sanitised code finds nothing and gives the same bits as `outputs`.
pub fn sanitized(compiler: &Compiler, layer: &Layer, (inputs, outputs): Arrays<'_>) -> Result<(), String> {
    let mut hasher = DefaultHasher::new();
    (layer.ir().to_string(), &compiler.machine().name, compiler.algorithm().to_string()).hash(&mut hasher);
    if hasher.finish().is_multiple_of(SANITIZED) {
        always_sanitized(compiler, layer, (inputs, outputs))
    } else {
        Ok(())
    }
}

/// As [`sanitized`], for this layer.
pub fn always_sanitized(compiler: &Compiler, layer: &Layer, (inputs, outputs): Arrays<'_>) -> Result<(), String> {
    let name = |what: String| format!("{}, sanitised: {what}\n{}", compiler.machine().name, layer.ir());
    let compiled = compiler.clone().with_sanitize(true).compile(layer).map_err(|error| name(error.render(false)))?;
    let found = compiled.run_rounded(inputs).map_err(|error| name(error.to_string()))?;
    // Which NaN comes out of two is not said.
    let differ = |(x, y): (&f64, &f64)| x.to_bits() != y.to_bits() && !(x.is_nan() && y.is_nan());
    match found.iter().flatten().zip(outputs.iter().flatten()).position(differ) {
        None => Ok(()),
        Some(at) => Err(name(format!("other bits from element {at} on"))),
    }
}

/// Inputs and outputs of a run.
pub type Arrays<'a> = (&'a [ArrayD<f64>], &'a [ArrayD<f64>]);

/// How often each algorithm ran, so that a list that tests nothing is seen.
#[derive(Debug, Default)]
pub struct Count(pub std::collections::BTreeMap<String, usize>);

/// Panics with all complaints, if there are any.
pub fn none(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "{} failed:\n{}", complaints.len(), complaints.join("\n"));
}

/// How many elements there were, and how many of them have a bound.
#[derive(Debug, Default)]
pub struct Judged {
    /// All.
    pub all: usize,
    /// Those with a bound.
    pub bounded: usize,
}

/// The first element beyond its bound. Powers, exponentials and quotients leave the range of a type, and a fast algorithm spreads a NaN over its tile:
/// an element that this may reach has no bound.
pub fn beyond(expected: &Bounded, found: &ArrayD<f64>, judged: &mut Judged) -> Option<String> {
    judged.all += found.len();
    judged.bounded += expected.bound.iter().filter(|bound| bound.is_finite()).count();
    let elements = found.iter().zip(&expected.value).zip(&expected.bound).enumerate();
    elements.map(|(at, ((&found, &value), &bound))| (at, found, value, bound)).find_map(|(at, found, value, bound)| {
        let same = found == value || (found.is_nan() && value.is_nan());
        let within = same || bound == f64::INFINITY || (found - value).abs() <= bound;
        (!within).then(|| format!("element {at} is {found}, {value} ± {bound} is expected"))
    })
}
