//! Machine descriptions as TOML. Reading is strict: an unknown key, a missing one or a value outside its range is an error.

use crate::{Machine, feature};

/// Why a text is no machine description.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum MachineError {
    /// Not TOML, or not the keys of a machine. The message shows the line.
    #[error("{0}")]
    Toml(String),
    /// A value outside its range.
    #[error("`{field}` of machine `{machine}` must be {expected}, found {found}")]
    Value {
        /// The machine's name.
        machine: String,
        /// The key.
        field: &'static str,
        /// What was written.
        found: String,
        /// The error allowed.
        expected: String,
    },
}

impl Machine {
    /// The description as TOML; [`Machine::from_toml`] reads it back.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("numbers, strings and tables of them are what TOML holds")
    }

    /// Reads a description.
    pub fn from_toml(text: &str) -> Result<Machine, MachineError> {
        let machine: Machine = toml::from_str(text).map_err(|error| MachineError::Toml(error.to_string()))?;
        machine.check()?;
        Ok(machine)
    }

    /// What is wrong with the tables of a description: the key, what was found, what is expected.
    fn number_fault(&self) -> Option<(&'static str, String, &'static str)> {
        let rates = self.rates.product.fault();
        rates.or_else(|| self.hierarchy.fault()).or_else(|| self.thresholds.fault()).or_else(|| self.sharing.fault())
    }

    fn check(&self) -> Result<(), MachineError> {
        let wrong = |field, found: String, expected: &str| {
            Err(MachineError::Value { machine: self.name.clone(), field, found, expected: expected.into() })
        };
        let Some(known) = feature::of(&self.arch) else {
            return wrong("arch", format!("{:?}", self.arch), "`x86_64`, `aarch64`, `riscv64` or `s390x`");
        };
        if let Some(found) = self.features.iter().find(|f| !known.iter().any(|(name, _)| name == f)) {
            let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
            return wrong(
                "features",
                format!("{found:?}"),
                &format!("extensions of {}: {}", self.arch, names.join(", ")),
            );
        }
        if ![128, 256, 512].contains(&self.vector_bits) {
            return wrong("vector_bits", self.vector_bits.to_string(), "128, 256 or 512");
        }
        if !(8..=64).contains(&self.vector_registers) {
            return wrong("vector_registers", self.vector_registers.to_string(), "from 8 to 64");
        }
        if !(1..=4096).contains(&self.threads) {
            return wrong("threads", self.threads.to_string(), "from 1 to 4096");
        }
        let rates = [
            ("fma_per_cycle", self.fma_per_cycle),
            ("fma_latency", self.fma_latency),
            ("ghz", self.ghz),
            ("memory_bytes_per_cycle", self.memory_bytes_per_cycle),
            ("rates.call_cycles", self.rates.call_cycles),
            ("rates.load_cycles", self.rates.load_cycles),
            ("rates.arithmetic_cycles", self.rates.arithmetic_cycles),
            ("rates.store_cycles", self.rates.store_cycles),
            ("rates.gather_cycles", self.rates.gather_cycles),
            ("rates.scatter_cycles", self.rates.scatter_cycles),
            ("rates.page_cycles", self.rates.page_cycles),
            ("rates.loop_cycles", self.rates.loop_cycles),
            ("rates.move_cycles", self.rates.move_cycles),
        ];
        let cache_rates = self.caches.iter().map(|cache| ("caches.bytes_per_cycle", cache.bytes_per_cycle));
        // Written so that a NaN is refused too.
        if let Some((field, found)) = rates.into_iter().chain(cache_rates).find(|&(_, r)| !(r > 0.0 && r <= 1e6)) {
            return wrong(field, format!("{found:?}"), "positive and at most 1000000");
        }
        let prefetch = [
            ("prefetch.latency_operations", self.prefetch.latency_operations),
            ("prefetch.operations_per_line", self.prefetch.operations_per_line),
        ];
        if let Some((field, found)) = prefetch.into_iter().find(|(_, number)| !(1..=1_000_000).contains(number)) {
            return wrong(field, found.to_string(), "from 1 to 1000000");
        }
        if let Some((field, found, expected)) = self.number_fault() {
            return wrong(field, found, expected);
        }
        if self.caches.is_empty() || self.caches.len() > 8 {
            return wrong("caches", format!("{} levels", self.caches.len()), "1 to 8 levels");
        }
        if let Some(cache) = self.caches.iter().find(|cache| cache.bytes < 1024) {
            return wrong("caches.bytes", cache.bytes.to_string(), "at least 1024");
        }
        if let Some(pair) = self.caches.windows(2).find(|pair| pair[1].bytes < pair[0].bytes) {
            return wrong("caches.bytes", pair[1].bytes.to_string(), "in growing order, nearest cache first");
        }
        Ok(())
    }
}
