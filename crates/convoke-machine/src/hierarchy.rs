//! What lies between a core and its memory, beside the sizes of the caches: lines, sets, pages, streams.
//!
//! Figures are round ones of AMD's fourth Zen generation, which other cores of x86-64 and aarch64 are near to.

use serde::{Deserialize, Serialize};

use crate::{HUGE_PAGE_BYTES, LINE_BYTES, PAGE_BYTES};

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
    /// Bytes of a huge page, which the values within a net have.
    pub huge_page_bytes: usize,
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
    /// How often each byte is moved where lines are read or written a part at a time, each line many times: while a quarter of the last
    /// cache holds them; then beyond it.
    pub scattered_moves: [f64; 2],
    /// How often each byte of a vector is moved whose neighbours are far apart: from the second level, then from memory.
    pub strided_moves: [f64; 2],
    /// How often each byte is moved that is written and read again later: while the second level holds it; then beyond it.
    pub round_trip_moves: [f64; 2],
    /// The part of the nearest cache that lines may take before some of them push out others.
    pub usable: f64,
    /// How much of the shorter of two parts that a core does at a time is not hidden behind the longer one.
    pub exposed: f64,
}

impl Default for Hierarchy {
    fn default() -> Hierarchy {
        Hierarchy {
            line_bytes: LINE_BYTES,
            ways: 8,
            page_bytes: PAGE_BYTES,
            huge_page_bytes: HUGE_PAGE_BYTES,
            near_pages: 48,
            streams: 64,
            stream_miss_cycles: 20.0,
            fetch_cycles: 3.6,
            conflict_cycles: [6.0, 25.0],
            scattered_moves: [2.0, 6.0],
            strided_moves: [2.0, 3.5],
            round_trip_moves: [2.0, 4.0],
            usable: 0.875,
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
            ("hierarchy.huge_page_bytes", self.huge_page_bytes, 1024..=1 << 30, "from 1024 to 2^30"),
            ("hierarchy.near_pages", self.near_pages, 1..=1 << 20, "from 1 to 2^20"),
            ("hierarchy.streams", self.streams, 1..=1 << 20, "from 1 to 2^20"),
        ];
        if let Some((key, found, _, expected)) = sizes.into_iter().find(|(_, size, range, _)| !range.contains(size)) {
            return Some((key, found.to_string(), expected));
        }
        let parts = [("hierarchy.usable", self.usable), ("hierarchy.exposed", self.exposed)];
        let pairs = [
            ("hierarchy.conflict_cycles", self.conflict_cycles),
            ("hierarchy.scattered_moves", self.scattered_moves),
            ("hierarchy.strided_moves", self.strided_moves),
            ("hierarchy.round_trip_moves", self.round_trip_moves),
        ];
        let single =
            [("hierarchy.stream_miss_cycles", self.stream_miss_cycles), ("hierarchy.fetch_cycles", self.fetch_cycles)];
        let pairs = pairs.into_iter().flat_map(|(key, pair)| pair.map(|number| (key, number)));
        // Written so that a NaN is refused too.
        let outside = |most: f64| move |(_, number): &(&'static str, f64)| !(0.0..=most).contains(number);
        let part = parts.into_iter().find(outside(1.0)).map(|fault| (fault, "from 0 to 1"));
        let number = || single.into_iter().chain(pairs).find(outside(1000.0)).map(|fault| (fault, "from 0 to 1000"));
        let ((key, found), expected) = part.or_else(number)?;
        Some((key, format!("{found:?}"), expected))
    }
}
