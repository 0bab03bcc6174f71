//! Element types: what one number of a tensor, buffer or vector is.
//!
//! `f32` and `f64` are computed with. `f16` and `bf16` are *stored*: a number that is read widens exactly to the compute type, `f32`, and a
//! result that is stored is rounded once to the nearest number of the type, ties to even. What is known of a type is in one table, below.

use std::fmt;

/// The crate that has the Rust types of `f16` and `bf16`.
pub use half;

/// A Rust type that holds one number of an element type.
pub trait Number: Copy + Send + Sync + fmt::Debug + PartialEq + 'static {
    /// The element type.
    const ELEM: Elem;
    /// The nearest number, ties to even. What is beyond the largest becomes infinite.
    fn nearest(x: f64) -> Self;
    /// The same number.
    fn wide(self) -> f64;
    /// The bytes of a number, little-endian.
    type Cell: Copy;
    /// Bytes as cells; those of an incomplete number at the end are left out.
    fn cells(bytes: &[u8]) -> &[Self::Cell];
    /// The same to write to.
    fn cells_mut(bytes: &mut [u8]) -> &mut [Self::Cell];
    /// The number in a cell.
    fn of_cell(cell: Self::Cell) -> Self;
    /// The cell of the number.
    fn cell(self) -> Self::Cell;
    /// The number in the first bytes, little-endian.
    fn read(bytes: &[u8]) -> Self {
        Self::of_cell(*Self::cells(bytes).first().expect("the bytes of a number"))
    }
    /// Writes the number to the first bytes, little-endian.
    fn write(self, bytes: &mut [u8]) {
        *Self::cells_mut(bytes).first_mut().expect("room for a number") = self.cell();
    }
}

/// What the table says of a type.
struct Row {
    name: &'static str,
    bytes: usize,
    /// Bits of the significand, the leading one included.
    precision: i32,
    /// The exponent of the largest number; that of the smallest normal one is 1 − `exponent`.
    exponent: i32,
    compute: Elem,
}

macro_rules! elements {
    ($($(#[doc = $doc:literal])+ $case:ident = $name:literal, $ty:ty {
        precision: $precision:literal, exponent: $exponent:literal, compute: $compute:ident, nearest: $nearest:expr,
    })*) => {
        /// The type of one element.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Elem { $($(#[doc = $doc])+ $case,)* }

        impl Elem {
            /// Every element type, in the order the documentation lists them.
            pub const ALL: &'static [Elem] = &[$(Elem::$case),*];

            const fn row(self) -> Row {
                match self {
                    $(Elem::$case => Row {
                        name: $name,
                        bytes: size_of::<$ty>(),
                        precision: $precision,
                        exponent: $exponent,
                        compute: Elem::$compute,
                    },)*
                }
            }
        }

        $(impl Number for $ty {
            const ELEM: Elem = Elem::$case;

            #[inline]
            fn nearest(x: f64) -> $ty {
                let nearest: fn(f64) -> $ty = $nearest;
                nearest(x)
            }

            #[inline]
            fn wide(self) -> f64 {
                self.into()
            }

            type Cell = [u8; size_of::<$ty>()];

            #[inline]
            fn cells(bytes: &[u8]) -> &[Self::Cell] {
                bytes.as_chunks().0
            }

            #[inline]
            fn cells_mut(bytes: &mut [u8]) -> &mut [Self::Cell] {
                bytes.as_chunks_mut().0
            }

            #[inline]
            fn of_cell(cell: Self::Cell) -> $ty {
                <$ty>::from_le_bytes(cell)
            }

            #[inline]
            fn cell(self) -> Self::Cell {
                self.to_le_bytes()
            }
        })*
    };
}

elements! {
    /// IEEE 754 binary16, stored alone.
    F16 = "f16", half::f16 {
        precision: 11, exponent: 15, compute: F32, nearest: |x| half::f16::from_f32(to_odd(x)),
    }
    /// The upper half of a binary32, stored alone.
    Bf16 = "bf16", half::bf16 {
        precision: 8, exponent: 127, compute: F32, nearest: |x| half::bf16::from_f32(to_odd(x)),
    }
    /// IEEE 754 binary32.
    F32 = "f32", f32 { precision: 24, exponent: 127, compute: F32, nearest: |x| x as f32, }
    /// IEEE 754 binary64.
    F64 = "f64", f64 { precision: 53, exponent: 1023, compute: F64, nearest: |x| x, }
}

