//! `convoke docs`: the meaning of the ops of the language, from the op table itself.

use convoke::ir::layer::{OPS, OpInfo, Operands};
use serde_json::{Value, json};

use crate::args::Docs;
use crate::failure::Failure;
use crate::io::Io;
use crate::sink;

pub(crate) fn run(args: Docs, io: &mut Io<'_>) -> Result<(), Failure> {
    let asked = OPS.iter().filter(|op| args.op.as_deref().is_none_or(|name| name == op.name));
    if args.format.json {
        let all: Vec<Value> = asked
            .map(|op| json!({ "op": op.name, "operands": operands(op), "attributes": op.attributes, "doc": op.doc.trim() }))
            .collect();
        return sink::json(io, &all.into());
    }
    let all: Vec<String> = asked.map(text).collect();
    sink::print(io, &all.join("\n"))
}

fn operands(op: &OpInfo) -> Vec<&'static str> {
    match op.operands {
        Operands::Named(names) => names.to_vec(),
        Operands::Many => vec!["…"],
    }
}

fn text(op: &OpInfo) -> String {
    let names: Vec<String> = operands(op).iter().map(|name| format!("%{name}")).collect();
    let mut text = format!("{} {}", op.name, names.join(", ").replace("%…", "%x, …"));
    if !op.attributes.is_empty() {
        text += &format!(" {{ {} }}", op.attributes.join(", "));
    }
    for line in op.doc.trim().lines() {
        text += format!("\n  {}", line.trim()).trim_end_matches(' ');
    }
    if op.elementwise {
        text += &format!("\n  May follow another op in its store: `… then {}`.", op.name);
    }
    text + "\n"
}
