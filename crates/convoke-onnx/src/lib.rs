//! ONNX models as layers of convoke.
//!
//! ```text
//!   file ──read──► messages ──inline──► nodes in order ──import──► layer
//!                  proto.rs             graph.rs           host/  what is known is computed
//!                                                          ops/   what is not becomes ops
//! ```
//!
//! Sizes of inputs are numbers at import: symbolic ones are bound by [`Options`]. Every shape of the graph is then a number too, and
//! the nodes that compute shapes disappear.

#![forbid(unsafe_code)]

mod attributes;
mod data;
mod data_type;
mod dims;
mod error;
mod graph;
mod host;
mod import;
mod inline;
mod model;
mod names;
mod ops;
mod options;
mod proto;
mod read;
mod tensor;
mod value;

use convoke_ir::layer::Layer;

pub use data::Data;
pub use data_type::DataType;
pub use error::{ImportError, NodeRefusal};
pub use model::{Declared, Dim, Model};
pub use names::layer_name;
pub use options::Options;

/// An input or output of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its name in the model. The layer's values have names in which other characters than letters, digits, `_` and `.` are `_`.
    pub name: String,
    /// Its element type in the model. Whole numbers and truth values are carried as `f32` in the layer, and so are `f16` and `bf16` in a model that casts
    /// them.
    pub ty: DataType,
    /// Its extents.
    pub dims: Vec<usize>,
}

/// A model as a layer.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The layer. Its inputs and outputs are those of the model, in order.
    pub layer: Layer,
    /// The inputs of the model.
    pub inputs: Vec<Port>,
    /// The outputs that are computed.
    pub outputs: Vec<Port>,
    /// How many nodes were left out, because no output that is computed needs them.
    pub cut: usize,
}
