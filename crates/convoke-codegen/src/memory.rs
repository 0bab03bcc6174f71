//! Numbers where code reads them fastest.

use std::alloc::{Layout, handle_alloc_error};
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use crate::aligned::Aligned;
use crate::element::Element;

/// Numbers for a layer to run on: a vector of them that begins where a line of the caches does, so that no vector register takes two, and
/// on a huge page if there are enough of them to fill one. Layers run on any slice, but faster on these.
///
/// ```
/// use convoke_codegen::Memory;
///
/// let mut x = Memory::<f32>::zeros(3 * 224 * 224).expect("there is that much");
/// x[0] = 1.0; // a slice, of which arrays can be views: `ArrayView4::from_shape([1, 3, 224, 224], &x)`
/// assert_eq!(x.as_ptr().align_offset(64), 0);
/// ```
pub struct Memory<T> {
    bytes: Aligned,
    of: PhantomData<T>,
}

impl<T: Element> Memory<T> {
    /// `len` zeros; `None` if the system has no memory for them.
    pub fn zeros(len: usize) -> Option<Memory<T>> {
        let bytes = Aligned::new(len.checked_mul(size_of::<T>())?)?;
        Some(Memory { bytes, of: PhantomData })
    }
}

impl<T: Element> Deref for Memory<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: as many numbers, of which every pattern of bits is one, aligned for them, borrowed with `self`.
        unsafe { std::slice::from_raw_parts(self.bytes.as_ptr().cast(), self.bytes.len() / size_of::<T>()) }
    }
}

impl<T: Element> DerefMut for Memory<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above, borrowed with `self` alone.
        unsafe { std::slice::from_raw_parts_mut(self.bytes.as_ptr().cast(), self.bytes.len() / size_of::<T>()) }
    }
}

impl<T: Element> Clone for Memory<T> {
    fn clone(&self) -> Memory<T> {
        let copy = Memory::zeros(self.len());
        let mut copy = copy.unwrap_or_else(|| handle_alloc_error(Layout::for_value(&**self)));
        copy.copy_from_slice(self);
        copy
    }
}

impl<T: Element + fmt::Debug> fmt::Debug for Memory<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&**self).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_to_write_and_copies_of_their_own() {
        for len in [0, 1, 33, 1 << 20] {
            let mut numbers = Memory::<f64>::zeros(len).expect("there is that much");
            assert_eq!((numbers.len(), numbers.as_ptr().align_offset(64)), (len, 0));
            assert!(numbers.iter().all(|&number| number == 0.0));
            let zeros = numbers.clone();
            numbers.fill(1.5);
            assert!(numbers.iter().all(|&number| number == 1.5) && zeros.iter().all(|&zero| zero == 0.0));
        }
        assert!(Memory::<f64>::zeros(usize::MAX / 4).is_none());
    }
}
