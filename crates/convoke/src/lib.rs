//! convoke compiles convolution layers to native code in milliseconds, for exactly one layer on exactly one CPU, and can
//! show why the answer is right.
//!
//! ```
//! use convoke::{Compiler, Layer};
//! use ndarray::{Array1, Array4};
//!
//! let w = Array4::from_elem([16, 8, 3, 3], 0.01f32);
//! let b = Array1::from_elem([16], 0.5f32);
//! let layer = Layer::conv2d([1, 8, 14, 14], [16, 8, 3, 3]).pads([1, 1, 1, 1]).weights(w).bias(b).relu().build()?;
//! let conv = Compiler::host().with_max_error(1e-4).compile(&layer)?;
//!
//! let x = Array4::<f32>::ones([1, 8, 14, 14]);
//! let mut y = conv.run::<f32>(&[&x])?; // arrays in, arrays out
//! conv.run_into(&[&x], &mut [&mut y[0]])?; // into the caller's memory
//! assert!((y[0][[0, 0, 7, 7]] - 1.22).abs() < 1e-4);
//! # Ok::<(), convoke::Error>(())
//! ```
//!
//! | | |
//! |---|---|
//! | [`Layer`], [`Module`] | layers, from text or built in Rust |
//! | [`Model`] | ONNX models, compiled for the shapes they meet |
//! | [`Compiler`] | options; compiles |
//! | [`CompiledLayer`], [`Report`] | native code; the costs of compiling |
//! | [`Input`], [`Output`] | arrays of a run, of any rank and element type |
//! | [`check`] | stages and native code against the interpreter |
//! | [`explain`] | candidate algorithms, and the changes of each pass |
//! | `analyze` | kernels as filters; with the feature `analyze` |
//! | [`reduce`] | the smallest net that still fails |
//! | [`clock`] | times of runs |
//! | [`profile`] | the time of each kernel inside a run |
//! | [`peak`] | the highest rate of generated code |
//! | `certificates` | records of compiling that can be replayed without the passes; with the feature `certificates` |
//! | [`calibrate`] | measured rates of this CPU for the cost model |
//! | [`Limits`] | how much a text, a layer and its code may take |
//! | [`Unmet`] | limits on rounding that are not kept |
//! | [`tune`] | verdicts by measurement, and the folder that keeps them |
//! | [`ir`] | the languages: layer IR and loop IR, builders, verifiers |
//! | [`Error`] | all errors |
//!
//! Arrays are in storage order of their type: an `nhwc` image is `[N, H, W, C]`. Inputs with any strides are taken,
//! and copied if they are not row-major; outputs must be row-major. The same layer, options and machine description give
//! the same code, and the same bits for any number of threads.
//!
//! Nothing here prints, reads the environment or ends the process. No input makes it panic; a panic is a bug.

#![forbid(unsafe_code)]

#[cfg(feature = "analyze")]
pub mod analyze;
mod array;
mod cache;
pub mod calibrate;
#[cfg(feature = "certificates")]
pub mod certificates;
pub mod check;
pub mod clock;
mod compile;
mod compiled;
mod compiler;
mod conv;
mod error;
pub mod explain;
mod kernel;
mod layer;
mod lowered;
mod memory;
mod mismatch;
#[cfg(feature = "onnx")]
mod model;
mod module;
mod native;
#[cfg(feature = "objects")]
pub mod objects;
mod option_error;
mod output_error;
pub mod peak;
mod picture;
mod pipeline;
pub mod profile;
mod range;
pub mod reduce;
mod targets;
mod timing;
pub mod tune;
mod unmet;
mod validate;

pub use array::{Input, Output};
pub use cache::Cached;
pub use compiled::{CompiledLayer, Report};
pub use compiler::Compiler;
pub use conv::{Conv2dBuilder, Weights};
pub use error::{Error, ReadError, TextError};
pub use kernel::Kernel;
pub use layer::Layer;
pub use lowered::{Choice, Lowered};
#[cfg(feature = "onnx")]
pub use model::Model;
pub use module::{Module, read_capped};
pub use native::Buffers;
pub use option_error::OptionError;
pub use output_error::{Contribution, OutputError, OutputErrors};
pub use picture::Picture;
pub use range::InputRange;
pub use targets::{Target, UnknownTarget, targets};
pub use unmet::Unmet;

pub use convoke_ir as ir;

pub use convoke_codegen::{CodegenError, Element, Memory, RunError, Violation, max_threads};
pub use convoke_data::{DataError, Files};
pub use convoke_interp::InterpError;
pub use convoke_ir::attr::{Algorithm, Plan};
pub use convoke_ir::elem::{Elem, Subnormals, half};
pub use convoke_ir::layer::Generator;
pub use convoke_ir::limits::{Exceeded, Limit, Limits};
pub use convoke_ir::types::{Layout, TensorType};
pub use convoke_machine::{Machine, MachineError, Missing, UnknownMachine};
pub use target_lexicon::Triple;

/// ONNX models as layers.
#[cfg(feature = "onnx")]
pub mod onnx {
    use std::path::Path;

    pub use convoke_onnx::{Data, DataType, Declared, Dim, ImportError, NodeRefusal, Options, layer_name};

    /// Whether a file is a model by its ending, `.onnx`.
    pub fn is_model(file: &Path) -> bool {
        file.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("onnx"))
    }
}

/// Passes as a [`Compiler`] runs them, and their records.
pub mod passes {
    pub use convoke_passes::registry::Pass;
    pub use convoke_passes::spec::Spec;
    pub use convoke_passes::{
        Changed, Counts, Deviation, Grants, Note, Outcome, PassError, Progress, Record, Rewritten, SkipReason, Stage,
        State, Watch,
    };
}
