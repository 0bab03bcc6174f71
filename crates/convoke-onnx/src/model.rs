//! Model: a file with its functions inlined and its tensors decoded. It is imported once for each choice of sizes.

use std::path::PathBuf;

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
    /// Notes of the file, each with its name.
    pub(crate) metadata: Vec<(String, String)>,
    pub(crate) nodes: Vec<Node>,
    /// Initialisers; those that cannot be read are refused where a node reads them.
    pub(crate) tensors: FxHashMap<String, Converted<Tensor>>,
    pub(crate) inputs: Vec<ValueInfoProto>,
    pub(crate) outputs: Vec<String>,
    pub(crate) files: Files,
    pub(crate) data_files: Vec<PathBuf>,
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "model {} of {} nodes", self.name, self.nodes.len())
    }
}

impl Model {
    /// The notes in the file, in order, each with its name: the classes of a classifier, the characters of a reader.
    pub fn metadata(&self) -> &[(String, String)] {
        &self.metadata
    }

    /// The files of the model's external data.
    pub fn data_files(&self) -> &[PathBuf] {
        &self.data_files
    }

    /// The names of the outputs.
    pub fn outputs(&self) -> &[String] {
        &self.outputs
    }
}
