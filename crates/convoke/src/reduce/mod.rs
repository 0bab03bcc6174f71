//! The smallest net that still fails: a failing net is made smaller step by step, and each step is kept if the result fails too.
//!
//! ```text
//! layer @net(%x: f32[1, 64, 56, 56]) -> f32[1, 64, 56, 56] {        layer @net(%x: f32[1, 1, 1, 1]) -> f32[1, 1, 1, 1] {
//!   %a = conv2d %x, %w { pads = [1, 1, 1, 1] } then relu     ⟶
//!   %b = hardswish %a                                                 %b = hardswish %x
//!   %c = add %b, %x                                                   return %b
//!   return %c                                                       }
//! }
//! ```
//!
//! | file | what becomes smaller |
//! |---|---|
//! | `functions.rs` | the layers and programs of a text |
//! | `constants.rs` | the numbers of constants: zeros, ones, random ones, few |
//! | `results.rs` | the results: fewer, or an earlier value |
//! | `instructions.rs` | the instructions: a result is replaced by an operand, or becomes an input |
//! | `operands.rs` | the operands of ops that take any number |
//! | `inputs.rs` | the inputs and constants: unread ones, equal ones |
//! | `attributes.rs` | attributes: their defaults, smaller numbers |
//! | `groups.rs` | groups of convolutions, with their channels |
//! | `kernels.rs` | kernels and windows, with their pads |
//! | `extents.rs` | the extents of axes, with all axes that are tied to them |
//! | `annotations.rs` | ranges, storages and element types |
//!
//! `search.rs` holds the smallest net so far and asks whether a candidate fails; `size.rs` says which of two nets is smaller; `axes.rs`, `adapt.rs` and
//! `refit.rs` change the shapes of a whole layer together.
//!
//! Lists are made shorter by halves first, then by ever smaller pieces (Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input",
//! 2002). All kinds are repeated until none applies. Every candidate is verified before it is tried, and none is tried twice.

mod adapt;
mod annotations;
mod attributes;
mod axes;
mod constants;
mod extents;
mod functions;
mod groups;
mod inputs;
mod instructions;
mod kernels;
mod operands;
mod refit;
mod results;
mod search;
mod size;
#[cfg(test)]
mod tests;

use search::{Search, Stop};
pub use size::Size;

use crate::module::Module;

/// The reason why a net was not reduced.
#[derive(Debug, thiserror::Error)]
pub enum ReduceError<E> {
    /// The net does not fail as it is given.
    #[error("the net does not fail as it is given, so there is nothing to reduce")]
    DoesNotFail,
    /// Whether a candidate fails could not be found out.
    #[error(transparent)]
    Asked(E),
}

/// A kind of step.
type Shrink = fn(&mut Search<'_>) -> Result<(), Stop>;

/// The kinds of steps over a whole text, in the order in which they are tried: those that drop most come first.
const KINDS: [Shrink; 11] = [
    functions::shrink,
    constants::shrink,
    results::shrink,
    instructions::shrink,
    operands::shrink,
    inputs::shrink,
    attributes::shrink,
    groups::shrink,
    kernels::shrink,
    extents::shrink,
    annotations::shrink,
];

/// Makes a failing net as small as it can be: no further step of any kind leaves a net that fails.
///
/// `fails` gets one candidate after another, each verified and [smaller](Size) than the last one that failed; the module itself comes first. It must
/// give the same answer for the same net. The result is the last one of which it says `true`. The steps, and so the result, are the same in
/// every run.
///
/// ```
/// use convoke::{Files, Module, reduce::reduce};
/// use std::convert::Infallible;
///
/// let text = "layer @net(%x: f32[1, 8, 16, 16]) -> f32[1, 8, 16, 16] {
///   %w = const f32[8, 8, 3, 3] = normal
///   %a = conv2d %x, %w { pads = [1, 1, 1, 1] }
///   %b = hardswish %a
///   %c = add %b, %x
///   return %c
/// }";
/// let module = Module::from_bytes("net", text.as_bytes(), Files::none())?;
/// let small = reduce(&module, |net| Ok::<_, Infallible>(net.to_string().contains("hardswish")))?;
/// assert_eq!(small.to_string(), "layer @net(%x: f32[1, 1, 1, 1]) -> f32[1, 1, 1, 1] {\n  %b = hardswish %x\n  return %b\n}\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// A net that does not fail, and what `fails` could not find out.
pub fn reduce<E>(module: &Module, mut fails: impl FnMut(&Module) -> Result<bool, E>) -> Result<Module, ReduceError<E>> {
    let mut error = None;
    let mut ask = |candidate: &Module| fails(candidate).map_err(|e| error = Some(e)).map_err(|()| Stop);
    let mut search = Search::new(module, &mut ask);
    let found = run(&mut search);
    let best = search.into_best();
    match (found, error) {
        (_, Some(error)) => Err(ReduceError::Asked(error)),
        (Ok(true), None) => Ok(best),
        (Ok(false) | Err(Stop), None) => Err(ReduceError::DoesNotFail),
    }
}

/// Repeats all kinds until none applies; whether the net fails at all.
fn run(search: &mut Search<'_>) -> Result<bool, Stop> {
    if !search.begin()? {
        return Ok(false);
    }
    loop {
        let before = search.size().clone();
        for shrink in KINDS {
            shrink(search)?;
        }
        if *search.size() == before {
            return Ok(true);
        }
    }
}
