//! Model: a file with its functions inlined and its tensors decoded. It is imported once for each choice of sizes.

use convoke_data::Files;
use rustc_hash::FxHashMap;

use crate::error::Converted;
use crate::node::Node;
use crate::proto::ValueInfoProto;
use crate::tensor::Tensor;

/// An ONNX model.
pub struct Model {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) nodes: Vec<Node>,
    /// Initialisers; those that cannot be read are refused where a node reads them.
    pub(crate) tensors: FxHashMap<String, Converted<Tensor>>,
    pub(crate) inputs: Vec<ValueInfoProto>,
    pub(crate) outputs: Vec<String>,
    pub(crate) files: Files,
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "model {} of {} nodes", self.name, self.nodes.len())
    }
}

impl Model {
    /// The names of the outputs.
    pub fn outputs(&self) -> &[String] {
        &self.outputs
    }
}
