//! Numbers of memory: lines and pages, and how far ahead code prefetches.

use serde::{Deserialize, Serialize};

/// Bytes of a line of the caches.
pub const LINE_BYTES: usize = 64;
/// A distance of numbers that are used together is made a line longer if it is a multiple of this many bytes. Such numbers fall into
/// at most a quarter of the sets of a cache, and push each other out.
pub const SPREAD_BYTES: usize = 4 * LINE_BYTES;
/// Bytes of the smallest page, within which a core fetches ahead by itself, and by which a stack grows.
pub const PAGE_BYTES: usize = 4096;
/// Bytes of a huge page of x86-64, and of most aarch64.
pub const HUGE_PAGE_BYTES: usize = 2 << 20;

/// When a loop asks for what its next iteration reads. Operations are those of loop IR: loads, stores, arithmetic on vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Prefetch {
    /// Operations that a core goes through while memory answers.
    pub latency_operations: u32,
    /// Operations of a loop for each line that it asks for, at the least.
    pub operations_per_line: u32,
}

impl Default for Prefetch {
    fn default() -> Prefetch {
        Prefetch { latency_operations: 200, operations_per_line: 4 }
    }
}
