//! The result of a layer by its meaning, and the distance of a stage's result from it.
//!
//! The interpreter's run of the layer as it was given is the reference, y. Its bounds say how far a run in the element
//! type may be from it, element by element; see `convoke_interp::error_bounds`. They cover all that passes over layer IR may do and any
//! order of a sum. A convolution by Winograd's algorithm, an FFT or Strassen's rounds more: with y′ the interpreter's run of the layer
//! as it is lowered,
//!
//! ```text
//!   |ŷ − y| ≤ |ŷ − y′| + |y′ − y|       the bound of the lowered layer with its algorithms, and that of the layer given
//! ```
//!
//! The same where that layer has subnormal weights and code flushes them.
//!
//! A bound is far above most errors, and says little of a run that is merely poor. Errors are therefore also held against two root mean
//! squares: the error to *expect* of the algorithms chosen, and the error *allowed* ([`Budget`](convoke_conv::Budget)). Both are those of
//! `convoke_interp::errors`. A run on seeded inputs that exceeds the first by far has lost a product; a run that exceeds the second has data
//! that the estimate does not assume, such as one pixel far brighter than its neighbours.
//!
//! With a tolerance y′ may be another function, and |y′ − y| is added to the bound as it is. Native code is then checked to compute the approximated
//! layer; the passes report the distance of that layer from the one given.

use std::time::{Duration, Instant};

use convoke_conv::Conv;
use convoke_data::values;
pub use convoke_interp::Bounded;
use convoke_interp::{Accuracy, InterpError, error_bounds, errors, run_layer, run_program};
use convoke_ir::attr::{Algorithm, Plan};
use convoke_ir::elem::{Elem, Subnormals};
use convoke_ir::types::TensorType;
use convoke_ir::{layer as ir, loops};
use convoke_passes::{Grants, Record, Stage, State};
use ndarray::ArrayD;

use crate::compiler::Compiler;
use crate::error::Error;
use crate::layer::Layer;
use crate::module::Module;
use crate::pipeline::Verify;

/// Inputs with the outputs they mean.
#[derive(Clone, Debug)]
pub struct Reference {
    inputs: Vec<ArrayD<f64>>,
    /// Whether all numbers of inputs and constants are.
    finite: bool,
    outputs: Vec<Bounded>,
    /// Whether no algorithm rounds more than a plain sum.
    plain: bool,
}

/// Errors in multiples of a root mean square that each element has.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Share {
    /// The root mean square of these multiples over all elements.
    pub mean: f64,
    /// The largest.
    pub largest: f64,
    /// The number of elements.
    pub elements: usize,
}

impl Share {
    /// The largest mean of a run that is as it should be: estimates are right within this factor.
    pub const MEAN: f64 = 2.0;
    /// The most that single elements may exceed the root mean square by: of 10⁹ normal numbers the largest is 6.1, and outputs of a large tile
    /// differ by another factor of up to 5.
    pub const LARGEST: f64 = 32.0;

    /// Whether errors are no larger than this. The mean of few elements may be as large as one of them.
    pub fn is_within(&self) -> bool {
        let mean = Share::MEAN * (1.0 + 4.0 / (self.elements.max(1) as f64).sqrt());
        self.mean <= mean.min(Share::LARGEST) && self.largest <= Share::LARGEST
    }

    fn of(errors: &[(f64, f64)]) -> Share {
        let fraction = |&(error, of): &(f64, f64)| if error == 0.0 || of == f64::INFINITY { 0.0 } else { error / of };
        let largest = errors.iter().map(fraction).fold(0.0, f64::max);
        // Scaled, so that no square overflows.
        let unit = if largest > 0.0 { largest } else { 1.0 };
        let squares: f64 = errors.iter().map(fraction).map(|f| (f / unit).powi(2)).sum();
        let mean = if largest.is_finite() { unit * (squares / errors.len().max(1) as f64).sqrt() } else { largest };
        Share { mean, largest, elements: errors.len() }
    }
}

/// The distance of outputs from the reference: infinite where one is NaN or infinite and the other is not the same.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Comparison {
    /// The largest |y − reference| of all elements.
    pub max_error: f64,
    /// The largest error relative to its element's natural scale: Σ|w||x| of the last sum, and what was added to it.
    pub relative: f64,
    /// The bound of the element whose error is nearest to, or exceeds, its bound.
    pub bound: f64,
    /// The largest error as a fraction of its element's bound; above 1 the check fails.
    pub of_bound: f64,
    /// The number of elements that are not finite where the reference is, though all inputs and constants are: a sum or a transform overflowed. With any the
    /// check fails.
    pub overflowed: usize,
    /// The number of elements that are infinite or NaN where the reference is not, since a fast algorithm mixes inputs or weights that are not finite
    /// with others. They count in no other number here.
    pub spoilt: usize,
    /// Errors in multiples of the error to expect.
    pub expected: Share,
    /// Errors in multiples of the error allowed; `None` where every algorithm is a plain sum, which always is.
    pub allowed: Option<Share>,
}

