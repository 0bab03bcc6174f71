//! Object files: C functions that run programs, and the header that declares them.
//!
//! ```c
//! int NAME(const float *x, …, float *y, …, void *workspace);
//! ```
//!
//! Inputs and outputs stand in the order the program declares them. Constants lie in the object, read-only, or in a file beside it, which the program
//! gives to the function before the workspace. The function calls the
//! kernels one after the other on the calling thread: any number of threads may call it, each with a workspace of its own. It sets the floating-point
//! control register for itself, and gives it back as it was ([`control`](crate::control)).
//!
//! A net may be in the object for several CPUs. The first call asks the CPU what it has and keeps the answer in one word, the only memory that is
//! written beside the caller's.
//!
//! | file | holds |
//! |---|---|
//! | `net.rs` | nets, and what is exported of each |
//! | `builder.rs` | the object under construction |
//! | `weights.rs` | constants beside the object |
//! | `steps.rs` | the function of a net for one CPU that runs a part of a step |
//! | `entry.rs` | the exported functions |
//! | `cpu.rs` | the choice of the CPU |
//! | `description.rs` | what a net says of itself |
//! | `header.rs`, `example.rs` | the C header, and a C program that uses it |
//! | `rust.rs` | the Rust interface |
//! | `names.rs` | names of functions, macros and types, all different |
//! | `archive.rs` | the object as a static library |

mod archive;
mod builder;
mod cpu;
mod description;
mod entry;
mod example;
mod header;
mod names;
mod net;
mod rust;
mod steps;
mod weights;

pub use archive::static_library;
pub use builder::Object;
pub use example::example;
pub use header::header;
pub use net::{Export, Net, Variant};
pub use rust::rust;

use crate::constants::Constants;
use crate::error::CodegenError;
use crate::machine_code::guard;
use builder::Builder;
use weights::WeightsFile;

/// An object file with these nets, for the system of `export`. Constants with the same bytes are there once.
///
/// # Errors
///
/// Two nets with a name in common, and as [`compile`](crate::compile()).
pub fn object(nets: &[Net<'_>], constants: &dyn Constants, export: &Export) -> Result<Object, CodegenError> {
    names::symbols(nets, export)?;
    guard(|| {
        let mut builder = Builder::new(nets, export)?;
        let mut steps = Vec::new();
        for net in nets {
            let variants = net.variants.iter().enumerate();
            let variants = variants.map(|(number, variant)| builder.variant(net, number, variant, constants));
            steps.push(variants.collect::<Result<Vec<_>, _>>()?);
        }
        builder.weights.iter_mut().for_each(WeightsFile::seal);
        for (net, steps) in nets.iter().zip(&steps) {
            builder.entries(net, steps)?;
        }
        builder.finish()
    })
}
