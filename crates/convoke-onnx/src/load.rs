//! Reading of a model, and its import.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use convoke_data::Files;
use rustc_hash::FxHashMap;

use crate::declared::Declared;
use crate::dims;
use crate::error::{Converted, ImportError, unsupported};
use crate::graph::Graph;
use crate::import;
use crate::inline;
use crate::model::Model;
use crate::options::Options;
use crate::port::Imported;
use crate::proto::GraphProto;
use crate::read;
use crate::tensor::Tensor;

impl Model {
    /// Reads a model from a file. Tensors with external data are read from the file's folder. File and tensors take at most `budget` bytes each.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, is too large, or is no model.
    pub fn read(path: &Path, budget: u64) -> Result<Model, ImportError> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let bytes = read::file(path, budget)?;
        Model::decoded(&path.to_string_lossy(), bytes, Files::at(folder).with_budget(budget))
    }

    /// Reads a model from bytes; `name` is what messages call it. External data is looked up in `files`.
    ///
    /// # Errors
    ///
    /// Bytes that are no model.
    pub fn from_bytes(name: &str, bytes: Vec<u8>, files: Files) -> Result<Model, ImportError> {
        Model::decoded(name, bytes.into(), files)
    }

    fn decoded(name: &str, bytes: Bytes, files: Files) -> Result<Model, ImportError> {
        let mut proto = read::model(name, bytes)?;
        let mut graph = proto.graph.take().unwrap_or_default();
        let nodes = inline::nodes(name, &mut proto, std::mem::take(&mut graph.node))?;
        let tensors = tensors(name, &graph, &files)?;
        let data_files = data_files(&graph, &files);
        // An initialiser may be listed among the inputs, as a default that convoke does not let change.
        let inputs = graph.input.into_iter().filter(|input| !tensors.contains_key(&input.name)).collect();
        let outputs = graph.output.into_iter().map(|output| output.name).collect();
        let metadata = proto.metadata_props.into_iter().map(|note| (note.key, note.value)).collect();
        Ok(Model { name: name.into(), title: graph.name, metadata, data_files, nodes, tensors, inputs, outputs, files })
    }

    /// The inputs as the file declares them.
    ///
    /// # Errors
    ///
    /// An input that is no dense tensor of numbers.
    pub fn inputs(&self) -> Result<Vec<Declared>, ImportError> {
        self.inputs.iter().map(|input| dims::declared(&self.name, input)).collect()
    }

    /// The model as a layer.
    ///
    /// # Errors
    ///
    /// A model that contradicts itself, sizes that are not bound, and nodes that convoke does not compile.
    pub fn import(&self, options: &Options) -> Result<Imported, ImportError> {
        import::import(self, Graph::of(self, &options.outputs)?, options)
    }
}

/// The files of external data, each once.
fn data_files(graph: &GraphProto, files: &Files) -> Vec<PathBuf> {
    let entries = graph.initializer.iter().flat_map(|tensor| &tensor.external_data);
    let locations = entries.filter(|entry| entry.key == "location");
    let mut found: Vec<PathBuf> = locations.filter_map(|entry| files.resolve(&entry.value).ok()).collect();
    found.sort_unstable();
    found.dedup();
    found
}

fn tensors(name: &str, graph: &GraphProto, files: &Files) -> Result<FxHashMap<String, Converted<Tensor>>, ImportError> {
    let mut tensors = FxHashMap::default();
    let sparse = graph.sparse_initializer.iter().filter_map(|sparse| sparse.values.as_ref()).map(|values| {
        (
            values.name.clone(),
            unsupported(format!("tensor `{}` is sparse; convoke takes dense tensors alone", values.name)),
        )
    });
    let dense = graph.initializer.iter().map(|proto| (proto.name.clone(), read::tensor(proto, files)));
    for (tensor, value) in dense.chain(sparse) {
        if tensors.insert(tensor.clone(), value).is_some() {
            let reason = format!("initialiser `{tensor}` is given twice");
            return Err(ImportError::Malformed { name: name.into(), reason });
        }
    }
    Ok(tensors)
}
