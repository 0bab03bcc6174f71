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
//! | `code.rs` | that files of code are those that were written with the certificate, where they are given |
//! | `stages.rs` | that each stage is well-formed and computes what the one before it does, on inputs of `inputs.rs` |
//! | `residual.rs`, `response.rs` | how far kernels that a stage factors, or joins, are from those before, from the weights of both |
//! | `algorithms.rs` | that each convolution by a fast algorithm has one, of its sizes |
//! | `identity.rs` | that the matrices of an algorithm compute a convolution or a product, coefficient by coefficient |
//! | `cover.rs` | that tiles cover each output once, with the inputs and the zeros that it reads |
//! | `bounds.rs` | that each bound of rounding follows from its numbers |
//!
//! The verifier of loop programs, which is part of the language, proves for the programs among the stages that every access lies inside its buffer,
//! that nothing is read before it is written, and that no two iterations of a parallel loop touch one element.

mod algorithms;
mod bounds;
mod certificate;
mod code;
mod cover;
mod files;
mod identity;
mod inputs;
mod refused;
mod residual;
mod response;
mod stages;

use std::path::Path;

pub use bounds::bound;
pub use certificate::{
    Algorithm, Axis, Certificate, Change, Convolution, Cover, FORMAT, File, NAME, Problem, Residual, Stage, hash,
    hash_of_file,
};
pub use code::{verify_code, with_code};
use refused::Result;
pub use refused::{Check, Refused, Report};
pub use residual::residuals;
pub use stages::Replay;

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
    code::check(at, &certificate)?.into_iter().for_each(|check| held(&check.of, check.says));
    before("algorithms");
    for check in algorithms::check(at, &certificate, &last)? {
        held(&check.of, check.says);
    }
    Ok(report)
}
