//! The description of a CPU: vector width, caches, measured rates.
//!
//! Nothing in convoke is decided by a constant that belongs to a machine: lowering and cost model read a [`Machine`],
//! which is detected ([`Machine::host`]), named ([`Machine::named`]) or read from a file ([`Machine::from_toml`]).

#![forbid(unsafe_code)]

mod feature;
mod hierarchy;
mod host;
mod memory;
mod named;
mod rates;
mod registers;
mod sharing;
mod text;
mod thresholds;
mod vectors;

pub use hierarchy::Hierarchy;
pub use host::{Missing, processor};
pub use memory::{HUGE_PAGE_BYTES, LINE_BYTES, PAGE_BYTES, Prefetch, SPREAD_BYTES};
pub use named::UnknownMachine;
pub use rates::{ProductRates, Rates};
pub use registers::ProductRegisters;
pub use sharing::Sharing;
pub use text::MachineError;
pub use thresholds::Thresholds;
pub use vectors::VectorExtension;

use serde::{Deserialize, Serialize};

/// A description of one CPU, as code is generated for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// A name for reports: `zen4`, `x86-64-v3`.
    pub name: String,
    /// Architecture, as in a target triple: `x86_64`, `aarch64`, `riscv64`, `s390x`.
    pub arch: String,
    /// Instruction set extensions that code may use, by Cranelift's flag names without `has_`: `avx2`, `fma`.
    pub features: Vec<String>,
    /// Bits of the vectors that code is written for. Where Cranelift has no vectors, as for riscv64 and s390x, each is as many scalars as it has lanes.
    pub vector_bits: u32,
    /// Vector registers.
    pub vector_registers: u32,
    /// Fused multiply-adds of whole vectors that can start in each cycle.
    pub fma_per_cycle: f64,
    /// Cycles from a multiply-add to the use of its result.
    pub fma_latency: f64,
    /// Clock in GHz while all of this runs.
    pub ghz: f64,
    /// Hardware threads worth using.
    pub threads: u32,
    /// Sustained memory bandwidth of one core in bytes per cycle.
    pub memory_bytes_per_cycle: f64,
    /// Data caches, nearest first.
    pub caches: Vec<Cache>,
    /// Lines, sets, pages and streams. A description without them has those of a typical core.
    #[serde(default)]
    pub hierarchy: Hierarchy,
    /// Sizes from which on one form of a loop is faster than another. A description without them has those of a typical core.
    #[serde(default)]
    pub thresholds: Thresholds,
    /// When threads share work. A description without it has that of a typical core.
    #[serde(default)]
    pub sharing: Sharing,
    /// When loops ask for memory ahead. A description without it has that of a typical core.
    #[serde(default)]
    pub prefetch: Prefetch,
    /// Measured rates of generated code. A description without them has those of a typical core.
    #[serde(default)]
    pub rates: Rates,
}

/// One level of data cache, as one core sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cache {
    /// Size in bytes.
    pub bytes: usize,
    /// Sustained bandwidth in bytes per cycle.
    pub bytes_per_cycle: f64,
}

impl Machine {
    /// How many elements of `bytes` bytes a vector holds.
    pub fn lanes(&self, bytes: usize) -> u8 {
        (self.vector_bits as usize / 8 / bytes).clamp(1, 16) as u8
    }

    /// Loads of vectors that the nearest cache serves in a cycle.
    pub fn loads_per_cycle(&self) -> f64 {
        let vector = f64::from(self.vector_bits) / 8.0;
        self.caches.first().map_or(1.0, |cache| cache.bytes_per_cycle / vector).max(0.5)
    }

    /// The fewest cycles of one step of a product in register tiles: `sums` multiply-adds of vectors, one for each of as many
    /// sums, and `loads` loads of vectors; numbers that are broadcast are loaded beside. What code reaches of it is in [`ProductRates`].
    pub fn step_cycles(&self, sums: usize, loads: usize) -> f64 {
        let multiply = sums as f64 / self.fma_per_cycle.max(f64::MIN_POSITIVE);
        multiply.max(self.fma_latency).max(loads as f64 / self.loads_per_cycle())
    }

    /// Bytes of the nearest cache. A description by hand that has no caches counts as one with the smallest that is usual.
    pub fn first_level(&self) -> usize {
        self.caches.first().map_or(1 << 15, |cache| cache.bytes)
    }

    /// Bytes of the second-level cache, or of the last if there is only one.
    pub fn second_level(&self) -> usize {
        self.caches.get(1).or(self.caches.last()).map_or(1 << 18, |cache| cache.bytes)
    }

    /// Bytes of the last level of cache, which cores may share.
    pub fn last_level(&self) -> usize {
        self.caches.last().map_or(1 << 18, |cache| cache.bytes)
    }

    /// Whether code may use this extension, named as in [`Machine::features`].
    pub fn has(&self, feature: &str) -> bool {
        self.features.iter().any(|f| f == feature)
    }

    /// Whether the CPU can take subnormal numbers as zero. Those of riscv64 and s390x always keep them.
    pub fn flushes_subnormals(&self) -> bool {
        self.arch == "x86_64" || self.arch == "aarch64"
    }

    /// Whether a multiply-add can be fused. On x86-64 the fused instructions are encoded as AVX.
    pub fn has_fma(&self) -> bool {
        self.arch != "x86_64" || self.has("avx") && self.has("fma")
    }
}
