//! safetensors files: a JSON header that names arrays and where they lie, then their bytes, little-endian.
//!
//! ```text
//! header length (u64)   {"conv1.weight": {"dtype": "F32", "shape": [64, 3, 3, 3], "data_offsets": [0, 6912]}, …}   bytes
//! ```
//!
//! The arrays must lie one behind the other, from the first byte to the last, as the format's own reader demands; of the
//! bytes only the array asked for is read. Source: the format's description in the repository huggingface/safetensors.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use convoke_ir::elem::Elem;
use convoke_ir::types::TensorType;
use convoke_ir::values::Values;
use ndarray::ArrayViewD;
use safetensors::Dtype;
use safetensors::tensor::TensorInfo;
use serde::Deserialize;
use serde::de::{self, IgnoredAny, MapAccess, Visitor};

use crate::error::{listed, quoted};
use crate::number::{Elements, Kind, Number};
use crate::open::opened;
use crate::{DataError, Files, Pending};

/// The longest header that is read, as in the format's own reader: large models have some 100 kB.
const HEADER_LIMIT: u64 = 100_000_000;
/// How many times its length a header takes, parsed.
const PARSED: u128 = 4;

/// An entry of the header: an array.
#[derive(Deserialize)]
struct Info<'a> {
    #[serde(borrow)]
    dtype: Cow<'a, str>,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

impl Info<'_> {
    /// The kind of number, if it is one that is read.
    fn kind(&self) -> Option<Kind> {
        Some(match &*self.dtype {
            "BOOL" => Kind::Bool,
            "F16" => Kind::Float(Elem::F16),
            "BF16" => Kind::Float(Elem::Bf16),
            "F32" => Kind::Float(Elem::F32),
            "F64" => Kind::Float(Elem::F64),
            "I8" => Kind::I8,
            "I16" => Kind::I16,
            "I32" => Kind::I32,
            "I64" => Kind::I64,
            "U8" => Kind::U8,
            "U16" => Kind::U16,
            "U32" => Kind::U32,
            "U64" => Kind::U64,
            _ => return None,
        })
    }

    /// How many bytes the elements take, if that is known and can be counted.
    fn bytes(&self) -> Option<u128> {
        let kind = self.kind()?;
        self.shape.iter().try_fold(kind.bytes() as u128, |bytes, &extent| bytes.checked_mul(extent.into()))
    }
}

/// The arrays of a header, in the order of their names.
struct Header<'a>(Vec<(Cow<'a, str>, Info<'a>)>);

impl<'de> Deserialize<'de> for Header<'de> {
    fn deserialize<D: de::Deserializer<'de>>(from: D) -> Result<Header<'de>, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Header<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with an entry for each array")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header<'de>, A::Error> {
                let mut arrays = Vec::new();
                while let Some(Name(name)) = map.next_key()? {
                    if name == "__metadata__" {
                        map.next_value::<IgnoredAny>()?;
                        continue;
                    }
                    let info = map.next_value();
                    let info = info.map_err(|e| de::Error::custom(format!("array {}: {e}", quoted(&name))))?;
                    arrays.push((name, info));
                }
                arrays.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
                Ok(Header(arrays))
            }
        }
        from.deserialize_map(Entries)
    }
}

