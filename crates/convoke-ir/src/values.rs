//! The numbers of a tensor as bytes of its element type. Files hold and native code reads the same bytes, so that nothing is converted between them.

use std::fmt;
use std::sync::Arc;

use crate::by_elem;
use crate::elem::{Elem, Number};

/// Numbers of one element type, in storage order, little-endian. A clone shares them.
#[derive(Clone, PartialEq)]
pub struct Values {
    elem: Elem,
    bytes: Arc<Vec<u8>>,
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

    /// The numbers that `bytes` hold; an incomplete number at the end is left out.
    pub fn from_bytes(elem: Elem, mut bytes: Vec<u8>) -> Values {
        bytes.truncate(bytes.len() / elem.bytes() * elem.bytes());
        Values { elem, bytes: Arc::new(bytes) }
    }

    fn encoded(elem: Elem, numbers: impl ExactSizeIterator<Item = f64>) -> (Values, Option<usize>) {
        let mut bytes = vec![0; numbers.len() * elem.bytes()];
        let mut lost = None;
        by_elem!(elem, T => {
            let places = bytes.chunks_exact_mut(size_of::<T>());
            for (i, (place, x)) in places.zip(numbers).enumerate() {
                let number = T::nearest(x);
                if lost.is_none() && x.is_finite() && !number.wide().is_finite() {
                    lost = Some(i);
                }
                number.write(place);
            }
        });
        (Values { elem, bytes: Arc::new(bytes) }, lost)
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
        let (values, lost) = self.mapped(elem, |_, x| x);
        lost.map_or(Ok(values), |index| Err(Overflow(index)))
    }

    /// What a function of the index and the number gives, rounded to a type; `None` if that is not finite somewhere.
    pub fn map_finite(&self, elem: Elem, mut f: impl FnMut(usize, f64) -> f64) -> Option<Values> {
        let mut finite = true;
        let (values, lost) = self.mapped(elem, |i, x| {
            let y = f(i, x);
            finite &= y.is_finite();
            y
        });
        (finite && lost.is_none()).then_some(values)
    }

    fn mapped(&self, elem: Elem, mut f: impl FnMut(usize, f64) -> f64) -> (Values, Option<usize>) {
        by_elem!(self.elem, S => {
            let numbers = self.bytes.chunks_exact(size_of::<S>()).enumerate();
            Values::encoded(elem, numbers.map(|(i, bytes)| f(i, S::read(bytes).wide())))
        })
    }

    /// Whether `holds` is true of every number.
    pub fn all(&self, holds: impl Fn(f64) -> bool) -> bool {
        by_elem!(self.elem, T => self.bytes.chunks_exact(size_of::<T>()).all(|bytes| holds(T::read(bytes).wide())))
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
    fn what_becomes_infinite_is_found() {
        let numbers = [1.0, f64::INFINITY, 70000.0, 1e39];
        assert_eq!(Values::nearest(Elem::F16, &numbers), Err(Overflow(2)));
        assert_eq!(Values::nearest(Elem::F32, &numbers), Err(Overflow(3)));
        assert_eq!(Values::of(Elem::F64, &numbers).to(Elem::Bf16), Err(Overflow(3)));
        assert!(Values::of(Elem::F16, &numbers).wide()[2].is_infinite());
        let one = Values::of(Elem::F32, &[1.0]);
        assert_eq!(one.map_finite(Elem::F16, |_, x| 70000.0 * x), None);
        assert_eq!(one.map_finite(Elem::F64, |_, x| x / 0.0), None);
        assert_eq!(one.map_finite(Elem::F64, |i, x| x + i as f64), Some(Values::of(Elem::F64, &[1.0])));
    }
}
