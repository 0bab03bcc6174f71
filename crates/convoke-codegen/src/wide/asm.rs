//! A thin assembler: instructions into bytes, backward branches, calls, and constants behind the code.

use cranelift_codegen::binemit::Reloc;
use cranelift_module::{ModuleReloc, ModuleRelocTarget};
use iced_x86::{Code, Encoder, Instruction, MemoryOperand, Register};
use rustc_hash::FxHashMap;

use super::isa::{Forms, Isa, Length};
use convoke_ir::elem::Elem;

/// A place in memory: `base + index · scale + offset` bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mem {
    pub(super) base: Register,
    pub(super) index: Register,
    pub(super) scale: u32,
    pub(super) offset: i32,
}

impl Mem {
    /// `base + offset`.
    pub(super) fn at(base: Register, offset: i32) -> Mem {
        Mem { base, index: Register::None, scale: 1, offset }
    }

    /// So many bytes further. Callers keep the sum within 32 bits.
    pub(super) fn plus(self, bytes: i32) -> Mem {
        Mem { offset: self.offset + bytes, ..self }
    }

    fn operand(self, broadcast: bool) -> MemoryOperand {
        let size = if self.offset == 0 { 0 } else { 1 };
        MemoryOperand::new(self.base, self.index, self.scale, i64::from(self.offset), size, broadcast, Register::None)
    }
}

/// A branch whose target is not known yet.
pub(super) struct Forward {
    /// Where its instruction, and with it its displacement, ends.
    end: u64,
}

/// The last operand of a vector instruction.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source {
    /// A vector register, by number.
    Register(usize),
    /// A whole vector in memory.
    Memory(Mem),
    /// With EVEX, one number in memory for all lanes.
    Broadcast(Mem),
    /// A constant of the pool: a whole vector.
    Pool(usize),
    /// With EVEX, a constant of the pool: one number for all lanes.
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

/// Code on its way into bytes.
pub(super) struct Assembler {
    pub(super) isa: Isa,
    encoder: Encoder,
    /// Bytes so far.
    at: u64,
    relocs: Vec<ModuleReloc>,
    pool: Vec<u8>,
    pooled: FxHashMap<Vec<u8>, usize>,
    /// Where a displacement stands, the end of its instruction, and what it is to reach in the pool.
    patches: Vec<(u64, u64, usize)>,
    /// Where forward branches end, and where they go.
    landings: Vec<(u64, u64)>,
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

/// What every instruction here is: one of the forms the emitter names, with operands of its kind.
const FITS: &str = "an instruction with the operands its form has";

impl Assembler {
    pub(super) fn new(isa: Isa) -> Assembler {
        Assembler {
            isa,
            encoder: Encoder::new(64),
            at: 0,
            relocs: Vec::new(),
            pool: Vec::new(),
            pooled: FxHashMap::default(),
            patches: Vec::new(),
            landings: Vec::new(),
        }
    }

    /// Encodes an instruction of general registers.
    pub(super) fn push(&mut self, instruction: Instruction) {
        self.at += self.encoder.encode(&instruction, self.at).expect(FITS) as u64;
    }

    /// Bytes so far, which a branch may go back to.
    pub(super) fn here(&self) -> u64 {
        self.at
    }

    pub(super) fn branch(&mut self, code: Code, to: u64) {
        self.push(Instruction::with_branch(code, to).expect(FITS));
    }

    /// A branch to a place that [`Assembler::land`] is to say.
    pub(super) fn branch_forward(&mut self, code: Code) -> Forward {
        // Far enough for a displacement of 32 bits, which is patched in.
        self.branch(code, self.at + (1 << 20));
        Forward { end: self.at }
    }

    /// Says that a forward branch goes here.
    pub(super) fn land(&mut self, from: Forward) {
        self.landings.push((from.end, self.at));
    }

    /// A call of the module's function with this number.
    pub(super) fn call(&mut self, number: u32) {
        self.push(Instruction::with_branch(Code::Call_rel32_64, self.at).expect(FITS));
        self.relocs.push(ModuleReloc {
            offset: self.at as u32 - 4,
            kind: Reloc::X86CallPCRel4,
            name: ModuleRelocTarget::user(0, number),
            addend: -4,
        });
    }

    /// A constant in the pool, aligned to its size, a power of 2.
    pub(super) fn constant(&mut self, bytes: &[u8]) -> usize {
        if let Some(&known) = self.pooled.get(bytes) {
            return known;
        }
        let at = self.pool.len().next_multiple_of(bytes.len());
        self.pool.resize(at, 0);
        self.pool.extend(bytes);
        self.pooled.insert(bytes.to_vec(), at);
        at
    }

    /// A number of an element type in the pool.
    pub(super) fn number(&mut self, elem: Elem, number: f64) -> usize {
        let mut bytes = [0; 8];
        let bytes = &mut bytes[..elem.bytes()];
        elem.encode(&[number], bytes);
        self.constant(bytes)
    }

