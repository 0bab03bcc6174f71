//! What a certificate holds.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use serde::{Deserialize, Serialize};

/// The file that names all others.
pub const NAME: &str = "certificate.json";
/// The format that this crate reads and describes.
pub const FORMAT: u32 = 3;

/// Bytes that are read at a time.
const PIECE: usize = 1 << 16;

/// A certificate: a record of how a layer became a program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// [`FORMAT`].
    pub format: u32,
    /// The program and its version.
    pub by: String,
    /// The layer, without `@`.
    pub layer: String,
    /// The machine that the program is for, as a description in TOML.
    pub machine: String,
    /// The layer as given, and after each pass that changed it.
    pub stages: Vec<Stage>,
    /// The files of constants that the stages read.
    pub weights: Vec<File>,
    /// The convolutions of the last layer among the stages.
    pub convolutions: Vec<Convolution>,
    /// The files of code that were written with it.
    pub code: Vec<File>,
    /// The hash of all else.
    #[serde(default)]
    pub seal: String,
}

/// A file of the folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Its name.
    pub name: String,
    /// The BLAKE3 hash of its bytes, in hexadecimal digits.
    pub hash: String,
}

/// The layer or program after a pass.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// The text.
    pub file: File,
    /// The pass that made it; `None` of the layer as given.
    pub pass: Option<String>,
    /// How it may differ from the stage before.
    pub change: Change,
    /// What the pass says of the values that it rewrote, for readers.
    pub reasons: Vec<String>,
    /// How far its kernels are from those of the stage before.
    pub residuals: Vec<Residual>,
}

/// The distance of the kernels of a value, where they are a chain of others or were one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Residual {
    /// The value, without `%`.
    pub value: String,
    /// ‖K′ − K‖ / ‖K‖ in the Frobenius norm, with the weights as they are stored.
    pub frobenius: f64,
}

/// How a stage may differ from the one before.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// Not at all, but for the order of evaluation.
    Exact,
    /// By rounding in the element type.
    Rounding,
    /// By so much, relative to the root mean square of the results.
    Approximate(f64),
}

/// A convolution, and why its algorithm computes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Convolution {
    /// The value, without `%`.
    pub value: String,
    /// As in the text: `winograd(4x4)`.
    pub algorithm: String,
    /// What the bound is computed from, beside the algorithm: taps of a filter of one channel, down and across, and channels of a group.
    pub taps: [usize; 2],
    /// See [`Convolution::taps`].
    pub channels: usize,
    /// The unit roundoff of its element type.
    pub unit_roundoff: f64,
    /// What no error exceeds: of sums relative to Σ|w||x|, of other algorithms relative to Σ|w| · max|x| of a tile or, for products of blocks,
    /// of the input.
    pub bound: f64,
    /// The identity that it rests on; of sums there is none.
    pub identity: Option<Algorithm>,
    /// How tiles cover rows and columns. A plain sum is a tile of one output.
    pub covers: [Cover; 2],
}

/// The tiles along an axis of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cover {
    /// Residues of outputs that are tiled apart, since a dilated kernel mixes no two of them.
    pub residues: usize,
    /// Tiles of the residue with the most outputs.
    pub tiles: usize,
    /// Outputs of a tile.
    pub outputs: usize,
    /// Inputs that a tile of outputs depends on.
    pub inputs: usize,
    /// Input elements from one tile to the next.
    pub step: usize,
    /// How many zeros before the first input and after the last the outputs reach.
    pub zeros: [usize; 2],
}

/// The identities of a fast algorithm: one for each axis of a tile, or one of a matrix product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Algorithm {
    /// Rows, then columns; the same file if they are the same.
    pub axes: Vec<Axis>,
    /// Blocks that the kernel is cut into, down and across, if it is: the identity is that of a block, and blocks are summed as channels are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocks: Option<[usize; 2]>,
}

/// An identity along an axis.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Axis {
    /// The matrices.
    pub file: File,
    /// What they compute.
    pub problem: Problem,
}

/// What the matrices of an algorithm compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Problem {
    /// `m` outputs of `r` taps, `s` inputs apart.
    Correlation {
        /// Outputs.
        m: usize,
        /// Taps.
        r: usize,
        /// Inputs from output to output.
        s: usize,
    },
    /// m×k by k×n.
    Matmul(usize, usize, usize),
}

impl Certificate {
    /// With the seal of what it says.
    pub fn sealed(mut self) -> Certificate {
        self.seal = self.seal_of();
        self
    }

    /// The seal that it must have.
    pub(crate) fn seal_of(&self) -> String {
        let unsealed = Certificate { seal: String::new(), ..self.clone() };
        hash(&serde_json::to_vec(&unsealed).expect("numbers are finite and names are text"))
    }

    /// The text of [`NAME`].
    pub fn to_text(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("numbers are finite and names are text");
        text.push('\n');
        text
    }

    /// All files of the folder that it names, each once for every place that names it. Code may lie elsewhere.
    pub(crate) fn files(&self) -> impl Iterator<Item = &File> {
        let stages = self.stages.iter().map(|stage| &stage.file);
        let identities = self.convolutions.iter().filter_map(|conv| conv.identity.as_ref());
        let axes = identities.flat_map(|identity| &identity.axes).map(|axis| &axis.file);
        stages.chain(&self.weights).chain(axes)
    }
}

/// The hash of these bytes, as in [`File::hash`].
pub fn hash(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

/// The hash of a file's bytes.
///
/// # Errors
///
/// Those of reading it.
pub fn hash_of_file(path: &Path) -> io::Result<String> {
    let (mut file, mut hasher) = (fs::File::open(path)?, blake3::Hasher::new());
    let mut bytes = vec![0; PIECE];
    loop {
        match file.read(&mut bytes)? {
            0 => break,
            read => hasher.update(&bytes[..read]),
        };
    }
    Ok(hasher.finalize().to_hex().to_string())
}
