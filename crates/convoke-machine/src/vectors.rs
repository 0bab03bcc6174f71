//! Vector instruction sets, as the description of a machine decides them.

use crate::Machine;

/// Instructions for vectors beyond those that every CPU of an architecture has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VectorExtension {
    /// AVX2 with FMA: 256 bits, 16 registers.
    Avx2,
    /// AVX-512 with its vector length extension: 512 bits, 32 registers, masks.
    Avx512,
    /// The same instructions at 256 bits, as AVX10/256 has them and every CPU with AVX-512VL.
    Avx10At256,
}

impl Machine {
    /// The instructions that a description's vectors are written with; `None` for those of 128 bits, and where an extension is missing. Of
    /// 256 bits with AVX-512VL, the number of registers decides: those with 32 are AVX10/256, those with 16 are AVX2.
    pub fn vector_extension(&self) -> Option<VectorExtension> {
        let has = |features: &[&str]| self.arch == "x86_64" && features.iter().all(|feature| self.has(feature));
        let avx512 = has(&["avx2", "fma", "avx512f", "avx512vl"]);
        match self.vector_bits {
            512 if avx512 => Some(VectorExtension::Avx512),
            256 if avx512 && self.vector_registers >= 32 => Some(VectorExtension::Avx10At256),
            256 if has(&["avx2", "fma"]) => Some(VectorExtension::Avx2),
            _ => None,
        }
    }

    /// The same machine with vectors of at most `bits` bits: 128, 256 or 512. Those of 256 bits are AVX2's, those of 128 code of Cranelift's.
    pub fn narrowed(mut self, bits: u32) -> Machine {
        if bits < self.vector_bits {
            self.fma_per_cycle = (self.fma_per_cycle * f64::from(self.vector_bits / bits)).min(2.0);
            self.vector_bits = bits;
            if self.arch == "x86_64" {
                self.vector_registers = 16;
            }
        }
        self
    }

    /// This machine once for every kind of vectors that it can be described with, widest first: each is other code. Their names say which.
    pub fn widths(&self) -> Vec<Machine> {
        let mut all = Vec::new();
        for bits in [512, 256, 128].into_iter().filter(|&bits| bits <= self.vector_bits) {
            let narrow = self.clone().narrowed(bits);
            let evex = Machine { vector_registers: self.vector_registers, ..narrow.clone() };
            if evex.vector_extension() != narrow.vector_extension() {
                all.push(Machine { name: format!("{}, {bits} bits, AVX10", self.name), ..evex });
            }
            all.push(Machine { name: format!("{}, {bits} bits", self.name), ..narrow });
        }
        all
    }
}