    /// The numbers of lanes in the pool, as instructions that permute lanes of an element type take them.
    pub(super) fn lanes(&mut self, elem: Elem, lanes: impl Iterator<Item = usize>) -> usize {
        let bytes = lanes.flat_map(|lane| (lane as u64).to_le_bytes().into_iter().take(elem.bytes()));
        self.constant(&bytes.collect::<Vec<u8>>())
    }

    /// `to = op(first, last)`, or what the form says.
    pub(super) fn vec3(&mut self, forms: &Forms, elem: Elem, length: Length, to: usize, first: usize, last: Source) {
        let code = self.isa.form(forms, elem, length);
        let (to, first) = (vector(to, length), vector(first, length));
        let instruction = match self.source(last, length) {
            Last::Register(last) => Instruction::with3(code, to, first, last),
            Last::Memory(last) => Instruction::with3(code, to, first, last),
        };
        self.finish(instruction.expect(FITS), last);
    }

    /// As [`Assembler::vec3`], with an immediate.
    pub(super) fn vec3i(
        &mut self,
        code: Code,
        lengths: [Length; 3],
        to: usize,
        first: usize,
        last: Source,
        immediate: u32,
    ) {
        let (to, first) = (vector(to, lengths[0]), vector(first, lengths[1]));
        let instruction = match self.source(last, lengths[2]) {
            Last::Register(last) => Instruction::with4(code, to, first, last, immediate),
            Last::Memory(last) => Instruction::with4(code, to, first, last, immediate),
        };
        self.finish(instruction.expect(FITS), last);
    }

    /// `to = op(last)`, with the immediate where the form has one.
    pub(super) fn vec2(
        &mut self,
        code: Code,
        (to, to_length): (usize, Length),
        (last, last_length): (Source, Length),
        immediate: Option<u32>,
        mask: Mask,
    ) {
        let to = vector(to, to_length);
        let instruction = match (self.source(last, last_length), immediate) {
            (Last::Register(last), None) => Instruction::with2(code, to, last),
            (Last::Memory(last), None) => Instruction::with2(code, to, last),
            (Last::Register(last), Some(i)) => Instruction::with3(code, to, last, i),
            (Last::Memory(last), Some(i)) => Instruction::with3(code, to, last, i),
        };
        let mut instruction = instruction.expect(FITS);
        match mask {
            Mask::None => {}
            Mask::Zero(k) => {
                instruction.set_op_mask(k);
                instruction.set_zeroing_masking(true);
            }
            Mask::Merge(k) => instruction.set_op_mask(k),
        }
        self.finish(instruction, last);
    }

    /// A register to memory, all lanes or those of a mask.
    pub(super) fn store(&mut self, code: Code, to: Mem, from: usize, length: Length, mask: Option<Register>) {
        let mut instruction = Instruction::with2(code, to.operand(false), vector(from, length)).expect(FITS);
        if let Some(k) = mask {
            instruction.set_op_mask(k);
        }
        self.push(instruction);
    }

    fn source(&self, source: Source, length: Length) -> Last {
        // The pool's place is not known yet: a displacement of 32 bits is patched in later.
        let pool = |broadcast| {
            let target = self.at as i64 + (1 << 20);
            MemoryOperand::new(Register::RIP, Register::None, 1, target, 8, broadcast, Register::None)
        };
        match source {
            Source::Register(number) => Last::Register(vector(number, length)),
            Source::Memory(mem) => Last::Memory(mem.operand(false)),
            Source::Broadcast(mem) => Last::Memory(mem.operand(true)),
            Source::Pool(_) => Last::Memory(pool(false)),
            Source::PoolBroadcast(_) => Last::Memory(pool(true)),
        }
    }

    fn finish(&mut self, instruction: Instruction, last: Source) {
        let begin = self.at;
        self.push(instruction);
        if let Source::Pool(at) | Source::PoolBroadcast(at) = last {
            let offset = self.encoder.get_constant_offsets().displacement_offset() as u64;
            self.patches.push((begin + offset, self.at, at));
        }
    }

    /// The bytes of `prologue` and of everything so far, with the constants behind; and the calls in it.
    pub(super) fn finish_function(mut self, prologue: &[Instruction]) -> (Vec<u8>, Vec<ModuleReloc>) {
        let mut body = self.encoder.take_buffer();
        for &(end, target) in &self.landings {
            body[end as usize - 4..end as usize].copy_from_slice(&((target - end) as u32).to_le_bytes());
        }
        let mut encoder = Encoder::new(64);
        let mut head = 0;
        for instruction in prologue {
            head += encoder.encode(instruction, head).expect(FITS) as u64;
        }
        let mut bytes = encoder.take_buffer();
        bytes.extend(body);
        if !self.pool.is_empty() {
            let pool = bytes.len().next_multiple_of(64);
            bytes.resize(pool, 0);
            for &(displacement, end, at) in &self.patches {
                let distance = (pool + at) as i64 - (head + end) as i64;
                let to = (head + displacement) as usize;
                bytes[to..to + 4].copy_from_slice(&(distance as i32).to_le_bytes());
            }
            bytes.extend(&self.pool);
        }
        for reloc in &mut self.relocs {
            reloc.offset += head as u32;
        }
        (bytes, self.relocs)
    }
}

enum Last {
    Register(Register),
    Memory(MemoryOperand),
}
