//! The numbers of a tensor as bytes of its element type. Files hold and native code reads the same bytes, so that nothing is converted between them.

use std::fmt;

use bytes::Bytes;

use crate::by_elem;
use crate::elem::{Elem, Number};
use crate::memory::Memory;

/// Numbers of one element type, in storage order, little-endian. A clone shares them.
#[derive(Clone, PartialEq)]
pub struct Values {
    elem: Elem,
    bytes: Bytes,
}

/// The index of a finite number that would become infinite in the element type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overflow(pub usize);

impl Values {
    /// The nearest numbers of a type. One that is beyond the largest becomes infinite.
    pub fn of(elem: Elem, numbers: &[f64]) -> Values {
        Values::encoded(elem, numbers.iter().copied()).0
    }

    /// The nearest numbers of a type, or an error if a finite number would become infinite.
    pub fn nearest(elem: Elem, numbers: &[f64]) -> Result<Values, Overflow> {
        let (values, lost) = Values::encoded(elem, numbers.iter().copied());
        lost.map_or(Ok(values), |index| Err(Overflow(index)))
    }

    /// The numbers that `bytes` hold, which are shared, not copied; an incomplete number at the end is left out.
    pub fn from_bytes(elem: Elem, bytes: impl Into<Bytes>) -> Values {
        let mut bytes: Bytes = bytes.into();
        bytes.truncate(bytes.len() / elem.bytes() * elem.bytes());
        Values { elem, bytes }
    }

    fn encoded(elem: Elem, numbers: impl ExactSizeIterator<Item = f64>) -> (Values, Option<usize>) {
        let mut bytes = Memory::zeroed(numbers.len() * elem.bytes());
        let mut lost = None;
        by_elem!(elem, T => {
            for (i, (place, x)) in T::cells_mut(&mut bytes).iter_mut().zip(numbers).enumerate() {
                let number = T::nearest(x);
                if lost.is_none() && x.is_finite() && !number.wide().is_finite() {
                    lost = Some(i);
                }
                *place = number.cell();
            }
        });
        (Values { elem, bytes: bytes.into() }, lost)
    }

    /// The element type.
    pub fn elem(&self) -> Elem {
        self.elem
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.bytes.len() / self.elem.bytes()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Their bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The numbers as `f64`.
    pub fn wide(&self) -> Vec<f64> {
        let mut numbers = Vec::with_capacity(self.len());
        self.elem.decode(&self.bytes, &mut numbers);
        numbers
    }

    /// The nearest numbers of another type; no finite one may become infinite.
    pub fn to(&self, elem: Elem) -> Result<Values, Overflow> {
        if elem == self.elem {
            return Ok(self.clone());
        }
        let (values, lost) = by_elem!(self.elem, S => {
            Values::encoded(elem, S::cells(&self.bytes).iter().map(|&cell| S::of_cell(cell).wide()))
        });
        lost.map_or(Ok(values), |index| Err(Overflow(index)))
    }

    /// The numbers in as many rows as there are gains, each row times its gain, rounded to a type; `None` if a product is not finite.
    pub fn scaled(&self, elem: Elem, gains: &[f64]) -> Option<Values> {
        let row = self.len() / gains.len().max(1);
        let mut bytes = Memory::zeroed(self.len() * elem.bytes());
        let mut infinite = 0u32;
        by_elem!(self.elem, S => by_elem!(elem, T => {
            let rows = S::cells(&self.bytes).chunks_exact(row.max(1));
            let places = T::cells_mut(&mut bytes).chunks_exact_mut(row.max(1));
            for ((numbers, places), gain) in rows.zip(places).zip(gains) {
                for (&number, place) in numbers.iter().zip(places) {
                    let product = T::nearest(S::of_cell(number).wide() * gain);
                    // A mask of 32 bits, which vectors of `f32` have too: the loop becomes one of vectors.
                    infinite |= u32::from(!product.wide().is_finite());
                    *place = product.cell();
                }
            }
        }));
        (infinite == 0).then(|| Values { elem, bytes: bytes.into() })
    }

    /// Whether `holds` is true of every number.
    pub fn all(&self, holds: impl Fn(f64) -> bool) -> bool {
        by_elem!(self.elem, T => T::cells(&self.bytes).iter().all(|&cell| holds(T::of_cell(cell).wide())))
    }
}

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} numbers of {}", self.len(), self.elem)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_bytes_and_change_their_type() {
        let numbers = [0.5, -0.0, 65504.0, f64::INFINITY];
        for &elem in Elem::ALL {
            let values = Values::of(elem, &numbers);
            assert_eq!((values.elem(), values.len(), values.bytes().len()), (elem, 4, 4 * elem.bytes()));
            assert_eq!(values.wide(), numbers.map(|x| elem.round(x)));
            assert_eq!(Values::from_bytes(elem, values.bytes().to_vec()), values);
            assert!(std::ptr::eq(values.clone().bytes(), values.bytes()));
            let double = values.to(Elem::F64).expect("every type is part of `f64`");
            assert_eq!(double.wide(), values.wide());
            assert!(!values.all(f64::is_finite) && values.all(|x| !x.is_nan()));
        }
    }

    #[test]
    fn each_row_has_its_gain() {
        for &from in Elem::ALL {
            let rows = Values::of(from, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
            for &to in Elem::ALL {
                let expected = [-1.0, -2.0, 1.5, 2.0, 0.0, 0.0];
                assert_eq!(rows.scaled(to, &[-1.0, 0.5, 0.0]), Some(Values::of(to, &expected)), "{from} {to}");
            }
            assert_eq!(Values::of(from, &[]).scaled(from, &[2.0]), Some(Values::of(from, &[])));
        }
    }

    #[test]
    fn what_becomes_infinite_is_found() {
        let numbers = [1.0, f64::INFINITY, 70000.0, 1e39];
        assert_eq!(Values::nearest(Elem::F16, &numbers), Err(Overflow(2)));
        assert_eq!(Values::nearest(Elem::F32, &numbers), Err(Overflow(3)));
        assert_eq!(Values::of(Elem::F64, &numbers).to(Elem::Bf16), Err(Overflow(3)));
        assert!(Values::of(Elem::F16, &numbers).wide()[2].is_infinite());
        let one = Values::of(Elem::F32, &[1.0]);
        assert_eq!(one.scaled(Elem::F16, &[70000.0]), None);
        assert_eq!(one.scaled(Elem::F64, &[f64::INFINITY]), None);
    }
}
