//! Arrays that a net is checked against: files of named arrays, and folders of ONNX tensors.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use convoke::check::Expected;
use convoke::ir::diagnostic::shown;
use convoke::onnx::{Data, Options, layer_name};
use convoke::{Files, Layer, Model, TensorType};
use convoke_data as data;
use ndarray::ArrayD;

use crate::failure::{Failure, note};
use crate::inputs::{onnx_tensor, tensor};
use crate::io::Io;

/// The folders of data sets at `path`: itself, or those named `test_data_set_*` in it. Empty for a file.
pub(super) fn data_sets(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    if !path.is_dir() {
        return Ok(Vec::new());
    }
    if path.join("output_0.pb").is_file() {
        return Ok(vec![path.into()]);
    }
    let unread = |error| Failure::Input(format!("cannot read {}: {error}", shown(&path.to_string_lossy())));
    let mut found = Vec::new();
    for entry in fs::read_dir(path).map_err(unread)? {
        let folder = entry.map_err(unread)?.path();
        if folder.join("output_0.pb").is_file() {
            found.push(folder);
        }
    }
    found.sort();
    match found.is_empty() {
        false => Ok(found),
        true => Err(Failure::Input(format!(
            "{} has no `output_0.pb`, and no folder in it has one",
            shown(&path.to_string_lossy())
        ))),
    }
}

/// A folder of ONNX tensors, `input_0.pb` and so on, for a layer.
pub(super) struct DataSet {
    /// The inputs that the folder has, by name.
    pub(super) inputs: HashMap<String, ArrayD<f64>>,
    /// The outputs.
    pub(super) outputs: Expected,
}

impl DataSet {
    pub(super) fn read(folder: &Path, layer: &Layer) -> Result<DataSet, Failure> {
        Ok(DataSet {
            inputs: tensors(folder, "input", &layer.inputs(), layer.files())?,
            outputs: tensors(folder, "output", &layer.outputs(), layer.files())?,
        })
    }
}

/// The tensors of one kind for these values: by name where the files have names that fit, else by number.
fn tensors(
    folder: &Path,
    kind: &str,
    values: &[(&str, &TensorType)],
    files: &Files,
) -> Result<HashMap<String, ArrayD<f64>>, Failure> {
    let mut found = HashMap::new();
    for i in 0.. {
        let file = folder.join(format!("{kind}_{i}.pb"));
        if !file.is_file() {
            break;
        }
        let data = Data::read(&file, files.budget())?;
        let name = layer_name(data.name());
        let named = values.iter().find(|(value, _)| *value == name);
        // Whole numbers are constants of the net here. Some writers of data sets name all tensors alike, or not at all.
        let rest = named.or_else(|| values.get(i)).or_else(|| values.last().filter(|_| kind == "input"));
        let Some((name, ty)) = rest.filter(|_| named.is_some() || data.ty().is_float() || kind == "output") else {
            if kind == "input" {
                continue;
            }
            let (file, count) = (shown(&file.to_string_lossy()), values.len());
            return Err(Failure::Input(format!("{file} is for no {kind}: the layer has {count}")));
        };
        found.insert((*name).to_owned(), onnx_tensor(&data, &file, ty)?);
    }
    Ok(found)
}

/// The arrays of a file for the values and outputs of a layer. Notes name the outputs without an array, and the arrays that are for none.
pub(super) fn arrays(path: &Path, layer: &Layer, io: &mut Io<'_>) -> Result<Expected, Failure> {
    let mut held = data::array_names(path, layer.files())?;
    let ir = layer.ir();
    let mut found = Expected::new();
    for id in ir.body.iter().map(|instr| instr.result).chain(ir.results.iter().copied()) {
        let value = &ir.values[id];
        if held.contains(&value.name) && !found.contains_key(&value.name) {
            let array = tensor(path, &value.name, &value.ty, layer.files(), io)?;
            found.insert(value.name.clone(), array);
        }
    }
    let outputs = layer.outputs();
    if !outputs.iter().any(|(name, _)| found.contains_key(*name)) {
        let names: Vec<_> = outputs.iter().map(|(name, _)| format!("`{name}`")).collect();
        let file = shown(&path.to_string_lossy());
        return Err(Failure::Input(format!("{file} has none of the outputs {}", names.join(", "))));
    }
    note_outputs_left_out(layer, &found, io);
    let inputs = layer.inputs();
    held.retain(|name| !found.contains_key(name) && inputs.iter().all(|(input, _)| input != name));
    held.sort();
    if !held.is_empty() {
        let left: Vec<String> = held.iter().map(|name| format!("`{name}`")).collect();
        note(io, &format!("arrays that are for no value of the net: {}", left.join(", ")));
    }
    Ok(found)
}

/// Names the outputs that have no array.
pub(super) fn note_outputs_left_out(layer: &Layer, found: &Expected, io: &mut Io<'_>) {
    let missing = layer.outputs().into_iter().filter(|(name, _)| !found.contains_key(*name));
    let missing: Vec<String> = missing.map(|(name, _)| format!("%{name}")).collect();
    if !missing.is_empty() {
        note(io, &format!("not compared, since there are no arrays for them: {}", missing.join(", ")));
    }
}

/// Import options from the inputs of a data set: the shapes of real inputs, and the values of whole-number inputs, since shapes may depend on these.
pub(super) fn options(folder: &Path, model: &Model, options: Options, budget: u64) -> Result<Options, Failure> {
    let mut options = options;
    for (i, declared) in model.inputs().iter().enumerate() {
        let file = folder.join(format!("input_{i}.pb"));
        if !file.is_file() {
            break;
        }
        let data = Data::read(&file, budget)?;
        options = match data.ty().is_float() {
            true => options.with_input_shape(&declared.name, data.dims()),
            false => options.with_constant(&declared.name, data),
        };
    }
    Ok(options)
}
