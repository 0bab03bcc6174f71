//! npy files, the format of `numpy.save`, versions 1 to 3.
//!
//! ```text
//! \x93NUMPY  major minor  header length (u16, from version 2 on u32)  header  elements
//! header     {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }   padded with spaces
//! ```
//!
//! The reader takes floating-point numbers and integers of either byte order, and booleans; it refuses records. The writer writes version 1. NumPy
//! has no `bf16`: the package `ml_dtypes` adds one, whose arrays have the `descr` `<V2`. The writer writes that, and the reader takes `V2` if the
//! declared type is `bf16`. Source: NumPy's documentation, `numpy.lib.format`.

use std::io::{self, BufReader, Read, Write};
use std::path::Path;

use convoke_ir::elem::Elem;
use convoke_ir::types::TensorType;
use convoke_ir::values::Values;
use ndarray::ArrayViewD;

use crate::error::quoted;
use crate::number::{Elements, Kind, Number, broken, damaged, write_numbers};
use crate::open::opened;
use crate::{DataError, Files, Pending};

const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// The longest header that is read. NumPy writes a few hundred bytes and reads at most 10,000 unasked.
const HEADER_LIMIT: u64 = 1 << 16;

/// Reads the array of a file, which must have the shape of `ty`, in row-major order.
pub(crate) fn read(path: &Path, ty: &TensorType, files: &Files) -> Result<Values, DataError> {
    let (file, length) = opened(path)?;
    read_from(BufReader::new(file), length, path, "its array", ty, files)
}

/// Reads an npy stream of `length` bytes. `array` names it in errors.
pub(crate) fn read_from(
    mut stream: impl Read,
    length: u64,
    path: &Path,
    array: &str,
    ty: &TensorType,
    files: &Files,
) -> Result<Values, DataError> {
    let wrong = |reason: String| damaged(path, array, reason);
    let mut start = [0; 8];
    stream.read_exact(&mut start).map_err(|e| broken(e, path, array, "its first 8 bytes"))?;
    let [magic @ .., major, minor] = start;
    if magic != *MAGIC {
        return Err(DataError::format(
            path,
            format!("{array} is not in npy format: it does not begin with \\x93NUMPY"),
        ));
    }
    let wide = match (major, minor) {
        (1, 0) => false,
        (2 | 3, 0) => true,
        _ => return Err(wrong(format!("it is of format version {major}.{minor}; read are 1.0, 2.0 and 3.0"))),
    };
    let mut size = [0; 4];
    let width = if wide { 4 } else { 2 };
    stream.read_exact(&mut size[..width]).map_err(|e| broken(e, path, array, "the length of its header"))?;
    let size = u64::from(u32::from_le_bytes(size));
    let left = length.saturating_sub(8 + width as u64);
    if size > HEADER_LIMIT || size > left {
        return Err(wrong(format!(
            "its header claims {size} bytes; {left} are left in the file, and at most {HEADER_LIMIT} are read"
        )));
    }
    let mut header = vec![0; size as usize];
    stream.read_exact(&mut header).map_err(|e| broken(e, path, array, "its header"))?;
    let header = String::from_utf8(header).map_err(|_| wrong("its header is not UTF-8".into()))?;
    let header = Header::parse(&header).map_err(wrong)?;
    let number = number(&header.descr, ty.elem).ok_or_else(|| DataError::Elements {
        path: path.into(),
        array: array.into(),
        found: quoted(&header.descr),
        expected: "floating-point numbers, integers or booleans (f2, f4, f8, i1 to i8, u1 to u8, b1)",
    })?;
    if !ty.shape.dims().iter().map(|&d| d as u64).eq(header.shape.iter().copied()) {
        return Err(DataError::Shape {
            path: path.into(),
            array: array.into(),
            found: header.shape,
            expected: Box::new(ty.clone()),
        });
    }
    // The shape is the declared one, so that the product is known to fit.
    let expected = ty.elements() as u64 * number.kind.bytes() as u64;
    let found = left - size;
    if found != expected {
        return Err(wrong(format!("`{}` of `{ty}` take {expected} bytes, {found} are there", header.descr)));
    }
    let elements = Elements { path, array, number, written: &header.descr };
    let stored = elements.read(&mut stream, ty, true, files)?;
    if !header.fortran || ty.shape.rank() < 2 {
        return Ok(stored);
    }
    transposed(&stored, ty, files)
}

