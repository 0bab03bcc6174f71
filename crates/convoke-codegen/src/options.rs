//! Options of compiled code.

use convoke_data::Files;
use convoke_ir::elem::Subnormals;
use convoke_ir::limits::Bounds;

/// Options of compiled code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The most threads a run uses: the caller's, and others that are started once for all programs that use as many.
    pub threads: usize,
    /// The most bytes that constants and workspace may take together.
    pub max_bytes: u64,
    /// How subnormal numbers are taken.
    pub subnormals: Subnormals,
    /// Whether code checks each access against its buffer, and memory begins as poison; see [`RunError::Sanitizer`] and [`RunError::Unwritten`].
    pub sanitize: bool,
    /// The limits of threads, code and time.
    pub bounds: Bounds,
}

impl Default for Options {
    /// One thread, the budget of files, subnormal numbers flushed to zero, no checks.
    fn default() -> Options {
        Options {
            threads: 1,
            max_bytes: Files::DEFAULT_BUDGET,
            subnormals: Subnormals::default(),
            sanitize: false,
            bounds: Bounds::default(),
        }
    }
}
