//! A thin assembler: instructions into bytes, branches, calls, and constants behind the code.

use convoke_ir::elem::Elem;
use cranelift_codegen::binemit::Reloc;
use cranelift_module::{ModuleReloc, ModuleRelocTarget};
use iced_x86::{Code, Encoder, Instruction};
use rustc_hash::FxHashMap;

use super::isa::{Isa, LONGEST_BYTES};

/// A branch whose target is not known yet.
pub(crate) struct Forward {
    /// Where its instruction, and with it its displacement, ends.
    end: u64,
}

/// Code on its way into bytes.
pub(crate) struct Assembler {
    pub(super) isa: &'static Isa,
    /// Lane counts that a mask register holds the mask of, k1 onwards.
    pub(super) masks: Vec<usize>,
    encoder: Encoder,
    /// Bytes so far.
    at: u64,
    relocs: Vec<ModuleReloc>,
    pool: Vec<u8>,
    pooled: FxHashMap<Vec<u8>, usize>,
    /// For each displacement to be patched: its place, the end of its instruction, and its target in the pool.
    patches: Vec<(u64, u64, usize)>,
    /// Where forward branches end, and where they go.
    landings: Vec<(u64, u64)>,
}

/// What every instruction here is: one of the forms the assembler names, with operands of its kind.
pub(super) const FITS: &str = "an instruction with the operands its form has";

/// How far a displacement goes that is patched later: so far that it takes 32 bits.
pub(super) const FAR: u64 = 1 << 20;

/// Bytes of a call.
const CALL_BYTES: u64 = 5;

impl Assembler {
    pub(crate) fn new(isa: &'static Isa) -> Assembler {
        Assembler {
            isa,
            masks: Vec::new(),
            encoder: Encoder::new(64),
            at: 0,
            relocs: Vec::new(),
            pool: Vec::new(),
            pooled: FxHashMap::default(),
            patches: Vec::new(),
            landings: Vec::new(),
        }
    }

    /// Encodes an instruction.
    pub(super) fn push(&mut self, instruction: Instruction) {
        self.at += self.encoder.encode(&instruction, self.at).expect(FITS) as u64;
    }

    /// Encodes an instruction whose operand in memory is a constant of the pool.
    pub(super) fn push_pooled(&mut self, instruction: Instruction, constant: usize) {
        let begin = self.at;
        self.push(instruction);
        let offset = self.encoder.get_constant_offsets().displacement_offset() as u64;
        self.patches.push((begin + offset, self.at, constant));
    }

    /// Bytes so far, which a branch may go back to.
    pub(crate) fn here(&self) -> u64 {
        self.at
    }

    pub(super) fn branch(&mut self, code: Code, to: u64) {
        self.push(Instruction::with_branch(code, to).expect(FITS));
    }

    /// A branch to a place that [`Assembler::land`] is to say.
    pub(super) fn branch_forward(&mut self, code: Code) -> Forward {
        self.branch(code, self.at + FAR);
        Forward { end: self.at }
    }

    /// Says that a forward branch goes here.
    pub(crate) fn land(&mut self, from: Forward) {
        self.landings.push((from.end, self.at));
    }

    /// A call of the module's function with this number.
    pub(crate) fn call(&mut self, number: u32) {
        // To what follows, so that the distance in the code is 0: COFF adds the one that the linker finds to it.
        self.branch(Code::Call_rel32_64, self.at + CALL_BYTES);
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
    pub(crate) fn lanes(&mut self, elem: Elem, lanes: impl Iterator<Item = usize>) -> usize {
        let bytes = lanes.flat_map(|lane| (lane as u64).to_le_bytes().into_iter().take(elem.bytes()));
        self.constant(&bytes.collect::<Vec<u8>>())
    }

    /// The bytes of `prologue` and of everything so far, with the constants behind; and the calls in it.
    pub(super) fn finish(mut self, prologue: &[Instruction]) -> (Vec<u8>, Vec<ModuleReloc>) {
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
            let pool = bytes.len().next_multiple_of(LONGEST_BYTES);
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
