//! Commands with their arguments.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::options::{Options, Which};
use super::values::{at_least_one, binding, duration, not_negative, ops, seed, symbol_prefix};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  convoke run layer.conv --check
  convoke run blur.conv --input image=photo.png --output y=blurred.png
  convoke run layer.conv --input x=x.npy --output y=y.npy --threads 2 --json")]
pub(crate) struct Run {
    /// The layer, as text
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// An input: NumPy array or PNG image; an image has 1 to 4 channels: grey or colours, and alpha. Inputs not given are random. An image is
    /// an input in the range 1/255 to 1, with 16 bits 1/65535 to 1, unless --input-range says otherwise
    #[arg(long, value_name = "NAME=FILE", value_parser = binding)]
    pub(crate) input: Vec<(String, PathBuf)>,
    /// File of an output: NumPy array or PNG image
    #[arg(long, value_name = "NAME=FILE", value_parser = binding)]
    pub(crate) output: Vec<(String, PathBuf)>,
    /// The engine that runs it
    #[arg(long, value_enum, default_value_t = Backend::Jit)]
    pub(crate) backend: Backend,
    /// Compare with the interpreter; exit status 1 if an error exceeds its bound or --max-error
    #[arg(long)]
    pub(crate) check: bool,
    /// Selects the random inputs
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true, value_parser = seed)]
    pub(crate) seed: u64,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) options: Options,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  convoke opt layer.conv                              the passes of -O2 over the layer
  convoke opt layer.conv --stage loops                the same, lowered to loop IR
  convoke opt layer.conv --stage layer                stop before lowering
  convoke opt layer.conv --passes fold-pad,drop-dead  these passes, in this order
  convoke opt layer.conv --print-after-all            the IR after each pass that changed it")]
pub(crate) struct Opt {
    /// The layers or loop programs, as text
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Run these passes, in this order, instead of those of the level: `a,b(option=value)`
    #[arg(long, value_name = "A,B(O=V)")]
    pub(crate) passes: Option<String>,
    /// Print the IR after each pass; what changed nothing is named and not repeated
    #[arg(long)]
    pub(crate) print_after_all: bool,
    /// The last stage
    #[arg(long, value_enum)]
    pub(crate) stage: Option<Stage>,
    /// File of the IR
    #[arg(short, value_name = "FILE", default_value = "-")]
    pub(crate) output: PathBuf,
    #[command(flatten)]
    pub(crate) options: Options,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  convoke compile layer.conv -o layer.o
  convoke compile layer.conv --emit header -o layer.h
  convoke compile layer.conv --emit asm -o -
  convoke compile layer.conv --symbol-prefix my_ -o layer.o     defines my_NAME for the layer @NAME
  convoke compile layer.conv --emit loops --cpu x86-64-v3 -o -")]
pub(crate) struct Compile {
    /// The layer, as text; for `--emit asm|clif` also a loop program, which is taken as it is
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// File of the result
    #[arg(short, value_name = "OUT")]
    pub(crate) output: PathBuf,
    /// Kind of the result
    #[arg(long, value_enum, default_value_t = Emit::Obj)]
    pub(crate) emit: Emit,
    /// Write for this target (see `convoke targets`)
    #[arg(long, value_name = "TRIPLE")]
    pub(crate) target: Option<String>,
    /// Prefix of the C function's name, before that of the layer. With '' the layer's name is taken as it is, and refused if it is
    /// a keyword or a name of the C library
    #[arg(long, value_name = "P", default_value = convoke_codegen::SYMBOL_PREFIX, value_parser = symbol_prefix)]
    pub(crate) symbol_prefix: String,
    #[command(flatten)]
    pub(crate) options: Options,
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Files of layers
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Run large layers in the loop interpreter after every pass, not after the last alone
    #[arg(long)]
    pub(crate) all: bool,
    /// Selects the random inputs
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true, value_parser = seed)]
    pub(crate) seed: u64,
    /// Print one JSON array
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) options: Options,
}

