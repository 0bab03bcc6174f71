//! The options that say which CPU code is made for, as the `convoke` command has them.

use std::path::PathBuf;

use clap::Args;
use convoke::Machine;

/// A CPU other than this one with the usual rates.
#[derive(Debug, Args)]
pub struct Cpu {
    /// Compile for a CPU of this name rather than this one
    #[arg(long, value_name = "NAME", conflicts_with = "machine")]
    pub cpu: Option<String>,
    /// Compile for the CPU described in this file, which `convoke machine` writes, rather than this one with the usual rates
    #[arg(long, value_name = "FILE")]
    pub machine: Option<PathBuf>,
}

impl Cpu {
    /// Its description.
    ///
    /// # Errors
    ///
    /// A name that is not known; a file that cannot be read or is no description.
    pub fn describe(&self) -> Result<Machine, String> {
        match (&self.cpu, &self.machine) {
            (Some(name), _) => Machine::named(name).map_err(|e| e.to_string()),
            (None, Some(path)) => {
                let at = |what: String| format!("{}: {what}", path.display());
                let text = std::fs::read_to_string(path).map_err(|e| at(e.to_string()))?;
                Machine::from_toml(&text).map_err(|e| at(e.to_string()))
            }
            (None, None) => Ok(Machine::host()),
        }
    }
}
