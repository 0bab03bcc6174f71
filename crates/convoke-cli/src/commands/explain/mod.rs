//! `convoke explain`: every candidate algorithm with its numbers, the choice with its reasons, and the changes of each pass.

mod facts;
mod html;
mod json;
#[cfg(test)]
mod tests;
mod text;
mod verdict;
mod waterfall;

use convoke::explain::{Explanation, Measured, Progress, Timing, explain, measure, measure_stages, weight_bounds};
use convoke::{Compiler, Layer};
use convoke_conv::Selection;
use convoke_passes::spec::Spec;
use indicatif::ProgressBar;

use self::facts::Report;
use crate::args::Explain;
use crate::failure::Failure;
use crate::io::Io;
use crate::options::{compiler, note_unmet, note_unsaved, pass_failure};
use crate::sink::{self, Outputs};
use crate::source;

pub(crate) fn run(args: Explain, no_times: bool, io: &mut Io<'_>) -> Result<(), Failure> {
    if args.format.json && args.html.as_deref().is_some_and(source::is_standard) {
        return Err(Failure::Usage("--json and --html - both write to standard output; name a file for --html".into()));
    }
    let named = args.passes.as_deref().map_or(Ok(Vec::new()), Spec::parse_list).map_err(pass_failure)?;
    let mut outputs = Outputs::of([args.file.as_path()].into_iter().chain(args.options.machine.as_deref()));
    args.html.as_deref().map_or(Ok(()), |page| outputs.announce(page))?;
    let compiler = compiler(&args.options, [&args.file], io)?.with_passes(named);
    let (layer, files) = source::layer(&args.file, &args.options.which, io)?;
    outputs.reads(files)?;
    let explanation = explain(&compiler, &layer).map_err(pass_failure)?;
    note_unsaved(explanation.verdicts(), io);
    note_unmet(explanation.unmet(), io);
    let measured = if args.measure { Some(measured(&compiler, &layer, &explanation, io)?) } else { None };
    let (measured, stages_measured) = measured.unzip();
    let ranged = match args.options.input_range {
        Some(range) => Some((range.most(), weight_bounds(&compiler, &layer, &explanation)?)),
        None => None,
    };
    let report = Report {
        compiler: &compiler,
        layer: &layer,
        explanation: &explanation,
        measured: measured.as_deref(),
        stages_measured: stages_measured.as_deref(),
        ranged: ranged.as_ref().map(|(range, bounds)| (*range, &bounds[..])),
        no_times,
    };
    if let Some(path) = &args.html {
        outputs.write(path, html::page(&report).as_bytes(), io)?;
        outputs.commit()?;
        if source::is_standard(path) {
            return Ok(());
        }
    }
    if args.format.json {
        return sink::json(io, &json::json(&report));
    }
    sink::print(io, &text::text(&report))
}

/// The times of each convolution's candidates, and of the layer after each pass.
type Times = (Vec<Measured>, Vec<Result<Timing, String>>);

fn measured(compiler: &Compiler, layer: &Layer, explanation: &Explanation, io: &Io<'_>) -> Result<Times, Failure> {
    let bar = if io.progress { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
    let show = |what: &str, progress: Progress| {
        bar.set_message(match progress {
            Progress::Compile(algorithm) => format!("{what}: compiling {algorithm}"),
            Progress::Stage(pass) => {
                format!("{what}: compiling it {}", pass.map_or("as given".into(), |p| format!("after {p}")))
            }
            Progress::Round { round, of } => format!("{what}: measuring, round {round} of {of}"),
        });
        bar.tick();
    };
    let stages = measure_stages(compiler, layer, explanation, &mut |progress| show("the layer", progress));
    let convs = measure(compiler, layer, explanation, &mut |value, progress| show(&format!("%{value}"), progress));
    bar.finish_and_clear();
    let stages = stages?.into_iter().map(|time| time.map_err(|error| error.to_string()));
    Ok((convs?, stages.collect()))
}

/// A convolution in a line: `3x3, 256 -> 256 channels, 56x56 -> 56x56`.
fn shape(selection: &Selection) -> String {
    let c = &selection.conv;
    let (h, w) = (c.window.h, c.window.w);
    let mut text = format!("{}x{}, {} -> {} channels, ", h.kernel, w.kernel, c.x.c, c.y.c);
    text += &format!("{}x{} -> {}x{}", c.x.h, c.x.w, c.y.h, c.y.w);
    let mut add = |what: String, usual: bool| {
        if !usual {
            text += &format!(", {what}");
        }
    };
    add(format!("batch {}", c.x.n), c.x.n == 1);
    add(format!("strides [{}, {}]", h.stride, w.stride), [h.stride, w.stride] == [1, 1]);
    add(format!("dilations [{}, {}]", h.dilation, w.dilation), [h.dilation, w.dilation] == [1, 1]);
    add(format!("pads [{}, {}, {}, {}]", h.begin, w.begin, h.end, w.end), h.begin + h.end + w.begin + w.end == 0);
    add(format!("group {}", c.group), c.group == 1);
    text
}
