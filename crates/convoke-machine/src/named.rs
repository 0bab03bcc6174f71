//! Machines that have a name: fixed descriptions, the same everywhere. Snapshots of generated code use them.
//!
//! Cache sizes are the makers' published ones; bandwidths, clock and memory rates are round figures of a typical core
//! and only rank alternatives against each other.

use crate::{Cache, Hierarchy, Machine, Prefetch, Rates, Sharing, Thresholds, feature};

/// There is no machine of this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no machine `{name}`; known are {}", Machine::NAMES.join(", "))]
pub struct UnknownMachine {
    /// The name asked for.
    pub name: String,
}

impl Machine {
    /// The names that [`Machine::named`] knows; `host` is detected, the others are fixed.
    pub const NAMES: &'static [&'static str] = &[
        "host",
        "x86-64",
        "x86-64-v3",
        "x86-64-v4",
        "avx10.1-256",
        "zen4",
        "sapphirerapids",
        "aarch64",
        "riscv64",
        "s390x",
    ];

    /// The machine of this name.
    pub fn named(name: &str) -> Result<Machine, UnknownMachine> {
        match name {
            "host" => Ok(Machine::host()),
            "x86-64" => Ok(x86_64()),
            "x86-64-v3" => Ok(Machine::x86_64_v3()),
            "x86-64-v4" => Ok(Machine::x86_64_v4()),
            "avx10.1-256" => Ok(avx10_256()),
            "zen4" => Ok(zen4()),
            "sapphirerapids" => Ok(sapphire_rapids()),
            "aarch64" => Ok(aarch64()),
            "riscv64" => Ok(riscv64()),
            "s390x" => Ok(s390x()),
            _ => Err(UnknownMachine { name: name.into() }),
        }
    }

    /// A plain x86-64 with AVX2 and FMA: vectors of 256 bits.
    pub fn x86_64_v3() -> Machine {
        Machine {
            name: "x86-64-v3".into(),
            features: up_to("fma"),
            vector_bits: 256,
            fma_per_cycle: 2.0,
            fma_latency: 4.0,
            caches: caches(&[32 << 10, 512 << 10, 4 << 20], 256),
            rates: Rates::avx2(),
            ..x86_64()
        }
    }

    /// A plain x86-64 with AVX-512: vectors of 512 bits, one multiply-add of them a cycle.
    pub fn x86_64_v4() -> Machine {
        Machine {
            name: "x86-64-v4".into(),
            features: up_to("avx512vl").into_iter().filter(|f| f != "avx_vnni").collect(),
            vector_bits: 512,
            vector_registers: 32,
            fma_per_cycle: 1.0,
            caches: caches(&[32 << 10, 1 << 20, 4 << 20], 512),
            rates: Rates::wide(),
            ..Machine::x86_64_v3()
        }
    }
}

/// Every x86-64: SSE2, no fused multiply-add.
pub(crate) fn x86_64() -> Machine {
    Machine {
        name: "x86-64".into(),
        arch: "x86_64".into(),
        features: Vec::new(),
        vector_bits: 128,
        vector_registers: 16,
        fma_per_cycle: 1.0,
        fma_latency: 4.0,
        ghz: 3.0,
        threads: 1,
        memory_bytes_per_cycle: 7.0,
        caches: caches(&[32 << 10, 256 << 10, 2 << 20], 128),
        hierarchy: Hierarchy::default(),
        thresholds: Thresholds::default(),
        sharing: Sharing::default(),
        prefetch: Prefetch::default(),
        rates: Rates::default(),
    }
}

/// An x86-64 with AVX10.1 at 256 bits, by GCC's name for it: the instructions, registers and masks of AVX-512 on vectors of 256 bits. Of the
/// extensions that AVX10.1 collects it names those of `x86-64-v4`, so that its code runs on every CPU with AVX-512VL too.
fn avx10_256() -> Machine {
    Machine {
        name: "avx10.1-256".into(),
        vector_bits: 256,
        fma_per_cycle: 2.0,
        caches: caches(&[32 << 10, 1 << 20, 4 << 20], 256),
        rates: Rates::avx2(),
        ..Machine::x86_64_v4()
    }
}

