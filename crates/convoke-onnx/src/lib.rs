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
mod call;
mod data;
mod data_type;
mod declared;
mod dims;
mod error;
mod graph;
mod host;
mod import;
mod importer;
mod inline;
mod load;
mod model;
mod names;
mod node;
mod ops;
mod options;
mod port;
mod proto;
mod read;
mod shape;
mod tensor;
mod value;

pub use data::Data;
pub use data_type::DataType;
pub use declared::{Declared, Dim};
pub use error::{ImportError, NodeRefusal};
pub use model::Model;
pub use names::layer_name;
pub use options::Options;
pub use port::{Imported, Port};
