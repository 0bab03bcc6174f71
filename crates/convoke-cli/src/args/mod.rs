//! The command line: every command and option, once. Help, usage errors and suggestions come from here.

mod commands;
mod explain;
mod limits;
mod options;
mod reduce;
mod values;
mod verify;

use std::ffi::OsString;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

#[cfg(feature = "compile")]
pub(crate) use commands::Emit;
pub(crate) use commands::{
    Algorithms, Analyze, Backend, Bench, Check, Compile, Docs, Import, List, MachineCommand, Opt, Run, Stage,
};
pub(crate) use explain::Explain;
pub(crate) use options::{Inputs, Options, Random, Which};
pub(crate) use reduce::Reduce;
pub(crate) use verify::Verify;

/// A compiler for convolution layers.
///
/// A layer is described in text (`.conv`), a net also by an ONNX model (`.onnx`); convoke chooses how to compute it on one CPU, compiles it to native code in
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
  convoke run model.onnx --input images=photo.png
  convoke import model.onnx --dim batch=1 -o net.conv

Exit status: 0 done; 1 the input is wrong or a check failed; 2 wrong usage; 101 a bug in convoke.
`-` as a file is standard input or output. Colours follow the terminal and NO_COLOR.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Compile a layer and run it
    Run(Run),
    /// Run passes and print the IR
    Opt(Opt),
    /// Write an ONNX model as text, with its weights beside it
    Import(Import),
    /// Write native code, assembly, IR or a C header
    Compile(Compile),
    /// Run every stage and the native code against the interpreter
    Check(Check),
    /// Replay the certificate of a compiled layer
    Verify(Verify),
    /// Make a failing net as small as it can be while it still fails
    Reduce(Reduce),
    /// Show every candidate algorithm with its cost, and the changes of each pass
    Explain(Explain),
    /// Describe the kernels of a layer as filters
    Analyze(Analyze),
    /// Measure how fast layers run
    Bench(Bench),
    /// List the passes
    Passes(List),
    /// List the targets of code
    Targets(List),
    /// Print the description of this CPU, or of a named one
    Machine(MachineCommand),
    /// List fast algorithms as data, print one, or prove one
    Algorithms(Algorithms),
    /// Print the meaning of an op of the language
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
            | Command::Reduce(Reduce { options, .. })
            | Command::Explain(Explain { options, .. })
            | Command::Bench(Bench { options, .. }) => Some(options),
            Command::Analyze(_)
            | Command::Import(_)
            | Command::Verify(_)
            | Command::Passes(_)
            | Command::Targets(_)
            | Command::Machine(_)
            | Command::Algorithms(_)
            | Command::Docs(_) => None,
        }
    }
}

impl Cli {
    /// Reads a command line, which starts with the program's name.
    pub(crate) fn of(args: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> Result<Cli, clap::Error> {
        let matches = Cli::command().try_get_matches_from(args)?;
        let mut cli = Cli::from_arg_matches(&matches)?;
        if let (Command::Reduce(reduce), Some((_, matches))) = (&mut cli.command, matches.subcommand()) {
            reduce.set_of_check(matches);
        }
        Ok(cli)
    }
}
