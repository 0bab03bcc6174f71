//! A flag for each limit, made from the table of limits. `--max-memory` stands with the options of reading.

use clap::builder::ValueParser;
use clap::{Arg, ArgMatches, Args, Command, Error, FromArgMatches};
use convoke::{Limit, Limits};

use super::values::{bytes, limit_seconds};

/// The limits of reading, or those of compiling.
#[derive(Clone, Debug)]
pub(crate) struct LimitFlags<const READING: bool>(Vec<(Limit, u64)>);

impl<const READING: bool> LimitFlags<READING> {
    /// The limits with those that were given.
    pub(crate) fn over(&self, limits: Limits) -> Limits {
        self.0.iter().fold(limits, |limits, &(limit, value)| limits.with(limit, value))
    }
}

fn flags(reading: bool) -> impl Iterator<Item = Limit> {
    let here = move |limit: &Limit| *limit != Limit::Memory && limit.is_of_reading() == reading;
    Limit::ALL.into_iter().filter(here)
}

/// How a value of a limit is read.
fn parser(limit: Limit) -> ValueParser {
    match limit {
        Limit::Source | Limit::Code | Limit::Scratch => ValueParser::new(bytes),
        Limit::Time => ValueParser::new(limit_seconds),
        _ => clap::value_parser!(u64).range(1..=limit.most()).into(),
    }
}

/// The name of the value, and the value if none is given. The default of threads depends on the machine.
fn shown(limit: Limit) -> [String; 2] {
    let default = u128::from(limit.default_value());
    match limit {
        Limit::Source | Limit::Code => ["BYTES".into(), format!("{}M", default >> 20)],
        Limit::Scratch => ["BYTES".into(), "what --max-memory allows".into()],
        Limit::Time => ["S".into(), limit.shown(default)],
        Limit::Threads => ["N".into(), "64, or 4 for each processor if that is more".into()],
        _ => ["N".into(), limit.shown(default)],
    }
}

impl<const READING: bool> Args for LimitFlags<READING> {
    fn augment_args(command: Command) -> Command {
        let arg = |limit: Limit| {
            let [name, default] = shown(limit);
            let help = format!("{} [default: {default}]", limit.summary());
            let arg = Arg::new(limit.flag()).long(limit.flag()).value_name(name).help(help);
            arg.value_parser(parser(limit)).help_heading("Limits").allow_negative_numbers(true)
        };
        command.args(flags(READING).map(arg))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<const READING: bool> FromArgMatches for LimitFlags<READING> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let given = flags(READING).filter_map(|limit| Some((limit, *matches.get_one::<u64>(limit.flag())?)));
        Ok(LimitFlags(given.collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
