//! The CPU this process runs on.

use crate::{Machine, feature, named};

/// Why code for a machine cannot run on this CPU.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    /// Another architecture.
    #[error("code for `{machine}` is {arch} code, this CPU is {host}; name a machine of this architecture, or `host`")]
    Arch {
        /// The machine's name.
        machine: String,
        /// Its architecture.
        arch: String,
        /// The architecture of this process.
        host: &'static str,
    },
    /// The same architecture, with extensions this CPU does not have.
    #[error("code for `{machine}` uses {}, which this CPU does not have; name a machine without, or `host`", extensions.join(", "))]
    Extensions {
        /// The machine's name.
        machine: String,
        /// What is missing.
        extensions: Vec<String>,
    },
}

impl Machine {
    /// The CPU this process runs on.
    ///
    /// Architecture, extensions, cache sizes and threads are detected, and with the extensions the longest vectors that code is written
    /// for. Clock and rates are not measured here: they are those of the first of `sapphirerapids`, `x86-64-v4` and `x86-64-v3` whose
    /// extensions it has, until a calibration replaces them.
    pub fn host() -> Machine {
        let arch = std::env::consts::ARCH;
        let detected = feature::of(arch).unwrap_or(&[]).iter().filter(|(_, has)| has());
        let features: Vec<String> = detected.map(|(name, _)| (*name).to_owned()).collect();
        let has = |machine: &Machine| machine.features.iter().all(|feature| features.contains(feature));
        let base = match arch {
            "aarch64" => named::aarch64(),
            "riscv64" => named::riscv64(),
            "s390x" => named::s390x(),
            _ => [named::sapphire_rapids(), Machine::x86_64_v4(), Machine::x86_64_v3()]
                .into_iter()
                .find(has)
                .unwrap_or_else(named::x86_64),
        };
        let sizes = cache_sizes();
        Machine {
            name: "host".into(),
            arch: arch.into(),
            features,
            threads: std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(u32::MAX)),
            caches: if sizes.is_empty() { base.caches } else { named::resized(&sizes, &base.caches) },
            ..base
        }
    }

    /// Whether code for this machine can run in this process. Asked before any such code is called: an instruction
    /// that the CPU lacks would end the process.
    pub fn runs_on_host(&self) -> Result<(), Missing> {
        let host = std::env::consts::ARCH;
        if self.arch != host {
            return Err(Missing::Arch { machine: self.name.clone(), arch: self.arch.clone(), host });
        }
        let known = feature::of(host).unwrap_or(&[]);
        let lacks = |name: &&String| !known.iter().any(|(n, has)| n == name && has());
        let extensions: Vec<String> = self.features.iter().filter(lacks).cloned().collect();
        if extensions.is_empty() { Ok(()) } else { Err(Missing::Extensions { machine: self.name.clone(), extensions }) }
    }
}

/// Sizes of the data caches, nearest first; empty where the CPU does not say.
#[cfg(target_arch = "x86_64")]
fn cache_sizes() -> Vec<usize> {
    use raw_cpuid::{CacheType, CpuId};
    let Some(parameters) = CpuId::new().get_cache_parameters() else { return Vec::new() };
    let mut levels: Vec<(u8, usize)> = parameters
        .filter(|cache| matches!(cache.cache_type(), CacheType::Data | CacheType::Unified))
        .map(|cache| {
            let lines = cache.associativity() * cache.physical_line_partitions() * cache.sets();
            (cache.level(), lines * cache.coherency_line_size())
        })
        .filter(|&(_, bytes)| bytes > 0)
        .collect();
    levels.sort_unstable();
    levels.into_iter().map(|(_, bytes)| bytes).collect()
}

#[cfg(not(target_arch = "x86_64"))]
fn cache_sizes() -> Vec<usize> {
    Vec::new()
}

/// What this process runs on, in a line: maker, family, model and stepping as far as the CPU tells them. Measured times are
/// kept under it; nothing is decided by it.
pub fn processor() -> String {
    #[cfg(target_arch = "x86_64")]
    {
        let id = raw_cpuid::CpuId::new();
        let brand = id.get_processor_brand_string().map_or_else(String::new, |brand| brand.as_str().trim().to_owned());
        let version = id
            .get_feature_info()
            .map_or_else(String::new, |f| format!("{}.{}.{}", f.family_id(), f.model_id(), f.stepping_id()));
        let one_line = |text: String| text.chars().filter(|c| !c.is_control()).collect::<String>();
        one_line(format!("{} {brand} {version}", std::env::consts::ARCH))
    }
    #[cfg(not(target_arch = "x86_64"))]
    std::env::consts::ARCH.to_owned()
}