/// Code that is generic over [`Number`], for the Rust type of an element type: `by_elem!(elem, T => T::nearest(x).wide())`.
#[macro_export]
macro_rules! by_elem {
    ($elem:expr, $T:ident => $code:expr) => {{
        macro_rules! with {
            ($ty:ty) => {{
                type $T = $ty;
                $code
            }};
        }
        match $elem {
            $crate::elem::Elem::F16 => with!($crate::elem::half::f16),
            $crate::elem::Elem::Bf16 => with!($crate::elem::half::bf16),
            $crate::elem::Elem::F32 => with!(f32),
            $crate::elem::Elem::F64 => with!(f64),
        }
    }};
}

/// `x` as `f32`, rounded to odd: an inexact result is the neighbour whose last bit is 1. A second rounding, to at most 22 bits, then gives what one
/// rounding of `x` gives. By way of the nearest `f32` it would not: 1 + 2⁻¹¹ + 2⁻⁴⁰ would become a tie on the way to `f16`.
///
/// Source: Boldo and Melquiond 2008, *Emulation of FMA and correctly rounded sums: proved algorithms using rounding to odd*.
fn to_odd(x: f64) -> f32 {
    let near = x as f32;
    if f64::from(near) == x || x.is_nan() || near.to_bits() & 1 == 1 {
        return near;
    }
    let bits = near.to_bits();
    f32::from_bits(if f64::from(near).abs() > x.abs() { bits - 1 } else { bits + 1 })
}

impl Elem {
    /// The types that are computed with.
    pub const COMPUTED: &'static [Elem] = &[Elem::F32, Elem::F64];

    /// The name in the text form.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The type that has this name.
    pub fn from_name(name: &str) -> Option<Elem> {
        Elem::ALL.iter().copied().find(|e| e.name() == name)
    }

    /// Bytes of one element in memory.
    pub const fn bytes(self) -> usize {
        self.row().bytes
    }

    /// The type in which numbers of this type are computed with: its own, or the one that they widen to.
    pub const fn compute(self) -> Elem {
        self.row().compute
    }

    /// Whether numbers of this type are stored and not computed with.
    pub fn is_storage(self) -> bool {
        self.compute() != self
    }

    /// The nearest number of this type, ties to even.
    pub fn round(self, x: f64) -> f64 {
        by_elem!(self, T => T::nearest(x).wide())
    }

    /// Rounds all of these numbers.
    pub fn round_all(self, numbers: &mut [f64]) {
        by_elem!(self, T => numbers.iter_mut().for_each(|x| *x = T::nearest(*x).wide()));
    }

    /// Whether this type has a number near `x`: no finite number may round to an infinite one.
    pub fn holds(self, x: f64) -> bool {
        !x.is_finite() || self.round(x).is_finite()
    }

    /// What to say of a number that this type does not [hold](Elem::holds).
    pub(crate) fn cannot_hold(self, x: f64) -> String {
        format!("{x:?} is beyond the largest number of `{self}`")
    }

    /// The unit roundoff `u`: half the distance from 1 to the next larger number.
    pub fn unit_roundoff(self) -> f64 {
        power(-self.row().precision)
    }

    /// The smallest positive normal number.
    pub fn smallest_normal(self) -> f64 {
        power(1 - self.row().exponent)
    }

    /// The smallest positive number.
    pub fn smallest(self) -> f64 {
        let Row { precision, exponent, .. } = self.row();
        power(2 - exponent - precision)
    }

    /// The largest finite number.
    pub fn largest(self) -> f64 {
        let Row { precision, exponent, .. } = self.row();
        (2.0 - power(1 - precision)) * power(exponent)
    }

    /// Appends the numbers that `bytes` hold, little-endian.
    pub fn decode(self, bytes: &[u8], out: &mut Vec<f64>) {
        by_elem!(self, T => out.extend(T::cells(bytes).iter().map(|&cell| T::of_cell(cell).wide())));
    }