impl Comparison {
    /// Outputs that cannot be compared at all.
    const WRONG: Comparison = Comparison {
        max_error: f64::INFINITY,
        relative: f64::INFINITY,
        bound: 0.0,
        of_bound: f64::INFINITY,
        overflowed: 0,
        spoilt: 0,
        expected: Share { mean: f64::INFINITY, largest: f64::INFINITY, elements: 0 },
        allowed: None,
    };

    /// Whether every element is within its bound, and none overflowed.
    pub fn passes(&self) -> bool {
        self.of_bound <= 1.0 && self.overflowed == 0
    }

    /// Whether errors are no larger than those to expect of the algorithms chosen. Meant for inputs without structure: elsewhere roundings may all go
    /// one way, and a run that is right may fail this.
    pub fn is_expected(&self) -> bool {
        self.expected.is_within()
    }

    /// Whether errors are no larger than allowed, and nothing that is not finite was spread.
    pub fn is_allowed(&self) -> bool {
        self.spoilt == 0 && self.allowed.is_none_or(|share| share.is_within())
    }
}

impl Reference {
    /// Runs the layer in the interpreter. Its error bounds are those of plain sums, whatever algorithms it names, for code that takes
    /// subnormal numbers in this way.
    ///
    /// # Errors
    ///
    /// [`Error::Interp`] for a layer that the interpreter refuses, as one that needs more memory than its budget: see [`Layer::with_budget`].
    pub fn new(layer: &Layer, inputs: Vec<ArrayD<f64>>, subnormals: Subnormals) -> Result<Reference, Error> {
        let plain = without_algorithms(layer)?;
        let outputs = error_bounds(plain.verified(), &inputs, layer.files(), subnormals)?;
        let finite =
            inputs.iter().flatten().all(|x| x.is_finite()) && !any_constant(layer, |number, _| !number.is_finite())?;
        Ok(Reference { inputs, finite, outputs, plain: true })
    }

    /// The same reference with the bounds of the code that `compiler` makes of its layer, which is `layer`.
    ///
    /// # Errors
    ///
    /// [`Error::Pass`] for a pass that is refused; [`Error::Option`].
    pub fn by(&self, compiler: &Compiler, layer: &Layer) -> Result<Reference, Error> {
        let selected = compiler.select(layer)?;
        let mut reference = self.clone();
        let rounds = layer.ir().values.iter().any(|(_, value)| value.ty.elem.is_storage());
        let (approximates, subnormals) = (compiler.grants().tolerance.is_some(), compiler.subnormals());
        reference.plain = algorithms(selected.ir()).all(Algorithm::is_plain_sum);
        // Passes may have made subnormal weights of others.
        if approximates || !reference.plain || (subnormals == Subnormals::Flush && has_subnormals(&selected)?) {
            let accuracies = accuracies(compiler.grants());
            let files = compiler.files(layer);
            let lowered = errors(selected.verified(), &self.inputs, &files, subnormals, &accuracies)?;
            for (output, lowered) in reference.outputs.iter_mut().zip(lowered) {
                output.bound.zip_mut_with(&lowered.bound, |bound, more| *bound += more);
                let given = std::mem::replace(&mut output.expected, lowered.expected);
                output.allowed = lowered.allowed;
                // y itself was rounded between its ops, as y′ may not have been.
                if rounds {
                    for of in [&mut output.expected, &mut output.allowed] {
                        of.zip_mut_with(&given, |of, more| *of += more);
                    }
                }
                if approximates {
                    let changed = (&lowered.value - &output.value).mapv(f64::abs);
                    for of in [&mut output.bound, &mut output.expected, &mut output.allowed] {
                        of.zip_mut_with(&changed, |of, more| *of += more);
                    }
                }
            }
        }
        Ok(reference)
    }

    /// The inputs, in storage order.
    pub fn inputs(&self) -> &[ArrayD<f64>] {
        &self.inputs
    }

    /// The outputs with the bounds of their errors.
    pub fn outputs(&self) -> &[Bounded] {
        &self.outputs
    }

