//! Rates of generated code, in cycles of one core.
//!
//! The defaults are round figures measured on one core, of AMD's fourth Zen generation unless they say otherwise; a calibration replaces
//! them by those of another. They weigh algorithms against each other, so that a common factor of all of them changes nothing.

use serde::{Deserialize, Serialize};

/// Measured rates of generated code, at the vector width of the machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rates {
    /// Cycles to call a codelet and come back.
    pub call_cycles: f64,
    /// Cycles of the load of a vector of neighbours in straight-line code.
    pub load_cycles: f64,
    /// Cycles of an addition, multiplication or multiply-add of vectors in straight-line code.
    pub arithmetic_cycles: f64,
    /// Cycles of the store of a vector of neighbours in straight-line code.
    pub store_cycles: f64,
    /// Cycles for each element of a vector whose elements are loaded from places apart.
    pub gather_cycles: f64,
    /// Cycles for each element of a vector whose elements are stored to places apart.
    pub scatter_cycles: f64,
    /// Cycles to look up where a page is that was not just used, while its lines are near. Not measured by a calibration.
    pub page_cycles: f64,
    /// Cycles of an iteration of a loop beyond its body: counter, comparison, jump. Not measured by a calibration.
    pub loop_cycles: f64,
    /// Cycles to move a vector of finished sums from scratch memory to its place in the result. Not measured by a calibration.
    pub move_cycles: f64,
    /// What products in register tiles reach.
    pub product: ProductRates,
}

/// Efficiency of matrix products in register tiles: the fraction reached of the rate that loads and multiply-adds allow, which is one product in
/// `depth · max(rows·vectors / fma_per_cycle, fma_latency, loads / loads_per_cycle)` cycles. Loop counters and moves take the rest.
/// Small tiles reach more than 1, since the next tile begins while one waits for its sums.
///
/// A table over the sums of a tile, rows × vectors, and the depth of the reduction. Between its points numbers are interpolated
/// by the logarithms of both; outside, the nearest edge holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProductRates {
    /// Vectors of sums, rows × vectors of a tile, in growing order.
    pub sums: Vec<u32>,
    /// Products added into each sum, in growing order.
    pub depths: Vec<u32>,
    /// For each of `sums`, for each of `depths`, the fraction reached.
    pub efficiency: Vec<Vec<f64>>,
}

impl Default for Rates {
    fn default() -> Rates {
        Rates {
            call_cycles: 5.0,
            load_cycles: 0.33,
            arithmetic_cycles: 0.66,
            store_cycles: 0.65,
            gather_cycles: 0.34,
            scatter_cycles: 0.9,
            page_cycles: 7.0,
            loop_cycles: 1.0,
            move_cycles: 2.0,
            product: ProductRates::default(),
        }
    }
}

impl Rates {
    /// Round figures of the wide emitter's code, measured on the same core at 512 bits.
    pub fn wide() -> Rates {
        let rows = [
            [2.6, 1.8, 1.4, 1.1],
            [2.0, 1.6, 1.15, 1.03],
            [0.9, 0.85, 0.82, 0.94],
            [1.0, 1.0, 1.0, 1.0],
            [1.0, 1.0, 1.0, 1.0],
            [0.91, 0.96, 0.99, 1.0],
        ];
        Rates {
            call_cycles: 5.2,
            load_cycles: 0.55,
            arithmetic_cycles: 1.06,
            store_cycles: 2.0,
            gather_cycles: 0.36,
            scatter_cycles: 0.97,
            page_cycles: 7.0,
            loop_cycles: 1.0,
            move_cycles: 2.0,
            product: ProductRates::table([1, 2, 4, 8, 12, 28], rows),
        }
    }

    /// Round figures of the same code at 256 bits, on the same core, which starts two multiply-adds of such vectors a cycle.
    pub fn avx2() -> Rates {
        let rows = [
            [4.0, 3.2, 1.67, 1.12],
            [3.15, 1.72, 1.23, 1.05],
            [2.0, 1.4, 1.1, 1.02],
            [1.1, 0.97, 0.945, 0.94],
            [1.09, 1.0, 1.0, 0.99],
        ];
        Rates {
            load_cycles: 0.33,
            arithmetic_cycles: 0.66,
            store_cycles: 0.69,
            gather_cycles: 0.35,
            scatter_cycles: 0.3,
            product: ProductRates::table([1, 2, 4, 8, 12], rows),
            ..Rates::wide()
        }
    }

