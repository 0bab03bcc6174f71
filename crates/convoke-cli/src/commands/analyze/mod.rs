//! `convoke analyze`: the kernels of a layer as filters.

mod json;
mod plot;
mod text;

use convoke::analyze::{self, Limits};
use indicatif::ProgressBar;

use self::plot::Format;
use crate::args::Analyze;
use crate::failure::Failure;
use crate::io::Io;
use crate::sink::{self, Outputs};
use crate::source;

pub(crate) fn run(args: Analyze, io: &mut Io<'_>) -> Result<(), Failure> {
    let plot = args.plot.as_deref().map(|path| Ok((path, Format::of(path)?))).transpose().map_err(Failure::Usage)?;
    let mut outputs = Outputs::of([args.file.as_path()]);
    plot.map_or(Ok(()), |(path, _)| outputs.announce(path))?;
    let module = source::module(&args.file, &args.which, io)?;
    outputs.reads(module.constant_files())?;
    let limits = Limits { kernels: args.kernels, work: args.work };
    let bar = if io.progress { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
    let mut all = Vec::new();
    for layer in source::layers_of(module, &args.which)? {
        let mut show = |value: &str, done: usize, of: usize| {
            bar.set_message(format!("looking at %{value}: kernel {} of {of}", done + 1));
            bar.tick();
        };
        all.push((layer.name().to_owned(), analyze::analyze_within(&layer, limits, &mut show)?));
    }
    bar.finish_and_clear();
    if let Some((path, format)) = plot {
        let analyses: Vec<_> = all.iter().flat_map(|(_, analyses)| analyses).collect();
        outputs.write(path, &plot::picture(&analyses, format).map_err(Failure::Input)?, io)?;
        outputs.commit()?;
    }
    match args.format.json {
        true => sink::json(io, &json::value(&all)),
        false => sink::print(io, &text::text(&all)),
    }
}
