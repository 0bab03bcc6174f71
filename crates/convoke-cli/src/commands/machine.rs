//! `convoke machine`: the description of a CPU, as `--machine` reads it back; with `--calibrate`, measured.

use std::time::Duration;

use convoke::Machine;
use convoke::calibrate::{Figure, calibrate};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::args::MachineCommand;
use crate::failure::Failure;
use crate::io::Io;
use crate::options::named;
use crate::sink::{self, Outputs};
use crate::source::is_standard;
use crate::table::Table;

pub(crate) fn run(args: MachineCommand, io: &mut Io<'_>) -> Result<(), Failure> {
    if args.list {
        return match args.format.json {
            true => sink::json(io, &json!(Machine::NAMES)),
            false => sink::print(io, &Machine::NAMES.iter().map(|name| format!("{name}\n")).collect::<String>()),
        };
    }
    let mut machine = match &args.cpu {
        Some(name) => named(name)?,
        None => Machine::host(),
    };
    let mut figures = Vec::new();
    if args.calibrate {
        (machine, figures) = measured(&machine, args.seconds, io)?;
    }
    let text = match args.format.json {
        true => format!("{:#}\n", serde_json::to_value(&machine).expect("numbers, strings and lists are JSON")),
        false => machine.to_toml(),
    };
    let mut outputs = Outputs::default();
    outputs.announce(&args.output)?;
    outputs.write(&args.output, text.as_bytes(), io)?;
    outputs.commit()?;
    // Standard output holds the description alone, or what was measured.
    if is_standard(&args.output) || figures.is_empty() {
        return Ok(());
    }
    sink::print(io, &as_table(&figures))
}

fn measured(base: &Machine, seconds: f64, io: &Io<'_>) -> Result<(Machine, Vec<Figure>), Failure> {
    let bar = if io.progress { ProgressBar::new(100) } else { ProgressBar::hidden() };
    let style = ProgressStyle::with_template("measuring {wide_bar} {percent} %").expect("the template is right");
    bar.set_style(style);
    let calibration = calibrate(base, Duration::from_secs_f64(seconds), |part| bar.set_position((100.0 * part) as u64));
    bar.finish_and_clear();
    let calibration = calibration?;
    Ok((calibration.machine, calibration.figures))
}

fn as_table(figures: &[Figure]) -> String {
    let mut table = Table::new(&["measured", "", ""], "lrl");
    for figure in figures {
        table.row([figure.name.clone(), format!("{:.2}", figure.value), figure.unit.into()]);
    }
    table.finish()
}
