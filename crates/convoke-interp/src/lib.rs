//! The reference: runs layer IR and loop IR with plain loops in f64, and bounds rounding errors.
//!
//! This is the meaning of both languages. It shares no code with lowering or code generation, which are compared with
//! it, and is itself compared with the ONNX reference cases (`tests/reference/`).
//!
//! Every value is an `f64`, whatever its element type: a stand-in for the real number that the language means. Three kinds of numbers are rounded to
//! their type: constants, attributes, and values that are stored as `f16` or `bf16`. Inputs are in storage order of their type and are not rounded: a
//! comparison with native code needs inputs that the element type holds.
//!
//! | function | gives |
//! |---|---|
//! | [`run_layer`] | the results of a layer |
//! | [`run_program`] | the outputs of a program in loop IR |
//! | [`error_bounds`] | results, and how far a native run may be from them |
//! | [`errors`] | the same with the errors to expect and those allowed, for convolutions of known accuracy |
//! | [`enclose`] | where results lie, and how far native runs may be from them, for all inputs in intervals |
//! | [`noise()`] | how much of the error of each convolution reaches the outputs |

#![forbid(unsafe_code)]

mod bounds;
mod layer;
mod loops;
mod noise;
mod number;

use convoke_data::DataError;
use convoke_ir::types::TensorType;
use ndarray::{ArrayD, IxDyn};

pub use bounds::{Accuracies, Accuracy, Bounded, Enclosed, Enclosure, Extent, Lost, enclose, error_bounds, errors};
pub use layer::run_layer;
pub use loops::run_program;
pub use noise::{Noise, OutputNoise, noise};

/// Why something cannot be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InterpError {
    /// Too few or too many inputs.
    #[error("`@{name}` takes {expected} inputs, found {found}")]
    InputCount {
        /// The layer or program.
        name: String,
        /// How many it takes.
        expected: usize,
        /// How many were given.
        found: usize,
    },
    /// An input of another shape.
    #[error("input `%{name}` has shape {found:?}, expected `{expected}`")]
    InputShape {
        /// The input.
        name: String,
        /// Its extents.
        found: Vec<usize>,
        /// The type it should have.
        expected: Box<TensorType>,
    },
    /// A constant without numbers.
    #[error("constant `%{name}`: {source}")]
    Constant {
        /// The constant.
        name: String,
        /// Why it has none.
        source: Box<DataError>,
    },
    /// More memory than the budget allows or the system gives.
    #[error(transparent)]
    Memory(Box<DataError>),
    /// An access outside a buffer. The verifier refuses programs that have one.
    #[error("`@{func}`: element {at} of `%{slot}` is accessed, which has {len}")]
    Bounds {
        /// The function.
        func: String,
        /// The buffer.
        slot: String,
        /// The element.
        at: i64,
        /// How many elements there are.
        len: usize,
    },
    /// A program that the verifier would refuse in another way.
    #[error("`@{func}`: {reason}")]
    Malformed {
        /// The function, or the program.
        func: String,
        /// What is wrong.
        reason: String,
    },
}

type Result<T> = std::result::Result<T, InterpError>;

/// Checks inputs against the types expected.
fn check_inputs<'a>(
    name: &str,
    expected: impl ExactSizeIterator<Item = (&'a str, &'a TensorType)>,
    inputs: &[ArrayD<f64>],
) -> Result<()> {
    if expected.len() != inputs.len() {
        return Err(InterpError::InputCount { name: name.into(), expected: expected.len(), found: inputs.len() });
    }
    for ((name, ty), input) in expected.zip(inputs) {
        if input.shape() != ty.shape.dims() {
            let (found, expected) = (input.shape().to_vec(), Box::new(ty.clone()));
            return Err(InterpError::InputShape { name: name.into(), found, expected });
        }
    }
    Ok(())
}

/// Numbers, all the same, if the system has the memory.
fn filled(count: usize, number: f64) -> Result<Vec<f64>> {
    let mut numbers = Vec::new();
    if numbers.try_reserve_exact(count).is_err() {
        let needed = count as u128 * 8;
        return Err(InterpError::Memory(Box::new(DataError::OutOfMemory { what: "a tensor".into(), needed })));
    }
    numbers.resize(count, number);
    Ok(numbers)
}

/// The elements of an array in storage order.
fn flat(array: &ArrayD<f64>) -> Result<Vec<f64>> {
    let mut numbers = filled(array.len(), 0.0)?;
    numbers.iter_mut().zip(array).for_each(|(to, &from)| *to = from);
    Ok(numbers)
}

fn shaped(ty: &TensorType, numbers: Vec<f64>) -> ArrayD<f64> {
    ArrayD::from_shape_vec(IxDyn(ty.shape.dims()), numbers).expect("results have as many elements as their type")
}
