//! The result of a layer as its meaning gives it, and how far the result of a stage is from it.
//!
//! The interpreter's run of the layer as it was given is the reference, y. Its bounds say how far a run in the element
//! type may be from it, element by element; see `convoke_interp::error_bounds`. They cover what passes over layer IR may do and any
//! order of a sum. A convolution by Winograd's algorithm, an FFT or Strassen's rounds more: with y′ the interpreter's run of the layer
//! as it is lowered,
//!
//! ```text
//!   |ŷ − y| ≤ |ŷ − y′| + |y′ − y|       the bound of the lowered layer with its algorithms, and that of the layer given
//! ```
//!
//! The same where that layer has subnormal weights and code flushes them. Where the user grants a tolerance y′ may be another function, and |y′ − y| is what it is: native code is then checked to compute the layer as
//! it was approximated. How far that is from the layer given is what the passes say of it.

use std::time::{Duration, Instant};

use convoke_data::values;
use convoke_interp::{Bounded, InterpError, error_bounds, run_layer, run_program};
use convoke_ir::attr::Algorithm;
use convoke_ir::elem::Subnormals;
use convoke_ir::{layer as ir, loops};
use convoke_passes::{Record, Stage, State};
use ndarray::ArrayD;

use crate::compiler::{Compiler, Verify};
use crate::error::Error;
use crate::layer::Layer;

/// Inputs with the outputs they mean.
#[derive(Clone, Debug)]
pub struct Reference {
    inputs: Vec<ArrayD<f64>>,
    /// Whether all numbers of inputs and constants are.
    finite: bool,
    outputs: Vec<Bounded>,
}

/// How far outputs are from the reference. Infinite where one is NaN or infinite and the other is not the same.
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
    /// How many elements are not finite where the reference is, though all inputs and constants are: a sum or a transform overflowed. With any the
    /// check fails.
    pub overflowed: usize,
}

impl Comparison {
    /// Outputs that cannot be compared at all.
    const WRONG: Comparison = Comparison {
        max_error: f64::INFINITY,
        relative: f64::INFINITY,
        bound: 0.0,
        of_bound: f64::INFINITY,
        overflowed: 0,
    };

    /// Whether every element is within its bound, and none overflowed.
    pub fn passes(&self) -> bool {
        self.of_bound <= 1.0 && self.overflowed == 0
    }
}

impl Reference {
    /// Runs the layer in the interpreter. Its error bounds are those of plain sums, whatever algorithms it names, for code that takes
    /// subnormal numbers in this way.
    ///
    /// # Errors
    ///
    /// What the interpreter refuses, such as more memory than the layer's budget: see [`Layer::with_budget`].
    pub fn new(layer: &Layer, inputs: Vec<ArrayD<f64>>, subnormals: Subnormals) -> Result<Reference, Error> {
        let plain = without_algorithms(layer)?;
        let outputs = error_bounds(plain.verified(), &inputs, layer.files(), subnormals)?;
        let finite = inputs.iter().flatten().all(|x| x.is_finite()) && finite_constants(layer)?;
        Ok(Reference { inputs, finite, outputs })
    }

    /// The same with the bounds of what `compiler` makes of `layer`, which is that of the reference.
    ///
    /// # Errors
    ///
    /// A pass that is refused.
    pub fn by(&self, compiler: &Compiler, layer: &Layer) -> Result<Reference, Error> {
        let selected = compiler.select(layer)?;
        let mut reference = self.clone();
        let (approximates, subnormals) = (compiler.grants().tolerance.is_some(), compiler.get_subnormals());
        let fast = algorithms(selected.ir()).any(|a| !a.is_plain_sum());
        // Passes may have made subnormal weights of others.
        if approximates || fast || (subnormals == Subnormals::Flush && has_subnormals(&selected)?) {
            let lowered = error_bounds(selected.verified(), &self.inputs, &compiler.files(layer), subnormals)?;
            for (output, lowered) in reference.outputs.iter_mut().zip(&lowered) {
                output.bound.zip_mut_with(&lowered.bound, |bound, more| *bound += more);
                if approximates {
                    let changed = &lowered.value - &output.value;
                    output.bound.zip_mut_with(&changed, |bound, more| *bound += more.abs());
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

    /// How far `outputs` are from the reference.
    pub fn compare(&self, outputs: &[ArrayD<f64>]) -> Comparison {
        let shapes = |a: &ArrayD<f64>, b: &Bounded| a.shape() == b.value.shape();
        if outputs.len() != self.outputs.len() || !outputs.iter().zip(&self.outputs).all(|(a, b)| shapes(a, b)) {
            return Comparison::WRONG;
        }
        let mut worst = Comparison { max_error: 0.0, relative: 0.0, bound: 0.0, of_bound: 0.0, overflowed: 0 };
        for (found, expected) in outputs.iter().zip(&self.outputs) {
            let elements = found.iter().zip(&expected.value).zip(&expected.bound).zip(&expected.scale);
            for (((&found, &value), &bound), &scale) in elements {
                let error = distance(found, value);
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
        }
        worst
    }
}

fn finite_constants(layer: &Layer) -> Result<bool, Error> {
    let uses = layer.ir().uses();
    for (id, value) in layer.ir().values.iter().filter(|(id, _)| uses[id.index()] > 0) {
        let Some(source) = layer.ir().constant(id) else { continue };
        let numbers = values(source, &value.ty, layer.files())
            .map_err(|source| InterpError::Constant { name: value.name.clone(), source: Box::new(source) })?;
        if numbers.iter().any(|number| !number.is_finite()) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn algorithms(layer: &ir::Layer) -> impl Iterator<Item = Algorithm> {
    layer.body.iter().filter_map(|instr| match &instr.op {
        ir::Op::Conv2d(conv) => Some(conv.algorithm),
        _ => None,
    })
}

/// Whether a constant of the layer holds a subnormal number of its element type.
fn has_subnormals(layer: &Layer) -> Result<bool, Error> {
    let ir = layer.ir();
    for id in ir.values.ids() {
        let Some(source) = ir.constant(id) else { continue };
        let (ty, normal) = (ir.ty(id), ir.ty(id).elem.smallest_normal());
        let numbers = values(source, ty, layer.files())?;
        if numbers.iter().any(|v| *v != 0.0 && v.abs() < normal) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn without_algorithms(layer: &Layer) -> Result<Layer, Error> {
    if algorithms(layer.ir()).all(Algorithm::is_plain_sum) {
        return Ok(layer.clone());
    }
    let mut plain = layer.ir().clone();
    for instr in &mut plain.body {
        if let ir::Op::Conv2d(conv) = &mut instr.op {
            conv.algorithm = Algorithm::Auto;
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
    /// What ran it: `layer interpreter`, `loop interpreter` or `native code`.
    pub engine: &'static str,
    /// The comparison; `None` for a stage that was left out.
    pub comparison: Option<Comparison>,
    /// How long it took.
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
/// A stage that cannot be made or run. Stages whose result is wrong are not errors: see [`Comparison::passes`].
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
    let read_back = crate::Module::from_bytes("<printed>", text.as_bytes(), files.clone());
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
            // What differs between thread counts is wrong, however near it is; no outputs at all are certainly wrong.
            Ok(if same_bits(first, &outputs) { outputs } else { Vec::new() })
        };
        stage(&name, "native code", Some(&mut run))?;
    }
    Ok(found)
}
