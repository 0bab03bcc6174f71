//! The interpreter's outputs of a layer, with the errors that code compiled from it may have.
//!
//! The interpreter's run of the layer as it was given is the reference, y. Its bounds say how far a run in the element
//! type may be from it, element by element; see `convoke_interp::error_bounds`. They cover all that passes over layer IR may do and any
//! order of a sum. A convolution by Winograd's algorithm, an FFT or Strassen's rounds more. With y′ the interpreter's run of the layer
//! as it is lowered, and ŷ the native run,
//!
//! ```text
//!   |ŷ − y| ≤ |ŷ − y′| + |y′ − y|       the bound of the lowered layer with its algorithms, and that of the layer given
//! ```
//!
//! The same holds where the lowered layer has subnormal weights and code flushes them.
//!
//! With a tolerance y′ may be another function, and |y′ − y| is added to the bound as it is. Native code is then checked to compute the approximated
//! layer; the passes report the distance of that layer from the one given.

use convoke_conv::Conv;
use convoke_data::values;
use convoke_interp::{Accuracy, Bounded, InterpError, error_bounds, errors};
use convoke_ir::attr::{Algorithm, Plan};
use convoke_ir::elem::{Elem, Subnormals};
use convoke_ir::layer as ir;
use convoke_ir::types::TensorType;
use convoke_passes::Grants;
use ndarray::ArrayD;

use super::comparison::{Comparison, compare};
use crate::compiler::Compiler;
use crate::error::Error;
use crate::layer::Layer;

/// Inputs, and the outputs that the interpreter computes from them.
#[derive(Clone, Debug)]
pub struct Reference {
    inputs: Vec<ArrayD<f64>>,
    /// Whether all numbers of inputs and constants are finite.
    finite: bool,
    outputs: Vec<Bounded>,
    /// Whether no algorithm rounds more than a plain sum.
    plain: bool,
}

impl Reference {
    /// Runs the layer in the interpreter. Its error bounds are those of plain sums, whatever algorithms it names, for code that treats
    /// subnormal numbers as `subnormals` says.
    ///
    /// # Errors
    ///
    /// [`Error::Interp`] for a layer that the interpreter refuses, such as one that needs more memory than its budget: see [`Layer::with_budget`].
    pub fn new(layer: &Layer, inputs: Vec<ArrayD<f64>>, subnormals: Subnormals) -> Result<Reference, Error> {
        let plain = without_algorithms(layer)?;
        let outputs = error_bounds(plain.verified(), &inputs, layer.files(), subnormals)?;
        let finite =
            inputs.iter().flatten().all(|x| x.is_finite()) && !any_constant(layer, |number, _| !number.is_finite())?;
        Ok(Reference { inputs, finite, outputs, plain: true })
    }

    /// The same reference with the bounds of the code that `compiler` makes of `layer`, the layer that the reference was made of.
    ///
    /// # Errors
    ///
    /// [`Error::Pass`] for a pass that is refused; [`Error::Option`].
    pub fn by(&self, compiler: &Compiler, layer: &Layer) -> Result<Reference, Error> {
        let selected = compiler.select(layer)?;
        let mut reference = self.clone();
        let (approximates, subnormals) = (compiler.grants().tolerance.is_some(), compiler.subnormals());
        reference.plain = algorithms(selected.ir()).all(Algorithm::is_plain_sum);
        // The weights of the lowered layer may be subnormal where those of the given layer are not.
        let flushes = || Ok::<_, Error>(subnormals == Subnormals::Flush && has_subnormals(&selected)?);
        if !approximates && reference.plain && !flushes()? {
            return Ok(reference);
        }
        let rounds = layer.ir().values.iter().any(|(_, value)| value.ty.elem.is_storage());
        let accuracies = accuracies(compiler.grants());
        let files = compiler.files(layer);
        let lowered = errors(selected.verified(), &self.inputs, &files, subnormals, &accuracies)?;
        for (output, lowered) in reference.outputs.iter_mut().zip(lowered) {
            widen(output, lowered, rounds, approximates);
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
        compare(outputs, &self.outputs, self.finite, self.plain)
    }
}

/// Adds the errors of the lowered layer to those of an output of the given one. `rounds` says whether values are rounded to half types between ops,
/// `approximates` whether the lowered layer may be another function.
fn widen(output: &mut Bounded, lowered: Bounded, rounds: bool, approximates: bool) {
    let add = |to: &mut ArrayD<f64>, more: &ArrayD<f64>| to.zip_mut_with(more, |to, more| *to += more);
    add(&mut output.bound, &lowered.bound);
    let given = std::mem::replace(&mut output.expected, lowered.expected);
    output.allowed = lowered.allowed;
    // The given layer rounds between its ops where the lowered one need not.
    if rounds {
        add(&mut output.expected, &given);
        add(&mut output.allowed, &given);
    }
    if approximates {
        let changed = (&lowered.value - &output.value).mapv(f64::abs);
        for errors in [&mut output.bound, &mut output.expected, &mut output.allowed] {
            add(errors, &changed);
        }
    }
}

/// Whether `such` holds for some number of a constant that is read, and the constant's element type.
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
pub(super) fn has_subnormals(layer: &Layer) -> Result<bool, Error> {
    any_constant(layer, |number, elem| number != 0.0 && number.abs() < elem.compute().smallest_normal())
}

/// The algorithms that the convolutions of a layer name.
pub(super) fn algorithms(layer: &ir::Layer) -> impl Iterator<Item = Algorithm> {
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

/// The layer with every algorithm left to selection, if it names one that is no plain sum.
pub(super) fn without_algorithms(layer: &Layer) -> Result<Layer, Error> {
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
