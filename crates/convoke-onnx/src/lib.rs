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
mod data_type;
mod dims;
mod error;
mod graph;
mod host;
mod import;
mod inline;
mod names;
mod ops;
mod options;
mod proto;
mod read;
mod tensor;
mod value;

use std::path::Path;

use bytes::Bytes;
use convoke_data::Files;
use convoke_ir::layer::Layer;

pub use data_type::DataType;
pub use error::{ImportError, NodeRefusal};
pub use options::Options;

/// An input or output of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its name in the model. The layer's values have names in which other characters than letters, digits, `_` and `.` are `_`.
    pub name: String,
    /// Its element type in the model. Whole numbers and truth values are carried as `f32` in the layer.
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

/// Reads a model from a file. Tensors with external data are read from the file's folder.
///
/// # Errors
///
/// A file that is no model, a model that contradicts itself, sizes that are not bound, and nodes that convoke does not compile.
pub fn import_file(path: &Path, options: &Options, budget: u64) -> Result<Imported, ImportError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let bytes = read::file(path, budget)?;
    import_bytes(&path.to_string_lossy(), bytes.into(), options, &Files::at(folder).with_budget(budget))
}

/// Reads a model from bytes; `name` is what messages call it.
///
/// # Errors
///
/// As [`import_file`].
pub fn import_bytes(name: &str, bytes: Vec<u8>, options: &Options, files: &Files) -> Result<Imported, ImportError> {
    let model = read::model(name, Bytes::from(bytes))?;
    let graph = graph::Graph::of(name, model, &options.outputs)?;
    import::import(name, graph, options, files)
}
