//! Sizes from which on one form of a loop is faster than another: crossover points, which GMP calls thresholds.
//!
//! Each was measured on a core of AMD's fourth Zen generation with vectors of 512 bits. A calibration does not measure them.

use serde::{Deserialize, Serialize};

/// Crossover points between two forms of generated code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Thresholds {
    /// Columns of a kernel of one row from which on picking taps from vectors in registers is faster than loading them.
    pub long_row: usize,
    /// Latencies of a multiply-add that the accumulators of a tile must fill, so that weights held in registers are faster than weights in
    /// memory.
    pub latencies_in_flight: f64,
    /// Multiply-adds of an iteration from which on an innermost loop gains nothing by being written out several times.
    pub short_loop: usize,
    /// Elements copied into blocks before the first is read: a load of what was just stored waits.
    pub copied_elements: usize,
    /// Numbers between the passes of a transform up to which spilling what registers do not hold is faster than storing all.
    pub held_numbers: usize,
    /// Pixels of a matrix product that take as long as fetching its weights.
    pub fetch_pixels: usize,
    /// How much longer threads may take that share rows unevenly, compared with threads that share channels. Some channels of every pixel
    /// are pieces of lines far apart.
    pub uneven_rows: f64,
}

impl Default for Thresholds {
    fn default() -> Thresholds {
        Thresholds {
            long_row: 5,
            latencies_in_flight: 1.5,
            short_loop: 16,
            copied_elements: 2048,
            held_numbers: 64,
            fetch_pixels: 3,
            uneven_rows: 1.5,
        }
    }
}

impl Thresholds {
    /// What is wrong with it: the key, what was found, what is expected.
    pub(crate) fn fault(&self) -> Option<(&'static str, String, &'static str)> {
        let sizes = [
            ("thresholds.long_row", self.long_row),
            ("thresholds.short_loop", self.short_loop),
            ("thresholds.copied_elements", self.copied_elements),
            ("thresholds.held_numbers", self.held_numbers),
            ("thresholds.fetch_pixels", self.fetch_pixels),
        ];
        if let Some((key, found)) = sizes.into_iter().find(|(_, size)| *size > 1 << 20) {
            return Some((key, found.to_string(), "at most 2^20"));
        }
        let factors = [
            ("thresholds.latencies_in_flight", self.latencies_in_flight),
            ("thresholds.uneven_rows", self.uneven_rows),
        ];
        // Written so that a NaN is refused too.
        let (key, found) = factors.into_iter().find(|(_, factor)| !(0.0..=1000.0).contains(factor))?;
        Some((key, format!("{found:?}"), "from 0 to 1000"))
    }
}
