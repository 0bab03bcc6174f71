//! Bodies of fuzzing: each takes any bytes, says whether they are valid, and panics if convoke is wrong about them. `fuzz/` runs them guided by coverage, `tests/fuzzing.rs` on seeded
//! bytes; docs/fuzzing.md says how.
//!
//! | file | bytes are |
//! |---|---|
//! | `text.rs` | a text of layers and programs |
//! | `program.rs` | a text whose programs are run |
//! | `passes.rs` | a list of passes |
//! | `onnx.rs` | an ONNX model; a tensor of one |
//! | `arrays.rs` | npy, npz, safetensors, PNG |
//! | `toml.rs` | a machine's description; an algorithm |
//! | `certificate.rs` | the `certificate.json` of a folder |
//! | `net.rs` | the decisions of a generator of nets, and of options of the compiler |
//! | `mutate.rs` | changes of valid files |
//! | `valid.rs` | the valid files |

mod arrays;
mod certificate;
mod mutate;
mod net;
mod onnx;
mod passes;
mod program;
mod text;
mod toml;
mod valid;

use crate::Random;

/// A body, with the valid inputs that are changed.
#[derive(Clone, Copy, Debug)]
pub struct Body {
    /// The name: that of its file in `fuzz/fuzz_targets`.
    pub name: &'static str,
    /// Runs it, and says whether the bytes were valid, so that more than their refusal was tested; panics on a finding.
    pub run: fn(&[u8]) -> bool,
    /// Valid inputs. None for a body to which all bytes are valid.
    pub valid: fn() -> Vec<Vec<u8>>,
    /// How many seeded inputs an ordinary test runs: less than ten seconds, unoptimised.
    pub runs: u64,
}

/// All of them.
pub const BODIES: &[Body] = &[
    Body { name: "text", run: text::run, valid: valid::texts, runs: 1500 },
    Body { name: "program", run: program::run, valid: valid::programs, runs: 200 },
    Body { name: "passes", run: passes::run, valid: valid::passes, runs: 5000 },
    Body { name: "onnx", run: onnx::model, valid: valid::models, runs: 2000 },
    Body { name: "pb", run: onnx::tensor, valid: valid::tensors, runs: 2000 },
    Body { name: "npy", run: arrays::npy, valid: valid::npy, runs: 2000 },
    Body { name: "npz", run: arrays::npz, valid: valid::npz, runs: 2000 },
    Body { name: "safetensors", run: arrays::safetensors, valid: valid::safetensors, runs: 2000 },
    Body { name: "png", run: arrays::png, valid: valid::png, runs: 2000 },
    Body { name: "machine", run: toml::machine, valid: valid::machines, runs: 300 },
    Body { name: "algorithm", run: toml::algorithm, valid: valid::algorithms, runs: 200 },
    Body { name: "certificate", run: certificate::run, valid: valid::certificates, runs: 500 },
    Body { name: "net", run: net::run, valid: Vec::new, runs: 60 },
];

/// Runs the body of this name.
pub fn run(name: &str, bytes: &[u8]) -> bool {
    let body = BODIES.iter().find(|body| body.name == name).unwrap_or_else(|| panic!("there is no body {name}"));
    (body.run)(bytes)
}

impl Body {
    /// The input of a seed: random bytes, or one of `valid` that is changed.
    pub fn seeded(seed: u64, valid: &[Vec<u8>]) -> Vec<u8> {
        let mut random = Random::new(seed);
        if valid.is_empty() {
            return (0..random.between(1, 400)).map(|_| random.bits() as u8).collect();
        }
        mutate::changed(&mut random, valid)
    }
}
