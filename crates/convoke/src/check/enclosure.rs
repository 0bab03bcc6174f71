//! Bounds of a net for all inputs in their declared ranges: where each output lies, and how far native code may be from it.
//!
//! ```text
//!   |ŷ − y| ≤ |ŷ − y′| + |y′ − y|       the bound of the lowered layer with its algorithms, and that of the layer given
//! ```
//!
//! as for single inputs (`reference.rs`), each taken over all inputs (`convoke_interp::enclose`). Beside it stands what a run on sample inputs measures.

use convoke_interp::{Enclosed, Extent, Lost, enclose, run_layer};
use convoke_ir::attr::Algorithm;
use convoke_ir::elem::Subnormals;

use super::comparison::distance;
use super::reference::{algorithms, has_subnormals, without_algorithms};
use crate::compiler::Compiler;
use crate::error::Error;
use crate::layer::Layer;
use crate::option_error::OptionError;
use crate::range::InputRange;

/// The bounds of a net for all inputs in their ranges.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct NetBounds {
    /// Each output, in order.
    pub outputs: Vec<OutputBounds>,
    /// Each value that the lowered layer computes, in order: where it lies, and how far native code may be from that layer's own value.
    pub values: Vec<ValueBounds>,
}

/// The bounds of an output.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct OutputBounds {
    /// The output, without `%`.
    pub output: String,
    /// Each element: the interval of its value, and the largest error of native code; or why there is none.
    pub enclosed: Result<Enclosed, Lost>,
    /// The largest error of native code on sample inputs; `None` where the code does not run on this CPU.
    pub measured: Option<f64>,
}

impl OutputBounds {
    /// The ends of all intervals, and the largest error.
    pub fn extent(&self) -> Result<Extent, Lost> {
        self.enclosed.as_ref().map(Enclosed::extent).map_err(|lost| *lost)
    }
}

/// The bounds of a value inside the net.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ValueBounds {
    /// The value, without `%`.
    pub value: String,
    /// The op that computes it.
    pub op: &'static str,
    /// Its ends and its largest error.
    pub extent: Result<Extent, Lost>,
}

/// Bounds the outputs of `layer` for all inputs in the ranges that its text or [`Compiler::with_input_range`] declares.
///
/// # Errors
///
/// [`Error::Option`] for an input without a range, and for a compiler that approximates; [`Error::Interp`] for constants without numbers and for more
/// memory than the limit; as [`Compiler::select`].
pub fn net_bounds(compiler: &Compiler, layer: &Layer) -> Result<NetBounds, Error> {
    compiler.fits(layer)?;
    if compiler.grants().tolerance.is_some() {
        return Err(OptionError::BoundsOfApproximation.into());
    }
    let (ranges, files, subnormals) = (ranges(compiler, layer)?, compiler.files(layer), compiler.subnormals());
    let selected = compiler.select(layer)?;
    let given = enclose(without_algorithms(layer)?.verified(), &ranges, &files, subnormals)?;
    let lowered = enclose(selected.verified(), &ranges, &files, subnormals)?;
    // The bounds of the given layer are those of any plain sums, unless weights that passes computed are flushed.
    let plain = algorithms(selected.ir()).all(Algorithm::is_plain_sum)
        && !(subnormals == Subnormals::Flush && has_subnormals(&selected)?);
    let measured = measured(compiler, layer)?;
    let outputs = layer.outputs().into_iter().zip(given.outputs).zip(lowered.outputs).zip(measured);
    let outputs = outputs.map(|((((output, _), given), lowered), measured)| {
        let enclosed = given.and_then(|mut given| {
            let more = lowered?;
            if !plain {
                given.bound += &more.bound;
            }
            Ok(given)
        });
        OutputBounds { output: output.into(), enclosed, measured }
    });
    let values = selected.ir().body.iter().zip(lowered.values).map(|(instr, extent)| ValueBounds {
        value: selected.ir().values[instr.result].name.clone(),
        op: instr.op.name(),
        extent,
    });
    Ok(NetBounds { outputs: outputs.collect(), values: values.collect() })
}

/// Between what numbers the elements of each input lie.
fn ranges(compiler: &Compiler, layer: &Layer) -> Result<Vec<[f64; 2]>, OptionError> {
    let declared = compiler.declared(layer);
    let one = |&id| {
        let value = &declared.values[id];
        let most = value.range.map(|range| range.most()).or(compiler.input_range().map(InputRange::most));
        match most.ok_or_else(|| OptionError::NoRange { input: value.name.clone() }) {
            Ok(most) if layer.whole_input(&value.name).is_some_and(|[least, _]| least >= 0.0) => Ok([0.0, most]),
            most => most.map(|most| [-most, most]),
        }
    };
    declared.params.iter().map(one).collect()
}

/// The largest error of each output on sample inputs, where the code runs here.
fn measured(compiler: &Compiler, layer: &Layer) -> Result<Vec<Option<f64>>, Error> {
    if compiler.machine().runs_on_host().is_err() {
        return Ok(vec![None; layer.outputs().len()]);
    }
    let files = compiler.files(layer);
    let inputs = compiler.samples().inputs(layer, &compiler.declared(layer), compiler.input_range(), &files)?;
    let exact = run_layer(layer.verified(), &inputs, &files)?;
    let native = compiler.compile(layer)?.run_rounded(&inputs)?;
    let one = |(exact, native): (&ndarray::ArrayD<f64>, &ndarray::ArrayD<f64>)| {
        Some(exact.iter().zip(native).map(|(a, b)| distance(*a, *b)).fold(0.0, f64::max))
    };
    Ok(exact.iter().zip(&native).map(one).collect())
}
