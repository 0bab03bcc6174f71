//! Shapes of the inputs: from the file, with symbolic sizes bound by options.

use convoke_ir::shape::Shape;

use crate::data_type::DataType;
use crate::declared::{Declared, Dim};
use crate::error::ImportError;
use crate::options::Options;
use crate::proto::{DimensionProto, ValueInfoProto};

/// An input of the model, its shape bound.
#[derive(Clone, Debug)]
pub(crate) struct Input {
    pub(crate) name: String,
    pub(crate) ty: DataType,
    pub(crate) dims: Vec<usize>,
}

/// An input as the file declares it.
pub(crate) fn declared(name: &str, input: &ValueInfoProto) -> Result<Declared, ImportError> {
    let malformed = |reason: String| ImportError::Malformed { name: name.into(), reason };
    let Some(tensor) = input.r#type.as_ref().and_then(|ty| ty.tensor_type.as_ref()) else {
        return Err(malformed(format!("input `{}` is no dense tensor; convoke takes tensors alone", input.name)));
    };
    let ty = DataType::from_number(tensor.elem_type)
        .map_err(|ty| malformed(format!("input `{}` is of type {ty}, which convoke does not read", input.name)))?;
    let dims = tensor.shape.as_ref().map(|shape| shape.dim.iter().map(dim).collect());
    Ok(Declared { name: input.name.clone(), ty, dims })
}

fn dim(proto: &DimensionProto) -> Dim {
    match (proto.dim_value, proto.dim_param.as_deref()) {
        (Some(size @ 1..), _) => usize::try_from(size).map_or(Dim::Unknown, Dim::Fixed),
        (_, Some(name)) if !name.is_empty() => Dim::Symbol(name.into()),
        _ => Dim::Unknown,
    }
}

/// The inputs with their shapes; sizes that are not bound are named all at once.
pub(crate) fn bind(name: &str, inputs: &[&ValueInfoProto], options: &Options) -> Result<Vec<Input>, ImportError> {
    let inputs = inputs.iter().map(|input| declared(name, input)).collect::<Result<Vec<_>, _>>()?;
    known(&inputs, options)?;
    let mut bound = Vec::new();
    let mut unbound = Vec::new();
    for Declared { name: input, ty, dims } in inputs {
        match shape(&input, dims.as_deref(), options)? {
            Ok(dims) => {
                Shape::new(dims.clone()).map_err(|error| ImportError::Malformed {
                    name: name.into(),
                    reason: format!("input `{input}`: {error}"),
                })?;
                bound.push(Input { name: input, ty, dims });
            }
            Err(missing) => unbound.push(missing),
        }
    }
    match unbound.is_empty() {
        true => Ok(bound),
        false => Err(ImportError::Option(unbound.join("\n"))),
    }
}

/// Refuses shapes for inputs that there are not, and sizes that no input has.
fn known(inputs: &[Declared], options: &Options) -> Result<(), ImportError> {
    for (name, _) in &options.input_shapes {
        if !inputs.iter().any(|input| input.name == *name) {
            let names: Vec<_> = inputs.iter().map(|input| format!("`{}`", input.name)).collect();
            let message = format!("--input-shape: the model has no input `{name}`; it has {}", names.join(", "));
            return Err(ImportError::Option(message));
        }
    }
    let symbols: Vec<&str> = inputs.iter().flat_map(|input| input.dims.iter().flatten().filter_map(symbol)).collect();
    for (name, _) in &options.dims {
        if !symbols.contains(&name.as_str()) {
            let mut names: Vec<_> = symbols.iter().map(|name| format!("`{name}`")).collect();
            names.dedup();
            let has = if names.is_empty() { "all its sizes are numbers".into() } else { names.join(", ") };
            return Err(ImportError::Option(format!("--dim: no input has a size `{name}`; there are: {has}")));
        }
    }
    Ok(())
}

fn symbol(dim: &Dim) -> Option<&str> {
    match dim {
        Dim::Symbol(name) => Some(name),
        _ => None,
    }
}

/// The extents of an input, or what to say of those that are not bound.
fn shape(name: &str, written: Option<&[Dim]>, options: &Options) -> Result<Result<Vec<usize>, String>, ImportError> {
    let given = options.input_shapes.iter().find(|(input, _)| input == name).map(|(_, dims)| dims);
    let Some(written) = written else {
        return Ok(given.cloned().ok_or_else(|| {
            format!("input `{name}` has no shape in the file; give one with --input-shape {}=1,3,224,224", quoted(name))
        }));
    };
    if let Some(given) = given {
        let fits = |(&g, w): (&usize, &Dim)| !matches!(w, Dim::Fixed(size) if *size != g);
        if given.len() == written.len() && given.iter().zip(written).all(fits) {
            return Ok(Ok(given.clone()));
        }
        let message = format!("--input-shape {name}: the model says {}", in_words(written));
        return Err(ImportError::Option(message + ", which this shape does not fit"));
    }
    let extent = |dim: &Dim| match dim {
        Dim::Fixed(size) => Some(*size),
        Dim::Symbol(symbol) => options.dims.iter().find(|(name, _)| name == symbol).map(|(_, size)| *size),
        Dim::Unknown => None,
    };
    let dims: Option<Vec<usize>> = written.iter().map(extent).collect();
    Ok(dims.ok_or_else(|| {
        let missing = || written.iter().filter(|dim| extent(dim).is_none());
        let mut symbols: Vec<String> = (0..)
            .zip(written)
            .filter(|(_, dim)| extent(dim).is_none())
            .filter_map(|(axis, dim)| Some(format!("--dim {}={}", quoted(symbol(dim)?), usual(axis))))
            .collect();
        symbols.dedup();
        let example: Vec<_> =
            (0..).zip(written).map(|(axis, dim)| extent(dim).unwrap_or(usual(axis)).to_string()).collect();
        let whole = format!("--input-shape {}={}", quoted(name), example.join(","));
        let how = match missing().all(|dim| symbol(dim).is_some()) {
            true => format!("{}, or {whole}", symbols.join(" ")),
            false => whole,
        };
        format!("input `{name}` has the shape {}: bind its sizes, for example with {how}", in_words(written))
    }))
}

/// A size to try for an axis: a batch of one, images of 224 rows and columns.
fn usual(axis: usize) -> usize {
    if axis < 2 { 1 } else { 224 }
}

fn in_words(dims: &[Dim]) -> String {
    let word = |dim: &Dim| match dim {
        Dim::Fixed(size) => size.to_string(),
        Dim::Symbol(name) => name.clone(),
        Dim::Unknown => "?".into(),
    };
    format!("[{}]", dims.iter().map(word).collect::<Vec<_>>().join(", "))
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_.-/:".contains(c);
    if word.chars().all(plain) { word.into() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}
