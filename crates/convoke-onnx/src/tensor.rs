//! Tensors that are known at import: weights, and the numbers that shapes are computed from.

use bytes::Bytes;
use convoke_ir::elem::{Elem, Number, half};
use convoke_ir::values::Values;

use crate::data_type::DataType;
use crate::error::{Converted, Refusal, malformed};

/// A tensor whose elements are known, row-major. A clone shares the elements. Extents may be 0.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Tensor {
    ty: DataType,
    dims: Vec<usize>,
    /// Elements as little-endian bytes.
    bytes: Bytes,
}

/// Elements to compute with.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Numbers {
    /// Of an integer type, or truth values as 0 and 1.
    Whole(Vec<i64>),
    /// Of a floating-point type.
    Real(Vec<f64>),
}

/// The product of extents, if it can be counted.
pub(crate) fn count(dims: &[usize]) -> Option<usize> {
    dims.iter().try_fold(1usize, |n, &d| n.checked_mul(d))
}

macro_rules! by_type {
    ($ty:expr, $T:ident => $body:expr) => {
        match $ty {
            DataType::Float => {
                type $T = f32;
                $body
            }
            DataType::Double => {
                type $T = f64;
                $body
            }
            DataType::Uint8 | DataType::Bool => {
                type $T = u8;
                $body
            }
            DataType::Int8 => {
                type $T = i8;
                $body
            }
            DataType::Uint16 => {
                type $T = u16;
                $body
            }
            DataType::Int16 => {
                type $T = i16;
                $body
            }
            DataType::Int32 => {
                type $T = i32;
                $body
            }
            DataType::Int64 => {
                type $T = i64;
                $body
            }
            DataType::Uint32 => {
                type $T = u32;
                $body
            }
            DataType::Uint64 => {
                type $T = u64;
                $body
            }
            DataType::Float16 => {
                type $T = half::f16;
                $body
            }
            DataType::Bfloat16 => {
                type $T = half::bf16;
                $body
            }
        }
    };
}

/// A type of elements between its bytes and `i64` or `f64`.
trait Element: Sized {
    fn read(bytes: &[u8]) -> Self;
    fn whole(self) -> i64;
    fn real(self) -> f64;
    /// Writes a number. It wraps around, as a cast between integer types does.
    fn of_whole(x: i64, to: &mut Vec<u8>);
    fn of_real(x: f64, to: &mut Vec<u8>);
}

macro_rules! integers {
    ($($ty:ty),*) => {$(impl Element for $ty {
        fn read(bytes: &[u8]) -> $ty { <$ty>::from_le_bytes(*bytes.first_chunk().expect("the bytes of an element")) }
        fn whole(self) -> i64 { self as i64 }
        fn real(self) -> f64 { self as f64 }
        fn of_whole(x: i64, to: &mut Vec<u8>) { to.extend((x as $ty).to_le_bytes()) }
        fn of_real(x: f64, to: &mut Vec<u8>) { to.extend((x.trunc() as $ty).to_le_bytes()) }
    })*};
}
integers!(u8, i8, u16, i16, i32, i64, u32, u64);

macro_rules! reals {
    ($($ty:ty),*) => {$(impl Element for $ty {
        fn read(bytes: &[u8]) -> $ty { <$ty as Number>::read(bytes) }
        fn whole(self) -> i64 { Number::wide(self) as i64 }
        fn real(self) -> f64 { Number::wide(self) }
        fn of_whole(x: i64, to: &mut Vec<u8>) { <$ty as Element>::of_real(x as f64, to) }
        fn of_real(x: f64, to: &mut Vec<u8>) { to.extend(<$ty as Number>::nearest(x).to_le_bytes()) }
    })*};
}
reals!(f32, f64, half::f16, half::bf16);

impl Tensor {
    /// A tensor from its bytes, which are as many as the extents say.
    pub(crate) fn from_bytes(ty: DataType, dims: Vec<usize>, bytes: Bytes) -> Converted<Tensor> {
        let expected = count(&dims).and_then(|n| n.checked_mul(ty.bytes()));
        match expected == Some(bytes.len()) {
            true => Ok(Tensor { ty, dims, bytes }),
            false => malformed(format!("{} bytes are given for {ty}{dims:?}", bytes.len())),
        }
    }