    /// The distance of `outputs` from the reference.
    pub fn compare(&self, outputs: &[ArrayD<f64>]) -> Comparison {
        let shapes = |a: &ArrayD<f64>, b: &Bounded| a.shape() == b.value.shape();
        if outputs.len() != self.outputs.len() || !outputs.iter().zip(&self.outputs).all(|(a, b)| shapes(a, b)) {
            return Comparison::WRONG;
        }
        let mut worst = Comparison { max_error: 0.0, relative: 0.0, bound: 0.0, of_bound: 0.0, ..Comparison::WRONG };
        let (mut of_expected, mut of_allowed) = (Vec::new(), Vec::new());
        for (found, expected) in outputs.iter().zip(&self.outputs) {
            let mut errors = Vec::with_capacity(found.len());
            let elements = found.iter().zip(&expected.value).zip(&expected.bound).zip(&expected.scale);
            for (((&found, &value), &bound), &scale) in elements {
                let error = distance(found, value);
                // A NaN or an infinity that a fast algorithm spreads over a tile has no size.
                if error == f64::INFINITY && bound == f64::INFINITY && !self.finite {
                    worst.spoilt += 1;
                    errors.push(0.0);
                    continue;
                }
                // A number that was rounded to infinity inside the net may not have been.
                if error == f64::INFINITY && bound == f64::INFINITY && !value.is_finite() {
                    errors.push(0.0);
                    continue;
                }
                errors.push(error);
                worst.overflowed += usize::from(self.finite && value.is_finite() && !found.is_finite());
                // An infinite bound says that a sum may overflow: then any finite number is allowed, and nothing else.
                let any = |of: f64| of == f64::INFINITY && error != f64::INFINITY;
                let fraction = |of: f64| if error == 0.0 || any(of) { 0.0 } else { error / of.min(f64::MAX) };
                worst.max_error = worst.max_error.max(error);
                worst.relative = worst.relative.max(fraction(scale));
                if fraction(bound) > worst.of_bound || worst.of_bound == 0.0 {
                    (worst.of_bound, worst.bound) = (fraction(bound), bound);
                }
            }
            // Where any finite number is allowed, no error is too large.
            let known = || expected.bound.iter().map(|bound| bound.is_finite());
            let held = |of: &ArrayD<f64>| -> Vec<(f64, f64)> {
                let errors = errors.iter().zip(of).zip(known());
                errors.map(|((&error, &of), known)| (error, if known { of } else { f64::INFINITY })).collect()
            };
            of_expected.extend(held(&expected.expected));
            of_allowed.extend(held(&expected.allowed));
        }
        worst.expected = Share::of(&of_expected);
        worst.allowed = (!self.plain).then(|| Share::of(&of_allowed));
        worst
    }
}

