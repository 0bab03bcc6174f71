//! The arguments of `convoke verify`.

use std::path::PathBuf;

use clap::Args;

use super::options::Format;
use super::values::bytes;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  convoke compile layer.conv -o layer.o --certificates why       the code, and how it came about
  convoke verify why                                             replays that, without the passes
  convoke verify why --code layer.o                              and that this is the code

An error names the first statement that does not hold; the exit status is then 1. docs/certificates.md tells proofs from tests and assumptions.")]
pub(crate) struct Verify {
    /// The folder that `compile --certificates` wrote
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
    /// Check that this file is code that was written with the certificate; may be given several times
    #[arg(long, value_name = "FILE")]
    pub(crate) code: Vec<PathBuf>,
    /// Run all programs of a large layer, not only the last
    #[arg(long)]
    pub(crate) all: bool,
    /// Refuse stages that need more memory than this to run: `512M`, `4G`
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "2G")]
    pub(crate) max_memory: u64,
    #[command(flatten)]
    pub(crate) format: Format,
}
