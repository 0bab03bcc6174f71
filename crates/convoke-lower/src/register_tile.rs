//! Register tiles: the accumulators that a product keeps in registers. Lowering and the cost model use the same tiles.
//!
//! A tile has rows × vectors accumulators. Each step of the reduction loads the vectors once, broadcasts one number for each row, and
//! multiplies every vector with every row's number. The registers thus hold the accumulators, the vectors of a step and one number; the code
//! generator needs one more. A number that one vector alone uses takes no register if instructions can broadcast from memory.

use convoke_machine::{Machine, ProductRegisters};

/// The tiles of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegisterTile(ProductRegisters);

impl RegisterTile {
    /// The tiles that the registers of a machine hold.
    pub fn of(machine: &Machine) -> RegisterTile {
        RegisterTile(machine.product_registers())
    }

    /// Rows and vectors of a tile that is full in both directions. Its vectors share each broadcast.
    pub fn square(self) -> [usize; 2] {
        [self.rows(self.0.vectors), self.0.vectors]
    }

    /// The rows of a tile of `vectors` vectors if there are enough rows to fill it.
    pub fn rows(self, vectors: usize) -> usize {
        let vectors = vectors.max(1);
        let number = usize::from(vectors > self.0.free_broadcasts);
        let left = self.0.registers.saturating_sub(vectors + number);
        (left.min(self.0.accumulators) / vectors).max(1)
    }

    /// Rows and vectors for `rows` rows and enough columns to fill the tile: of the tiles that fit the registers, the one with the fewest
    /// cycles for a vector of columns, latency of the accumulators included; of equal ones, that with the fewest instructions.
    pub fn wide(self, rows: usize) -> [usize; 2] {
        let rows = rows.max(1);
        let cost = |[r, v]: [usize; 2]| {
            let cycles = |r: usize| if r > 0 { (r * v).max(self.0.in_flight) } else { 0 };
            let numbers = if v > self.0.free_broadcasts { rows } else { 0 };
            let instructions = rows * v + rows.div_ceil(r) * v + numbers;
            [rows / r * cycles(r) + cycles(rows % r), instructions].map(|count| count as f64 / v as f64)
        };
        let tiles = (1..=self.0.accumulators).map(|v| [self.rows(v).min(rows), v]);
        // A vector that one row alone uses is a memory operand and takes no register.
        let fits = tiles.filter(|&[r, v]| r * v <= self.0.accumulators && (r == 1 || r * v + v <= self.0.registers));
        let less = |a: &[usize; 2], b: &[usize; 2]| {
            let (a, b) = (cost(*a), cost(*b));
            a[0].total_cmp(&b[0]).then(a[1].total_cmp(&b[1]))
        };
        fits.min_by(less).unwrap_or([1, 1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_fit_the_registers() {
        for bits in [512, 256, 128] {
            let tile = RegisterTile::of(&Machine::x86_64_v4().narrowed(bits));
            for rows in 1..100 {
                let [r, v] = tile.wide(rows);
                assert!(r <= rows && r * v <= tile.0.accumulators, "{bits}: {r}x{v} of {rows}");
            }
        }
        let of = |bits| RegisterTile::of(&Machine::x86_64_v4().narrowed(bits)).square();
        assert_eq!([of(512), of(256), of(128)], [[14, 2], [6, 2], [4, 2]]);
        let named = |name| RegisterTile::of(&Machine::named(name).expect("listed")).square();
        assert_eq!(["avx10.1-256", "aarch64", "riscv64"].map(named), [[14, 2], [6, 4], [2, 2]]);
    }

    #[test]
    fn few_rows_get_more_vectors() {
        let tile = RegisterTile::of(&Machine::x86_64_v4());
        assert_eq!(tile.wide(64)[1], 1);
        assert!(tile.wide(1)[1] >= 4);
        assert_eq!(tile.wide(3)[0], 3);
    }
}