/// Whether some number of a constant that is read satisfies `such`, a predicate of the number and the constant's element type.
fn any_constant(layer: &Layer, such: impl Fn(f64, Elem) -> bool) -> Result<bool, Error> {
    let uses = layer.ir().uses();
    for (id, value) in layer.ir().values.iter().filter(|(id, _)| uses[id.index()] > 0) {
        let Some(source) = layer.ir().constant(id) else { continue };
        let numbers = values(source, &value.ty, layer.files())
            .map_err(|source| InterpError::Constant { name: value.name.clone(), source: Box::new(source) })?;
        if !numbers.all(|number| !such(number, value.ty.elem)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a constant of the layer holds a number that is subnormal in the type computed in.
fn has_subnormals(layer: &Layer) -> Result<bool, Error> {
    any_constant(layer, |number, elem| number != 0.0 && number.abs() < elem.compute().smallest_normal())
}

fn algorithms(layer: &ir::Layer) -> impl Iterator<Item = Algorithm> {
    layer.body.iter().filter_map(|instr| match &instr.op {
        ir::Op::Conv2d(conv) => Some(conv.plan.algorithm),
        _ => None,
    })
}

/// The accuracies of convolutions by the algorithms that they name.
fn accuracies(grants: Grants) -> impl Fn(&ir::Conv2d, &TensorType, &TensorType) -> Accuracy {
    move |op, x, w| {
        let result = ir::Op::from(op.clone()).infer(&[x, w]).ok();
        let conv = result.and_then(|y| Conv::of(op, x, w, &y)).expect("the layer is verified");
        let expected = convoke_conv::expected(op.plan.algorithm, &conv);
        Accuracy { expected, allowed: convoke_conv::allowed(op.plan.algorithm, &conv, &grants.rounding()) }
    }
}

fn without_algorithms(layer: &Layer) -> Result<Layer, Error> {
    if algorithms(layer.ir()).all(Algorithm::is_plain_sum) {
        return Ok(layer.clone());
    }
    let mut plain = layer.ir().clone();
    for instr in &mut plain.body {
        if let ir::Op::Conv2d(conv) = &mut instr.op {
            conv.plan = Plan::default();
        }
    }
    Layer::from_ir(plain, layer.files().clone())
}

fn distance(a: f64, b: f64) -> f64 {
    match (a, b) {
        _ if a == b || (a.is_nan() && b.is_nan()) => 0.0,
        _ if a.is_nan() || b.is_nan() => f64::INFINITY,
        _ => (a - b).abs(),
    }
}

fn same_bits(a: &[ArrayD<f64>], b: &[ArrayD<f64>]) -> bool {
    a.iter().zip(b).all(|(a, b)| a.iter().zip(b).all(|(x, y)| x.to_bits() == y.to_bits()))
}

/// One stage of the road, checked.
#[derive(Clone, Debug)]
pub struct StageCheck {
    /// The pass after which the IR was run; `text`, or `native`, with the number of threads.
    pub stage: String,
    /// The engine that ran it: `layer interpreter`, `loop interpreter` or `native code`.
    pub engine: &'static str,
    /// The comparison; `None` for a stage that was left out.
    pub comparison: Option<Comparison>,
    /// The time it took.
    pub elapsed: Duration,
}

/// Makes the outputs of a stage.
type Run<'a> = &'a mut dyn FnMut() -> Result<Vec<ArrayD<f64>>, Error>;

/// Runs every stage of the road of `layer` on the reference's inputs: the layer printed and parsed, the layer after each
/// pass that changed it, the program after each, and native code at one and at two threads, which
/// must give the same bits. `before` is told each stage
/// before it runs.
///
/// The loop interpreter takes some ten nanoseconds for a multiplication. Programs of more than `most` multiplications
/// are therefore left out, but for the last.
///
/// # Errors
///
/// A stage that cannot be made or run. A stage whose result is wrong is no error: see [`Comparison::passes`].
pub fn stages(
    compiler: &Compiler,
    layer: &Layer,
    reference: &Reference,
    most: u64,
    mut before: impl FnMut(&str),
) -> Result<Vec<StageCheck>, Error> {
    let mut found = Vec::new();
    let (files, reference) = (&compiler.files(layer), reference.by(compiler, layer)?);
    let mut stage = |name: &str, engine: &'static str, run: Option<Run<'_>>| {
        before(name);
        let start = Instant::now();
        let comparison = run.map(|run| Ok::<_, Error>(reference.compare(&run()?))).transpose()?;
        found.push(StageCheck { stage: name.into(), engine, comparison, elapsed: start.elapsed() });
        Ok::<_, Error>(())
    };

    let text = layer.ir().to_string();
    let read_back = Module::from_bytes("<printed>", text.as_bytes(), files.clone());
    // A constant that a caller computed has no text.
    if let Ok(module) = read_back {
        let read_back = module.layer(None)?;
        let mut run = || Ok(run_layer(read_back.verified(), &reference.inputs, files)?);
        stage("text", "layer interpreter", Some(&mut run))?;
    }

    let mut states: Vec<(&'static str, State)> = Vec::new();
    let observer = |record: &Record, state: &State| {
        if record.changed.is_yes() {
            states.push((record.pass, state.clone()));
        }
    };
    compiler.run_level(layer, Stage::Loops, Verify::Each, observer)?;
    for (i, (pass, state)) in states.iter().enumerate() {
        match state {
            State::Layer(ir) => {
                let after = Layer::from_ir(ir.clone(), files.clone())?;
                let mut run = || Ok(run_layer(after.verified(), &reference.inputs, files)?);
                stage(pass, "layer interpreter", Some(&mut run))?;
            }
            State::Loops(program) => {
                let runs = i + 1 == states.len() || state.stats().multiplications <= most.into();
                let program = loops::verify(program).expect("verified by the pass manager");
                let mut run = || Ok(run_program(program, &reference.inputs, files)?);
                stage(pass, "loop interpreter", if runs { Some(&mut run) } else { None })?;
            }
        }
    }

    let mut first: Option<Vec<ArrayD<f64>>> = None;
    for threads in [1, 2] {
        let name = format!("{threads} thread{}", if threads == 1 { "" } else { "s" });
        let compiled = compiler.clone().only_run_on(threads).compile(layer)?;
        let mut run = || {
            let outputs = compiled.run_rounded(&reference.inputs)?;
            let first = first.get_or_insert_with(|| outputs.clone());
            // A result that differs between thread counts is wrong, however near it is. No outputs at all are certainly wrong.
            Ok(if same_bits(first, &outputs) { outputs } else { Vec::new() })
        };
        stage(&name, "native code", Some(&mut run))?;
    }
    Ok(found)
}
