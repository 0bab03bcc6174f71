//! Options that several commands share.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use convoke::{Compiler, InputRange, Limit, Limits, Plan, Subnormals};

use super::limits::LimitFlags;
use super::values::{
    Normalise, algorithm, at_least_one, bytes, dim, input, input_range, input_shape, normalise, not_negative, seed,
};

/// Options of every command that compiles.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Optimisation level: 0 only selects and lowers, 1 also rewrites and fuses, 2 also folds weights, 3 as 2
    #[arg(short = 'O', value_name = "LEVEL", default_value_t = 2, allow_negative_numbers = true, value_parser = clap::value_parser!(u8).range(0..=3))]
    pub(crate) level: u8,
    /// Largest rounding error to expect (root mean square), relative to Σ|w||x| of an output element, for inputs of like magnitude
    /// within a tile; with --certified, the largest there may be, relative to Σ|w| times the largest |x| of the tile
    #[arg(long, value_name = "E", allow_hyphen_values = true, value_parser = not_negative)]
    pub(crate) max_error: Option<f64>,
    /// Largest error to expect of every output of the net (root mean square), relative to the root mean square of the output: each
    /// convolution gets the fastest algorithm that its share of it allows. The net is run on sample inputs for this: those of --input,
    /// or random ones in the range declared
    #[arg(long, value_name = "E", allow_hyphen_values = true, value_parser = not_negative)]
    pub(crate) max_output_error: Option<f64>,
    /// Compute a tile by plain sums if its largest pixel is more than K times the largest one that some output reads; 0 guards no tile
    #[arg(long, value_name = "K", default_value_t = Compiler::GUARD, value_parser = clap::value_parser!(u32).range(..=1 << 20))]
    pub(crate) guard: u32,
    /// Use only algorithms and passes by which a NaN or an infinity stays where the sums of the layer put it: no Winograd, FFT or Strassen
    #[arg(long)]
    pub(crate) ieee: bool,
    /// Magnitudes of the elements of every input: none is above HI, and those below LO count as LO. The error of an algorithm that mixes
    /// the inputs of a tile is multiplied by HI/LO, at most by --guard. HI alone bounds the error in `explain`
    #[arg(long, value_name = "LO,HI", value_parser = input_range)]
    pub(crate) input_range: Option<InputRange>,
    /// Grant passes that approximate the function, up to this relative error
    #[arg(long, value_name = "T", allow_hyphen_values = true, value_parser = not_negative)]
    pub(crate) tolerance: Option<f64>,
    /// Hold --max-error against a bound that no input exceeds, instead of the error to expect
    #[arg(long)]
    pub(crate) certified: bool,
    /// Grant passes that change the function and leave new weights to be trained
    #[arg(long)]
    pub(crate) structural: bool,
    /// Compute every convolution by this algorithm, form or plan, where it applies
    #[arg(long, value_name = "A", value_parser = algorithm)]
    pub(crate) algorithm: Option<Plan>,
    /// Threads to run on, at most --max-threads; the result is the same for any number
    #[arg(long, value_name = "N", default_value_t = 1, allow_negative_numbers = true, value_parser = at_least_one)]
    pub(crate) threads: usize,
    /// Subnormal numbers in native code (below 1.2e-38 in f32), which CPUs compute up to 700 times slower
    #[arg(long, value_enum, default_value_t = SubnormalMode::Flush)]
    pub(crate) subnormals: SubnormalMode,
    /// Compile for a CPU of this name rather than this one; `compile` takes several, `x86-64,x86-64-v3,x86-64-v4`: the object has code for
    /// each, and chooses when it runs
    #[arg(long, value_name = "NAME", conflicts_with = "machine")]
    pub(crate) cpu: Option<String>,
    /// Compile for the CPU described in this file (see `convoke machine`)
    #[arg(long, value_name = "FILE")]
    pub(crate) machine: Option<PathBuf>,
    /// Choose algorithms by timing the candidates that may be the fastest, on --threads threads; verdicts are kept for later runs
    #[arg(long)]
    pub(crate) tune: bool,
    /// Keep verdicts in this folder rather than in $CONVOKE_CACHE_DIR or the user's cache; it may be deleted at any time
    #[arg(long, value_name = "DIR", requires = "tune")]
    pub(crate) tune_cache: Option<PathBuf>,
    /// Keep compiled layers in this folder, and load them from it in later runs; it may be deleted at any time. Code is run from it
    #[arg(long, value_name = "DIR", conflicts_with = "tune")]
    pub(crate) cache: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) limits: LimitFlags<false>,
    #[command(flatten)]
    pub(crate) which: Which,
}

