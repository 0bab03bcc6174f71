//! `convoke machine`: the description of a CPU, as `--machine` reads it back.

use convoke::Machine;
use serde_json::json;

use crate::args::MachineCommand;
use crate::failure::Failure;
use crate::io::Io;
use crate::options::named;
use crate::sink;

pub(crate) fn run(args: MachineCommand, io: &mut Io<'_>) -> Result<(), Failure> {
    if args.list {
        return match args.json {
            true => sink::json(io, &json!(Machine::NAMES)),
            false => sink::print(io, &Machine::NAMES.iter().map(|name| format!("{name}\n")).collect::<String>()),
        };
    }
    let machine = match &args.cpu {
        Some(name) => named(name)?,
        None => Machine::host(),
    };
    match args.json {
        true => sink::json(io, &serde_json::to_value(&machine).expect("numbers, strings and lists are JSON")),
        false => sink::print(io, &machine.to_toml()),
    }
}