/// AMD's fourth Zen generation, a server part with 32 MiB of level-3 cache for each group of cores.
fn zen4() -> Machine {
    Machine {
        name: "zen4".into(),
        features: up_to("avx512vnni").into_iter().filter(|f| f != "avx_vnni").collect(),
        caches: caches(&[32 << 10, 1 << 20, 32 << 20], 512),
        ..Machine::x86_64_v4()
    }
}

/// Intel's fourth generation of scalable Xeons and those after it: two multiply-adds of 512 bits a cycle, and a large second-level
/// cache, beyond which a core gets little more than memory gives.
pub(crate) fn sapphire_rapids() -> Machine {
    const CACHES: [(usize, f64); 3] = [(48 << 10, 128.0), (2 << 20, 48.0), (60 << 20, 10.0)];
    let cache = |(bytes, bytes_per_cycle)| Cache { bytes, bytes_per_cycle };
    Machine {
        name: "sapphirerapids".into(),
        features: up_to("avx512fp16"),
        fma_per_cycle: 2.0,
        memory_bytes_per_cycle: 5.0,
        caches: CACHES.map(cache).to_vec(),
        rates: Rates::sapphire_rapids(),
        ..Machine::x86_64_v4()
    }
}

/// Every 64-bit Arm: NEON, with fused multiply-add.
pub(crate) fn aarch64() -> Machine {
    Machine {
        name: "aarch64".into(),
        arch: "aarch64".into(),
        vector_registers: 32,
        fma_per_cycle: 2.0,
        fma_latency: 4.0,
        caches: caches(&[64 << 10, 512 << 10, 4 << 20], 128),
        ..x86_64()
    }
}

/// Every 64-bit RISC-V with the extensions that Linux distributions need, RV64GC: fused multiply-add of scalars. Code for it has four scalars
/// for a vector, so that 32 registers hold eight.
pub(crate) fn riscv64() -> Machine {
    Machine {
        name: "riscv64".into(),
        arch: "riscv64".into(),
        vector_registers: 8,
        fma_per_cycle: 0.25,
        fma_latency: 5.0,
        ghz: 1.5,
        ..aarch64()
    }
}

/// Every IBM Z that Cranelift writes for, from the z14 on. Its vectors are not used: code for it has four scalars for one.
pub(crate) fn s390x() -> Machine {
    Machine {
        name: "s390x".into(),
        arch: "s390x".into(),
        fma_per_cycle: 0.5,
        fma_latency: 6.0,
        ghz: 5.0,
        caches: caches(&[128 << 10, 2 << 20, 64 << 20], 128),
        ..riscv64()
    }
}

/// The most bytes of a level. Of a larger one, which many cores share, the rest counts as theirs.
const MOST: usize = 64 << 20;

/// Caches of these sizes with the bandwidths of `like`, level by level; where there are more, those of its last.
pub(crate) fn resized(sizes: &[usize], like: &[Cache]) -> Vec<Cache> {
    let rates = like.iter().chain(like.last().into_iter().cycle()).map(|cache| cache.bytes_per_cycle);
    sizes.iter().zip(rates).map(|(&bytes, bytes_per_cycle)| Cache { bytes: bytes.min(MOST), bytes_per_cycle }).collect()
}

/// Caches of these sizes with the bandwidths of a typical core for vectors of `vector_bits` bits. The nearest serves two loads a cycle, or one of
/// 512 bits.
fn caches(sizes: &[usize], vector_bits: u32) -> Vec<Cache> {
    const BYTES_PER_CYCLE: [[f64; 3]; 2] = [[32.0, 28.0, 26.0], [64.0, 32.0, 28.0]];
    let rates = BYTES_PER_CYCLE[usize::from(vector_bits > 128)];
    let rate = |level: usize| rates[level.min(2)];
    sizes.iter().enumerate().map(|(level, &bytes)| Cache { bytes, bytes_per_cycle: rate(level) }).collect()
}

/// The extensions of x86-64 from the first to `last`.
fn up_to(last: &str) -> Vec<String> {
    let end = feature::X86_64.iter().position(|(name, _)| *name == last).map_or(0, |i| i + 1);
    feature::X86_64[..end].iter().map(|(name, _)| (*name).to_owned()).collect()
}
