//! What was checked, and why a certificate is refused.

use std::path::PathBuf;

use convoke_data::DataError;
use convoke_interp::InterpError;

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
    /// The weights of a stage cannot be read.
    #[error("{stage}: {source}")]
    Weights {
        /// The stage.
        stage: String,
        /// Why not.
        source: Box<DataError>,
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

pub(crate) type Result<T> = std::result::Result<T, Refused>;

/// A statement that does not hold.
pub(crate) fn wrong<T>(of: &str, reason: impl Into<String>) -> Result<T> {
    Err(Refused::Wrong { of: of.into(), reason: reason.into() })
}
