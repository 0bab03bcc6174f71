//! `convoke analyze`: what the kernels of a layer are as filters.

mod json;
mod plot;
mod text;

use convoke::analyze::{self, Limits};
use indicatif::ProgressBar;

use self::plot::Format;
use crate::args::Analyze;
use crate::failure::Failure;
use crate::io::Io;
use crate::{sink, source};

pub(crate) fn run(args: Analyze, io: &mut Io<'_>) -> Result<(), Failure> {
    let plot = args.plot.as_deref().map(|path| Ok((path, Format::of(path)?))).transpose().map_err(Failure::Usage)?;
    if let Some((path, _)) = plot {
        sink::not_over(path, &[&args.file])?;
    }
    let limits = Limits { kernels: args.kernels, work: args.work };
    let bar = if io.progress { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
    let mut all = Vec::new();
    for layer in source::layers(&args.file, &args.which, io)? {
        if let Some((plot, _)) = plot {
            for file in source::constant_files(layer.ir(), layer.files()) {
                sink::not_over(plot, &[&file])?;
            }
        }
        let mut show = |value: &str, done: usize, of: usize| {
            bar.set_message(format!("looking at %{value}: kernel {} of {of}", done + 1));
            bar.tick();
        };
        all.push((layer.name().to_owned(), analyze::analyze_within(&layer, limits, &mut show)?));
    }
    bar.finish_and_clear();
    if let Some((path, format)) = plot {
        let analyses: Vec<_> = all.iter().flat_map(|(_, analyses)| analyses).collect();
        sink::write(path, &plot::picture(&analyses, format).map_err(Failure::Input)?, io)?;
    }
    match args.json {
        true => sink::json(io, &json::value(&all)),
        false => sink::print(io, &text::text(&all)),
    }
}
