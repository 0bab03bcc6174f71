//! Commands with their arguments.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::options::{Format, Inputs, Options, Random, Sanitizer, Which};
use super::values::{at_least_one, binding, duration, not_negative, ops, symbol_prefix};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  convoke run layer.conv --check
  convoke run blur.conv --input image=photo.png --output y=blurred.png
  convoke run layer.conv --input x=x.npy --output y=y.npy --threads 2 --json
  convoke run model.onnx --input images=photo.png --resize --normalise 0.5,0.5
  convoke run model.onnx --input inputs.npz --profile

Inputs without a file are random.")]
pub(crate) struct Run {
    /// The layer, as text, or a model that ends in .onnx
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) inputs: Inputs,
    /// File of an output: NumPy array or PNG image
    #[arg(long, value_name = "NAME=FILE", value_parser = binding)]
    pub(crate) output: Vec<(String, PathBuf)>,
    /// The engine that runs it
    #[arg(long, value_enum, default_value_t = Backend::Jit)]
    pub(crate) backend: Backend,
    /// Compare with the interpreter; exit status 1 if an error exceeds its bound or --max-error
    #[arg(long)]
    pub(crate) check: bool,
    /// Also time each kernel inside runs of the whole net
    #[arg(long, conflicts_with = "backend")]
    pub(crate) profile: bool,
    #[command(flatten)]
    pub(crate) random: Random,
    #[command(flatten)]
    pub(crate) format: Format,
    #[command(flatten)]
    pub(crate) sanitizer: Sanitizer,
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
  convoke opt layer.conv --print-after-all            the IR after each pass that changed it
  convoke opt layer.conv --stage loops --verify-each  the interpreter's results before and after each pass")]
