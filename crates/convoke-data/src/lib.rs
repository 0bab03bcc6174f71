//! The numbers of constants: generators, npy, npz, safetensors; images in and out.
//!
//! Constants are handed on as bytes, [`Values`], in storage order, already rounded to the element type they are declared with; inputs as `f64`. What
//! a file claims is checked against the file's length, and what is to be held against the budget of [`Files`], before
//! memory is taken.
//!
//! | module | holds |
//! |---|---|
//! | [`Files`] | the folder `file("…")` is looked up in; the memory budget |
//! | [`values`] | the numbers of a constant |
//! | [`random()`], [`random_integers`] | inputs for tests |
//! | [`npy`], `npz` (with the feature `npz`), [`safetensors`] | arrays in files |
//! | `image` (with the feature `images`) | PNG images |
//! | [`open()`], [`open_text`] | regular files, opened to read |
//! | [`write_whole`], [`Pending`] | files that are written in full or not at all, alone or several together |

mod error;
mod files;
mod generate;
#[cfg(feature = "images")]
pub mod image;
pub mod npy;
#[cfg(feature = "npz")]
pub mod npz;
mod number;
mod open;
mod random;
pub mod safetensors;
mod write;

use std::path::Path;

use convoke_ir::elem::Elem;
use convoke_ir::layer::Source;
use convoke_ir::types::TensorType;
use convoke_ir::values::{Overflow, Values};
use ndarray::{ArrayD, IxDyn};

pub use error::DataError;
pub use files::Files;
pub use open::{open, open_text};
pub use write::{Pending, check_writable, write_whole};

use crate::random::Sequence;

/// The nearest number of the element type, ties to even.
pub fn round(elem: Elem, x: f64) -> f64 {
    elem.round(x)
}

/// The numbers of a constant of type `ty`, in storage order, rounded to its element type.
///
/// # Errors
///
/// [`DataError::Unbound`] for a weight without values; a file that is missing, damaged, or holds another shape; a
/// finite number that the element type cannot hold; more memory than the budget of `files`.
pub fn values(source: &Source, ty: &TensorType, files: &Files) -> Result<Values, DataError> {
    if let Some(reason) = source.refuses(ty) {
        return Err(DataError::Source { ty: Box::new(ty.clone()), reason });
    }
    match source {
        Source::Unbound => Err(DataError::Unbound),
        Source::Computed(numbers) => rounded(numbers, ty),
        Source::Numbers(numbers) => nearest(numbers, ty),
        Source::Generate(generator) => {
            let mut numbers = files.allocate(ty.elements(), || format!("a constant `{ty}`"))?;
            generate::generate(generator, ty.shape.dims(), &mut numbers);
            nearest(&numbers, ty)
        }
        Source::File { path, name } => rounded(&read(&files.resolve(path)?, name.as_deref(), ty, files)?, ty),
    }
}

/// Numbers rounded to the element type. A finite number that would become infinite is an error: it was not meant.
fn nearest(numbers: &[f64], ty: &TensorType) -> Result<Values, DataError> {
    let lost = |Overflow(index)| DataError::Overflow { ty: Box::new(ty.clone()), index, number: numbers[index] };
    Values::nearest(ty.elem, numbers).map_err(lost)
}

/// The same of numbers of some type.
fn rounded(values: &Values, ty: &TensorType) -> Result<Values, DataError> {
    let lost = |Overflow(index)| DataError::Overflow { ty: Box::new(ty.clone()), index, number: values.wide()[index] };
    values.to(ty.elem).map_err(lost)
}

/// Reads an array file by its ending: `.npy`, `.npz` or `.safetensors`. The numbers are as stored, in row-major order.
fn read(path: &Path, name: Option<&str>, ty: &TensorType, files: &Files) -> Result<Values, DataError> {
    match path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase).as_deref() {
        Some("npy") => match name {
            None => npy::read(path, ty, files),
            Some(name) => Err(DataError::format(
                path,
                format!("an npy file holds one array without a name; leave {} out", error::quoted(name)),
            )),
        },
        #[cfg(feature = "npz")]
        Some("npz") => npz::read(path, name, ty, files),
        #[cfg(not(feature = "npz"))]
        Some("npz") => Err(DataError::Feature { path: path.into(), feature: "npz" }),
        Some("safetensors") => safetensors::read(path, name, ty, files),
        _ => Err(DataError::format(path, "expected a name that ends in .npy, .npz or .safetensors")),
    }
}

/// Reads a tensor of type `ty` that a user names by path: an array file, or a PNG image.
///
/// Unlike [`values`] this takes any path. What was converted on the way (an alpha channel left out, colours made
/// grey) is said in the notes.
pub fn read_tensor(path: &Path, name: Option<&str>, ty: &TensorType, files: &Files) -> Result<Tensor, DataError> {
    let (values, notes) = match path.extension() {
        #[cfg(feature = "images")]
        Some(ending) if ending.eq_ignore_ascii_case("png") => {
            let (numbers, notes) = image::read(path, ty, files)?;
            (nearest(&numbers, ty)?, notes)
        }
        #[cfg(not(feature = "images"))]
        Some(ending) if ending.eq_ignore_ascii_case("png") => {
            return Err(DataError::Feature { path: path.into(), feature: "images" });
        }
        _ => (rounded(&read(path, name, ty, files)?, ty)?, Vec::new()),
    };
    let mut numbers = files.allocate(values.len(), || format!("`{ty}`"))?;
    ty.elem.decode(values.bytes(), &mut numbers);
    Ok(Tensor { array: shaped(ty, numbers), notes })
}

/// An array that was read, with what a user should know about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// The numbers, in storage order of the type asked for.
    pub array: ArrayD<f64>,
    /// Sentences on what was converted.
    pub notes: Vec<String>,
}

/// Numbers in storage order as an array of the type's shape.
pub(crate) fn shaped(ty: &TensorType, numbers: Vec<f64>) -> ArrayD<f64> {
    ArrayD::from_shape_vec(IxDyn(ty.shape.dims()), numbers).expect("as many numbers as the type has elements")
}

/// Seeded test input: uniform on `[−1, 1)` in steps of 2^-23, so that `f32` holds every number exactly; types that hold fewer get the nearest.
pub fn random(ty: &TensorType, seed: i64, files: &Files) -> Result<ArrayD<f64>, DataError> {
    let sequence = Sequence::new(seed, 2);
    let mut numbers = files.allocate(ty.elements(), || format!("a random `{ty}`"))?;
    numbers.extend((0..ty.elements()).map(|i| (sequence.bits(i) >> 40) as f64 / f64::from(1 << 23) - 1.0));
    ty.elem.round_all(&mut numbers);
    Ok(shaped(ty, numbers))
}

/// Seeded test input: whole numbers from `−most` to `most`. Sums of n products of two such numbers are exact in `f32`
/// as long as `n · most²` is at most 2^24, whatever the order.
pub fn random_integers(ty: &TensorType, most: u32, seed: i64, files: &Files) -> Result<ArrayD<f64>, DataError> {
    let sequence = Sequence::new(seed, 3);
    let count = 2 * u64::from(most) + 1;
    let mut numbers = files.allocate(ty.elements(), || format!("a random `{ty}`"))?;
    numbers.extend((0..ty.elements()).map(|i| {
        let below = (u128::from(sequence.bits(i)) * u128::from(count)) >> 64;
        below as f64 - f64::from(most)
    }));
    Ok(shaped(ty, numbers))
}