/// A key of the header, which is borrowed where it has no escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl Header<'_> {
    /// Reads a header, of a file with so many bytes behind it.
    fn parse(text: &[u8], data: u64) -> Result<Header<'_>, String> {
        let header: Header = serde_json::from_slice(text).map_err(|e| format!("its header: {e}"))?;
        header.check(data)?;
        Ok(header)
    }

    fn check(&self, data: u64) -> Result<(), String> {
        let arrays = &self.0;
        if let Some([(name, _), _]) = arrays.array_windows().find(|[(a, _), (b, _)]| a == b) {
            return Err(format!("its header has two arrays {}", quoted(name)));
        }
        let mut in_place: Vec<_> = arrays.iter().map(|(name, info)| (info.data_offsets, name, info)).collect();
        in_place.sort_unstable_by_key(|(offsets, _, _)| *offsets);
        let (mut end, mut before) = (0, "");
        for ((first, last), name, info) in in_place {
            let array = || quoted(name);
            if last < first {
                return Err(format!("array {} ends at byte {last}, before it begins, at {first}", array()));
            }
            if first < end {
                return Err(format!("arrays {} and {} overlap", quoted(before), array()));
            }
            if first > end {
                return Err(format!("the {} bytes before array {} belong to none", first - end, array()));
            }
            let needed = info.bytes();
            if info.kind().is_some() && needed != Some(u128::from(last - first)) {
                let needed = needed.map_or("more than can be counted".into(), |n| n.to_string());
                let (array, dtype, shape, has) = (array(), quoted(&info.dtype), &info.shape, last - first);
                return Err(format!("array {array} of {dtype} and shape {shape:?} takes {needed} bytes and has {has}"));
            }
            (end, before) = (last, name);
        }
        match end == data {
            true => Ok(()),
            false => Err(format!("its arrays take {end} bytes, {data} are there")),
        }
    }
}

/// A file behind its header.
struct Opened {
    file: std::fs::File,
    header: Vec<u8>,
    /// Bytes behind the header.
    data: u64,
}

fn wrong(path: &Path, reason: String) -> DataError {
    DataError::format(path, format!("it is no safetensors file: {reason}"))
}

fn open(path: &Path, files: &Files) -> Result<Opened, DataError> {
    let io = |e| DataError::read(path, e);
    let (mut file, length) = opened(path)?;
    let wrong = |reason| wrong(path, reason);
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
    files.allow(PARSED * u128::from(size), || "the header of a safetensors file".into())?;
    let mut header = vec![0; size as usize];
    file.read_exact(&mut header).map_err(io)?;
    Ok(Opened { file, header, data: length - 8 - size })
}

/// The names of the arrays.
pub(crate) fn names(path: &Path, files: &Files) -> Result<Vec<String>, DataError> {
    let opened = open(path, files)?;
    let Header(arrays) = Header::parse(&opened.header, opened.data).map_err(|reason| wrong(path, reason))?;
    Ok(arrays.into_iter().map(|(name, _)| name.into_owned()).collect())
}

/// Reads the array `name`, or the only one there is.
pub(crate) fn read(path: &Path, name: Option<&str>, ty: &TensorType, files: &Files) -> Result<Values, DataError> {
    let io = |e| DataError::read(path, e);
    let Opened { mut file, header, data } = open(path, files)?;
    let size = header.len() as u64;
    let Header(arrays) = Header::parse(&header, data).map_err(|reason| wrong(path, reason))?;
    let all = || arrays.iter().map(|(name, _)| &**name);
    let (name, info) = match (name, &arrays[..]) {
        (Some(name), _) => match arrays.binary_search_by(|(known, _)| (**known).cmp(name)) {
            Ok(at) => &arrays[at],
            Err(_) => return Err(DataError::Missing { path: path.into(), name: name.into(), known: listed(all()) }),
        },
        (None, [only]) => only,
        (None, _) => return Err(DataError::unnamed(path, all())),
    };
    let array = quoted(name);
    let Some(kind) = info.kind() else {
        let expected = "F16, BF16, F32, F64, I8 to I64, U8 to U64 or BOOL";
        return Err(DataError::Elements { path: path.into(), array, found: quoted(&info.dtype), expected });
    };
    if !ty.shape.dims().iter().map(|&d| d as u64).eq(info.shape.iter().copied()) {
        let found = info.shape.clone();
        return Err(DataError::Shape { path: path.into(), array, found, expected: Box::new(ty.clone()) });
    }
    file.seek(SeekFrom::Start(8 + size + info.data_offsets.0)).map_err(io)?;
    let number = Number { kind, big_endian: false };
    Elements { path, array: &array, number, written: &info.dtype }.read(&mut file, ty, false, files)
}

