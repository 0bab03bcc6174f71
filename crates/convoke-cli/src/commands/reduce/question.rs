//! The question whether a net fails: the program that is run on its file, and what its end must be.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use convoke::Module;
use convoke::ir::diagnostic::shown;

use super::kind::Kind;
use super::write;
use crate::args::Reduce;
use crate::child::{self, Ended, TIMED_OUT};
use crate::failure::{Failure, note};
use crate::io::Io;
use crate::sink::Outputs;
use crate::temporary::Folder;

/// The statuses of a shell that finds no program, or one that it cannot run.
const NOT_RUN: [i32; 2] = [126, 127];

/// See the [module](self).
pub(super) struct Question {
    program: Program,
    status: Option<i32>,
    message: Option<String>,
    limit: Duration,
    /// Where nets and the program's output are written.
    folder: Folder,
    /// The failure of the net as it was given.
    first: Option<Kind>,
    /// The status of the last run.
    last: i32,
}

enum Program {
    /// This command, with options.
    Check { program: PathBuf, options: Vec<OsString> },
    /// A line for a shell.
    Shell(String),
}

impl Question {
    pub(super) fn new(args: &Reduce, io: &Io<'_>) -> Result<Question, Failure> {
        let program = match (&args.command, args.of_check.as_slice()) {
            (Some(line), []) => Program::Shell(line.clone()),
            (Some(_), [option, ..]) => {
                let option = shown(&option.to_string_lossy());
                let message =
                    format!("{option} is for `convoke check`, which --command replaces; write it into the command");
                return Err(Failure::Usage(message));
            }
            (None, options) => {
                let known = io.program.map(Path::to_owned);
                let program = known.ok_or_else(|| {
                    Failure::Input(
                        "the file of this command is not known, so it cannot run `check`; give --command".into(),
                    )
                })?;
                Program::Check { program, options: options.to_vec() }
            }
        };
        let folder = Folder::new().map_err(|e| Failure::Input(format!("no temporary folder can be made: {e}")))?;
        Ok(Question {
            program,
            status: args.status.map(i32::from),
            message: args.message.clone(),
            limit: Duration::from_secs_f64(args.timeout),
            folder,
            first: None,
            last: 0,
        })
    }

    /// Whether a net fails. The first one decides which failure of `check` it is, if no option says so.
    pub(super) fn ask(&mut self, net: &Module, io: &mut Io<'_>) -> Result<bool, Failure> {
        let file = self.folder.path().join("net.conv");
        let mut outputs = Outputs::default();
        write(net, &file, &mut outputs, io)?;
        outputs.commit()?;
        let mut command = self.command(&file);
        let ended = child::run(&mut command, self.folder.path(), self.limit).map_err(|error| {
            let program = shown(&command.get_program().to_string_lossy());
            Failure::Input(format!("cannot run {program}: {error}"))
        })?;
        self.last = ended.status;
        self.could_run(&ended)?;
        Ok(self.is_failure(&ended) && self.is_as_first(&ended, io))
    }

    fn command(&self, file: &Path) -> Command {
        match &self.program {
            Program::Check { program, options } => {
                let mut command = Command::new(program);
                command.arg("check").arg(file).args(options);
                if self.looks_for_kind() {
                    command.arg("--json");
                }
                command
            }
            Program::Shell(line) => {
                let mut command = Command::new("sh");
                command.arg("-c").arg(line.replace("{}", &quoted(&file.to_string_lossy())));
                command
            }
        }
    }

    /// Whether a net must fail as the first one did.
    fn looks_for_kind(&self) -> bool {
        matches!(self.program, Program::Check { .. }) && self.status.is_none() && self.message.is_none()
    }

    /// Refuses a program that the shell cannot run, which would fail for every net.
    fn could_run(&self, ended: &Ended) -> Result<(), Failure> {
        match &self.program {
            Program::Shell(line) if self.status.is_none() && NOT_RUN.contains(&ended.status) => {
                let (line, status, said) = (shown(line), ended.status, ended.stderr.trim());
                Err(Failure::Input(format!(
                    "`{line}` cannot be run (status {status}): {said}; --status {status} takes that for the failure"
                )))
            }
            _ => Ok(()),
        }
    }

    fn is_failure(&self, ended: &Ended) -> bool {
        let status = match self.status {
            Some(status) => ended.status == status,
            None => ended.status != 0 && ended.status != TIMED_OUT,
        };
        let says = |text: &String| ended.stdout.contains(text) || ended.stderr.contains(text);
        status && self.message.as_ref().is_none_or(says)
    }

    fn is_as_first(&mut self, ended: &Ended, io: &mut Io<'_>) -> bool {
        if !self.looks_for_kind() {
            return true;
        }
        let kind = Kind::of(ended);
        let first = self.first.get_or_insert_with(|| {
            note(io, &format!("the failure to keep: {kind}"));
            kind.clone()
        });
        *first == kind
    }

    /// The failure to find a failure.
    pub(super) fn does_not_fail(&self, file: &Path) -> Failure {
        let program = match &self.program {
            Program::Check { .. } => "`convoke check`".to_owned(),
            Program::Shell(line) => format!("`{}`", shown(line)),
        };
        let ends = match self.last {
            TIMED_OUT if self.limit > Duration::ZERO => {
                format!(
                    "did not end within {} s (status {TIMED_OUT}; --timeout sets the limit)",
                    self.limit.as_secs_f64()
                )
            }
            status => format!("ended with status {status}"),
        };
        let status = self.status.map_or("any status but 0".to_owned(), |status| format!("status {status}"));
        let message =
            self.message.as_ref().map_or(String::new(), |text| format!(" and `{}` in the output", shown(text)));
        let file = shown(&file.to_string_lossy());
        Failure::Input(format!(
            "{file} does not fail: {program} {ends}, a failure has {status}{message}; give a net that fails, or the options with which it does"
        ))
    }
}

/// A word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
