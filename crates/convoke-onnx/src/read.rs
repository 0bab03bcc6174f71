//! Files: the model, and the elements of tensors that lie beside it.

use std::io::{self, Read};
use std::path::Path;

use bytes::Bytes;
use convoke_data::{Files, open};
use convoke_ir::memory::Memory;
use prost::Message;

use crate::data_type::DataType;
use crate::error::{Converted, ImportError, Refusal, malformed, unsupported};
use crate::proto::{ModelProto, TensorProto};
use crate::tensor::{Tensor, count};

/// Reads a whole file of at most `budget` bytes.
pub(crate) fn file(path: &Path, budget: u64) -> Result<Bytes, ImportError> {
    let failed = |source| ImportError::Read { path: path.into(), source };
    let mut file = open(path).map_err(failed)?;
    let bytes = file.metadata().map_err(failed)?.len();
    if bytes > budget {
        return Err(ImportError::TooLarge { path: path.into(), bytes, budget });
    }
    // As long as the file was when it was asked, so that one that grows stays inside the budget.
    let memory = usize::try_from(bytes).ok().and_then(Memory::try_zeroed);
    let mut content = memory.ok_or_else(|| failed(io::ErrorKind::OutOfMemory.into()))?;
    file.read_exact(&mut content).map_err(failed)?;
    Ok(content.into())
}

/// The message that `bytes` are.
pub(crate) fn model(name: &str, bytes: Bytes) -> Result<ModelProto, ImportError> {
    let decode = |reason: String| ImportError::Decode { name: name.into(), reason };
    if bytes.is_empty() {
        return Err(decode("it is empty".into()));
    }
    let model = ModelProto::decode(bytes).map_err(|error| decode(error.to_string()))?;
    match model.graph {
        Some(_) => Ok(model),
        None => Err(decode("it has no graph".into())),
    }
}

/// A tensor of the file, with its elements from wherever they lie.
pub(crate) fn tensor(proto: &TensorProto, files: &Files) -> Converted<Tensor> {
    let named = |reason: String| match proto.name.as_str() {
        "" => reason,
        name => format!("tensor `{name}`: {reason}"),
    };
    read_tensor(proto, files).map_err(|refusal| match refusal {
        Refusal::Unsupported(reason) => Refusal::Unsupported(named(reason)),
        Refusal::Malformed(reason) => Refusal::Malformed(named(reason)),
        Refusal::Inherited => Refusal::Inherited,
    })
}

fn read_tensor(proto: &TensorProto, files: &Files) -> Converted<Tensor> {
    let Ok(ty) = DataType::from_number(proto.data_type).map_err(|name| name.to_string()) else {
        let name = DataType::from_number(proto.data_type).expect_err("looked at above");
        return unsupported(format!("element type {name} is not read"));
    };
    let dims = proto.dims.iter().map(|&d| usize::try_from(d)).collect::<Result<Vec<_>, _>>();
    let Ok(dims) = dims else { return malformed(format!("shape {:?} has a negative extent", proto.dims)) };
    let needed = count(&dims).and_then(|n| n.checked_mul(ty.bytes())).unwrap_or(usize::MAX);
    if needed as u64 > files.budget() {
        return malformed(format!("shape {dims:?} needs {needed} bytes, the memory budget is {}", files.budget()));
    }
    let bytes = match proto.data_location {
        1 => external(proto, files, needed)?,
        _ if !proto.raw_data.is_empty() => proto.raw_data.clone(),
        _ => typed(proto, ty),
    };
    match bytes.len() == needed {
        true => Tensor::from_bytes(ty, dims, bytes),
        false => malformed(format!("shape {dims:?} of {ty} has {needed} bytes, {} are given", bytes.len())),
    }
}

/// Elements in the list that belongs to their type.
fn typed(proto: &TensorProto, ty: DataType) -> Bytes {
    let width = ty.bytes();
    let bytes: Vec<u8> = match ty {
        DataType::Float => proto.float_data.iter().flat_map(|x| x.to_le_bytes()).collect(),
        DataType::Double => proto.double_data.iter().flat_map(|x| x.to_le_bytes()).collect(),
        DataType::Int64 => proto.int64_data.iter().flat_map(|x| x.to_le_bytes()).collect(),
        DataType::Uint64 => proto.uint64_data.iter().flat_map(|x| x.to_le_bytes()).collect(),
        DataType::Uint32 => proto.uint64_data.iter().flat_map(|x| (*x as u32).to_le_bytes()).collect(),
        _ => proto.int32_data.iter().flat_map(|x| x.to_le_bytes().into_iter().take(width)).collect(),
    };
    bytes.into()
}

/// Elements in a file beside the model.
fn external(proto: &TensorProto, files: &Files, needed: usize) -> Converted<Bytes> {
    let entry = |key: &str| proto.external_data.iter().find(|entry| entry.key == key).map(|entry| entry.value.as_str());
    let Some(location) = entry("location") else { return malformed("its external data names no `location`") };
    let number = |key: &str| match entry(key) {
        None => Ok(None),
        Some(text) => match text.trim().parse::<u64>() {
            Ok(number) => Ok(Some(number)),
            Err(_) => malformed(format!("`{key}` of its external data is `{text}`, which is no size")),
        },
    };
    let (offset, length) = (number("offset")?.unwrap_or(0), number("length")?);
    if length.is_some_and(|length| length != needed as u64) {
        return malformed(format!("its external data has `length` {}, its shape needs {needed}", length.unwrap_or(0)));
    }
    let refused = |error: &dyn std::fmt::Display| Refusal::Malformed(error.to_string());
    let path = files.resolve(location).map_err(|error| refused(&error))?;
    let in_file = |error: io::Error| Refusal::Malformed(format!("{}: {error}", path.display()));
    let mut file = open(&path).map_err(in_file)?;
    let size = file.metadata().map_err(in_file)?.len();
    if offset.checked_add(needed as u64).is_none_or(|end| end > size) {
        return malformed(format!("{location} has {size} bytes, the tensor lies at {offset} and needs {needed}"));
    }
    io::Seek::seek(&mut file, io::SeekFrom::Start(offset)).map_err(in_file)?;
    let Some(mut bytes) = Memory::try_zeroed(needed) else {
        return malformed(format!("{location}: no memory for {needed} bytes"));
    };
    file.read_exact(&mut bytes).map_err(in_file)?;
    Ok(bytes.into())
}
