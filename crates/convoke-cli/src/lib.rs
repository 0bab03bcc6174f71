//! The `convoke` command as a library: [`main_with`] runs one command line on given streams and returns its status.
//!
//! | module | holds |
//! |---|---|
//! | `args` | the command line: every command and option |
//! | `options` | the options of compiling, as a `Compiler` |
//! | `commands` | one file for each command |
//! | `source`, `random` | layers from files and standard input; random inputs |
//! | `sink`, `weights` | files and standard output; the files of weights beside a text |
//! | `judge` | the judgement of a comparison with the interpreter |
//! | `table` | tables as text |
//! | `failure` | the reasons why a command stops, with their exit status |
//! | `child` | other programs, with a limit on their time |
//! | `temporary` | folders for tools of the system |
//! | `io` | the streams of a command |
//!
//! Nothing here reads the environment or ends the process; `main.rs` does. Features leave out what takes long to build: `algebra`, `analyze`, `compile`, `targets`.

#![forbid(unsafe_code)]
// Code that only these use stays compiled without them.
#![cfg_attr(not(all(feature = "analyze", feature = "compile")), allow(dead_code))]

mod args;
mod child;
mod commands;
mod failure;
mod inputs;
mod io;
mod judge;
mod options;
mod output_errors;
mod profile;
mod random;
mod sink;
mod source;
mod table;
mod temporary;
mod weights;

use std::ffi::OsString;

use crate::args::{Cli, Command};
use crate::failure::{DONE, Failure, WRONG_USAGE, short};
pub use crate::io::{Captured, Io, capture};
pub use crate::temporary::before_temporary;

/// Ends the program that a command is running, and removes all temporary folders. For a process that a signal ends.
pub fn clean_up() {
    child::stop();
    temporary::remove();
}

/// Runs one command line, which starts with the program's name, and gives its exit status: 0 done, 1 the input is
/// wrong or a check failed, 2 wrong usage.
pub fn main_with(args: impl IntoIterator<Item = impl Into<OsString> + Clone>, io: &mut Io<'_>) -> u8 {
    let mut cli = match Cli::of(args) {
        Ok(cli) => cli,
        Err(error) => return usage(&error, io),
    };
    if let (Some(options), Some(cache)) = (cli.command.options_mut(), io.cache) {
        options.tune_cache.get_or_insert_with(|| cache.to_owned());
    }
    let no_times = cli.no_times;
    let result = match cli.command {
        Command::Run(args) => commands::run::run(args, no_times, io),
        Command::Opt(args) => commands::opt::run(args, no_times, io),
        Command::Import(args) => commands::import::run(args, io),
        #[cfg(feature = "compile")]
        Command::Compile(args) => commands::compile::run(args, io),
        #[cfg(not(feature = "compile"))]
        Command::Compile(_) => Err(failure::left_out("`compile`")),
        Command::Check(args) => commands::check::run(args, io),
        Command::Verify(args) => commands::verify::run(args, io),
        Command::Reduce(args) => commands::reduce::run(&args, io),
        Command::Explain(args) => commands::explain::run(args, no_times, io),
        #[cfg(feature = "analyze")]
        Command::Analyze(args) => commands::analyze::run(args, io),
        #[cfg(not(feature = "analyze"))]
        Command::Analyze(_) => Err(failure::left_out("`analyze`")),
        Command::Bench(args) => commands::bench::run(args, io),
        Command::Passes(args) => commands::passes::run(args, io),
        Command::Targets(args) => commands::targets::run(args, io),
        Command::Machine(args) => commands::machine::run(args, io),
        Command::Algorithms(args) => commands::algorithms::run(args, io),
        Command::Docs(args) => commands::docs::run(args, io),
    };
    let result = result.and_then(|()| io.stdout.flush().map_err(Failure::Stdout));
    let Err(failure) = result else { return DONE };
    // Results written before the failure stay in order with the message. If a stream is gone, there is no one to tell.
    let _ = io.stdout.flush();
    failure.report(io)
}

/// Help, version, or a wrong command line.
fn usage(error: &clap::Error, io: &mut Io<'_>) -> u8 {
    let text = error.render().to_string();
    if error.use_stderr() {
        let _ = io.stderr.write_all(short(&text).as_bytes());
        return WRONG_USAGE;
    }
    match io.stdout.write_all(text.as_bytes()).and_then(|()| io.stdout.flush()) {
        Err(error) => Failure::Stdout(error).report(io),
        Ok(()) => DONE,
    }
}
