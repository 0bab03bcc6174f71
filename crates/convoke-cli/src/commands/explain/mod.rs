//! `convoke explain`: every candidate algorithm with its numbers, the choice with its reasons, and the changes of each pass; of a net its ops in a table.

mod bounds;
mod facts;
mod html;
mod ieee;
mod json;
mod named;
mod net;
#[cfg(test)]
mod tests;
mod text;
mod verdict;
mod waterfall;

use convoke::check::net_bounds;
use convoke::explain::{
    Explanation, Measured, Progress, Timing, explain, measure, measure_one, measure_ops, measure_stages, weight_bounds,
};
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
    let only = args.of.as_deref().map(|name| named::convolution(name, &explanation)).transpose()?;
    note_unsaved(explanation.verdicts(), io);
    note_unmet(explanation.unmet(), io);
    let is_net = only.is_none() && net::is_net(explanation.selections().len(), explanation.compiled().body.len());
    let timed = if args.measure { timed(&compiler, &layer, &explanation, only, is_net, io)? } else { Timed::default() };
    let ranged = match args.options.input_range {
        Some(range) => Some((range.most(), weight_bounds(&compiler, &layer, &explanation)?)),
        None => None,
    };
    let bounds = if args.bounds { Some(net_bounds(&compiler, &layer)?) } else { None };
    let report = Report {
        compiler: &compiler,
        layer: &layer,
        explanation: &explanation,
        only,
        measured: timed.convolutions.as_deref(),
        ops_measured: timed.ops.as_deref(),
        stages_measured: timed.stages.as_deref(),
        ranged: ranged.as_ref().map(|(range, bounds)| (*range, &bounds[..])),
        bounds: bounds.as_ref(),
        no_times,
    };
    if let Some(path) = &args.html {
        let page = if is_net { net::page(&report, &net::Net::new(&report)) } else { html::page(&report) };
        outputs.write(path, page.as_bytes(), io)?;
        outputs.commit()?;
        if source::is_standard(path) {
            return Ok(());
        }
    }
    if args.format.json {
        return sink::json(io, &json::json(&report));
    }
    let text = if is_net { net::text(&report, &net::Net::new(&report)) } else { text::text(&report) };
    sink::print(io, &text)
}

/// The times that were measured.
#[derive(Default)]
struct Timed {
    /// The candidates of convolutions.
    convolutions: Option<Vec<Measured>>,
    /// The seconds of each op of the compiled layer.
    ops: Option<Vec<Option<f64>>>,
    /// The layer after each pass.
    stages: Option<Vec<Result<Timing, String>>>,
}

/// Times the candidates of the convolution `only`; of a net each op as it is chosen; of another layer the candidates of each convolution.
fn timed(
    compiler: &Compiler,
    layer: &Layer,
    explanation: &Explanation,
    only: Option<usize>,
    is_net: bool,
    io: &Io<'_>,
) -> Result<Timed, Failure> {
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
    let mut timed = Timed::default();
    if let Some(place) = only {
        let found =
            measure_one(compiler, layer, explanation, place, &mut |progress| show("the convolution", progress))?;
        timed.convolutions = Some(found.into_iter().collect());
    } else {
        let stages = measure_stages(compiler, layer, explanation, &mut |progress| show("the layer", progress))?;
        timed.stages = Some(stages.into_iter().map(|time| time.map_err(|error| error.to_string())).collect());
        let by_value = &mut |value: &str, progress: Progress| show(&format!("%{value}"), progress);
        match is_net {
            true => timed.ops = Some(measure_ops(compiler, layer, explanation)?),
            false => timed.convolutions = Some(measure(compiler, layer, explanation, by_value)?),
        }
    }
    bar.finish_and_clear();
    Ok(timed)
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
