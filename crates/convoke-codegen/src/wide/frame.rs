//! A function's stack below its frame pointer: places for values, aligned to the longest vector.

use super::bank::Kind;
use crate::x86::{Mem, abi};

/// The frame, as far as it is known.
#[derive(Default)]
pub(super) struct Frame {
    bytes: usize,
    /// Free places, of vectors and of pointers.
    free: [Vec<usize>; 2],
    /// Where a vector passes through memory.
    exchange: Option<usize>,
    /// Whether it is there although it has no bytes: for arguments above it, or for calls, which want it aligned.
    pub(super) wanted: bool,
}

impl Frame {
    /// A frame with room for the arguments of calls, the most that one has.
    pub(super) fn new(arguments: Option<usize>) -> Frame {
        let bytes = arguments.map_or(0, abi::outgoing_bytes);
        Frame { bytes, wanted: arguments.is_some(), ..Frame::default() }
    }

    /// A place for a value.
    pub(super) fn place(&mut self, kind: Kind) -> usize {
        let size = kind.bytes();
        self.free[kind as usize].pop().unwrap_or_else(|| {
            let at = self.bytes.next_multiple_of(size);
            self.bytes = at + size;
            at
        })
    }

    /// Nobody needs this place of a value any more.
    pub(super) fn free(&mut self, kind: Kind, slot: usize) {
        self.free[kind as usize].push(slot);
    }

    /// A place for one vector on its way.
    pub(super) fn exchange(&mut self) -> Mem {
        let at = self.exchange.unwrap_or_else(|| self.place(Kind::Vector));
        self.exchange = Some(at);
        abi::stack(at)
    }

    /// Bytes of the frame, if the function has one.
    pub(super) fn bytes(&self) -> Option<usize> {
        (self.bytes > 0 || self.wanted).then_some(self.bytes)
    }
}