/// Column-major numbers in row-major order.
fn transposed(stored: &Values, ty: &TensorType, files: &Files) -> Result<Values, DataError> {
    let size = stored.elem().bytes();
    let mut bytes = files.bytes(Some(stored.bytes().len()), || format!("`{ty}` in another order"))?;
    let dims = ty.shape.dims();
    let mut index = vec![0; dims.len()];
    for to in bytes.chunks_exact_mut(size) {
        let at = dims.iter().zip(&index).rev().fold(0, |at, (&d, &i)| at * d + i);
        to.copy_from_slice(&stored.bytes()[at * size..][..size]);
        for axis in (0..dims.len()).rev() {
            index[axis] += 1;
            if index[axis] < dims[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
    Ok(Values::from_bytes(stored.elem(), bytes))
}

/// The kind of number that a `descr` names, read as `elem`: a byte order and a type. `=` is this machine's order, `|` is for single bytes.
fn number(descr: &str, elem: Elem) -> Option<Number> {
    let (order, kind) = descr.split_at_checked(1)?;
    let kind = match kind {
        "b1" => Kind::Bool,
        "f2" => Kind::Float(Elem::F16),
        "f4" => Kind::Float(Elem::F32),
        "f8" => Kind::Float(Elem::F64),
        // NumPy has no such number: who gives it one writes two bytes of no meaning.
        "V2" if elem == Elem::Bf16 => Kind::Float(Elem::Bf16),
        "i1" => Kind::I8,
        "i2" => Kind::I16,
        "i4" => Kind::I32,
        "i8" => Kind::I64,
        "u1" => Kind::U8,
        "u2" => Kind::U16,
        "u4" => Kind::U32,
        "u8" => Kind::U64,
        _ => return None,
    };
    let big_endian = match order {
        "<" => false,
        ">" => true,
        "=" => cfg!(target_endian = "big"),
        "|" if kind.bytes() == 1 => false,
        _ => return None,
    };
    Some(Number { kind, big_endian })
}

/// The dictionary at the start.
#[derive(Debug, PartialEq)]
struct Header {
    descr: String,
    fortran: bool,
    shape: Vec<u64>,
}

impl Header {
    /// Reads the Python dictionary, which NumPy writes in one way only; other keys are refused, as NumPy does.
    fn parse(text: &str) -> Result<Header, String> {
        let (mut descr, mut fortran, mut shape) = (None, None, None);
        let rest = text.trim().strip_prefix('{').and_then(|t| t.strip_suffix('}'));
        let mut rest = rest.ok_or("its header is no dictionary in braces")?.trim();
        let repeated = |key: &str| format!("its header has `{key}` twice");
        while !rest.is_empty() {
            let (key, after) = string(rest).ok_or_else(|| format!("expected a key in quotes at {}", quoted(rest)))?;
            let value =
                after.trim_start().strip_prefix(':').ok_or_else(|| format!("expected `:` behind {}", quoted(key)))?;
            let value = value.trim_start();
            rest = match key {
                "descr" => {
                    // A list is a record type, which is refused with all other types that are no numbers.
                    let (text, rest) = string(value)
                        .or_else(|| list(value))
                        .ok_or_else(|| format!("its `descr` is {}, neither a string nor a list", quoted(value)))?;
                    if descr.replace(text.to_owned()).is_some() {
                        return Err(repeated(key));
                    }
                    rest
                }
                "fortran_order" => {
                    let (flag, rest) = match (value.strip_prefix("True"), value.strip_prefix("False")) {
                        (Some(rest), _) => (true, rest),
                        (_, Some(rest)) => (false, rest),
                        _ => return Err("its `fortran_order` is neither True nor False".into()),
                    };
                    if fortran.replace(flag).is_some() {
                        return Err(repeated(key));
                    }
                    rest
                }
                "shape" => {
                    let inner = value.strip_prefix('(').and_then(|v| v.split_once(')'));
                    let (inner, rest) = inner.ok_or("its `shape` is no tuple in parentheses")?;
                    if shape.replace(tuple(inner)?).is_some() {
                        return Err(repeated(key));
                    }
                    rest
                }
                other => return Err(format!("its header has a key {}, which the format does not know", quoted(other))),
            };
            rest = rest.trim_start();
            rest = match rest.strip_prefix(',') {
                Some(rest) => rest.trim_start(),
                None if rest.is_empty() => rest,
                None => return Err(format!("expected `,` at {}", quoted(rest))),
            };
        }
        let missing = |key: &str| format!("its header has no `{key}`");
        Ok(Header {
            descr: descr.ok_or_else(|| missing("descr"))?,
            fortran: fortran.ok_or_else(|| missing("fortran_order"))?,
            shape: shape.ok_or_else(|| missing("shape"))?,
        })
    }
}

/// The extents between the parentheses of a tuple, in which one alone has a comma behind it, and others may. An `L` behind an extent
/// is Python 2's.
fn tuple(inner: &str) -> Result<Vec<u64>, String> {
    let mut parts: Vec<_> = inner.split(',').map(str::trim).collect();
    let comma = parts.pop_if(|last| last.is_empty()).is_some();
    if parts.len() == 1 && !comma {
        let shape = quoted(&format!("({inner})"));
        return Err(format!("its `shape` is {shape}, which is no tuple; one extent has a comma behind it"));
    }
    let extent = |p: &str| {
        let digits = p.strip_suffix('L').unwrap_or(p);
        let digits = Some(digits).filter(|d| d.bytes().all(|b| b.is_ascii_digit()));
        digits.and_then(|d| d.parse().ok()).ok_or_else(|| format!("extent {} is no size", quoted(p)))
    };
    parts.into_iter().map(extent).collect()
}

/// A string in single or double quotes at the start of `text`, and what follows it.
fn string(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    text[1..].split_once(quote)
}

/// A list in brackets at the start of `text`, as it is written, and what follows it.
fn list(text: &str) -> Option<(&str, &str)> {
    let mut depth = 0;
    let end = text.find(|c| {
        depth += i32::from(c == '[') - i32::from(c == ']');
        depth <= 0
    })?;
    (end > 0).then(|| text.split_at(end + 1))
}

/// Writes an array as `elem`, little-endian, in row-major order; in full or not at all.
pub fn write(path: &Path, array: ArrayViewD<'_, f64>, elem: Elem) -> Result<(), DataError> {
    prepare(path, array, elem)?.commit()
}

/// As [`write()`], but the file does not have its name yet.
pub fn prepare(path: &Path, array: ArrayViewD<'_, f64>, elem: Elem) -> Result<Pending, DataError> {
    Pending::new(path, |out| write_to(out, array, elem))
}

/// As [`write()`], to any stream.
pub fn write_to(out: &mut dyn Write, array: ArrayViewD<'_, f64>, elem: Elem) -> io::Result<()> {
    let extents: String = array.shape().iter().map(|d| format!("{d}, ")).collect();
    // A tuple of one keeps its comma; longer ones do not end with one.
    let extents = if array.ndim() == 1 { extents.trim_end() } else { extents.trim_end_matches(", ") };
    let kind = if elem == Elem::Bf16 { 'V' } else { 'f' };
    let mut header = format!("{{'descr': '<{kind}{}', 'fortran_order': False, 'shape': ({extents}), }}", elem.bytes());
    // The elements begin at a multiple of 64 bytes; a line feed ends the header.
    let padding = 63 - (10 + header.len()) % 64;
    header.extend(std::iter::repeat_n(' ', padding));
    header.push('\n');
    out.write_all(MAGIC)?;
    out.write_all(&[1, 0])?;
    out.write_all(&(header.len() as u16).to_le_bytes())?;
    out.write_all(header.as_bytes())?;
    write_numbers(out, array, elem)
}

#[cfg(test)]
mod tests {
    use convoke_ir::types::Layout;

    use super::*;

    fn ty(dims: &[usize]) -> TensorType {
        TensorType::new(Elem::F64, dims, Layout::Nchw).expect("a type")
    }

    fn parse(bytes: &[u8], dims: &[usize]) -> Result<Values, DataError> {
        parse_as(bytes, &ty(dims))
    }

    fn parse_as(bytes: &[u8], ty: &TensorType) -> Result<Values, DataError> {
        read_from(bytes, bytes.len() as u64, Path::new("w.npy"), "its array", ty, &Files::none())
    }

    /// An npy file of version 1, or 2 where `wide`.
    fn npy(wide: bool, dict: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend([1 + u8::from(wide), 0]);
        match wide {
            true => bytes.extend((dict.len() as u32).to_le_bytes()),
            false => bytes.extend((dict.len() as u16).to_le_bytes()),
        }
        bytes.extend(dict.as_bytes());
        bytes.extend(data);
        bytes
    }

    fn dict(descr: &str, fortran: &str, shape: &str) -> String {
        format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}\n")
    }

    #[test]
    fn what_is_written_reads_back() {
        for dims in [vec![], vec![3], vec![2, 3], vec![1, 2, 2, 3]] {
            let numbers: Vec<f64> = (0..dims.iter().product()).map(|i| i as f64 - 1.5).collect();
            let array = ndarray::ArrayD::from_shape_vec(dims.clone(), numbers.clone()).expect("fits");
            for &elem in Elem::ALL {
                let mut bytes = Vec::new();
                write_to(&mut bytes, array.view(), elem).expect("written");
                assert_eq!((bytes.len() - numbers.len() * elem.bytes()) % 64, 0);
                let ty = TensorType { elem, ..ty(&dims) };
                assert_eq!(parse_as(&bytes, &ty).expect("read").wide(), numbers);
            }
        }
    }

    #[test]
    fn every_kind_of_number_is_read_in_both_orders() {
        for (descr, data, expected) in [
            ("<f4", &[0, 0, 0xc0, 0x3f][..], 1.5),
            (">f4", &[0x3f, 0xc0, 0, 0], 1.5),
            ("<f2", &[0, 0x3e], 1.5),
            (">f8", &[0x3f, 0xf8, 0, 0, 0, 0, 0, 0], 1.5),
            ("|i1", &[0xff], -1.0),
            ("|u1", &[0xff], 255.0),
            ("|b1", &[1], 1.0),
            ("<i2", &[0xfe, 0xff], -2.0),
            (">u2", &[1, 0], 256.0),
            ("<i4", &[0xfd, 0xff, 0xff, 0xff], -3.0),
            ("<u4", &[0xff, 0xff, 0xff, 0xff], 4294967295.0),
            (">i8", &[0xff; 8], -1.0),
            ("<u8", &[0, 1, 0, 0, 0, 0, 0, 0], 256.0),
            ("=f4", &1.5_f32.to_ne_bytes(), 1.5),
            ("=i8", &(-7_i64).to_ne_bytes(), -7.0),
            ("=u1", &[7], 7.0),
        ] {
            for wide in [false, true] {
                assert_eq!(
                    parse(&npy(wide, &dict(descr, "False", "(1,)"), data), &[1]).expect(descr).wide(),
                    [expected]
                );
            }
        }
    }

    #[test]
    fn integers_are_read_where_the_declared_type_holds_them() {
        let single = TensorType::new(Elem::F32, [1], Layout::Nchw).expect("a type");
        let one = |descr: &str, data: &[u8], ty: &TensorType| {
            let bytes = npy(false, &dict(descr, "False", "(1,)"), data);
            let read = read_from(&bytes[..], bytes.len() as u64, Path::new("w.npy"), "its array", ty, &Files::none());
            read.map(|numbers| numbers.wide()[0]).map_err(|e| e.to_string())
        };
        let most = (1_i64 << 24) + 1;
        assert_eq!(one("<i8", &most.to_le_bytes(), &ty(&[1])), Ok(most as f64));
        let refused = one("<i8", &most.to_le_bytes(), &single).expect_err("f32 has 24 bits");
        let expected = "\"w.npy\": its array has elements of type <i8, and element 0 is 16777217, which `f32[1]` does not hold exactly; \
                        save it as floating-point numbers, or declare f64";
        assert_eq!(refused, expected);
        assert_eq!(one("<i4", &(1_i32 << 24).to_le_bytes(), &single), Ok(16777216.0));
        assert_eq!(one("<i8", &i64::MIN.to_le_bytes(), &single), Ok(-9223372036854775808.0));
        for (descr, data) in [("<u8", u64::MAX.to_le_bytes()), ("<i8", i64::MAX.to_le_bytes())] {
            assert!(one(descr, &data, &ty(&[1])).is_err_and(|e| e.contains("does not hold exactly")), "{descr}");
        }
        assert!(one("|b1", &[2], &single).is_err_and(|e| e.ends_with("element 0 is 2; a boolean is 0 or 1")));
    }

    #[test]
    fn fortran_order_is_transposed() {
        let data: Vec<u8> = [1.0, 4.0, 2.0, 5.0, 3.0, 6.0_f64].iter().flat_map(|x| x.to_le_bytes()).collect();
        let bytes = npy(false, &dict("<f8", "True", "(2, 3)"), &data);
        assert_eq!(parse(&bytes, &[2, 3]).expect("read").wide(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    }

    #[test]
    fn damage_is_named() {
        let six = [0; 24];
        let good = npy(false, &dict("<f4", "False", "(2, 3)"), &six);
        assert!(parse(&good, &[2, 3]).is_ok());
        // Twelve bytes that claim a header of almost 4 GiB.
        let bomb = [&MAGIC[..], &[2, 0], &0xffff_fff0_u32.to_le_bytes()].concat();
        let shape = parse(&good, &[3, 2]).expect_err("another shape").to_string();
        assert_eq!(shape, "\"w.npy\": its array has shape [2, 3], expected `f64[3, 2]`");
        for (bytes, expected) in [
            (bomb, "its header claims 4294967280 bytes"),
            (good[..good.len() - 1].to_vec(), "take 24 bytes, 23 are there"),
            ([&good[..], &[0; 7]].concat(), "take 24 bytes, 31 are there"),
            (b"PK\x03\x04....".to_vec(), "not in npy format"),
            (npy(false, &dict("<c8", "False", "(2, 3)"), &six), "elements of type \"<c8\""),
            (npy(false, &dict("|O", "False", "(2, 3)"), &six), "elements of type \"|O\""),
            (npy(false, &dict("<f4", "Maybe", "(2, 3)"), &six), "neither True nor False"),
            (npy(false, &dict("<f4", "False", "(-2, 3)"), &six), "extent \"-2\" is no size"),
            (npy(false, "{'descr': '<f4', 'shape': (2, 3)}", &six), "no `fortran_order`"),
            (
                npy(false, &dict("@", "False", "(2, 3)").replace("'@'", "[('a', '<f4', (2,))]"), &six),
                "elements of type \"[('a', '<f4', (2,))]\"",
            ),
            (npy(false, &dict("|f4", "False", "(2, 3)"), &six), "elements of type \"|f4\""),
            (npy(false, &dict("<V2", "False", "(2, 3)"), &six), "elements of type \"<V2\""),
            (npy(false, &dict("<f4", "False", "(2,, 3)"), &six), "extent \"\" is no size"),
            (npy(false, &dict("<f4", "False", "(+2, 3)"), &six), "extent \"+2\" is no size"),
            (npy(false, &dict("<f4", "False", "(2LL, 3)"), &six), "extent \"2LL\" is no size"),
            (npy(false, &dict("<f4", "False", "(6)"), &six), "`shape` is \"(6)\", which is no tuple"),
            ([&MAGIC[..], &[1, 7], &good[8..]].concat(), "format version 1.7"),
            (npy(false, "{'a': 1}", &six), "does not know"),
            (npy(false, "{'descr': 4}", &six), "its `descr` is \"4\", neither a string nor a list"),
            (npy(false, "{'descr': [[}", &six), "neither a string nor a list"),
        ] {
            let error = parse(&bytes, &[2, 3]).expect_err(expected).to_string();
            assert!(error.contains(expected), "{error}");
        }
        let python2 = npy(false, &dict("<f4", "False", "(2L, 3L,)"), &six);
        assert!(parse(&python2, &[2, 3]).is_ok());
        // A stream that goes on behind the length it claims.
        let longer = [&good[..], &[0]].concat();
        let path = Path::new("w.npy");
        let error = read_from(&longer[..], good.len() as u64, path, "its array", &ty(&[2, 3]), &Files::none());
        assert!(error.expect_err("too long").to_string().ends_with("more bytes follow its elements"));
        for cut in 0..good.len() {
            assert!(parse(&good[..cut], &[2, 3]).is_err(), "cut at {cut}");
        }
    }
}
