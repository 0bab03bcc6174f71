//! Register tiles: how many sums a product keeps in registers at a time. Lowering cuts by them, the cost model counts by
//! them.
//!
//! A tile is rows × vectors. Each step of the reduction loads the vectors once, broadcasts one number for each row, and
//! multiplies every vector with every row. So the registers hold the sums, the vectors of a step and one number; one more is the code
//! generator's own. Where instructions broadcast from memory, the number of a single vector needs no register.

use convoke_machine::{Machine, VectorExtension};

/// The tiles of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RegisterTile {
    /// The most vectors of sums.
    sums: usize,
    /// Registers for sums and for the vectors of a step.
    registers: usize,
    /// Vectors up to which a broadcast is not counted, neither as a register nor as an instruction: one vector's is an operand in memory;
    /// two share a register, for which there is room, and a load beside their multiply-adds.
    free: usize,
    /// Multiply-adds to start before the first is done.
    in_flight: usize,
}

impl RegisterTile {
    pub(crate) fn of(machine: &Machine) -> RegisterTile {
        let in_flight = (machine.fma_per_cycle * machine.fma_latency).ceil() as usize;
        match machine.vector_bits {
            // 28 rows of a vector or 14 of two: 14 divides 14, 28, 56, 112 and 224.
            bits if bits == 512 || machine.vector_extension() == Some(VectorExtension::Avx10At256) => {
                RegisterTile { sums: 28, registers: 31, free: 2, in_flight }
            }
            256 => RegisterTile { sums: 12, registers: 15, free: 0, in_flight },
            // Cranelift's multiply-adds overwrite a factor, so that sums wander among the registers.
            _ => RegisterTile { sums: 8, registers: 15, free: 0, in_flight },
        }
    }

    /// Rows and vectors where there are plenty of both: two vectors share each broadcast.
    pub(crate) fn square(self) -> [usize; 2] {
        [self.rows(2), 2]
    }

    /// The rows of a tile of `vectors` vectors where rows are plenty.
    pub(crate) fn rows(self, vectors: usize) -> usize {
        let vectors = vectors.max(1);
        let number = usize::from(vectors > self.free);
        let left = self.registers.saturating_sub(vectors + number);
        (left.min(self.sums) / vectors).max(1)
    }

    /// Rows and vectors for `rows` rows and plenty of columns: of the tiles that registers hold, the one that takes the fewest cycles for a
    /// vector of columns, counting those that wait for sums; of equals, the one with the fewest instructions.
    pub(crate) fn wide(self, rows: usize) -> [usize; 2] {
        let rows = rows.max(1);
        let cost = |[r, v]: [usize; 2]| {
            let cycles = |r: usize| if r > 0 { (r * v).max(self.in_flight) } else { 0 };
            let numbers = if v > self.free { rows } else { 0 };
            let instructions = rows * v + rows.div_ceil(r) * v + numbers;
            [rows / r * cycles(r) + cycles(rows % r), instructions].map(|count| count as f64 / v as f64)
        };
        let tiles = (1..=self.sums).map(|v| [self.rows(v).min(rows), v]);
        // A vector that one row alone uses is an operand in memory.
        let fits = tiles.filter(|&[r, v]| r * v <= self.sums && (r == 1 || r * v + v <= self.registers));
        let less = |a: &[usize; 2], b: &[usize; 2]| {
            let (a, b) = (cost(*a), cost(*b));
            a[0].total_cmp(&b[0]).then(a[1].total_cmp(&b[1]))
        };
        fits.min_by(less).unwrap_or([1, 1])
    }
}

/// Vector registers but for the one that is the code generator's own.
pub(crate) fn registers(machine: &Machine) -> usize {
    (machine.vector_registers as usize).saturating_sub(1).max(3)
}

/// What loading or multiplying `bytes` bytes takes of what a whole vector does. Where fewer than two multiply-adds of vectors start in a
/// cycle, twice as many of half the width do; nothing narrower than [`NARROW`] bytes takes less.
pub(crate) fn part(machine: &Machine, bytes: usize) -> f64 {
    let vector = f64::from(machine.vector_bits / 8);
    (bytes.max(NARROW) as f64 / vector).max(machine.fma_per_cycle / 2.0).min(1.0)
}

/// Bytes of the narrowest vectors that take less time than wider ones.
const NARROW: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_fit_the_registers() {
        for bits in [512, 256, 128] {
            let tile = RegisterTile::of(&Machine::x86_64_v4().narrowed(bits));
            for rows in 1..100 {
                let [r, v] = tile.wide(rows);
                assert!(r <= rows && r * v <= tile.sums, "{bits}: {r}x{v} of {rows}");
            }
        }
        let of = |bits| RegisterTile::of(&Machine::x86_64_v4().narrowed(bits)).square();
        assert_eq!([of(512), of(256), of(128)], [[14, 2], [6, 2], [4, 2]]);
        assert_eq!(RegisterTile::of(&Machine::named("avx10.1-256").expect("listed")).square(), [14, 2]);
    }

    #[test]
    fn few_rows_get_more_vectors() {
        let tile = RegisterTile::of(&Machine::x86_64_v4());
        assert_eq!(tile.wide(64)[1], 1);
        assert!(tile.wide(1)[1] >= 4);
        assert_eq!(tile.wide(3)[0], 3);
    }
}