#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// The layer, as text
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Run these passes too, each in its place among those of the level: `a,b(option=value)`
    #[arg(long, value_name = "A,B(O=V)")]
    pub(crate) passes: Option<String>,
    /// Compile and time each convolution with each algorithm that can compute it, and the layer after each pass
    #[arg(long)]
    pub(crate) measure: bool,
    /// Also write one self-contained HTML page: the same with bars, and the IR after each pass
    #[arg(long, value_name = "OUT")]
    pub(crate) html: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) options: Options,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Rates count the operations of the layer as it is written, two for each multiply-add. Rewritten layers may need fewer. The peak
is the rate of generated code in a loop of multiply-adds alone.")]
pub(crate) struct Bench {
    /// Files of layers
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Seconds to measure each layer for
    #[arg(long, value_name = "S", default_value_t = 1.0, allow_hyphen_values = true, value_parser = duration)]
    pub(crate) seconds: f64,
    /// Selects the random inputs
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true, value_parser = seed)]
    pub(crate) seed: u64,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) options: Options,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = ALGORITHMS_HELP)]
pub(crate) struct Algorithms {
    /// Print this algorithm as a file
    #[arg(value_name = "NAME", conflicts_with = "json")]
    pub(crate) name: Option<String>,
    /// Prove the algorithm in a file, and say what it costs; `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "name")]
    pub(crate) verify: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

const ALGORITHMS_HELP: &str = "\
An algorithm is three matrices of exact numbers, y = C'[(A a) * (B b)]. It is proved when it is read: every coefficient is multiplied
out, and the first wrong one is named. `convoke algorithms strassen > my.toml` shows the form of a file.

  saves          multiplications of the definition for each of the algorithm
  additions      operations of the three transforms
  amplification  how much larger than the result's terms intermediate numbers may be; 1 for the definition";

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  convoke analyze ir-examples/gabor_filter.conv --plot gabor.svg
  convoke analyze net.conv --json")]
pub(crate) struct Analyze {
    /// The layer, as text
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Draw responses, radial profiles and the energy of ranks to this file, whose name ends in .svg or .png
    #[arg(long, value_name = "OUT")]
    pub(crate) plot: Option<PathBuf>,
    /// The most kernels of a convolution to look at, spread evenly
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = at_least_one)]
    pub(crate) kernels: usize,
    /// The most multiplications to spend on the kernels of a convolution, and on its channels
    #[arg(long, value_name = "W", default_value = "1e11", allow_negative_numbers = true, value_parser = not_negative)]
    pub(crate) work: f64,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) which: Which,
}

#[derive(Debug, Args)]
pub(crate) struct Docs {
    /// The op; all if none is named
    #[arg(value_name = "OP", value_parser = ops())]
    pub(crate) op: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  convoke machine > host.toml && convoke compile layer.conv -o layer.o --machine host.toml
  convoke machine --cpu x86-64-v3
  convoke machine --calibrate -o host.toml && convoke run layer.conv --machine host.toml

Algorithms are chosen by predicted cycles. Without a calibration the prediction uses the rates of a typical core; with one, those
of generated code on this CPU. A calibration is used only where it is named with --machine.")]
pub(crate) struct MachineCommand {
    /// A CPU of this name rather than this one
    #[arg(long, value_name = "NAME")]
    pub(crate) cpu: Option<String>,
    /// List the names
    #[arg(long, conflicts_with = "cpu")]
    pub(crate) list: bool,
    /// Measure this CPU: clock, caches, and how fast generated code does what algorithms consist of
    #[arg(long, conflicts_with_all = ["cpu", "list"])]
    pub(crate) calibrate: bool,
    /// Seconds to measure for
    #[arg(long, value_name = "S", default_value_t = 5.0, allow_hyphen_values = true, value_parser = duration, requires = "calibrate")]
    pub(crate) seconds: f64,
    /// File of the description
    #[arg(short, value_name = "FILE", default_value = "-", conflicts_with = "list")]
    pub(crate) output: PathBuf,
    /// Print JSON rather than TOML
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Backend {
    /// Native code in this process
    Jit,
    /// The interpreter
    Interp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Stage {
    /// Layer IR, before lowering
    Layer,
    /// Loop IR
    Loops,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Emit {
    /// An object file with the layer as a C function
    Obj,
    /// Assembly text
    Asm,
    /// Cranelift IR
    Clif,
    /// Loop IR
    Loops,
    /// The C header of the object file
    Header,
    /// A static library, made by `ar`
    Staticlib,
    /// A shared library, made by `cc`
    Sharedlib,
}
