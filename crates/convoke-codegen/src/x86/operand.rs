//! What instructions work on: registers, places in memory, masks.

use iced_x86::{MemoryOperand, Register};

use super::op::Length;

/// A general register, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct General(pub(crate) usize);

impl General {
    /// All of its bits.
    pub(super) fn name(self) -> Register {
        Register::RAX + self.0 as u32
    }

    /// The lower 32.
    pub(super) fn low(self) -> Register {
        Register::EAX + self.0 as u32
    }

    /// The lower 16.
    pub(super) fn lowest(self) -> Register {
        Register::AX + self.0 as u32
    }
}

/// A cache that a line is brought into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    First,
    Second,
}

/// A place in memory: `base + index · scale + offset` bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mem {
    base: General,
    index: Option<(General, u32)>,
    offset: i32,
}

impl Mem {
    /// `base + offset`.
    pub(crate) fn at(base: General, offset: i32) -> Mem {
        Mem { base, index: None, offset }
    }

    /// The same and `index · scale`.
    pub(crate) fn indexed(self, index: General, scale: u32) -> Mem {
        Mem { index: Some((index, scale)), ..self }
    }

    /// Whether an instruction can scale an index by this factor.
    pub(crate) fn scales(by: i64) -> bool {
        matches!(by, 1 | 2 | 4 | 8)
    }

    /// Whether an offset fits: it may take half the range of a displacement, the other half is for lanes beyond it.
    pub(crate) fn reaches(bytes: i64) -> bool {
        bytes.unsigned_abs() < 1 << 30
    }

    /// The operand some bytes further on. Callers keep the sum within 32 bits.
    pub(crate) fn plus(self, bytes: i32) -> Mem {
        Mem { offset: self.offset + bytes, ..self }
    }

    pub(super) fn operand(self) -> MemoryOperand {
        self.memory(false)
    }

    pub(super) fn memory(self, broadcast: bool) -> MemoryOperand {
        let size = if self.offset == 0 { 0 } else { 1 };
        let (index, scale) = self.index.map_or((Register::None, 1), |(index, scale)| (index.name(), scale));
        let offset = i64::from(self.offset);
        MemoryOperand::new(self.base.name(), index, scale, offset, size, broadcast, Register::None)
    }
}

/// Where a pointer or a counter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Where {
    /// In a register.
    Register(General),
    /// In memory.
    Memory(Mem),
}

/// The last operand of a vector instruction.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source {
    /// A vector register, by number.
    Register(usize),
    /// A whole vector in memory.
    Memory(Mem),
    /// One number in memory for all lanes, where there are such operands.
    Broadcast(Mem),
    /// A constant of the pool: a whole vector.
    Pool(usize),
    /// A constant of the pool: one number for all lanes, where there are such operands.
    PoolBroadcast(usize),
}

/// Which lanes an instruction writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mask {
    /// All.
    None,
    /// Those of a mask register; the others become 0.
    Zero(Register),
    /// Those of a mask register; the others stay.
    Merge(Register),
}

/// The name of a vector register of this length.
pub(super) fn vector(number: usize, length: Length) -> Register {
    let first = match length {
        Length::X => Register::XMM0,
        Length::Y => Register::YMM0,
        Length::Z => Register::ZMM0,
    };
    first + number as u32
}
