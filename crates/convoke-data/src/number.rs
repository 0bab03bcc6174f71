//! Numbers as files store them, and the numbers that they become.
//!
//! Floating-point numbers are read as they are, as bytes; the caller rounds them to the declared element type. An integer is read where that
//! type holds it exactly, and refused otherwise: a rounded index or count is another one. `false` and `true` are 0 and 1.

use std::io::{self, Read, Write};
use std::path::Path;

use convoke_ir::elem::Elem;
use convoke_ir::types::TensorType;
use convoke_ir::values::Values;
use ndarray::ArrayViewD;

use crate::{DataError, Files};

/// A stored kind of number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Number {
    pub(crate) kind: Kind,
    pub(crate) big_endian: bool,
}

/// The encoding of a number in bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Bool,
    Float(Elem),
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
}

impl Kind {
    pub(crate) fn bytes(self) -> usize {
        match self {
            Kind::Float(elem) => elem.bytes(),
            Kind::Bool | Kind::I8 | Kind::U8 => 1,
            Kind::I16 | Kind::U16 => 2,
            Kind::I32 | Kind::U32 => 4,
            Kind::I64 | Kind::U64 => 8,
        }
    }
}

impl Number {
    /// Appends the integers that `bytes` hold. One that `elem` does not hold, or a boolean that is neither 0 nor 1, ends it;
    /// those before it are appended.
    fn decode(self, bytes: &[u8], elem: Elem, out: &mut Vec<f64>) -> Result<(), i128> {
        macro_rules! stored {
            ($ty:ty) => {
                bytes.chunks_exact(size_of::<$ty>()).map(|b| {
                    let b = b.try_into().expect("chunks have the size asked for");
                    if self.big_endian { <$ty>::from_be_bytes(b) } else { <$ty>::from_le_bytes(b) }
                })
            };
        }
        macro_rules! exact {
            ($ty:ty) => {
                for x in stored!($ty) {
                    let y = elem.round(x as f64);
                    if y as i128 != i128::from(x) {
                        return Err(x.into());
                    }
                    out.push(y);
                }
            };
        }
        match self.kind {
            Kind::Bool => {
                for &x in bytes {
                    if x > 1 {
                        return Err(x.into());
                    }
                    out.push(x.into());
                }
            }
            Kind::Float(_) => unreachable!("numbers with a point are not decoded"),
            // Every type holds eight bits.
            Kind::I8 => out.extend(stored!(i8).map(f64::from)),
            Kind::U8 => out.extend(stored!(u8).map(f64::from)),
            Kind::I16 => exact!(i16),
            Kind::U16 => exact!(u16),
            Kind::I32 => exact!(i32),
            Kind::I64 => exact!(i64),
            Kind::U32 => exact!(u32),
            Kind::U64 => exact!(u64),
        }
        Ok(())
    }
}

/// The elements of an array in a file.
pub(crate) struct Elements<'a> {
    pub(crate) path: &'a Path,
    /// The array, as errors name it.
    pub(crate) array: &'a str,
    pub(crate) number: Number,
    /// The type, as the file writes it.
    pub(crate) written: &'a str,
}

impl Elements<'_> {
    /// Reads as many numbers as `ty` has elements, in the type that they are stored in; integers in that of `ty`. No more bytes may follow
    /// if `last`.
    pub(crate) fn read(
        &self,
        stream: &mut dyn Read,
        ty: &TensorType,
        last: bool,
        files: &Files,
    ) -> Result<Values, DataError> {
        let failed = |e| broken(e, self.path, self.array, "its elements");
        let values = match self.number.kind {
            Kind::Float(stored) => {
                let mut bytes = files.bytes(ty.elements().checked_mul(stored.bytes()), || format!("`{ty}`"))?;
                stream.read_exact(&mut bytes).map_err(failed)?;
                if self.number.big_endian {
                    bytes.chunks_exact_mut(stored.bytes()).for_each(<[u8]>::reverse);
                }
                Values::from_bytes(stored, bytes)
            }
            _ => Values::of(ty.elem, &self.integers(stream, ty, files)?),
        };
        // A stream that knows a checksum compares it when it is asked for more.
        if last && stream.take(1).read_to_end(&mut Vec::new()).map_err(failed)? > 0 {
            return Err(damaged(self.path, self.array, "more bytes follow its elements"));
        }
        Ok(values)
    }

    /// A block at a time.
    fn integers(&self, stream: &mut dyn Read, ty: &TensorType, files: &Files) -> Result<Vec<f64>, DataError> {
        let mut numbers = files.allocate(ty.elements(), || format!("`{ty}`"))?;
        let bytes = self.number.kind.bytes();
        let mut block = vec![0; bytes * 8192];
        while numbers.len() < ty.elements() {
            let count = (ty.elements() - numbers.len()).min(8192);
            let block = &mut block[..count * bytes];
            stream.read_exact(block).map_err(|e| broken(e, self.path, self.array, "its elements"))?;
            let decoded = self.number.decode(block, ty.elem, &mut numbers);
            decoded.map_err(|number| self.refused(numbers.len(), number, ty))?;
        }
        Ok(numbers)
    }

    fn refused(&self, index: usize, number: i128, ty: &TensorType) -> DataError {
        if self.number.kind == Kind::Bool {
            return damaged(self.path, self.array, format!("element {index} is {number}; a boolean is 0 or 1"));
        }
        DataError::Inexact {
            path: self.path.into(),
            array: self.array.into(),
            found: self.written.into(),
            index,
            number: Box::new(number),
            expected: Box::new(ty.clone()),
        }
    }
}

/// An array that is not as it was written.
pub(crate) fn damaged(path: &Path, array: &str, reason: impl std::fmt::Display) -> DataError {
    DataError::format(path, format!("{array} is damaged: {reason}"))
}

/// Why a stream gives no more of an array: it ends within `part`, it is damaged, or the system refused.
pub(crate) fn broken(error: io::Error, path: &Path, array: &str, part: &str) -> DataError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => damaged(path, array, format!("the file ends within {part}")),
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => damaged(path, array, error),
        io::ErrorKind::Unsupported => DataError::format(path, format!("{array} cannot be read: {error}")),
        _ => DataError::read(path, error),
    }
}

/// The elements in row-major order, little-endian.
pub(crate) fn write_numbers(out: &mut dyn Write, array: ArrayViewD<'_, f64>, elem: Elem) -> io::Result<()> {
    let mut block = vec![0; 8192 * elem.bytes()];
    let (mut numbers, mut left) = (array.iter(), array.len());
    while left > 0 {
        let block = &mut block[..left.min(8192) * elem.bytes()];
        elem.encode(numbers.by_ref().take(8192), block);
        out.write_all(block)?;
        left -= block.len() / elem.bytes();
    }
    Ok(())
}