    /// Writes the nearest numbers of this type to `bytes`, little-endian; as many as there are of both.
    pub fn encode<'a>(self, numbers: impl IntoIterator<Item = &'a f64>, bytes: &mut [u8]) {
        by_elem!(self, T => {
            T::cells_mut(bytes).iter_mut().zip(numbers).for_each(|(to, &x)| *to = T::nearest(x).cell());
        });
    }
}

/// 2^n, for every n of a number that is not 0.
fn power(n: i32) -> f64 {
    // In two halves, each of which is normal where the product is not.
    let half = |n: i32| f64::from_bits(((n + 1023) as u64) << 52);
    half(n / 2) * half(n - n / 2)
}

/// Treatment of subnormal numbers, those nearer to zero than the smallest normal number, in native code.
///
/// CPUs take up to 200 times as long for an operation that reads or makes one. Interpreters always keep them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Subnormals {
    /// Zeros stand for them, whether they are read or computed.
    #[default]
    Flush,
    /// As IEEE 754 says.
    Keep,
}

impl fmt::Display for Elem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_those_of_the_rust_types() {
        use half::{bf16, f16};
        for (elem, epsilon, normal, smallest, largest) in [
            (Elem::F16, f16::EPSILON.wide(), f16::MIN_POSITIVE.wide(), f16::MIN_POSITIVE_SUBNORMAL.wide(), 65504.0),
            (
                Elem::Bf16,
                bf16::EPSILON.wide(),
                bf16::MIN_POSITIVE.wide(),
                bf16::MIN_POSITIVE_SUBNORMAL.wide(),
                bf16::MAX.wide(),
            ),
            (Elem::F32, f32::EPSILON.wide(), f32::MIN_POSITIVE.wide(), f32::from_bits(1).wide(), f32::MAX.wide()),
            (Elem::F64, f64::EPSILON, f64::MIN_POSITIVE, f64::from_bits(1), f64::MAX),
        ] {
            let found = [elem.unit_roundoff(), elem.smallest_normal(), elem.smallest(), elem.largest()];
            assert_eq!(found, [epsilon / 2.0, normal, smallest, largest], "{elem}");
            assert_eq!(Elem::from_name(elem.name()), Some(elem));
            assert_eq!(Elem::COMPUTED.contains(&elem), !elem.is_storage());
            assert!(Elem::COMPUTED.contains(&elem.compute()));
        }
    }

    #[test]
    fn every_stored_number_survives_and_half_way_is_rounded_once_to_even() {
        for elem in [Elem::F16, Elem::Bf16] {
            let mut numbers = Vec::new();
            let bytes: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
            elem.decode(&bytes, &mut numbers);
            assert_eq!(numbers.len(), 1 << 16);
            for (bits, &x) in numbers.iter().enumerate() {
                assert!(elem.round(x) == x || x.is_nan(), "{elem} {bits:#x}");
                assert_eq!(x.is_sign_negative(), bits >= 1 << 15, "{elem} {bits:#x}");
                // Between a number and the next larger one, the middle goes to the even one, and what is off it to the nearer, however little.
                let Some(&next) = numbers.get(bits + 1).filter(|next| next.is_finite() && x.is_finite()) else {
                    continue;
                };
                let middle = x / 2.0 + next / 2.0;
                assert_eq!(elem.round(middle), if bits % 2 == 0 { x } else { next }, "{elem} {bits:#x}");
                let (toward, beyond) = (middle.abs().next_down(), middle.abs().next_up());
                let found = [toward, beyond].map(|m| elem.round(m.copysign(x)));
                assert_eq!(found, [x, next], "{elem} {bits:#x}");
            }
            let largest = elem.largest();
            let u = elem.unit_roundoff();
            let tie = largest / (1.0 - u) * (1.0 - u / 2.0);
            assert_eq!(elem.round(tie.next_down()), largest, "{elem}");
            assert!(elem.round(tie).is_infinite() && !elem.holds(tie) && elem.round(f64::NAN).is_nan(), "{elem}");
        }
    }
}
