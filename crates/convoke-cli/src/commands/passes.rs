//! `convoke passes`: every pass, in the order they run.

use convoke_passes::registry;
use serde_json::{Value, json};

use crate::args::List;
use crate::failure::Failure;
use crate::io::Io;
use crate::sink;
use crate::table::Table;

pub(crate) fn run(args: List, io: &mut Io<'_>) -> Result<(), Failure> {
    if args.format.json {
        let all: Vec<Value> = registry::all()
            .map(|entry| {
                let options: Vec<_> = entry.options.iter().map(|o| json!({ "name": o.name, "doc": o.doc })).collect();
                json!({ "name": entry.name, "stage": entry.stage.name(), "guarantee": entry.guarantee.name(), "ieee": entry.ieee,
                        "level": (entry.level != registry::BY_NAME).then_some(entry.level), "summary": entry.summary, "options": options })
            })
            .collect();
        return sink::json(io, &all.into());
    }
    let mut table = Table::new(&["pass", "over", "guarantee", "--ieee", "from", "effect"], "llllll");
    for entry in registry::all() {
        table.row([
            entry.name.into(),
            entry.stage.name().into(),
            entry.guarantee.name().into(),
            if entry.ieee { "yes".into() } else { "no".into() },
            if entry.level == registry::BY_NAME { "its name".into() } else { format!("-O{}", entry.level) },
            entry.summary.into(),
        ]);
        for option in entry.options {
            let doc = format!("  {}: {}", option.name, option.doc);
            table.row([const { String::new() }; 5].into_iter().chain([doc]));
        }
    }
    sink::print(io, &table.finish())
}
