//! The command line: every command and option, once. Help, usage errors and suggestions come from here.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use convoke::ir::layer::Range;
use convoke::{Algorithm, Compiler, InputRange, Subnormals};

/// A compiler for convolution layers.
///
/// A layer is described in text (`.conv`); convoke chooses how to compute it on one CPU, compiles it to native code in
/// milliseconds, and checks the result against an interpreter.
#[derive(Debug, Parser)]
#[command(name = "convoke", version, max_term_width = 120, after_help = AFTER_HELP)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Leave times and rates out, so that the output is the same on every run
    #[arg(long, global = true, hide_short_help = true)]
    pub(crate) no_times: bool,
}

const AFTER_HELP: &str = "\
Examples:
  convoke run ir-examples/vgg16_conv3_2.conv --check
  convoke run ir-examples/sobel_edges.conv --input image=photo.png --output y=edges.png
  convoke opt ir-examples/resnet50_bottleneck.conv --print-after-all
  convoke compile layer.conv -o layer.o && convoke compile layer.conv --emit header -o layer.h
  convoke check ir-examples/*.conv

Exit status: 0 done; 1 the input is wrong or a check failed; 2 wrong usage; 101 a bug in convoke.
`-` as a file is standard input or output. Colours follow the terminal and NO_COLOR.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Compile a layer and run it
    Run(Run),
    /// Run passes and print the IR
    Opt(Opt),
    /// Write native code, assembly, IR or a C header
    Compile(Compile),
    /// Run every stage and the native code against the interpreter
    Check(Check),
    /// Show every candidate algorithm with its cost, and what each pass did
    Explain(Explain),
    /// Say what the kernels of a layer are as filters
    Analyze(Analyze),
    /// Measure how fast layers run
    Bench(Bench),
    /// List the passes
    Passes(List),
    /// List the targets code can be written for
    Targets(List),
    /// Print the description of this CPU, or of a named one
    Machine(MachineCommand),
    /// List fast algorithms as data, print one, or prove one
    Algorithms(Algorithms),
    /// Say what an op of the language means
    Docs(Docs),
}

impl Command {
    /// The options that commands which compile share.
    pub(crate) fn options_mut(&mut self) -> Option<&mut Options> {
        match self {
            Command::Run(Run { options, .. })
            | Command::Opt(Opt { options, .. })
            | Command::Compile(Compile { options, .. })
            | Command::Check(Check { options, .. })
            | Command::Explain(Explain { options, .. })
            | Command::Bench(Bench { options, .. }) => Some(options),
            Command::Analyze(_)
            | Command::Passes(_)
            | Command::Targets(_)
            | Command::Machine(_)
            | Command::Algorithms(_)
            | Command::Docs(_) => None,
        }
    }
}

/// What every command that compiles takes.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How much to optimise: 0 only selects and lowers, 1 also rewrites and fuses, 2 also folds weights, 3 as 2
    #[arg(short = 'O', value_name = "LEVEL", default_value_t = 2, allow_negative_numbers = true, value_parser = clap::value_parser!(u8).range(0..=3))]
    pub(crate) level: u8,
    /// Largest rounding error to expect (root mean square), relative to Σ|w||x| of an output element, for inputs of like magnitude
    /// within a tile; with --certified, the largest there may be, relative to Σ|w| times the largest |x| of the tile
    #[arg(long, value_name = "E", allow_hyphen_values = true, value_parser = not_negative)]
    pub(crate) max_error: Option<f64>,
    /// Compute a tile by plain sums where its largest pixel is more than K times those an output reads; 0 trusts every tile
    #[arg(long, value_name = "K", default_value_t = Compiler::GUARD, value_parser = clap::value_parser!(u32).range(..=1 << 20))]
    pub(crate) guard: u32,
    /// Magnitudes of the elements of every input: none is larger than HI, and a smaller one than LO counts as LO. An algorithm that mixes
    /// the inputs of a tile has its error counted HI/LO times, at most --guard times. HI alone bounds the error in `explain`
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
    /// Compute every convolution this way
    #[arg(long, value_name = "A", value_parser = algorithm)]
    pub(crate) algorithm: Option<Algorithm>,
    /// Threads to run on, at most 64, or 4 for each processor if that is more; the result is the same for any number
    #[arg(long, value_name = "N", default_value_t = 1, allow_negative_numbers = true, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: u16,
    /// How native code takes subnormal numbers (below 1.2e-38 in f32), which CPUs compute up to 700 times slower
    #[arg(long, value_enum, default_value_t = SubnormalMode::Flush)]
    pub(crate) subnormals: SubnormalMode,
    /// Compile for a CPU of this name rather than this one
    #[arg(long, value_name = "NAME", conflicts_with = "machine")]
    pub(crate) cpu: Option<String>,
    /// Compile for the CPU described in this file (see `convoke machine`)
    #[arg(long, value_name = "FILE")]
    pub(crate) machine: Option<PathBuf>,
    /// Time the candidate algorithms that may be the fastest on so many threads, and keep the verdict for the next time
    #[arg(long)]
    pub(crate) tune: bool,
    /// Keep verdicts in this folder rather than in $CONVOKE_CACHE_DIR or the user's cache; it may be deleted at any time
    #[arg(long, value_name = "DIR", requires = "tune")]
    pub(crate) tune_cache: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) which: Which,
}

/// Options of every command that reads a layer's numbers.
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// Refuse layers that need more memory than this for tensors and scratch: `512M`, `4G`
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "2G")]
    pub(crate) max_memory: u64,
    /// The layer to take of a file that holds several
    #[arg(long, value_name = "NAME")]
    pub(crate) layer: Option<String>,
}

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
    /// Where an output goes: NumPy array or PNG image
    #[arg(long, value_name = "NAME=FILE", value_parser = binding)]
    pub(crate) output: Vec<(String, PathBuf)>,
    /// What runs it
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
    /// Where to stop
    #[arg(long, value_enum)]
    pub(crate) stage: Option<Stage>,
    /// Where the IR goes
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
    /// Where the result goes
    #[arg(short, value_name = "OUT")]
    pub(crate) output: PathBuf,
    /// What to write
    #[arg(long, value_enum, default_value_t = Emit::Obj)]
    pub(crate) emit: Emit,
    /// Write for this target (see `convoke targets`)
    #[arg(long, value_name = "TRIPLE")]
    pub(crate) target: Option<String>,
    /// Prefix of the C function's name, before that of the layer. With '' the layer's name is taken as it is, and refused if it is
    /// a keyword or a name of the C library
    #[arg(long, value_name = "P", default_value = convoke::codegen::SYMBOL_PREFIX, value_parser = symbol_prefix)]
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
Rates count the operations of the layer as it is written, two for each multiply-add. Rewriting may do with fewer. The peak
is what generated code reaches in a loop of nothing but multiply-adds.")]
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
    /// Where the description goes
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
pub(crate) enum SubnormalMode {
    /// As zero, where they are read and where they are computed
    Flush,
    /// As IEEE 754 says, and as the interpreter does
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

fn algorithm(text: &str) -> Result<Algorithm, String> {
    text.parse().map_err(|expected| format!("an algorithm is {expected}"))
}

fn ops() -> clap::builder::PossibleValuesParser {
    clap::builder::PossibleValuesParser::new(convoke::ir::layer::OPS.iter().map(|op| op.name))
}

/// The beginning of a C identifier, or nothing.
fn symbol_prefix(text: &str) -> Result<String, String> {
    let fits = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    match text.chars().next() {
        Some(first) if !fits || !first.is_ascii_alphabetic() => {
            Err("expected letters, digits and `_`, with a letter in front, or ''".into())
        }
        _ => Ok(text.into()),
    }
}

/// Seconds, an hour at the most.
fn duration(text: &str) -> Result<f64, String> {
    not_negative(text).ok().filter(|s| *s <= 3600.0).ok_or_else(|| "expected seconds between 0 and 3600".into())
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|n| *n >= 1).ok_or_else(|| "expected a whole number of at least 1".into())
}

fn seed(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("expected a whole number from 0 to {}", u64::MAX))
}

fn not_negative(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(v) if v >= 0.0 && v.is_finite() => Ok(v),
        Ok(_) => Err("expected a finite number that is not negative".into()),
        Err(_) => Err("expected a number such as 1e-4".into()),
    }
}

/// `HI` or `LO,HI`.
fn input_range(text: &str) -> Result<InputRange, String> {
    let Some((least, most)) = text.split_once(',') else { return not_negative(text).map(InputRange::UpTo) };
    let range = Range::new(not_negative(least.trim())?, not_negative(most.trim())?);
    let wrong = "expected the smallest magnitude that counts and the largest, both positive, as in `0.0039,1`";
    range.map(InputRange::Within).ok_or_else(|| wrong.into())
}

/// A number of bytes, with K, M, G or T behind it for powers of 1024.
fn bytes(text: &str) -> Result<u64, String> {
    let wrong = || "expected a number of bytes such as 512M or 4G".to_owned();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
    let shift = match &text[digits..] {
        "" | "B" => 0,
        "K" | "KB" | "KiB" => 10,
        "M" | "MB" | "MiB" => 20,
        "G" | "GB" | "GiB" => 30,
        "T" | "TB" | "TiB" => 40,
        _ => return Err(wrong()),
    };
    number.checked_mul(1 << shift).ok_or_else(|| "more bytes than 64 bits can count".into())
}

/// `NAME=FILE`; a `%` before the name is allowed, as the IR writes it.
fn binding(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, file)) if !name.is_empty() && !file.is_empty() => {
            Ok((name.trim_start_matches('%').into(), file.into()))
        }
        _ => Err("expected NAME=FILE, as in `x=x.npy`".into()),
    }
}
