//! Memory for the numbers of a tensor, in huge pages where it is large.
//!
//! A fresh page costs a fault, and the system clears it. Memory as large as a huge page has its own mapping. The system has cleared it, it
//! costs a fault for each 2 MiB rather than each 4 KiB, and it takes fewer entries of the TLB.

use std::ops::{Deref, DerefMut};

use bytes::Bytes;
use memmap2::MmapMut;

/// Bytes of a huge page of x86-64, and of most aarch64.
pub const HUGE: usize = 2 << 20;

/// Rows and columns of the blocks in which a matrix is transposed.
const BLOCK: usize = 32;

/// Bytes, zero at first.
#[derive(Debug)]
pub enum Memory {
    /// Fewer than a huge page has, or where the system maps none.
    Heap(Vec<u8>),
    /// All others.
    Pages(Pages),
}

impl Memory {
    /// `len` bytes. Ends the process if they are not to be had, as a vector does.
    pub fn zeroed(len: usize) -> Memory {
        Pages::new(len).map_or_else(|| Memory::Heap(vec![0; len]), Memory::Pages)
    }

    /// `len` bytes; `None` if they are not to be had.
    pub fn try_zeroed(len: usize) -> Option<Memory> {
        if let Some(pages) = Pages::new(len) {
            return Some(Memory::Pages(pages));
        }
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(len).ok()?;
        bytes.resize(len, 0);
        Some(Memory::Heap(bytes))
    }
}

/// The numbers of a matrix of `rows` rows, column after column; each number has `width` bytes.
pub fn transposed(matrix: &[u8], rows: usize, width: usize) -> Memory {
    let columns = matrix.len() / (rows * width).max(1);
    let mut to = Memory::zeroed(rows * columns * width);
    // In blocks, whose lines stay in the first cache while their rows and columns are walked.
    for (top, left) in (0..rows).step_by(BLOCK).flat_map(|top| (0..columns).step_by(BLOCK).map(move |left| (top, left)))
    {
        for column in left..columns.min(left + BLOCK) {
            for row in top..rows.min(top + BLOCK) {
                let number = &matrix[(row * columns + column) * width..][..width];
                to[(column * rows + row) * width..][..width].copy_from_slice(number);
            }
        }
    }
    to
}

impl Deref for Memory {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Memory::Heap(bytes) => bytes,
            Memory::Pages(pages) => pages,
        }
    }
}

impl DerefMut for Memory {
    fn deref_mut(&mut self) -> &mut [u8] {
        match self {
            Memory::Heap(bytes) => bytes,
            Memory::Pages(pages) => pages,
        }
    }
}

impl From<Memory> for Bytes {
    fn from(memory: Memory) -> Bytes {
        match memory {
            Memory::Heap(bytes) => bytes.into(),
            Memory::Pages(pages) => Bytes::from_owner(pages),
        }
    }
}

/// Bytes of a mapping, zero at first, that begin on a huge page's boundary. The tail is filled up so that it is a huge page too.
#[derive(Debug)]
pub struct Pages {
    map: MmapMut,
    begin: usize,
    len: usize,
}

impl Pages {
    /// `len` bytes; `None` if they are fewer than a huge page has, or not to be had.
    pub fn new(len: usize) -> Option<Pages> {
        if len < HUGE {
            return None;
        }
        let whole = len.checked_next_multiple_of(HUGE)?.checked_add(HUGE)?;
        let map = MmapMut::map_anon(whole).ok()?;
        // Advice: without it the pages are small.
        #[cfg(target_os = "linux")]
        let _ = map.advise(memmap2::Advice::HugePage);
        let begin = map.as_ptr().align_offset(HUGE);
        map.get(begin..begin.checked_add(len)?)?;
        Some(Pages { map, begin, len })
    }
}

impl Deref for Pages {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.map[self.begin..][..self.len]
    }
}

impl DerefMut for Pages {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.map[self.begin..][..self.len]
    }
}

impl AsRef<[u8]> for Pages {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_clear_and_aligned_and_ours_to_the_last_byte() {
        for len in [0, 1, 4097, HUGE - 1, HUGE, HUGE + 1, 3 * HUGE - 64] {
            let mut memory = Memory::zeroed(len);
            let boundary = if len < HUGE { 1 } else { HUGE };
            assert_eq!((memory.len(), memory.as_ptr().align_offset(boundary)), (len, 0));
            assert!(memory.iter().all(|&byte| byte == 0), "{len} bytes");
            memory.fill(7);
            assert_eq!(Bytes::from(memory), vec![7; len]);
        }
    }

    #[test]
    fn a_matrix_is_transposed() {
        for (rows, columns, width) in [(0, 0, 4), (1, 1, 1), (33, 65, 2), (32, 7, 4), (3, 100, 8)] {
            let matrix: Vec<u8> = (0..rows * columns * width).map(|i| (i * 7) as u8).collect();
            let turned = transposed(&matrix, rows, width);
            assert_eq!(turned.len(), matrix.len());
            for (row, column) in (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))) {
                let [from, to] = [row * columns + column, column * rows + row].map(|at| at * width);
                assert_eq!(
                    turned[to..][..width],
                    matrix[from..][..width],
                    "{rows}x{columns} of {width}: {row}, {column}"
                );
            }
        }
    }

    #[test]
    fn what_is_small_and_what_no_system_has_are_refused() {
        assert!(Pages::new(HUGE - 1).is_none());
        assert!(Pages::new(usize::MAX).is_none() && Memory::try_zeroed(usize::MAX).is_none());
        assert!(Pages::new(isize::MAX as usize - HUGE).is_none());
    }
}
