//! What lies between a core and its memory, beside the sizes of the caches: lines, sets, pages, streams.
//!
//! Figures are round ones of AMD's fourth Zen generation, which other cores of x86-64 and aarch64 are near to.

use serde::{Deserialize, Serialize};

use crate::{LINE_BYTES, PAGE_BYTES};

/// Lines, sets, pages and streams of one core.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Hierarchy {
    /// Bytes of a cache line.
    pub line_bytes: usize,
    /// Lines of a set of the first two levels of cache.
    pub ways: usize,
    /// Bytes of a page of memory.
    pub page_bytes: usize,
    /// Pages that the nearest table of translations holds.
    pub near_pages: usize,
    /// Streams of loads that are followed and fetched ahead.
    pub streams: usize,
    /// Cycles that a line of another stream is waited for in memory.
    pub stream_miss_cycles: f64,
    /// Cycles to fetch a line from the second level while another is waited for.
    pub fetch_cycles: f64,
    /// Cycles that a line pushed out of its set of the first level waits; then of that of the second.
    pub conflict_cycles: [f64; 2],
    /// How much of the shorter of two parts that a core does at a time is not hidden behind the longer one.
    pub exposed: f64,
}

impl Default for Hierarchy {
    fn default() -> Hierarchy {
        Hierarchy {
            line_bytes: LINE_BYTES,
            ways: 8,
            page_bytes: PAGE_BYTES,
            near_pages: 48,
            streams: 64,
            stream_miss_cycles: 20.0,
            fetch_cycles: 3.6,
            conflict_cycles: [6.0, 25.0],
            exposed: 0.25,
        }
    }
}

impl Hierarchy {
    /// What is wrong with it: the key, what was found, what is expected.
    pub(crate) fn fault(&self) -> Option<(&'static str, String, &'static str)> {
        let sizes = [
            ("hierarchy.line_bytes", self.line_bytes, 16..=1024, "from 16 to 1024"),
            ("hierarchy.ways", self.ways, 1..=64, "from 1 to 64"),
            ("hierarchy.page_bytes", self.page_bytes, 1024..=1 << 30, "from 1024 to 2^30"),
            ("hierarchy.near_pages", self.near_pages, 1..=1 << 20, "from 1 to 2^20"),
            ("hierarchy.streams", self.streams, 1..=1 << 20, "from 1 to 2^20"),
        ];
        if let Some((key, found, _, expected)) = sizes.into_iter().find(|(_, size, range, _)| !range.contains(size)) {
            return Some((key, found.to_string(), expected));
        }
        let [near, far] = self.conflict_cycles;
        let cycles = [
            ("hierarchy.stream_miss_cycles", self.stream_miss_cycles, 1000.0),
            ("hierarchy.fetch_cycles", self.fetch_cycles, 1000.0),
            ("hierarchy.conflict_cycles", near, 1000.0),
            ("hierarchy.conflict_cycles", far, 1000.0),
            ("hierarchy.exposed", self.exposed, 1.0),
        ];
        // Written so that a NaN is refused too.
        let (key, found, most) = cycles.into_iter().find(|(_, cycles, most)| !(0.0..=*most).contains(cycles))?;
        Some((key, format!("{found:?}"), if most > 1.0 { "from 0 to 1000" } else { "from 0 to 1" }))
    }
}
