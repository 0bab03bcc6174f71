//! `convoke reduce`: the smallest net that still fails.

mod kind;
mod question;

use std::path::Path;

use convoke::Module;
use convoke::ir::layer::Source;
use convoke::reduce::{ReduceError, Size};
use convoke_passes::State;
use indicatif::{ProgressBar, ProgressStyle};

use crate::args::Reduce;
use crate::failure::{Failure, note};
use crate::io::Io;
use crate::sink::{Outputs, is_stream};
use crate::source;
use crate::weights::Weights;
use question::Question;

pub(crate) fn run(args: &Reduce, io: &mut Io<'_>) -> Result<(), Failure> {
    let machine = args.options.machine.as_deref();
    source::standard_once([args.file.as_path()].into_iter().chain(machine))?;
    let mut outputs = Outputs::of([args.file.as_path()].into_iter().chain(machine));
    outputs.announce(&args.output)?;
    let mut question = Question::new(args, io)?;
    let mut module = source::module(&args.file, &args.options.which, io)?;
    outputs.reads(module.constant_files())?;
    if let Some(name) = &args.options.which.layer {
        module = module.only(name)?;
    }

    let bar = if io.progress { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
    bar.set_style(ProgressStyle::with_template("{spinner} {wide_msg}").expect("a constant template that is valid"));
    let (mut tried, mut smallest) = (0, Size::of(&module));
    let reduced = convoke::reduce::reduce(&module, |candidate| {
        let fails = question.ask(candidate, io)?;
        tried += 1;
        if fails {
            smallest = Size::of(candidate);
        }
        bar.set_message(format!("{smallest}; {tried} nets tried"));
        bar.tick();
        Ok(fails)
    });
    bar.finish_and_clear();
    let reduced = match reduced {
        Ok(reduced) => reduced,
        Err(ReduceError::Asked(failure)) => return Err(failure),
        Err(ReduceError::DoesNotFail) => return Err(question.does_not_fail(&args.file)),
    };
    let (before, after) = (Size::of(&module), Size::of(&reduced));
    note(io, &format!("{after}, of {before}; {tried} nets tried"));
    write(&reduced, &args.output, &mut outputs, io)?;
    outputs.commit()?;
    let computed = |source: &Source| matches!(source, Source::Computed(_));
    let mut layers = reduced.layers().iter().map(|layer| layer.ir());
    if is_stream(&args.output)
        && layers.any(|layer| layer.values.ids().filter_map(|id| layer.constant(id)).any(computed))
    {
        note(io, "the text has weights that are not written in it; with -o FILE they are written beside it");
    }
    Ok(())
}

/// Writes a text, with its weights beside it.
fn write(module: &Module, output: &Path, outputs: &mut Outputs, io: &mut Io<'_>) -> Result<(), Failure> {
    let mut weights = Weights::new(output, module.files());
    let mut texts = Vec::new();
    for layer in module.layers() {
        let mut state = State::Layer(layer.ir().clone());
        weights.take(&mut state)?;
        let State::Layer(layer) = state else { unreachable!("a layer was made into the state above") };
        texts.push(layer.to_string());
    }
    for program in module.programs() {
        let mut program = program.clone();
        weights.program(&mut program)?;
        texts.push(program.to_string());
    }
    weights.write(outputs, io)?;
    outputs.write(output, texts.join("\n").as_bytes(), io)
}