/// Options of every command that runs native code for its result.
#[derive(Debug, Args)]
pub(crate) struct Sanitizer {
    /// Check each access of native code against its buffer, and find outputs that were computed from memory that nobody wrote. Such code
    /// is several times slower
    #[arg(long, conflicts_with = "tune")]
    pub(crate) sanitize: bool,
}

/// Options of every command that reads a layer's numbers.
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// Refuse layers that need more memory than this for tensors and scratch: `512M`, `4G`
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "2G")]
    pub(crate) max_memory: u64,
    /// The layer to use from a file that has several
    #[arg(long, value_name = "NAME")]
    pub(crate) layer: Option<String>,
    /// Give a symbolic size of an ONNX model this number; may be repeated
    #[arg(long, value_name = "NAME=SIZE", value_parser = dim)]
    pub(crate) dim: Vec<(String, usize)>,
    /// Give an input of an ONNX model this shape: `x=1,3,640,640`; may be repeated
    #[arg(long, value_name = "NAME=SHAPE", value_parser = input_shape)]
    pub(crate) input_shape: Vec<(String, Vec<usize>)>,
    /// Compute these values of an ONNX model instead of its outputs; what they do not need is left out
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    pub(crate) outputs: Vec<String>,
    #[command(flatten)]
    pub(crate) limits: LimitFlags<true>,
}

impl Options {
    /// All limits.
    pub(crate) fn limits(&self) -> Limits {
        self.limits.over(self.which.limits())
    }
}

impl Which {
    /// The limits of reading and of memory.
    pub(crate) fn limits(&self) -> Limits {
        self.limits.over(Limits::default()).with(Limit::Memory, self.max_memory)
    }

    /// Sizes and outputs of an ONNX model.
    pub(crate) fn onnx(&self) -> convoke::onnx::Options {
        let options = convoke::onnx::Options::default();
        let options = self.dim.iter().fold(options, |options, (name, size)| options.with_dim(name, *size));
        let shapes = self.input_shape.iter();
        let options = shapes.fold(options, |options, (name, dims)| options.with_input_shape(name, dims.clone()));
        self.outputs.iter().fold(options, |options, name| options.with_output(name.trim_start_matches('%')))
    }
}

/// Options of every command that makes random inputs.
#[derive(Debug, Args)]
pub(crate) struct Random {
    /// Selects the random inputs
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true, value_parser = seed)]
    pub(crate) seed: u64,
}

/// Options of every command that runs on files.
#[derive(Debug, Args)]
pub(crate) struct Inputs {
    /// File of an input: NumPy array (.npy, .npz), .safetensors, ONNX tensor (.pb) or PNG image; without a name, a file of arrays by the
    /// names of inputs. An image has 1 to 4 channels (grey or colours, with or without alpha) and the range 1/255 to 1, with 16 bits
    /// 1/65535 to 1, unless --input-range says otherwise
    #[arg(long, value_name = "[NAME=]FILE", value_parser = input)]
    pub(crate) input: Vec<(Option<String>, PathBuf)>,
    /// Subtract a mean from each channel of an image, whose values are 0 to 1, and divide by a standard deviation: one pair for all
    /// channels, or all means and then all deviations. The net is compiled with this in front
    #[arg(long, value_name = "MEAN,DEV", value_parser = normalise, allow_hyphen_values = true)]
    pub(crate) normalise: Option<Normalise>,
    /// Fit an image of another size to the net, by linear interpolation. The net is compiled with this in front
    #[arg(long)]
    pub(crate) resize: bool,
}

/// Options of every command that prints a report.
#[derive(Debug, Args)]
pub(crate) struct Format {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SubnormalMode {
    /// Read and written as zero
    Flush,
    /// Kept, as IEEE 754 says and the interpreter does
    Keep,
}

impl From<SubnormalMode> for Subnormals {
    fn from(mode: SubnormalMode) -> Subnormals {
        match mode {
            SubnormalMode::Flush => Subnormals::Flush,
            SubnormalMode::Keep => Subnormals::Keep,
        }
    }
}
