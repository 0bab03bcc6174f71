//! safetensors files: a JSON header that names arrays and where they lie, then their bytes, little-endian.
//!
//! ```text
//! header length (u64)   {"conv1.weight": {"dtype": "F32", "shape": [64, 3, 3, 3], "data_offsets": [0, 6912]}, …}   bytes
//! ```
//!
//! The header is read by the `safetensors` crate, which checks that offsets and extents agree; of the bytes only the
//! array asked for is read. Source: the format's description in the repository huggingface/safetensors.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use convoke_ir::elem::Elem;
use convoke_ir::types::TensorType;
use ndarray::ArrayViewD;
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};

use crate::error::{listed, quoted};
use crate::npy::{Kind, Number, read_numbers, write_numbers};
use crate::{DataError, Files, Pending};

/// The longest header that is read: large models have some 100 kB. Parsed, a header takes a few times its length.
const HEADER_LIMIT: u64 = 32 << 20;

/// Reads the array `name`, or the only one there is.
pub(crate) fn read(path: &Path, name: Option<&str>, ty: &TensorType, files: &Files) -> Result<Vec<f64>, DataError> {
    let io = |e| DataError::read(path, e);
    let mut file = File::open(path).map_err(io)?;
    let length = file.metadata().map_err(io)?.len();
    let wrong = |reason: String| DataError::format(path, format!("it is no safetensors file: {reason}"));
    if length < 8 {
        return Err(wrong(format!("it has {length} bytes, the header's length alone takes 8")));
    }
    let mut size = [0; 8];
    file.read_exact(&mut size).map_err(io)?;
    let size = u64::from_le_bytes(size);
    if size > HEADER_LIMIT || size > length - 8 {
        let left = length - 8;
        return Err(wrong(format!(
            "its header claims {size} bytes; {left} are left in the file, and at most {HEADER_LIMIT} are read"
        )));
    }
    let mut header = vec![0; size as usize];
    file.read_exact(&mut header).map_err(io)?;
    let header: Metadata = serde_json::from_slice(&header).map_err(|e| wrong(format!("its header: {e}")))?;
    if header.data_len() as u64 != length - 8 - size {
        let (claimed, found) = (header.data_len(), length - 8 - size);
        return Err(wrong(format!("its arrays take {claimed} bytes, {found} are there")));
    }
    let tensors = header.tensors();
    let known = || listed(tensors.keys().map(String::as_str));
    let (name, info) = match (name, tensors.iter().next()) {
        (Some(name), _) => match tensors.get(name) {
            Some(info) => (name, info),
            None => return Err(DataError::Missing { path: path.into(), name: name.into(), known: known() }),
        },
        (None, Some((name, info))) if tensors.len() == 1 => (name.as_str(), info),
        (None, _) => return Err(DataError::Unnamed { path: path.into(), known: known() }),
    };
    let array = quoted(name);
    let kind = match info.dtype {
        Dtype::F16 => Kind::F16,
        Dtype::BF16 => Kind::Bf16,
        Dtype::F32 => Kind::F32,
        Dtype::F64 => Kind::F64,
        other => {
            let expected = "F16, BF16, F32 or F64";
            return Err(DataError::Elements { path: path.into(), array, found: format!("{other:?}"), expected });
        }
    };
    if info.shape != ty.shape.dims() {
        let found = info.shape.iter().map(|&d| d as u64).collect();
        return Err(DataError::Shape { path: path.into(), array, found, expected: Box::new(ty.clone()) });
    }
    file.seek(SeekFrom::Start(8 + size + info.data_offsets.0 as u64)).map_err(io)?;
    let number = Number { kind, big_endian: false };
    read_numbers(&mut file, number, ty, path, || wrong("it ends within its arrays".into()), files)
}