pub(crate) struct Opt {
    /// The layers or loop programs, as text
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Run these passes, in this order, instead of those of the level: `a,b(option=value)`
    #[arg(long, value_name = "A,B(O=V)")]
    pub(crate) passes: Option<String>,
    /// Print the IR after each pass that changed it, and the names of the other passes
    #[arg(long)]
    pub(crate) print_after_all: bool,
    /// Run the interpreter before and after each pass on random and adversarial inputs; a result that a pass changes by more than it may is an
    /// error. Prints the findings on each pass to standard error
    #[arg(long)]
    pub(crate) verify_each: bool,
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
  convoke import model.onnx -o net.conv                      the net as text, its weights in net.f32.safetensors
  convoke import model.onnx --dim batch=1 -o net.conv        with a symbolic size bound
  convoke import model.onnx --outputs features -o net.conv   the part of the net that computes one value")]
pub(crate) struct Import {
    /// The model, a file that ends in .onnx
    #[arg(value_name = "MODEL")]
    pub(crate) file: PathBuf,
    /// File of the text
    #[arg(short, value_name = "FILE", default_value = "-")]
    pub(crate) output: PathBuf,
    #[command(flatten)]
    pub(crate) which: Which,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  convoke compile layer.conv -o layer.o
  convoke compile layer.conv -o layer.o -o layer.h              an object and its C header
  convoke compile layer.conv --emit asm -o -
  convoke compile model.onnx --name net --cpu x86-64,x86-64-v3 -o net.a
  convoke compile model.onnx --weights net.weights -o net.o     weights in a file of their own
  convoke compile layer.conv --symbol-prefix my_ -o layer.o     defines my_NAME for the layer @NAME
  convoke compile layer.conv --emit loops --cpu x86-64-v3 -o -")]
pub(crate) struct Compile {
    /// The layers, as text, or a model that ends in .onnx; `--emit asm|clif` also takes a loop program, and lists it without running passes
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// File of a result; may be repeated, for an object and its header, say
    #[arg(short, value_name = "OUT", required = true)]
    pub(crate) output: Vec<PathBuf>,
    /// Kind of the result; without it, what OUT ends in: .h .c .rs .a .so .s, and an object file for all else
    #[arg(long, value_enum)]
    pub(crate) emit: Option<Emit>,
    /// Write code for this target (see `convoke targets`)
    #[arg(long, value_name = "TRIPLE")]
    pub(crate) target: Option<String>,
    /// Name of the layer in the result, in place of its own; for files with one, or with --layer
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Write the weights to this file beside the code, which takes them as a parameter: a program maps or reads them. With header and c-example, which
    /// declare the parameter, nothing is written
    #[arg(long, value_name = "FILE")]
    pub(crate) weights: Option<PathBuf>,
    /// Write a certificate to this folder, which must be empty or not there: every stage, with the reasons for it, for `convoke verify`. Of
    /// several layers each has a folder in it
    #[arg(long, value_name = "DIR")]
    pub(crate) certificates: Option<PathBuf>,
    /// Prefix of the C function's name; the layer's name follows. The name is refused if it is a keyword or a name of the C library, as it
    /// may be with ''
    #[arg(long, value_name = "P", default_value = convoke_codegen::SYMBOL_PREFIX, value_parser = symbol_prefix)]
    pub(crate) symbol_prefix: String,
    #[command(flatten)]
    pub(crate) options: Options,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  convoke check layer.conv                                       every stage against the interpreter, on random inputs
  convoke check model.onnx --against test_data_set_0             outputs against those of an ONNX data set
  convoke check model.onnx --input in.npz --against out.npz      outputs against arrays by name

Where an output is off, and the expected arrays hold inner values of the net too, the first of these that is off is named.")]
pub(crate) struct Check {
    /// Files of layers, as text, and models that end in .onnx
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Run large layers in the loop interpreter after every pass, not only after the last
    #[arg(long)]
    pub(crate) all: bool,
    /// Compare native code with these arrays instead: a file of arrays by the names of values (.npz, .safetensors), or a folder of
    /// ONNX tensors, `input_0.pb` and `output_0.pb`, or of several such folders
    #[arg(long, value_name = "PATH", conflicts_with = "all")]
    pub(crate) against: Option<PathBuf>,
    /// With --against: the largest root mean square of errors, relative to that of the array; one error may be ten times as large,
    /// relative to the largest element
    #[arg(long, value_name = "R", default_value_t = 1e-4, requires = "against", value_parser = not_negative)]
    pub(crate) within: f64,
    #[command(flatten)]
    pub(crate) inputs: Inputs,
    #[command(flatten)]
    pub(crate) random: Random,
    #[command(flatten)]
    pub(crate) format: Format,
    #[command(flatten)]
    pub(crate) sanitizer: Sanitizer,
    #[command(flatten)]
    pub(crate) options: Options,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Rates count the operations of the layer as it is written, two for each multiply-add. Rewritten layers may need fewer. The peak
is the rate of a generated loop of multiply-adds alone.")]
pub(crate) struct Bench {
    /// Files of layers, as text, and models that end in .onnx
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Seconds to measure each layer for
    #[arg(long, value_name = "S", default_value_t = 1.0, allow_hyphen_values = true, value_parser = duration)]
    pub(crate) seconds: f64,
    /// Also time each kernel inside runs of the whole net
    #[arg(long)]
    pub(crate) profile: bool,
    #[command(flatten)]
    pub(crate) random: Random,
    #[command(flatten)]
    pub(crate) format: Format,
    #[command(flatten)]
    pub(crate) sanitizer: Sanitizer,
    #[command(flatten)]
    pub(crate) options: Options,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    pub(crate) format: Format,
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
    #[command(flatten)]
    pub(crate) format: Format,
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
    /// The layer, as text, or a model that ends in .onnx
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Draw responses, radial profiles and the energy of each rank into this .svg or .png file
    #[arg(long, value_name = "OUT")]
    pub(crate) plot: Option<PathBuf>,
    /// The most kernels of a convolution to analyse, spread evenly
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = at_least_one)]
    pub(crate) kernels: usize,
    /// The most multiplications to spend on the kernels of a convolution, and on its channels
    #[arg(long, value_name = "W", default_value = "1e11", allow_negative_numbers = true, value_parser = not_negative)]
    pub(crate) work: f64,
    #[command(flatten)]
    pub(crate) format: Format,
    #[command(flatten)]
    pub(crate) which: Which,
}

#[derive(Debug, Args)]
pub(crate) struct Docs {
    /// The op; all if none is named
    #[arg(value_name = "OP", value_parser = ops())]
    pub(crate) op: Option<String>,
    #[command(flatten)]
    pub(crate) format: Format,
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
    /// Describe the CPU of this name rather than this one
    #[arg(long, value_name = "NAME")]
    pub(crate) cpu: Option<String>,
    /// List the names
    #[arg(long, conflicts_with = "cpu")]
    pub(crate) list: bool,
    /// Measure this CPU: clock, caches, and the rates of generated code; with --cpu, of code for that CPU, which this one must run
    #[arg(long, conflicts_with = "list")]
    pub(crate) calibrate: bool,
    /// Seconds to measure for
    #[arg(long, value_name = "S", default_value_t = 5.0, allow_hyphen_values = true, value_parser = duration, requires = "calibrate")]
    pub(crate) seconds: f64,
    /// File of the description
    #[arg(short, value_name = "FILE", default_value = "-", conflicts_with = "list")]
    pub(crate) output: PathBuf,
    #[command(flatten)]
    pub(crate) format: Format,
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
    /// A C program that runs the first net of the object file once
    CExample,
    /// Rust source for `include!`: a type for each net, whose methods are safe
    Rust,
    /// A static library
    Staticlib,
    /// A shared library, made by `cc`
    Sharedlib,
}

impl Emit {
    /// The kind that the ending of a file says.
    pub(crate) fn of(output: &Path) -> Emit {
        match output.extension().and_then(|ending| ending.to_str()) {
            Some("h" | "hpp") => Emit::Header,
            Some("c") => Emit::CExample,
            Some("rs") => Emit::Rust,
            Some("a") => Emit::Staticlib,
            Some("so" | "dylib" | "dll") => Emit::Sharedlib,
            Some("s") => Emit::Asm,
            _ => Emit::Obj,
        }
    }

    /// Whether the result is code to read, of one layer.
    pub(crate) fn is_listing(self) -> bool {
        matches!(self, Emit::Asm | Emit::Clif | Emit::Loops)
    }

    /// Whether the result is native code to link or load.
    pub(crate) fn has_code(self) -> bool {
        matches!(self, Emit::Obj | Emit::Staticlib | Emit::Sharedlib)
    }
}