    /// A tensor of a type from numbers, as many as the extents say, rounded or wrapped to the type.
    pub(crate) fn of(ty: DataType, dims: Vec<usize>, numbers: &Numbers) -> Converted<Tensor> {
        let mut bytes = Vec::new();
        by_type!(ty, T => match numbers {
            // Of a truth value, whatever is not 0 is 1.
            Numbers::Whole(x) if ty == DataType::Bool => bytes.extend(x.iter().map(|&x| u8::from(x != 0))),
            Numbers::Real(x) if ty == DataType::Bool => bytes.extend(x.iter().map(|&x| u8::from(x != 0.0))),
            Numbers::Whole(x) => x.iter().for_each(|&x| T::of_whole(x, &mut bytes)),
            Numbers::Real(x) => x.iter().for_each(|&x| T::of_real(x, &mut bytes)),
        });
        Tensor::from_bytes(ty, dims, bytes.into())
    }

    /// A row of whole numbers, as shapes are.
    pub(crate) fn shape(numbers: impl IntoIterator<Item = i64>) -> Tensor {
        let numbers: Vec<i64> = numbers.into_iter().collect();
        Tensor::of(DataType::Int64, vec![numbers.len()], &Numbers::Whole(numbers)).expect("as many as counted")
    }

    /// One real number without axes.
    pub(crate) fn scalar(ty: DataType, x: f64) -> Tensor {
        Tensor::of(ty, Vec::new(), &Numbers::Real(vec![x])).expect("one element")
    }

    pub(crate) fn ty(&self) -> DataType {
        self.ty
    }

    pub(crate) fn dims(&self) -> &[usize] {
        &self.dims
    }

    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    pub(crate) fn elements(&self) -> usize {
        self.bytes.len() / self.ty.bytes()
    }

    /// The same elements under other extents.
    pub(crate) fn with_dims(&self, dims: Vec<usize>) -> Converted<Tensor> {
        Tensor::from_bytes(self.ty, dims, self.bytes.clone())
    }

    /// The elements to compute with.
    pub(crate) fn numbers(&self) -> Numbers {
        let chunks = self.bytes.chunks_exact(self.ty.bytes());
        by_type!(self.ty, T => match self.ty.is_float() {
            true => Numbers::Real(chunks.map(|bytes| <T as Element>::read(bytes).real()).collect()),
            false => Numbers::Whole(chunks.map(|bytes| <T as Element>::read(bytes).whole()).collect()),
        })
    }

    /// The elements as whole numbers.
    pub(crate) fn whole(&self) -> Converted<Vec<i64>> {
        match self.numbers() {
            Numbers::Whole(numbers) => Ok(numbers),
            Numbers::Real(_) => malformed(format!("whole numbers are expected here, {} was given", self.ty)),
        }
    }

    /// The elements as real numbers.
    pub(crate) fn real(&self) -> Vec<f64> {
        match self.numbers() {
            Numbers::Real(numbers) => numbers,
            Numbers::Whole(numbers) => numbers.into_iter().map(|x| x as f64).collect(),
        }
    }

    /// The one element of a tensor that has one.
    pub(crate) fn one(&self) -> Converted<f64> {
        match *self.real().as_slice() {
            [x] => Ok(x),
            _ => malformed(format!("one number is expected here, {}{:?} was given", self.ty, self.dims)),
        }
    }

    /// The elements in the element type `elem` of a layer.
    pub(crate) fn carried(&self, elem: Elem) -> Values {
        let same = match self.ty {
            DataType::Float => elem == Elem::F32,
            DataType::Double => elem == Elem::F64,
            DataType::Float16 => elem == Elem::F16,
            DataType::Bfloat16 => elem == Elem::Bf16,
            _ => false,
        };
        if same {
            return Values::from_bytes(elem, self.bytes.clone());
        }
        Values::of(elem, &self.real())
    }
}

/// The index of an axis that may be counted from the end.
pub(crate) fn axis(axis: i64, rank: usize) -> Converted<usize> {
    let from_start = if axis < 0 { axis.checked_add(rank as i64) } else { Some(axis) };
    match from_start.and_then(|axis| usize::try_from(axis).ok()).filter(|&axis| axis < rank) {
        Some(axis) => Ok(axis),
        None => malformed(format!("axis {axis} is none of a tensor of rank {rank}")),
    }
}

/// The indices of axes that may be counted from the end, sorted.
pub(crate) fn axes(list: &[i64], rank: usize) -> Converted<Vec<usize>> {
    let mut axes = list.iter().map(|&a| axis(a, rank)).collect::<Converted<Vec<_>>>()?;
    axes.sort_unstable();
    match axes.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => malformed(format!("axis {} is named twice", pair[0])),
        None => Ok(axes),
    }
}

impl From<std::num::TryFromIntError> for Refusal {
    fn from(_: std::num::TryFromIntError) -> Refusal {
        Refusal::Malformed("a size is negative or larger than can be counted".into())
    }
}