/// Writes named arrays, each as `elem`; in full or not at all.
pub fn write(path: &Path, arrays: &[(&str, ArrayViewD<'_, f64>)], elem: Elem) -> Result<(), DataError> {
    let values = |array: &ArrayViewD<'_, f64>| Values::of(elem, &array.iter().copied().collect::<Vec<_>>());
    let values: Vec<Values> = arrays.iter().map(|(_, array)| values(array)).collect();
    let arrays = arrays.iter().zip(&values).map(|((name, array), values)| (*name, array.shape(), values));
    prepare(path, &arrays.collect::<Vec<_>>())?.commit()
}

/// Named arrays of these extents and numbers, in a file that does not have its name yet.
pub fn prepare(path: &Path, arrays: &[(&str, &[usize], &Values)]) -> Result<Pending, DataError> {
    let mut end = 0;
    let infos: BTreeMap<&str, TensorInfo> = arrays
        .iter()
        .map(|(name, shape, values)| {
            let begin = end;
            end += values.bytes().len();
            (*name, TensorInfo { dtype: dtype(values.elem()), shape: shape.to_vec(), data_offsets: (begin, end) })
        })
        .collect();
    let mut header = serde_json::to_string(&infos).map_err(|e| DataError::format(path, e.to_string()))?;
    // The bytes begin at a multiple of 8.
    header.extend(std::iter::repeat_n(' ', header.len().next_multiple_of(8) - header.len()));
    Pending::new(path, |out| {
        out.write_all(&(header.len() as u64).to_le_bytes())?;
        out.write_all(header.as_bytes())?;
        arrays.iter().try_for_each(|(.., values)| out.write_all(values.bytes()))
    })
}

fn dtype(elem: Elem) -> Dtype {
    match elem {
        Elem::F16 => Dtype::F16,
        Elem::Bf16 => Dtype::BF16,
        Elem::F32 => Dtype::F32,
        Elem::F64 => Dtype::F64,
    }
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
        assert_eq!(read(&path, Some("a"), &ty(&[2, 2]), &files).expect("read").wide(), [0.5; 4]);
        assert_eq!(read(&path, Some("b"), &ty(&[3]), &files).expect("read").wide(), [2.0; 3]);
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

    /// A file of this header and data.
    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), data].concat()
    }

    #[test]
    fn other_types_are_read_as_numbers() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("h.safetensors");
        for (dtype, bytes, expected) in [
            ("F16", &[0x00, 0x3e][..], 1.5),
            ("BF16", &[0xc0, 0x3f], 1.5),
            ("F64", &1.5_f64.to_le_bytes(), 1.5),
            ("I8", &[0xff], -1.0),
            ("U8", &[0xff], 255.0),
            ("I16", &[0xfe, 0xff], -2.0),
            ("U16", &[0xfe, 0xff], 65534.0),
            ("I32", &(-3_i32).to_le_bytes(), -3.0),
            ("U32", &3_u32.to_le_bytes(), 3.0),
            ("I64", &(-4_i64).to_le_bytes(), -4.0),
            ("U64", &4_u64.to_le_bytes(), 4.0),
            ("BOOL", &[1], 1.0),
        ] {
            let header = format!(r#"{{"h":{{"dtype":"{dtype}","shape":[1],"data_offsets":[0,{}]}}}}"#, bytes.len());
            std::fs::write(&path, file(&header, bytes)).expect("written");
            assert_eq!(read(&path, None, &ty(&[1]), &Files::none()).expect(dtype).wide(), [expected]);
        }
    }

    #[test]
    fn doubtful_files_are_refused() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("w.safetensors");
        let array = |name: &str, dtype: &str, first: u64, last: u64| {
            format!(r#""{name}":{{"dtype":"{dtype}","shape":[1],"data_offsets":[{first},{last}]}}"#)
        };
        let refused = |header: &str, data: &[u8]| {
            std::fs::write(&path, file(header, data)).expect("written");
            read(&path, Some("a"), &ty(&[1]), &Files::none()).expect_err(header).to_string()
        };
        let two = |a: String, b: String| format!("{{{a},{b}}}");
        let a = || array("a", "F32", 0, 4);
        for (header, expected) in [
            (two(a(), array("a", "F32", 4, 8)), "its header has two arrays \"a\""),
            (two(a(), array("\\u0061", "F32", 4, 8)), "its header has two arrays \"a\""),
            (two(a(), array("b", "F32", 0, 4)), "arrays \"a\" and \"b\" overlap"),
            (two(array("a", "F64", 0, 8), array("b", "F32", 4, 8)), "arrays \"a\" and \"b\" overlap"),
            (two(array("a", "F32", 0, 3), array("b", "F32", 4, 8)), "takes 4 bytes and has 3"),
            (two(array("b", "F32", 5, 8), array("a", "F32", 0, 4)), "the 1 bytes before array \"b\" belong to none"),
            (two(a(), array("b", "F32", 8, 4)), "array \"b\" ends at byte 4, before it begins, at 8"),
            (format!("{{{}}}", a()), "its arrays take 4 bytes, 8 are there"),
            (two(a(), array("b", "F64", 4, 12)), "its arrays take 12 bytes, 8 are there"),
            (two(array("a", "F4", 0, 4), array("b", "F32", 4, 8)), "\"a\" has elements of type \"F4\"; expected F16"),
            (two(r#""a":{"dtype":"F32","shape":[1]}"#.into(), array("b", "F32", 4, 8)), "array \"a\": missing field"),
            (two(r#""a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}"#.into(), a()), "array \"a\": invalid value"),
            ("{}x".into(), "trailing characters"),
        ] {
            let error = refused(&header, &[0; 8]);
            assert!(error.contains(expected), "{error}");
        }
        let vast =
            r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296,4294967296,4294967296],"data_offsets":[0,8]}}"#;
        assert!(refused(vast, &[0; 8]).contains("takes more than can be counted bytes and has 8"));
        let boolean = format!("{{{}}}", array("a", "BOOL", 0, 1));
        assert!(refused(&boolean, &[2]).ends_with("\"a\" is damaged: element 0 is 2; a boolean is 0 or 1"));
        // An array of a type that is not read harms no other.
        let header = two(a(), array("b", "F8_E4M3", 4, 5));
        std::fs::write(&path, file(&header, &[0; 5])).expect("written");
        assert_eq!(read(&path, Some("a"), &ty(&[1]), &Files::none()).expect("read").wide(), [0.0]);
    }

    #[test]
    fn a_file_of_many_names_is_read() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("w.safetensors");
        let arrays = (0..200_000)
            .rev()
            .map(|i| format!(r#""layers.{i}.w":{{"dtype":"U8","shape":[1],"data_offsets":[{i},{}]}}"#, i + 1));
        let header = format!("{{{}}}", arrays.collect::<Vec<_>>().join(","));
        let data: Vec<u8> = (0..200_000).map(|i| (i % 251) as u8).collect();
        std::fs::write(&path, file(&header, &data)).expect("written");
        let numbers = read(&path, Some("layers.123456.w"), &ty(&[1]), &Files::none()).expect("read");
        assert_eq!(numbers.wide(), [f64::from(123_456 % 251)]);
    }

    #[test]
    fn a_header_is_believed_only_within_the_file() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("w.safetensors");
        let with_length = |n: u64, rest: &[u8]| [&n.to_le_bytes()[..], rest].concat();
        for (bytes, expected) in [
            (with_length(1 << 63, b"{}"), "claims 9223372036854775808 bytes"),
            (with_length(3, b"{}"), "claims 3 bytes; 2 are left"),
            (with_length(2, b"[]"), "its header: invalid type: sequence, expected an object"),
        ] {
            std::fs::write(&path, bytes).expect("written");
            let error = read(&path, None, &ty(&[1]), &Files::none()).expect_err(expected).to_string();
            assert!(error.contains(expected), "{error}");
        }
        let long = 200 << 20;
        std::fs::write(&path, with_length(long, b"")).expect("written");
        // The rest is a hole, which takes no room.
        std::fs::File::options().write(true).open(&path).and_then(|file| file.set_len(long + 8)).expect("lengthened");
        let error = read(&path, None, &ty(&[1]), &Files::none()).expect_err("too long").to_string();
        assert!(
            error.ends_with("claims 209715200 bytes; 209715200 are left in the file, and at most 100000000 are read"),
            "{error}"
        );
    }
}
