//! Inputs of a run: from files or random, and checked against the ranges declared for them.

use std::path::{Path, PathBuf};

use convoke::ir::diagnostic::shown;
use convoke::ir::layer::Range;
use convoke::onnx::{Data, layer_name};
use convoke::{Compiler, DataError, Files, InputRange, Layer, Picture, TensorType};
use convoke_data as data;
use ndarray::{ArrayD, IxDyn};

use crate::args::{Inputs, Options, Random};
use crate::failure::{Failure, note};
use crate::io::Io;
use crate::{random, source};

/// The files given for inputs, by the inputs' names.
#[derive(Debug, Default)]
pub(crate) struct Given(Vec<(String, PathBuf)>);

impl Given {
    /// The files of `args` for the inputs of `layer`. `onnx` says whether names are those of a model.
    pub(crate) fn new(args: &Inputs, layer: &Layer, onnx: bool) -> Result<Given, Failure> {
        let names: Vec<String> = layer.inputs().iter().map(|(name, _)| (*name).to_owned()).collect();
        let mut given = Vec::new();
        for (name, file) in &args.input {
            let Some(name) = name else {
                given.extend(named_in(file, &names, layer.files())?.into_iter().map(|name| (name, file.clone())));
                continue;
            };
            if source::is_standard(file) {
                return Err(Failure::Usage(format!(
                    "--input {}=-: an input is not read from standard input; name a file that ends in .npy, .npz, .safetensors, .pb or .png",
                    shown(name)
                )));
            }
            let name = if onnx && !names.contains(name) { layer_name(name) } else { name.clone() };
            check_name("input", &name, &names)?;
            given.push((name, file.clone()));
        }
        for (i, (name, _)) in given.iter().enumerate() {
            if given[..i].iter().any(|(other, _)| other == name) {
                return Err(Failure::Usage(format!("--input gives `{}` twice; give it one file", shown(name))));
            }
        }
        Ok(Given(given))
    }

    /// Whether every input is random.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The file of an input.
    pub(crate) fn file(&self, name: &str) -> Option<&Path> {
        self.0.iter().find(|(given, _)| given == name).map(|(_, file)| file.as_path())
    }

    fn is_image(&self, name: &str) -> bool {
        self.file(name).and_then(Path::extension).is_some_and(|ending| ending.eq_ignore_ascii_case("png"))
    }

    /// The layer that takes the images among these files: with ops in front that fit and normalise them, and with their range, if no other is declared.
    pub(crate) fn prepared(&self, layer: Layer, args: &Inputs, options: &Options) -> Result<Layer, Failure> {
        let images = self.0.iter().filter(|(name, _)| self.is_image(name));
        if images.clone().next().is_none() && (args.resize || args.normalise.is_some()) {
            return Err(Failure::Usage("--resize and --normalise are for an input from a .png file".into()));
        }
        let mut layer = layer;
        for (name, file) in images {
            let size = if args.resize { data::image::size(file)? } else { None };
            let normalise = args.normalise.as_ref().map(|pairs| pairs.0.clone()).unwrap_or_default();
            layer = layer.with_picture(name, &Picture { size, normalise })?;
            if let (Some(step), None) = (data::image::step(file)?, options.input_range) {
                layer = layer.with_range(name, Range::new(step, 1.0).expect("a step of an image is positive"));
            }
        }
        Ok(layer)
    }

    /// The compiler that estimates errors of outputs on these inputs, if it limits them and inputs are given.
    pub(crate) fn sampled(
        &self,
        compiler: Compiler,
        layer: &Layer,
        random: &Random,
        options: &Options,
        io: &mut Io<'_>,
    ) -> Result<Compiler, Failure> {
        if self.is_empty() || options.max_output_error.is_none() {
            return Ok(compiler);
        }
        let inputs = self.read(&compiler, layer, random, options, io)?;
        Ok(compiler.with_samples(inputs))
    }

    /// The inputs of `layer`. An input from a file with an element beyond the range declared for it is refused.
    pub(crate) fn read(
        &self,
        compiler: &Compiler,
        layer: &Layer,
        random: &Random,
        options: &Options,
        io: &mut Io<'_>,
    ) -> Result<Vec<ArrayD<f64>>, Failure> {
        let files = &compiler.files(layer);
        let declared = compiler.declared(layer);
        let most = options.input_range.map(InputRange::most);
        let mut inputs = Vec::new();
        for (i, (name, ty)) in layer.inputs().into_iter().enumerate() {
            let Some(file) = self.file(name) else {
                inputs.push(random::input(i, layer, random.seed, files)?);
                continue;
            };
            let array = tensor(file, name, ty, files, io)?;
            if !self.is_image(name) {
                check_whole(name, &array, layer.whole_input(name))?;
            }
            let range = declared.values[declared.params[i]].range;
            check_range(name, &array, range, range.map(Range::most).or(most), io)?;
            inputs.push(array);
        }
        Ok(inputs)
    }
}

