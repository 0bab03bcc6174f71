//! Vector registers of a matrix product in register tiles.

use crate::{Machine, VectorExtension};

/// Registers of a product in tiles of rows × vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProductRegisters {
    /// The most accumulators of a tile.
    pub accumulators: usize,
    /// Registers for accumulators and for the vectors of a step.
    pub registers: usize,
    /// The most vectors of a tile for which a broadcast costs neither a register nor an instruction. With one vector the broadcast is a memory
    /// operand of the multiply-add; two vectors share a register, for which there is room, and a load beside their multiply-adds.
    pub free_broadcasts: usize,
    /// Vectors of a tile with enough rows and columns. Each broadcast is an instruction for this many multiply-adds where it is not free.
    pub vectors: usize,
    /// Multiply-adds to start before the first is done.
    pub in_flight: usize,
}

impl Machine {
    /// The registers of a matrix product.
    pub fn product_registers(&self) -> ProductRegisters {
        let in_flight = (self.fma_per_cycle * self.fma_latency).ceil() as usize;
        let [accumulators, registers, free_broadcasts, vectors] = match self.vector_bits {
            // 28 rows of a vector or 14 of two: 14 divides 14, 28, 56, 112 and 224.
            bits if bits == 512 || self.vector_extension() == Some(VectorExtension::Avx10At256) => [28, 31, 2, 2],
            256 => [12, 15, 0, 2],
            // Cranelift's multiply-adds of x86-64 overwrite a factor, so that accumulators wander among the registers.
            _ if self.arch == "x86_64" => [8, 15, 0, 2],
            // Vectors of scalars: the lanes of four accumulators, of two vectors, and a number.
            _ if self.vector_registers < 32 => [4, 7, 0, 2],
            // Accumulators stay where they are. A broadcast is the load of a number, of which multiply-adds take the lane.
            _ => [24, 31, 0, 4],
        };
        // A description may have fewer registers than CPUs with such vectors do.
        let [accumulators, registers] = [accumulators, registers].map(|count| count.min(self.free_registers()));
        ProductRegisters { accumulators, registers, free_broadcasts, vectors, in_flight }
    }

    /// Vector registers but for the one that is the code generator's own.
    pub fn free_registers(&self) -> usize {
        (self.vector_registers as usize).saturating_sub(1).max(3)
    }

    /// The time to load or multiply `bytes` bytes, as a part of that of a whole vector. Where fewer than two multiply-adds of vectors start in a
    /// cycle, twice as many of half the width do; nothing narrower than 32 bytes takes less.
    pub fn part_of_vector(&self, bytes: usize) -> f64 {
        const NARROW: usize = 32;
        let vector = f64::from(self.vector_bits / 8);
        (bytes.max(NARROW) as f64 / vector).max(self.fma_per_cycle / 2.0).min(1.0)
    }
}
