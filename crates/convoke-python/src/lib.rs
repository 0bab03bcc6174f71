//! The module `convoke._native`: layers, ONNX models and compiled code as Python objects. The package around it, in `python/convoke/`, has the
//! interface that users see; here is what needs Rust.
//!
//! | file | holds |
//! |---|---|
//! | `options` | the options of compiling, from a `dict` |
//! | `layer` | layers and ONNX models |
//! | `compiled` | native code, its types and its report |
//! | `arrays` | NumPy arrays as arrays of a run |
//! | `command` | the `convoke` command in process, for its reports |
//!
//! Compiling and running release Python's global lock. The crate has no `unsafe` code: the crate `numpy` counts who reads and who writes an array.

#![forbid(unsafe_code)]

mod arrays;
mod command;
mod compiled;
mod layer;
mod options;

/// The exceptions of the package.
mod error {
    use pyo3::PyErr;
    use pyo3::exceptions::PyException;

    pyo3::create_exception!(
        convoke,
        Error,
        PyException,
        "A layer, a model, an option or an array that convoke refuses. The message is that of the command; mistakes in a text are shown in their places."
    );

    /// An error of the library as a Python exception.
    pub(crate) fn raised(error: impl Into<convoke::Error>) -> PyErr {
        Error::new_err(error.into().render(false))
    }
}

/// The native half of the package `convoke`.
#[pyo3::pymodule]
mod _native {
    #[pymodule_export]
    use super::command::command;
    #[pymodule_export]
    use super::compiled::Compiled;
    #[pymodule_export]
    use super::error::Error;
    #[pymodule_export]
    use super::layer::{Layer, OnnxModel};
}
