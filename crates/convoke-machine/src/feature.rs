//! The instruction set extensions a description may name, and how the host is asked for each.
//!
//! Names are Cranelift's flags without `has_`, where Cranelift has one; the others serve the wide emitters.

macro_rules! extensions {
    ($(#[$doc:meta])* $table:ident on $arch:literal: $($name:literal = $std:tt),* $(,)?) => {
        $(#[$doc])*
        pub(crate) const $table: &[Extension] = &[$(($name, || {
            #[cfg(target_arch = $arch)]
            { detected!($std) }
            #[cfg(not(target_arch = $arch))]
            { false }
        }),)*];
    };
}

#[cfg(target_arch = "x86_64")]
macro_rules! detected {
    ($std:tt) => {
        std::arch::is_x86_feature_detected!($std)
    };
}

#[cfg(target_arch = "aarch64")]
macro_rules! detected {
    ($std:tt) => {
        std::arch::is_aarch64_feature_detected!($std)
    };
}

extensions! {
    /// Extensions of x86-64 beyond SSE2, each after what it builds on.
    X86_64 on "x86_64":
    "cmpxchg16b" = "cmpxchg16b",
    "sse3" = "sse3",
    "ssse3" = "ssse3",
    "sse41" = "sse4.1",
    "sse42" = "sse4.2",
    "popcnt" = "popcnt",
    "lzcnt" = "lzcnt",
    "bmi1" = "bmi1",
    "bmi2" = "bmi2",
    "avx" = "avx",
    "f16c" = "f16c",
    "avx2" = "avx2",
    "fma" = "fma",
    "avx_vnni" = "avxvnni",
    "avx512f" = "avx512f",
    "avx512cd" = "avx512cd",
    "avx512bw" = "avx512bw",
    "avx512dq" = "avx512dq",
    "avx512vl" = "avx512vl",
    "avx512vbmi" = "avx512vbmi",
    "avx512bitalg" = "avx512bitalg",
    "avx512vnni" = "avx512vnni",
    "avx512fp16" = "avx512fp16",
}

extensions! {
    /// Extensions of aarch64 beyond NEON.
    AARCH64 on "aarch64":
    "lse" = "lse",
    "fp16" = "fp16",
    "dotprod" = "dotprod",
    "i8mm" = "i8mm",
}

/// An extension: its name, and whether the CPU of this process has it.
pub(crate) type Extension = (&'static str, fn() -> bool);

/// The extensions of an architecture, or `None` for one that no code is generated for.
pub(crate) fn of(arch: &str) -> Option<&'static [Extension]> {
    match arch {
        "x86_64" => Some(X86_64),
        "aarch64" => Some(AARCH64),
        // Their code uses what every CPU of theirs has.
        "riscv64" | "s390x" => Some(&[]),
        _ => None,
    }
}
