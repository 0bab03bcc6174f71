//! `convoke verify`: the replay of a certificate.

use convoke::certificates::{Refused, Replay, verify, verify_code};
use convoke::ir::diagnostic::shown;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::args::Verify;
use crate::failure::Failure;
use crate::io::Io;
use crate::sink;
use crate::table::Table;

pub(crate) fn run(args: Verify, io: &mut Io<'_>) -> Result<(), Failure> {
    let bar = if io.progress { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
    let style = ProgressStyle::with_template("{spinner} {elapsed}: {wide_msg}");
    bar.set_style(style.expect("a constant template that is valid"));
    let replay = Replay { budget: args.max_memory, all: args.all };
    let found = verify(&args.folder, replay, |check| bar.set_message(check.to_owned()));
    bar.finish_and_clear();
    let refused = |refused| Failure::Input(reason(&args, &refused));
    let mut report = found.map_err(refused)?;
    for code in &args.code {
        let check = verify_code(&args.folder, code).map_err(refused)?;
        report.held.retain(|other| other.of != check.of);
        report.held.push(check);
    }
    if args.format.json {
        let checks: Vec<_> = report.held.iter().map(|check| json!({ "of": check.of, "says": check.says })).collect();
        return sink::json(io, &json!({ "holds": true, "checks": checks }));
    }
    let mut table = Table::new(&["of", "holds"], "ll");
    report.held.iter().for_each(|check| table.row([shown(&check.of), check.says.clone()]));
    sink::print(io, &table.finish())
}

/// Why a certificate is refused. Files may hold anything.
fn reason(args: &Verify, refused: &Refused) -> String {
    let folder = shown(&args.folder.to_string_lossy());
    match refused {
        Refused::Read { path, source } if args.code.contains(path) => {
            format!("{}: {source}; --code names a file of code", shown(&path.to_string_lossy()))
        }
        Refused::Read { path, source } => {
            format!("{}: {source}; DIR is a folder that `compile --certificates` wrote", shown(&path.to_string_lossy()))
        }
        refused => format!("the certificate {folder} does not hold: {}", shown(&refused.to_string())),
    }
}
