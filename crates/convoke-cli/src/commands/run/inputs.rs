//! Inputs of a run: from files or random, and checked against the ranges declared for them.

use std::path::PathBuf;

use convoke::ir::diagnostic::shown;
use convoke::ir::layer::Range;
use convoke::{Compiler, DataError, Files, InputRange, Layer};
use convoke_data as data;
use ndarray::ArrayD;

use crate::args::Run;
use crate::failure::{Failure, note};
use crate::io::Io;
use crate::{random, source};

/// The inputs of `layer`. An input from a file with an element beyond the range declared for it is refused.
pub(super) fn inputs(
    args: &Run,
    compiler: &Compiler,
    layer: &Layer,
    io: &mut Io<'_>,
) -> Result<Vec<ArrayD<f64>>, Failure> {
    let inputs = read(layer, &args.input, args.random.seed, &compiler.files(layer), io)?;
    let declared = compiler.declared(layer);
    let ranges = declared.params.iter().map(|&id| declared.values[id].range);
    let most = args.options.input_range.map(InputRange::most);
    for ((name, array), range) in layer.inputs().iter().map(|(n, _)| *n).zip(&inputs).zip(ranges) {
        if args.input.iter().any(|(given, _)| given == name) {
            check_range(name, array, range, range.map(Range::most).or(most), io)?;
        }
    }
    Ok(inputs)
}

/// Refuses a name that is none of `names`.
pub(super) fn check_name(what: &str, name: &str, names: &[String]) -> Result<(), Failure> {
    if names.iter().any(|n| n == name) {
        return Ok(());
    }
    let names: Vec<_> = names.iter().map(|n| format!("`{n}`")).collect();
    Err(Failure::Input(format!("the layer has no {what} `{}`; it has {}", shown(name), names.join(", "))))
}

/// The inputs given, and random ones for the others.
fn read(
    layer: &Layer,
    given: &[(String, PathBuf)],
    seed: u64,
    files: &Files,
    io: &mut Io<'_>,
) -> Result<Vec<ArrayD<f64>>, Failure> {
    let names: Vec<String> = layer.inputs().iter().map(|(name, _)| (*name).to_owned()).collect();
    given.iter().try_for_each(|(name, _)| check_name("input", name, &names))?;
    let mut inputs = Vec::new();
    for (i, (name, ty)) in layer.inputs().into_iter().enumerate() {
        inputs.push(match given.iter().find(|(n, _)| n == name) {
            Some((_, file)) => {
                let tensor = match data::read_tensor(file, None, ty, files) {
                    // Of several arrays, the one of its name.
                    Err(DataError::Unnamed { .. }) => data::read_tensor(file, Some(name), ty, files)?,
                    tensor => tensor?,
                };
                tensor.notes.iter().for_each(|text| note(io, text));
                tensor.array
            }
            None => random::input(i, ty, seed, files)?,
        });
    }
    Ok(inputs)
}

/// The layer with a range declared for each input that is read from an image.
pub(super) fn with_image_ranges(layer: Layer, given: &[(String, PathBuf)]) -> Result<Layer, Failure> {
    let mut ranged = layer;
    for (name, file) in given {
        if let Some(step) = data::image::step(file)? {
            ranged = ranged.with_range(name, Range::new(step, 1.0).expect("a step of an image is positive"));
        }
    }
    Ok(ranged)
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

/// Refuses `--input` with a name twice, or with standard input, which has no ending that names its format.
pub(super) fn check_bindings(given: &[(String, PathBuf)]) -> Result<(), Failure> {
    for (i, (name, file)) in given.iter().enumerate() {
        if given[..i].iter().any(|(other, _)| other == name) {
            return Err(Failure::Usage(format!("--input gives `{}` twice; give it one file", shown(name))));
        }
        if source::is_standard(file) {
            let name = shown(name);
            return Err(Failure::Usage(format!(
                "--input {name}=-: an input is not read from standard input; name a file that ends in .npy, .npz, .safetensors or .png"
            )));
        }
    }
    Ok(())
}
