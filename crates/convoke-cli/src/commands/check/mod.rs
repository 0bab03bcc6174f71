//! `convoke check`: every stage of every layer, and its native code, against the interpreter, or native code against given arrays.

mod against;
mod expected;

use convoke::check::{Reference, StageCheck, stages};
use convoke::{Compiler, Layer, Unmet};
use indicatif::{ProgressBar, ProgressStyle};
use ndarray::ArrayD;
use serde_json::{Value, json};

use crate::args::Check;
use crate::failure::Failure;
use crate::inputs::Given;
use crate::io::Io;
use crate::judge::{self, Judgement, Rules};
use crate::options::{compiler, note_unmet};
use crate::table::Table;
use crate::{sink, source};

/// The most multiplications of a program that the loop interpreter runs after every pass: about a second.
const MAX_MULTIPLICATIONS: u64 = 50_000_000;

pub(crate) fn run(args: Check, io: &mut Io<'_>) -> Result<(), Failure> {
    if let Some(path) = &args.against {
        return against::run(&args, path, io);
    }
    let compiler = compiler(&args.options, &args.files, io)?.with_sanitize(args.sanitizer.sanitize);
    let mut layers = Vec::new();
    for file in &args.files {
        let found = source::layers(file, &args.options.which, io)?;
        for layer in found {
            let given = Given::new(&args.inputs, &layer, convoke::onnx::is_model(file))?;
            layers.push((file.display().to_string(), given.prepared(layer, &args.inputs, &args.options)?, given));
        }
    }
    let bar =
        if io.progress && layers.len() > 1 { ProgressBar::new(layers.len() as u64) } else { ProgressBar::hidden() };
    bar.set_style(ProgressStyle::with_template("{pos}/{len} {wide_msg}").expect("a constant template that is valid"));
    let (mut reports, mut unmet) = (Vec::new(), Vec::new());
    for (file, layer, given) in layers {
        let most = if args.all { u64::MAX } else { MAX_MULTIPLICATIONS };
        compiler.fits(&layer)?;
        let compiler = given.sampled(compiler.clone(), &layer, &args.random, &args.options, io)?;
        let inputs = given.read(&compiler, &layer, &args.random, &args.options, io)?;
        let found =
            one(&compiler, &layer, inputs, most, |stage| bar.set_message(format!("@{}: {stage}", layer.name())));
        let found = found?;
        let lowered = compiler.lower(&layer)?;
        note_unmet(lowered.unmet(), io);
        unmet.extend(lowered.unmet().iter().cloned());
        reports.push((file, layer, found));
        bar.inc(1);
    }
    bar.finish_and_clear();

    let random_inputs = args.inputs.input.is_empty();
    let rules = Rules {
        max_error_given: args.options.max_error.is_some(),
        max_output_error: args.options.max_output_error,
        random_inputs,
        limits_kept: true,
    };
    if args.format.json {
        let all: Vec<Value> = reports.iter().map(|(file, layer, stages)| as_json(file, layer, stages, rules)).collect();
        sink::json(io, &all.into())?;
    } else {
        sink::print(io, &as_table(&reports, rules))?;
    }
    let all = reports.iter().flat_map(|(_, _, stages)| stages);
    let failed = all.filter(|s| s.comparison.is_some_and(|c| Judgement::of(&c, rules) == Judgement::Failed)).count();
    if failed > 0 {
        return Err(Failure::Input(format!("{failed} stages are further from the interpreter than they may be")));
    }
    unmet_failure(&unmet)
}

/// The failure of limits that even the most accurate algorithms do not keep.
fn unmet_failure(unmet: &[Unmet]) -> Result<(), Failure> {
    let outputs = unmet.iter().filter(|unmet| matches!(unmet, Unmet::Output { .. })).count();
    match (unmet.len() - outputs, outputs) {
        (0, 0) => Ok(()),
        (0, outputs) => Err(Failure::Input(format!("{outputs} outputs do not keep --max-output-error"))),
        (convolutions, _) => Err(Failure::Input(format!("{convolutions} convolutions do not keep --max-error"))),
    }
}

fn one(
    compiler: &Compiler,
    layer: &Layer,
    inputs: Vec<ArrayD<f64>>,
    most: u64,
    before: impl FnMut(&str),
) -> Result<Vec<StageCheck>, Failure> {
    let reference = Reference::new(layer, inputs, compiler.subnormals())?;
    Ok(stages(compiler, layer, &reference, most, before)?)
}

fn as_table(reports: &[(String, Layer, Vec<StageCheck>)], rules: Rules) -> String {
    let limited = rules.max_output_error.is_some();
    let mut headings = vec!["layer", "stage", "run by", "", "largest error", "of Σ|w||x|", "of bound"];
    headings.extend(limited.then_some("of output"));
    let mut table = Table::new(&headings, format!("llll{}", "r".repeat(headings.len() - 4)));
    let (mut left_out, mut said) = (0, Vec::new());
    for (_, layer, stages) in reports {
        for stage in stages {
            let Some(c) = stage.comparison else {
                left_out += 1;
                continue;
            };
            let mut cells = vec![
                format!("@{}", layer.name()),
                stage.stage.clone(),
                stage.engine.into(),
                Judgement::of(&c, rules).word().into(),
                format!("{:.2e}", c.max_error),
                format!("{:.2e}", c.relative),
                format!("{:.1} %", 100.0 * c.of_bound),
            ];
            cells.extend(limited.then(|| format!("{:.2e}", c.of_output)));
            table.row(cells);
            said.extend(
                judge::reasons(&c, rules).into_iter().map(|r| format!("@{}, {}: {r}\n", layer.name(), stage.stage)),
            );
        }
    }
    let mut text = table.finish() + &said.concat();
    if left_out > 0 {
        text += &format!("{left_out} stages in the loop interpreter left out, of large layers; --all runs them\n");
    }
    text
}

fn as_json(file: &str, layer: &Layer, stages: &[StageCheck], rules: Rules) -> Value {
    let stages: Vec<_> = stages
        .iter()
        .map(|s| {
            let Some(c) = s.comparison else {
                return json!({ "stage": s.stage, "engine": s.engine, "left_out": true });
            };
            let mut object = judge::as_json(&c, rules);
            (object["stage"], object["engine"]) = (json!(s.stage), json!(s.engine));
            object
        })
        .collect();
    json!({ "file": file, "layer": layer.name(), "stages": stages })
}
