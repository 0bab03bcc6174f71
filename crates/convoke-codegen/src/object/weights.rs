//! Constants beside the object: a file that the program maps or reads, and gives to the net's functions.
//!
//! ```text
//! byte  0   "convoke" and a null byte
//!       8   version of this layout, 64 bits, as all numbers in the target's byte order
//!      16   bytes of the file
//!      24   FNV-1a of the bytes from 64 on
//!      64   constants, each on a boundary of 64 bytes, with zeros between them
//! ```
//!
//! The functions hold the first 32 bytes of their file and refuse one that begins otherwise.

use convoke_data::fnv_1a;

use crate::convention::ALIGN;

/// Bytes of the head, which the functions compare.
pub(super) const HEAD_BYTES: usize = 32;

const MAGIC: &[u8; 8] = b"convoke\0";

/// The version of the layout.
const VERSION: u64 = 1;

/// A file of constants under construction.
pub(super) struct WeightsFile {
    bytes: Vec<u8>,
    is_big_endian: bool,
}

impl WeightsFile {
    pub(super) fn new(is_big_endian: bool) -> WeightsFile {
        WeightsFile { bytes: vec![0; ALIGN], is_big_endian }
    }

    /// Adds a constant, in the target's byte order, and gives its place in the file.
    pub(super) fn add(&mut self, constant: &[u8]) -> u64 {
        self.bytes.resize(self.bytes.len().next_multiple_of(ALIGN), 0);
        let place = self.bytes.len() as u64;
        self.bytes.extend_from_slice(constant);
        place
    }

    /// Writes the head, once all constants are there.
    pub(super) fn seal(&mut self) {
        let numbers = [VERSION, self.len(), fnv_1a(&self.bytes[ALIGN..])];
        self.bytes[..8].copy_from_slice(MAGIC);
        for (at, number) in self.bytes[8..HEAD_BYTES].chunks_exact_mut(8).zip(numbers) {
            at.copy_from_slice(&if self.is_big_endian { number.to_be_bytes() } else { number.to_le_bytes() });
        }
    }

    /// The words of the head, as the target reads them.
    pub(super) fn head(&self) -> [u64; HEAD_BYTES / 8] {
        let mut words = [0; HEAD_BYTES / 8];
        for (word, bytes) in words.iter_mut().zip(self.bytes.as_chunks().0) {
            *word = if self.is_big_endian { u64::from_be_bytes(*bytes) } else { u64::from_le_bytes(*bytes) };
        }
        words
    }

    /// Bytes of the file.
    pub(super) fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_is_as_the_page_says_in_either_order() {
        for is_big_endian in [false, true] {
            let mut file = WeightsFile::new(is_big_endian);
            assert_eq!((file.add(&[1, 2, 3]), file.add(&[4])), (64, 128));
            file.seal();
            let magic = if is_big_endian { u64::from_be_bytes(*MAGIC) } else { u64::from_le_bytes(*MAGIC) };
            let content: Vec<u8> = [&[1, 2, 3][..], &[0; 61], &[4]].concat();
            assert_eq!(file.head(), [magic, 1, 129, fnv_1a(&content)]);
            assert_eq!(file.into_bytes()[64..], content);
        }
    }
}