/// The inputs that a file of named arrays has.
fn named_in(file: &Path, names: &[String], files: &Files) -> Result<Vec<String>, Failure> {
    let held = data::array_names(file, files)?;
    let found: Vec<String> = names.iter().filter(|name| held.contains(name)).cloned().collect();
    if found.is_empty() {
        let (file, names) = (shown(&file.to_string_lossy()), listed(names));
        return Err(Failure::Input(format!("{file} has no array of the name of an input; the layer has {names}")));
    }
    Ok(found)
}

/// Reads an array of type `ty` from a file; from one of several arrays, that of the name.
pub(crate) fn tensor(
    file: &Path,
    name: &str,
    ty: &TensorType,
    files: &Files,
    io: &mut Io<'_>,
) -> Result<ArrayD<f64>, Failure> {
    if file.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("pb")) {
        return onnx_tensor(&Data::read(file, files.budget())?, file, ty);
    }
    let tensor = match data::read_tensor(file, None, ty, files) {
        Err(DataError::Unnamed { .. }) => data::read_tensor(file, Some(name), ty, files)?,
        tensor => tensor?,
    };
    tensor.notes.iter().for_each(|text| note(io, text));
    Ok(tensor.array)
}

/// The numbers of an ONNX tensor, which has the shape of `ty`.
pub(crate) fn onnx_tensor(tensor: &Data, file: &Path, ty: &TensorType) -> Result<ArrayD<f64>, Failure> {
    if tensor.dims() != ty.shape.dims() {
        let file = shown(&file.to_string_lossy());
        return Err(Failure::Input(format!("{file} has shape {:?}, `{ty}` is expected", tensor.dims())));
    }
    let numbers = tensor.numbers().into_iter().map(|x| ty.elem.round(x)).collect();
    Ok(ArrayD::from_shape_vec(IxDyn(tensor.dims()), numbers).expect("as many as the extents say"))
}

fn listed(names: &[String]) -> String {
    names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ")
}

/// Refuses numbers that an input of whole numbers cannot have. An image is whole after its first ops.
fn check_whole(name: &str, array: &ArrayD<f64>, whole: Option<[f64; 2]>) -> Result<(), Failure> {
    let Some([least, most]) = whole else { return Ok(()) };
    match array.iter().find(|x| !(x.fract() == 0.0 && (least..=most).contains(*x))) {
        None => Ok(()),
        Some(x) => Err(Failure::Input(format!(
            "input `%{name}` has an element {x}; in the model it is of whole numbers from {least} to {most}"
        ))),
    }
}

/// Refuses a name that is none of `names`.
pub(crate) fn check_name(what: &str, name: &str, names: &[String]) -> Result<(), Failure> {
    if names.iter().any(|n| n == name) {
        return Ok(());
    }
    Err(Failure::Input(format!("the layer has no {what} `{}`; it has {}", shown(name), listed(names))))
}

/// Refuses an input with an element above its range, and writes a note if elements are below it.
fn check_range(
    name: &str,
    input: &ArrayD<f64>,
    range: Option<Range>,
    most: Option<f64>,
    io: &mut Io<'_>,
) -> Result<(), Failure> {
    let largest = input.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
    // The limit may be no number of the element type.
    if let Some(most) = most.filter(|most| largest > most * (1.0 + f64::from(f32::EPSILON))) {
        let message = format!("input `%{name}` has an element of magnitude {largest:e}, its range ends at {most:e}");
        return Err(Failure::Input(message + "; declare a wider range, or give other data"));
    }
    if let Some(range) = range {
        let least = range.least() * (1.0 - f64::from(f32::EPSILON));
        let small = input.iter().filter(|x| **x != 0.0 && x.abs() < least).count();
        if small > 0 {
            let begin = range.least();
            let text = format!("{small} elements of %{name} are smaller than {begin:e}, where its range begins");
            note(io, &(text + "; the error allowed counts them as that"));
        }
    }
    Ok(())
}
