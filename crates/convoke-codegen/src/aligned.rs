//! Memory on a cache line boundary, in huge pages where it is large.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;
use std::sync::Arc;

use convoke_ir::by_elem;
use convoke_ir::elem::{Elem, Number};
use convoke_ir::memory::Pages;
use memmap2::Mmap;

use crate::convention::ALIGN;

/// Numbers that are counted at once.
const COUNTED: usize = 1 << 16;

/// Bytes that begin on a multiple of 64: fresh ones are zero at first, those of a file are only read.
pub(crate) struct Aligned {
    begin: NonNull<u8>,
    len: usize,
    from: From,
}

/// Where memory comes from.
enum From {
    Heap,
    /// Held so that it is unmapped at the end.
    Map(#[expect(dead_code, reason = "dropping it is its use")] Pages),
    /// A file's, which is only read.
    File(#[expect(dead_code, reason = "dropping it is its use")] Arc<Mmap>),
}

// SAFETY: plain memory with one owner, or memory that nobody writes to.
unsafe impl Send for Aligned {}
// SAFETY: shared access only reads.
unsafe impl Sync for Aligned {}

impl Aligned {
    /// `len` bytes, or `None` where they are not to be had.
    pub(crate) fn new(len: usize) -> Option<Aligned> {
        match Pages::new(len) {
            Some(mut pages) => {
                let begin = NonNull::new(pages.as_mut_ptr())?;
                Some(Aligned { begin, len, from: From::Map(pages) })
            }
            None => Aligned::heap(len),
        }
    }

    fn heap(len: usize) -> Option<Aligned> {
        let layout = Layout::from_size_align(len.max(1), ALIGN).ok()?;
        // SAFETY: the layout has at least one byte.
        let begin = NonNull::new(unsafe { alloc_zeroed(layout) })?;
        Some(Aligned { begin, len, from: From::Heap })
    }

    /// `len` bytes of a file, from `at` on, to be read alone; `None` if they are not there, or do not begin on a cache line.
    pub(crate) fn in_file(file: &Arc<Mmap>, at: usize, len: usize) -> Option<Aligned> {
        let bytes = file.get(at..at.checked_add(len)?)?;
        let begin = NonNull::new(bytes.as_ptr().cast_mut())?;
        (begin.align_offset(ALIGN) == 0).then(|| Aligned { begin, len, from: From::File(file.clone()) })
    }

    /// A copy of these bytes.
    pub(crate) fn of(bytes: &[u8]) -> Option<Aligned> {
        let mut memory = Aligned::new(bytes.len())?;
        memory.bytes_mut().copy_from_slice(bytes);
        Some(memory)
    }

    /// Makes numbers among elements of this type that are subnormal in the type computed in zeros of the same sign, and gives how many there were.
    pub(crate) fn flush(&mut self, elem: Elem) -> usize {
        let normal = elem.compute().smallest_normal();
        by_elem!(elem, T => {
            let tiny = |cell| {
                let number = T::of_cell(cell).wide();
                (number != 0.0) & (number.abs() < normal)
            };
            // In blocks with a count of 32 bits, which vectors of `f32` have too: the loop becomes one of vectors.
            let of_block = |block: &[_]| block.iter().map(|&cell| u32::from(tiny(cell))).sum::<u32>();
            let found: usize = T::cells(self.bytes()).chunks(COUNTED).map(|block| of_block(block) as usize).sum();
            // Most memory has none, and is not written.
            if found > 0 {
                let all = T::cells_mut(self.bytes_mut()).iter_mut();
                let zero = |cell: &mut _| *cell = T::nearest(0f64.copysign(T::of_cell(*cell).wide())).cell();
                all.filter(|cell| tiny(**cell)).for_each(zero);
            }
            found
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn as_ptr(&self) -> *mut u8 {
        self.begin.as_ptr()
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: `len` bytes, initialised, borrowed with `self`.
        unsafe { std::slice::from_raw_parts(self.begin.as_ptr(), self.len) }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        assert!(!matches!(self.from, From::File(_)), "a file's bytes are only read");
        // SAFETY: `len` bytes, initialised, borrowed with `self` alone.
        unsafe { std::slice::from_raw_parts_mut(self.begin.as_ptr(), self.len) }
    }
}

impl Drop for Aligned {
    fn drop(&mut self) {
        if let From::Heap = self.from {
            let layout = Layout::from_size_align(self.len.max(1), ALIGN).expect("was valid when allocated");
            // SAFETY: allocated by `heap` with this layout.
            unsafe { dealloc(self.begin.as_ptr(), layout) }
        }
    }
}

#[cfg(test)]
mod tests {
    use convoke_ir::memory::HUGE;

    use super::*;

    #[test]
    fn memory_is_clear_and_aligned_and_ours_to_the_last_byte() {
        for len in [0, 1, 4097, HUGE, HUGE + 1] {
            let mut memory = Aligned::new(len).expect("there is that much");
            assert_eq!(memory.len(), len);
            assert_eq!(memory.as_ptr().align_offset(ALIGN), 0, "{len} bytes");
            assert!(memory.bytes().iter().all(|&byte| byte == 0), "{len} bytes");
            memory.bytes_mut().fill(7);
            assert!(memory.bytes().iter().all(|&byte| byte == 7), "{len} bytes");
        }
    }

    #[test]
    fn subnormal_numbers_become_zeros_of_their_sign() {
        use convoke_ir::values::Values;
        let tiny = f64::from(f32::MIN_POSITIVE);
        let flushed = |elem: Elem, given: &[f64], expected: &[f64], count: usize| {
            let mut memory = Aligned::of(Values::of(elem, given).bytes()).expect("a few bytes");
            assert_eq!(memory.flush(elem), count, "{elem}");
            assert_eq!(memory.bytes(), Values::of(elem, expected).bytes(), "{elem}");
        };
        let numbers = [1.0, -tiny / 2.0, tiny, 0.0, tiny / 4.0, f64::INFINITY, f64::NAN];
        let expected = [1.0, -0.0, tiny, 0.0, 0.0, f64::INFINITY, f64::NAN];
        flushed(Elem::F32, &numbers, &expected, 2);
        flushed(Elem::Bf16, &numbers, &expected, 2);
        flushed(Elem::F64, &[-5e-324, tiny / 2.0], &[-0.0, tiny / 2.0], 1);
        // Numbers that are subnormal in their own type, but not in that which they are read as.
        flushed(Elem::F16, &[6e-8, -1e-5], &[6e-8, -1e-5], 0);
    }

    #[test]
    fn what_no_system_has_is_refused() {
        assert!(Aligned::new(usize::MAX).is_none());
        assert!(Aligned::new(isize::MAX as usize - HUGE).is_none());
    }
}