    /// Round figures of the same code on a core of Intel's that starts two multiply-adds of 512 bits a cycle.
    pub fn sapphire_rapids() -> Rates {
        let rows = [
            [3.0, 2.2, 1.5, 1.1],
            [2.3, 1.6, 1.2, 1.03],
            [1.25, 1.2, 1.05, 0.95],
            [0.85, 0.8, 0.88, 0.85],
            [0.81, 0.87, 0.89, 0.9],
            [0.79, 0.9, 0.94, 0.94],
        ];
        Rates {
            call_cycles: 2.0,
            load_cycles: 0.55,
            arithmetic_cycles: 0.57,
            store_cycles: 2.0,
            gather_cycles: 0.19,
            scatter_cycles: 0.3,
            page_cycles: 25.0,
            loop_cycles: 1.0,
            move_cycles: 2.0,
            product: ProductRates::table([1, 2, 4, 8, 12, 28], rows),
        }
    }
}

impl Default for ProductRates {
    fn default() -> ProductRates {
        let rows = [[4.0, 2.0, 1.3, 1.06], [3.0, 1.6, 1.14, 1.03], [1.8, 1.32, 1.07, 1.02], [1.03, 0.93, 0.9, 0.89]];
        ProductRates::table([1, 2, 4, 8], rows)
    }
}

impl ProductRates {
    /// A table of measured fractions, a row for each of `sums`, at the usual depths.
    fn table<const N: usize>(sums: [u32; N], rows: [[f64; 4]; N]) -> ProductRates {
        let efficiency = rows.iter().map(|row| row.to_vec()).collect();
        ProductRates { sums: sums.to_vec(), depths: vec![9, 36, 144, 576], efficiency }
    }

    /// The fraction that a tile of `sums` vectors of sums reaches in a reduction of `depth` products.
    pub fn efficiency(&self, sums: usize, depth: usize) -> f64 {
        let (row, down) = between(&self.sums, sums);
        let (col, along) = between(&self.depths, depth);
        let at = |row: usize| {
            let points = &self.efficiency[row.min(self.efficiency.len() - 1)];
            let last = points.len() - 1;
            mix(points[col.min(last)], points[(col + 1).min(last)], along)
        };
        mix(at(row), at(row + 1), down)
    }

    /// What is wrong with the table: the key, what was found, what is expected.
    pub(crate) fn fault(&self) -> Option<(&'static str, String, &'static str)> {
        const GROWING: &str = "1 to 16 whole numbers from 1, in growing order";
        let growing =
            |v: &[u32]| (1..=16).contains(&v.len()) && v[0] >= 1 && v.windows(2).all(|pair| pair[0] < pair[1]);
        if !growing(&self.sums) {
            return Some(("rates.product.sums", format!("{:?}", self.sums), GROWING));
        }
        if !growing(&self.depths) {
            return Some(("rates.product.depths", format!("{:?}", self.depths), GROWING));
        }
        let table = &self.efficiency;
        if table.len() != self.sums.len() || table.iter().any(|row| row.len() != self.depths.len()) {
            let found = format!("rows of {:?}", table.iter().map(Vec::len).collect::<Vec<_>>());
            return Some((
                "rates.product.efficiency",
                found,
                "a row for each of `sums` with a number for each of `depths`",
            ));
        }
        // Written so that a NaN is refused too.
        let wrong = table.iter().flatten().find(|&&e| !(0.001..=4.0).contains(&e))?;
        Some(("rates.product.efficiency", format!("{wrong:?}"), "from 0.001 to 4"))
    }
}

/// The last point of `points` that is at most `x`, and how far `x` is on the way to the next, by logarithms; edges hold outside.
fn between(points: &[u32], x: usize) -> (usize, f64) {
    let log = |v: f64| v.max(1.0).ln();
    let after = points.partition_point(|&p| p as usize <= x);
    match (after.checked_sub(1), points.get(after)) {
        (None, _) => (0, 0.0),
        (Some(at), None) => (at, 0.0),
        (Some(at), Some(&next)) => {
            let (from, to) = (log(points[at].into()), log(next.into()));
            (at, (log(x as f64) - from) / (to - from))
        }
    }
}

fn mix(a: f64, b: f64, part: f64) -> f64 {
    a + (b - a) * part
}
