//! The targets that object files can be written for: the architectures of the back end with this system's object format.

use convoke_machine::Machine;
use target_lexicon::{Architecture, Triple};

/// A target.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// Its name, as compilers write it.
    pub triple: String,
    /// Whether code for it runs in this process.
    pub host: bool,
    /// The machine it stands for if none is named: what every CPU of the architecture has.
    pub machine: Machine,
}

/// Every target, the host's first.
pub fn targets() -> Vec<Target> {
    let host = Triple::host();
    let mut all: Vec<Target> = ["x86-64", "aarch64"]
        .iter()
        .filter_map(|name| {
            let machine = Machine::named(name).ok()?;
            let architecture: Architecture = machine.arch.parse().ok()?;
            let triple = Triple { architecture, ..host.clone() };
            let on_host = architecture == host.architecture;
            // Code for the host may use all that the host has.
            let machine = if on_host { Machine::host() } else { machine };
            Some(Target { triple: triple.to_string(), host: on_host, machine })
        })
        .collect();
    all.sort_by_key(|target| !target.host);
    all
}