/// Writes named arrays, each as `elem`; in full or not at all.
pub fn write(path: &Path, arrays: &[(&str, ArrayViewD<'_, f64>)], elem: Elem) -> Result<(), DataError> {
    prepare(path, arrays, elem)?.commit()
}

/// As [`write()`], but the file does not have its name yet.
pub fn prepare(path: &Path, arrays: &[(&str, ArrayViewD<'_, f64>)], elem: Elem) -> Result<Pending, DataError> {
    let dtype = match elem {
        Elem::F32 => Dtype::F32,
        Elem::F64 => Dtype::F64,
    };
    let mut end = 0;
    let infos: BTreeMap<&str, TensorInfo> = arrays
        .iter()
        .map(|(name, array)| {
            let begin = end;
            end += array.len() * elem.bytes();
            (*name, TensorInfo { dtype, shape: array.shape().to_vec(), data_offsets: (begin, end) })
        })
        .collect();
    let mut header = serde_json::to_string(&infos).map_err(|e| DataError::format(path, e.to_string()))?;
    // The bytes begin at a multiple of 8.
    header.extend(std::iter::repeat_n(' ', header.len().next_multiple_of(8) - header.len()));
    Pending::new(path, |out| {
        out.write_all(&(header.len() as u64).to_le_bytes())?;
        out.write_all(header.as_bytes())?;
        arrays.iter().try_for_each(|(_, array)| write_numbers(out, array.view(), elem))
    })
}

#[cfg(test)]
mod tests {
    use convoke_ir::types::Layout;
    use ndarray::{ArrayD, IxDyn};

    use super::*;

    fn ty(dims: &[usize]) -> TensorType {
        TensorType::new(Elem::F32, dims, Layout::Nchw).expect("a type")
    }

    #[test]
    fn arrays_are_found_by_name() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (path, files) = (folder.path().join("w.safetensors"), Files::none());
        let (a, b) = (ArrayD::from_elem(IxDyn(&[2, 2]), 0.5), ArrayD::from_elem(IxDyn(&[3]), 2.0));
        write(&path, &[("b", b.view()), ("a", a.view())], Elem::F32).expect("written");
        assert_eq!(read(&path, Some("a"), &ty(&[2, 2]), &files).expect("read"), [0.5; 4]);
        assert_eq!(read(&path, Some("b"), &ty(&[3]), &files).expect("read"), [2.0; 3]);
        assert!(matches!(read(&path, None, &ty(&[3]), &files), Err(DataError::Unnamed { .. })));
        assert!(matches!(read(&path, Some("c"), &ty(&[3]), &files), Err(DataError::Missing { .. })));
        let shape = read(&path, Some("a"), &ty(&[4]), &files).expect_err("another shape").to_string();
        assert!(shape.ends_with("\"a\" has shape [2, 2], expected `f32[4]`"), "{shape}");
        let whole = std::fs::read(&path).expect("there");
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).expect("written");
            assert!(read(&path, Some("b"), &ty(&[3]), &files).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn half_precision_is_read() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("h.safetensors");
        for (dtype, bytes) in [("F16", [0x00, 0x3e]), ("BF16", [0xc0, 0x3f])] {
            let header = format!(r#"{{"h":{{"dtype":"{dtype}","shape":[1],"data_offsets":[0,2]}}}}"#);
            let file = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &bytes].concat();
            std::fs::write(&path, file).expect("written");
            assert_eq!(read(&path, None, &ty(&[1]), &Files::none()).expect("read"), [1.5]);
        }
    }

    #[test]
    fn a_header_is_believed_only_within_the_file() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("w.safetensors");
        let with_length = |n: u64, rest: &[u8]| [&n.to_le_bytes()[..], rest].concat();
        for (bytes, expected) in [
            (with_length(1 << 63, b"{}"), "claims 9223372036854775808 bytes"),
            (with_length(3, b"{}"), "claims 3 bytes; 2 are left"),
            (with_length(200 << 20, &vec![b' '; 200 << 20]), "at most 33554432 are read"),
            (with_length(2, b"[]"), "its header"),
        ] {
            std::fs::write(&path, bytes).expect("written");
            let error = read(&path, None, &ty(&[1]), &Files::none()).expect_err(expected).to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
