//! Memory on a cache line boundary.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;

use convoke_ir::elem::Elem;

use crate::emit::ALIGN;

/// Bytes, zero at first, that begin on a multiple of 64.
pub(crate) struct Aligned {
    begin: NonNull<u8>,
    len: usize,
}

// SAFETY: plain memory with one owner.
unsafe impl Send for Aligned {}
// SAFETY: shared access only reads.
unsafe impl Sync for Aligned {}

impl Aligned {
    /// `len` bytes, or `None` where they are not to be had.
    pub(crate) fn new(len: usize) -> Option<Aligned> {
        let layout = Layout::from_size_align(len.max(1), ALIGN).ok()?;
        // SAFETY: the layout has at least one byte.
        let begin = NonNull::new(unsafe { alloc_zeroed(layout) })?;
        Some(Aligned { begin, len })
    }

    /// `numbers` as elements of this type.
    pub(crate) fn of(numbers: &[f64], elem: Elem) -> Option<Aligned> {
        let mut memory = Aligned::new(numbers.len() * elem.bytes())?;
        let bytes = memory.bytes_mut();
        match elem {
            Elem::F32 => bytes.chunks_exact_mut(4).zip(numbers).for_each(|(to, &x)| {
                to.copy_from_slice(&(x as f32).to_ne_bytes());
            }),
            Elem::F64 => {
                bytes.chunks_exact_mut(8).zip(numbers).for_each(|(to, x)| to.copy_from_slice(&x.to_ne_bytes()))
            }
        }
        Some(memory)
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
        // SAFETY: `len` bytes, initialised, borrowed with `self` alone.
        unsafe { std::slice::from_raw_parts_mut(self.begin.as_ptr(), self.len) }
    }
}

impl Drop for Aligned {
    fn drop(&mut self) {
        let layout = Layout::from_size_align(self.len.max(1), ALIGN).expect("was valid when allocated");
        // SAFETY: allocated by `new` with this layout.
        unsafe { dealloc(self.begin.as_ptr(), layout) }
    }
}
