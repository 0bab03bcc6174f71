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
//! let conv = Compiler::host().max_error(1e-4).compile(&layer)?;
//!
//! let x = Array4::<f32>::ones([1, 8, 14, 14]);
//! let mut y = conv.run(&[x.view()])?; // arrays in, arrays out
//! conv.run_into(&[x.view()], &mut [y[0].view_mut()])?; // into the caller's memory
//! assert!((y[0][[0, 0, 7, 7]] - 1.22).abs() < 1e-4);
//! # Ok::<(), convoke::Error>(())
//! ```
//!
//! | | |
//! |---|---|
//! | [`Layer`], [`Module`] | layers, from text or built in Rust |
//! | [`Compiler`] | what may be chosen; compiles |
//! | [`CompiledLayer`], [`Report`] | native code; what compiling took |
//! | [`check`] | stages and native code against the interpreter |
//! | [`explain`] | what was weighed, and what each pass did |
//! | [`analyze`] | what kernels are as filters |
//! | [`clock`] | times runs |
//! | [`peak`] | the rate that generated code can reach at best |
//! | [`calibrate`] | measures this CPU for the cost model |
//! | [`Unmet`] | limits on rounding that are not kept |
//! | [`tune`] | verdicts by measurement, and where they are kept |
//! | [`Error`] | everything that can go wrong |
//!
//! Arrays are in storage order of their type: an `nhwc` image is `[N, H, W, C]`. Input views with any strides are taken,
//! and copied if they are not row-major; outputs must be row-major. The same layer, options and machine description give
//! the same code, and the same bits for any number of threads.
//!
//! Nothing here prints, reads the environment or ends the process. No input makes it panic; if it does, that is a bug.

pub mod analyze;
pub mod calibrate;
pub mod check;
pub mod clock;
mod compiled;
mod compiler;
mod conv;
mod error;
pub mod explain;
pub mod layer;
mod memory;
mod native;
pub mod peak;
mod range;
mod targets;
pub mod tune;
mod unmet;

pub use compiled::{CompiledLayer, Report};
pub use compiler::{Choice, Compiler, Lowered};
pub use conv::{Conv2dBuilder, Weights};
pub use error::{Error, TextError};
pub use layer::{Layer, Module};
pub use native::Buffers;
pub use range::InputRange;
pub use targets::{Target, targets};
pub use unmet::Unmet;

pub use convoke_bilinear as bilinear;
pub use convoke_codegen as codegen;
pub use convoke_data as data;
pub use convoke_filter as filter;
pub use convoke_interp as interp;
pub use convoke_ir as ir;
pub use convoke_machine as machine;
pub use convoke_passes as passes;

pub use convoke_codegen::{Element, Memory};
pub use convoke_data::Files;
pub use convoke_ir::attr::Algorithm;
pub use convoke_ir::elem::{Elem, Subnormals, half};
pub use convoke_ir::layer::Generator;
pub use convoke_ir::types::{Layout, TensorType};
pub use convoke_machine::Machine;
