//! The arguments of `convoke reduce`, which passes the options of `check` on to it.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args};

use super::commands::Check;
use super::options::{Options, Random, Which};
use super::values::{duration, with_place};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  convoke reduce net.conv -o small.conv                       `convoke check` fails as it does at the start
  convoke reduce net.onnx --threads 2 -o small.conv           the same with options of `check`
  convoke reduce net.conv --status 101 --message overflow     `check` has this exit status and this text in its output
  convoke reduce net.conv --command './test.sh {}'            another program fails
  convoke reduce net.conv --command 'grep strides {}' --status 0

A program that a signal ends has the status 128 and the number of the signal, one that --timeout ends has 124.")]
pub(crate) struct Reduce {
    /// The net, as text, or a model that ends in .onnx
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// File of the smallest net
    #[arg(short, value_name = "FILE", default_value = "-")]
    pub(crate) output: PathBuf,
    /// Run this in a shell instead of `convoke check`, with the file of a net in the place of {}
    #[arg(long, value_name = "CMD", value_parser = with_place)]
    pub(crate) command: Option<String>,
    /// A net fails if the program ends with this exit status; without it, with any but 0
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8))]
    pub(crate) status: Option<u8>,
    /// A net fails only if this text is in the output of the program
    #[arg(long, value_name = "TEXT")]
    pub(crate) message: Option<String>,
    /// Seconds after which a run of the program is ended; the net then does not fail, unless with --status 124
    #[arg(long, value_name = "S", default_value_t = 60.0, allow_hyphen_values = true, value_parser = duration)]
    pub(crate) timeout: f64,
    /// As for `check`: run large layers in the loop interpreter after every pass, not only after the last
    #[arg(long)]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) random: Random,
    #[command(flatten)]
    pub(crate) options: Options,
    /// The options of `check` that were given.
    #[arg(skip)]
    pub(crate) of_check: Vec<OsString>,
}

impl Reduce {
    /// Keeps the options of `check` that were given.
    pub(super) fn set_of_check(&mut self, matches: &ArgMatches) {
        self.of_check = of_check(matches);
    }
}

/// The options given that are options of `check`, as it takes them, without those that choose the net.
fn of_check(matches: &ArgMatches) -> Vec<OsString> {
    let own = Which::augment_args(clap::Command::new("which"));
    let chosen = |id: &clap::Id| id != "max_memory" && own.get_arguments().any(|arg| arg.get_id() == id);
    let check = Check::augment_args(clap::Command::new("check"));
    let mut args = Vec::new();
    for arg in check.get_arguments().filter(|arg| !arg.is_positional() && !chosen(arg.get_id())) {
        let id = arg.get_id().as_str();
        let given = matches.try_contains_id(id).is_ok() && matches.value_source(id) == Some(ValueSource::CommandLine);
        let name = match (arg.get_long(), arg.get_short()) {
            (Some(long), _) => format!("--{long}"),
            (None, Some(short)) => format!("-{short}"),
            (None, None) => continue,
        };
        if !given {
            continue;
        }
        if !arg.get_action().takes_values() {
            args.push(name.into());
            continue;
        }
        for value in matches.get_raw(id).into_iter().flatten() {
            let mut whole = OsString::from(if arg.get_long().is_some() { format!("{name}=") } else { name.clone() });
            whole.push(value);
            args.push(whole);
        }
    }
    args
}

#[cfg(test)]
mod tests {
    use crate::args::{Cli, Command};

    /// Options of `check` in their order, whatever the order in which they were given.
    #[test]
    fn options_of_check_are_taken_along() {
        let line = "convoke reduce net.conv --layer a --max-memory 1G -o out.conv -O 3 --max-error 1e-9 --all --seed=7 --message x";
        let cli = Cli::of(line.split(' ')).expect("a command line");
        let Command::Reduce(reduce) = cli.command else { panic!("another command") };
        assert_eq!(reduce.of_check, ["--all", "--seed=7", "-O3", "--max-error=1e-9", "--max-memory=1G"]);
        let taken = ["convoke".into(), "check".into(), "net.conv".into()].into_iter().chain(reduce.of_check);
        assert!(Cli::of(taken).is_ok());
    }
}
