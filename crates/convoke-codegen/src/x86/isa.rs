//! Instruction sets and their properties. An emitter asks for a property, never for the name of an instruction set.

use convoke_ir::elem::Elem;
use convoke_machine::{Machine, VectorExtension};
use iced_x86::Code;

use super::op::{Length, Op, Shape};
use super::{avx2, evex};

/// Bytes of the longest vector of any instruction set: the boundary of functions, their constants and their frames.
pub(crate) const LONGEST_BYTES: usize = 64;
/// Bytes of the shortest vectors that are operands in memory, and within which one instruction interleaves two.
pub(crate) const SHORT_BYTES: usize = 16;

/// An instruction set for vectors.
pub(crate) struct Isa {
    /// Bytes of the longest vector.
    pub(crate) vector_bytes: usize,
    /// Vector registers. The last is the assembler's own.
    pub(crate) registers: usize,
    /// Mask registers that keep the masks of partial vectors for the whole function; 0 where masks are vectors.
    pub(super) masks: usize,
    /// Whether the last operand may be one number in memory for all lanes.
    pub(crate) broadcast_from_memory: bool,
    /// Whether there are instructions that convert `f16`.
    converts_f16: bool,
    opcode: fn(Op, Shape) -> Code,
}

const AVX2: Isa = Isa {
    vector_bytes: 32,
    registers: 16,
    masks: 0,
    broadcast_from_memory: false,
    converts_f16: true,
    opcode: avx2::opcode,
};

/// No CPU has AVX2 without F16C, but a description may.
const AVX2_WITHOUT_F16C: Isa = Isa { converts_f16: false, ..AVX2 };

// Of the mask registers k1 to k7, the last is a scratch register.
const AVX512: Isa = Isa {
    vector_bytes: 64,
    registers: 32,
    masks: 6,
    broadcast_from_memory: true,
    converts_f16: true,
    opcode: evex::opcode,
};

const AVX10_256: Isa = Isa { vector_bytes: 32, ..AVX512 };

impl Isa {
    /// The instruction set for a machine's code; `None` if Cranelift emits it.
    pub(crate) fn of(machine: &Machine) -> Option<&'static Isa> {
        match machine.vector_extension()? {
            VectorExtension::Avx2 if !machine.has("f16c") => Some(&AVX2_WITHOUT_F16C),
            VectorExtension::Avx2 => Some(&AVX2),
            VectorExtension::Avx512 => Some(&AVX512),
            VectorExtension::Avx10At256 => Some(&AVX10_256),
        }
    }

    /// Whether there are instructions to load and store elements of this type.
    pub(crate) fn stores(&self, elem: Elem) -> bool {
        elem != Elem::F16 || self.converts_f16
    }

    /// The longest vector.
    pub(super) fn longest(&self) -> Shape {
        Shape { elem: Elem::F32, length: Length::of(self.vector_bytes) }
    }

    /// Whether there is an instruction that takes any lanes of two vectors, by their numbers in a third.
    pub(crate) fn permutes_two_vectors(&self) -> bool {
        self.has(Op::Permute2)
    }

    pub(super) fn has(&self, op: Op) -> bool {
        self.opcode(op, self.longest()) != Code::INVALID
    }

    pub(super) fn opcode(&self, op: Op, shape: Shape) -> Code {
        (self.opcode)(op, shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_machine_has_the_longest_vectors_of_its_description() {
        for name in Machine::NAMES {
            let machine = Machine::named(name).expect("listed");
            let bits = Isa::of(&machine).map_or(128, |isa| 8 * isa.vector_bytes as u32);
            assert_eq!(bits, machine.vector_bits, "{name}");
            let registers = Isa::of(&machine).map_or(machine.vector_registers, |isa| isa.registers as u32);
            assert_eq!(registers, machine.vector_registers, "{name}");
        }
    }

    #[test]
    fn an_instruction_set_without_mask_registers_has_vectors_for_them() {
        for isa in [AVX2, AVX512, AVX10_256] {
            assert_eq!(isa.has(Op::LoadSigned) && isa.has(Op::Blend), isa.masks == 0);
            assert_eq!(isa.has(Op::PackBits), !isa.has(Op::NarrowBits));
            assert_eq!(isa.has(Op::AlignBytes) && isa.has(Op::PermuteHalves), !isa.permutes_two_vectors());
        }
    }
}
