//! Replays the certificate of a compiled layer, without the passes that made it.
//!
//! A certificate is a folder: the layer as it was given and after each pass that changed it, its weights, the matrices of the algorithms that were
//! chosen, and `certificate.json`, which names them all with their hashes. Nothing here knows a pass, the choice of algorithms, lowering or code
//! generation. What is needed is the meaning of the two languages and exact arithmetic:
//!
//! | file | says |
//! |---|---|
//! | `certificate.rs` | what a certificate holds, and its seal |
//! | `files.rs` | that every file is there, is whole, and is the only one of its name |
//! | `stages.rs` | that each stage is well-formed and computes what the one before it does, on inputs of `inputs.rs` |
//! | `algorithms.rs` | that each convolution by a fast algorithm has one, of its sizes |
//! | `identity.rs` | that the matrices of an algorithm compute a convolution or a product, coefficient by coefficient |
//! | `bounds.rs` | that each bound of rounding follows from its numbers |
//!
//! The verifier of loop programs, which is part of the language, proves for the programs among the stages that every access lies inside its buffer,
//! that nothing is read before it is written, and that no two iterations of a parallel loop touch one element.

mod algorithms;
mod bounds;
mod certificate;
mod files;
mod identity;
mod inputs;
mod stages;

use std::path::{Path, PathBuf};

use convoke_interp::InterpError;

pub use bounds::bound;
pub use certificate::{
    Algorithm, Axis, Certificate, Change, Convolution, FORMAT, File, NAME, Problem, Stage, hash, hash_of_file,
};

/// What was checked, in order.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The checks that held.
    pub held: Vec<Check>,
}

/// A check that held.
#[derive(Clone, Debug)]
pub struct Check {
    /// The file or value that it is of.
    pub of: String,
    /// What is known of it now.
    pub says: String,
}

/// Why a certificate is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// A file cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file is not what the certificate says, or the certificate is not whole.
    #[error("{file}: {reason}")]
    Changed {
        /// The file.
        file: String,
        /// How it differs.
        reason: String,
    },
    /// A statement of the certificate does not hold.
    #[error("{of}: {reason}")]
    Wrong {
        /// The stage, algorithm or value.
        of: String,
        /// What does not hold.
        reason: String,
    },
    /// A stage cannot be run.
    #[error("{stage}: {source}")]
    Run {
        /// The stage.
        stage: String,
        /// Why not.
        source: InterpError,
    },
}

type Result<T> = std::result::Result<T, Refused>;

fn wrong<T>(of: &str, reason: impl Into<String>) -> Result<T> {
    Err(Refused::Wrong { of: of.into(), reason: reason.into() })
}

/// How a certificate is replayed.
#[derive(Clone, Copy, Debug)]
pub struct Replay {
    /// The memory that a run of a stage may take, in bytes.
    pub budget: u64,
    /// Whether the programs of a large layer are all run, not only the last.
    pub all: bool,
}

/// Replays the certificate in the folder `at`. `before` gets the name of each check before it is made.
///
/// # Errors
///
/// The first thing that does not hold.
pub fn verify(at: &Path, replay: Replay, mut before: impl FnMut(&str)) -> Result<Report> {
    let mut report = Report::default();
    let mut held = |of: &str, says: String| report.held.push(Check { of: of.into(), says });
    before(NAME);
    let certificate = files::read(at)?;
    let count = files::all(at, &certificate)?;
    held(NAME, format!("sealed; {count} files as they were written"));
    let (last, checks) = stages::replay(at, &certificate, replay, &mut before)?;
    checks.into_iter().for_each(|check| held(&check.of, check.says));
    before("algorithms");
    for check in algorithms::check(at, &certificate, &last)? {
        held(&check.of, check.says);
    }
    Ok(report)
}
