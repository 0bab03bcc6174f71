//! Targets of object files, each with the runner of its tests.

use convoke_ir::diagnostic::shown;
use convoke_machine::Machine;
use target_lexicon::{Architecture, Triple};

/// A target.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// The triple, as compilers write it: architecture, vendor, system, environment.
    pub triple: Triple,
    /// Whether code for it runs in this process.
    pub host: bool,
    /// The machine it stands for if none is named: what every CPU of the architecture has; for this system, this CPU.
    pub machine: Machine,
    /// The runner of the tests' programs for it; `None` for a target whose object files the tests only parse.
    pub run_by: Option<&'static str>,
}

/// A name that is no target's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no code can be written for `{}`; known are {}", shown(name), known.join(", "))]
pub struct UnknownTarget {
    /// The name.
    pub name: String,
    /// The targets that there are.
    pub known: Vec<String>,
}

impl Target {
    /// The target of this triple, as compilers write it.
    ///
    /// # Errors
    ///
    /// Another name.
    pub fn named(triple: &str) -> Result<Target, UnknownTarget> {
        let mut all = targets();
        let known: Vec<String> = all.iter().map(|target| target.triple.to_string()).collect();
        match known.iter().position(|name| name == triple) {
            Some(at) => Ok(all.swap_remove(at)),
            None => Err(UnknownTarget { name: triple.into(), known }),
        }
    }
}

/// The triples, each with its machine and the runner of `tests/targets/`.
const TARGETS: [(&str, &str, Option<&str>); 7] = [
    ("x86_64-unknown-linux-gnu", "x86-64", Some("the CPU")),
    ("x86_64-unknown-linux-musl", "x86-64", Some("the CPU")),
    ("x86_64-pc-windows-gnu", "x86-64", Some("wine")),
    ("aarch64-unknown-linux-gnu", "aarch64", Some("qemu-aarch64")),
    ("aarch64-apple-darwin", "aarch64", None),
    ("riscv64gc-unknown-linux-gnu", "riscv64", Some("qemu-riscv64")),
    ("s390x-unknown-linux-gnu", "s390x", Some("qemu-s390x")),
];

/// Every target, the host's first; those of other architectures with the feature `targets` only.
pub fn targets() -> Vec<Target> {
    let host = Triple::host();
    let target = |(triple, machine, run_by): &(&str, &str, Option<&'static str>)| {
        let (triple, machine): (Triple, _) = (triple.parse().ok()?, Machine::named(machine).ok()?);
        let host = triple == host;
        // Code for the host may use all that the host has.
        Some(Target { triple, host, machine: if host { Machine::host() } else { machine }, run_by: *run_by })
    };
    let mut all: Vec<Target> = TARGETS.iter().filter_map(target).collect();
    all.retain(|target| cfg!(feature = "targets") || alike(&target.triple, &host));
    if !all.iter().any(|target| target.host) && all.iter().any(|target| alike(&target.triple, &host)) {
        all.push(Target { triple: host, host: true, machine: Machine::host(), run_by: None });
    }
    all.sort_by_key(|target| !target.host);
    all
}

/// Whether two triples have one instruction set.
fn alike(a: &Triple, b: &Triple) -> bool {
    let riscv = |triple: &Triple| matches!(triple.architecture, Architecture::Riscv64(_));
    a.architecture == b.architecture || riscv(a) && riscv(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_has_a_machine_and_the_host_is_first() {
        let all = targets();
        assert_eq!(all.iter().filter(|target| target.host).count(), 1);
        assert!(all[0].host && all[0].machine.name == "host");
        for (triple, ..) in TARGETS.iter().filter(|_| cfg!(feature = "targets")) {
            assert!(all.iter().any(|target| target.triple.to_string() == *triple), "{triple}");
        }
    }
}
