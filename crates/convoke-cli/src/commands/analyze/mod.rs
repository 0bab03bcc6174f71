//! `convoke analyze`: what the kernels of a layer are as filters.

mod json;
mod plot;
mod text;

use convoke::analyze;

use crate::args::Analyze;
use crate::failure::Failure;
use crate::io::Io;
use crate::{sink, source};

pub(crate) fn run(args: Analyze, io: &mut Io<'_>) -> Result<(), Failure> {
    if let Some(plot) = &args.plot {
        sink::not_over(plot, &[&args.file])?;
        if plot.extension().is_none_or(|e| e != "svg") {
            return Err(Failure::Usage("--plot draws vectors: give a name that ends in .svg".into()));
        }
    }
    let mut all = Vec::new();
    for layer in source::layers(&args.file, args.layer.as_deref(), io)? {
        if let Some(plot) = &args.plot {
            for file in source::constant_files(layer.ir(), layer.files()) {
                sink::not_over(plot, &[&file])?;
            }
        }
        all.push((layer.name().to_owned(), analyze::analyze(&layer)?));
    }
    if let Some(path) = &args.plot {
        let analyses: Vec<_> = all.iter().flat_map(|(_, analyses)| analyses).collect();
        let svg = plot::svg(&analyses).map_err(Failure::Input)?;
        sink::write(path, svg.as_bytes(), io)?;
    }
    match args.json {
        true => sink::json(io, &json::value(&all)),
        false => sink::print(io, &text::text(&all)),
    }
}
