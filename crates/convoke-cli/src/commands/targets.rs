//! `convoke targets`: the targets of object files.

use convoke::targets;
use serde_json::{Value, json};

use crate::args::List;
use crate::failure::Failure;
use crate::io::Io;
use crate::sink;
use crate::table::Table;

pub(crate) fn run(args: List, io: &mut Io<'_>) -> Result<(), Failure> {
    if args.format.json {
        let all: Vec<Value> = targets()
            .iter()
            .map(|t| json!({ "triple": t.triple.to_string(), "host": t.host, "machine": t.machine.name, "run_by": t.run_by }))
            .collect();
        return sink::json(io, &all.into());
    }
    let mut table = Table::new(&["target", "runs here", "machine if none is named", "tests run its code by"], "llll");
    for target in targets() {
        let here = if target.host { "yes" } else { "no" };
        let run_by = target.run_by.unwrap_or("nothing: they parse the file");
        table.row([target.triple.to_string(), here.into(), target.machine.name, run_by.into()]);
    }
    sink::print(io, &table.finish())
}
