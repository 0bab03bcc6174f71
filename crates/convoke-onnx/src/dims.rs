//! Shapes of the inputs: from the file, with symbolic sizes bound by options.

use convoke_ir::shape::Shape;

use crate::data_type::DataType;
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

/// The inputs with their shapes; sizes that are not bound are named all at once.
pub(crate) fn bind<'a>(
    name: &str,
    inputs: impl Iterator<Item = &'a ValueInfoProto>,
    options: &Options,
) -> Result<Vec<Input>, ImportError> {
    let inputs: Vec<&ValueInfoProto> = inputs.collect();
    known(&inputs, options)?;
    let mut bound = Vec::new();
    let mut unbound = Vec::new();
    for input in inputs {
        let malformed = |reason: String| ImportError::Malformed { name: name.into(), reason };
        let Some(tensor) = input.r#type.as_ref().and_then(|ty| ty.tensor_type.as_ref()) else {
            return Err(malformed(format!("input `{}` is no dense tensor; convoke takes tensors alone", input.name)));
        };
        let ty = DataType::from_number(tensor.elem_type)
            .map_err(|ty| malformed(format!("input `{}` is of type {ty}, which convoke does not read", input.name)))?;
        let written = tensor.shape.as_ref().map(|shape| shape.dim.as_slice());
        match shape(&input.name, written, options)? {
            Ok(dims) => {
                Shape::new(dims.clone()).map_err(|error| malformed(format!("input `{}`: {error}", input.name)))?;
                bound.push(Input { name: input.name.clone(), ty, dims });
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
fn known(inputs: &[&ValueInfoProto], options: &Options) -> Result<(), ImportError> {
    for (name, _) in &options.input_shapes {
        if !inputs.iter().any(|input| input.name == *name) {
            let names: Vec<_> = inputs.iter().map(|input| format!("`{}`", input.name)).collect();
            let message = format!("--input-shape: the model has no input `{name}`; it has {}", names.join(", "));
            return Err(ImportError::Option(message));
        }
    }
    let symbols: Vec<&str> = inputs.iter().flat_map(|input| symbols(input)).collect();
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

fn symbols(input: &ValueInfoProto) -> impl Iterator<Item = &str> {
    let shape = input.r#type.as_ref().and_then(|ty| ty.tensor_type.as_ref()).and_then(|ty| ty.shape.as_ref());
    shape.into_iter().flat_map(|shape| shape.dim.iter().filter_map(symbol))
}

fn symbol(dim: &DimensionProto) -> Option<&str> {
    dim.dim_param.as_deref().filter(|name| !name.is_empty())
}

/// The extents of an input, or what to say of those that are not bound.
fn shape(
    name: &str,
    written: Option<&[DimensionProto]>,
    options: &Options,
) -> Result<Result<Vec<usize>, String>, ImportError> {
    let given = options.input_shapes.iter().find(|(input, _)| input == name).map(|(_, dims)| dims);
    let Some(written) = written else {
        return Ok(given.cloned().ok_or_else(|| {
            format!("input `{name}` has no shape in the file; give one with --input-shape {name}=1,3,224,224")
        }));
    };
    if let Some(given) = given {
        let fits = given.len() == written.len()
            && given.iter().zip(written).all(|(&g, w)| w.dim_value.is_none_or(|v| v <= 0 || v as u64 == g as u64));
        return match fits {
            true => Ok(Ok(given.clone())),
            false => {
                let message = format!("--input-shape {name}: the model says {}", in_words(written));
                Err(ImportError::Option(message + ", which this shape does not fit"))
            }
        };
    }
    let extent = |dim: &DimensionProto| match (dim.dim_value, symbol(dim)) {
        (Some(value), _) if value > 0 => usize::try_from(value).ok(),
        (_, Some(symbol)) => options.dims.iter().find(|(name, _)| name == symbol).map(|(_, size)| *size),
        _ => None,
    };
    let dims: Option<Vec<usize>> = written.iter().map(extent).collect();
    Ok(dims.ok_or_else(|| {
        let mut missing: Vec<String> = written
            .iter()
            .filter(|dim| extent(dim).is_none())
            .filter_map(|dim| symbol(dim).map(|name| format!("--dim {}=1", quoted(name))))
            .collect();
        missing.dedup();
        let example: Vec<_> = written.iter().map(|dim| extent(dim).unwrap_or(1).to_string()).collect();
        let whole = format!("--input-shape {}={}", quoted(name), example.join(","));
        let unnamed = written.iter().any(|dim| extent(dim).is_none() && symbol(dim).is_none());
        let how = if missing.is_empty() || unnamed { whole } else { format!("{}, or {whole}", missing.join(" ")) };
        format!("input `{name}` has the shape {}: bind its sizes, for example with {how}", in_words(written))
    }))
}

fn in_words(dims: &[DimensionProto]) -> String {
    let word = |dim: &DimensionProto| match (dim.dim_value, symbol(dim)) {
        (Some(value), _) if value > 0 => value.to_string(),
        (_, Some(symbol)) => symbol.to_owned(),
        _ => "?".into(),
    };
    format!("[{}]", dims.iter().map(word).collect::<Vec<_>>().join(", "))
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_.-/:".contains(c);
    if word.chars().all(plain) { word.into() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}
