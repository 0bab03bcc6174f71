//! `convoke check`: every stage of every layer, and its native code, against the interpreter.

use convoke::check::{Reference, StageCheck, stages};
use convoke::{Compiler, Layer, Unmet};
use convoke_data as data;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::args::Check;
use crate::failure::Failure;
use crate::held::{self, Held, Verdict};
use crate::io::Io;
use crate::options::{compiler, tell_unmet};
use crate::table::Table;
use crate::{sink, source};

/// The most multiplications of a program that the loop interpreter runs after every pass: about a second.
const MOST: u64 = 50_000_000;

pub(crate) fn run(args: Check, io: &mut Io<'_>) -> Result<(), Failure> {
    let compiler = compiler(&args.options, &args.files, io)?;
    let mut layers = Vec::new();
    for file in &args.files {
        let found = source::layers(file, &args.options.which, io)?;
        layers.extend(found.into_iter().map(|layer| (file.display().to_string(), layer)));
    }
    let bar =
        if io.progress && layers.len() > 1 { ProgressBar::new(layers.len() as u64) } else { ProgressBar::hidden() };
    bar.set_style(ProgressStyle::with_template("{pos}/{len} {wide_msg}").expect("a constant template that is valid"));
    let (mut reports, mut unmet) = (Vec::new(), 0);
    for (file, layer) in layers {
        let most = if args.all { u64::MAX } else { MOST };
        let found =
            one(&compiler, &layer, args.seed, most, |stage| bar.set_message(format!("@{}: {stage}", layer.name())));
        let found = found?;
        let selected = Unmet::of(compiler.select(&layer)?.ir(), &compiler.grants());
        unmet += selected.len();
        tell_unmet(&selected, io);
        reports.push((file, layer, found));
        bar.inc(1);
    }
    bar.finish_and_clear();

    let held = Held { given: args.options.max_error.is_some(), seeded: true, kept: true };
    if args.json {
        let all: Vec<Value> = reports.iter().map(|(file, layer, stages)| as_json(file, layer, stages, held)).collect();
        sink::json(io, &all.into())?;
    } else {
        sink::print(io, &as_table(&reports, held))?;
    }
    let all = reports.iter().flat_map(|(_, _, stages)| stages);
    let failed = all.filter(|s| s.comparison.is_some_and(|c| Verdict::of(&c, held) == Verdict::Failed)).count();
    if failed > 0 {
        return Err(Failure::Input(format!("{failed} stages are further from the interpreter than they may be")));
    }
    if unmet > 0 {
        return Err(Failure::Input(format!("{unmet} convolutions do not keep --max-error")));
    }
    Ok(())
}

fn one(
    compiler: &Compiler,
    layer: &Layer,
    seed: u64,
    most: u64,
    before: impl FnMut(&str),
) -> Result<Vec<StageCheck>, Failure> {
    compiler.fits(layer)?;
    let files = compiler.files(layer);
    let inputs = layer.inputs().into_iter().enumerate();
    let inputs = inputs.map(|(i, (_, ty))| data::random(ty, seed.wrapping_add(i as u64) as i64, &files));
    let reference = Reference::new(layer, inputs.collect::<Result<_, _>>()?, compiler.subnormals())?;
    Ok(stages(compiler, layer, &reference, most, before)?)
}

fn as_table(reports: &[(String, Layer, Vec<StageCheck>)], held: Held) -> String {
    let mut table = Table::new(&["layer", "stage", "run by", "", "largest error", "of Σ|w||x|", "of bound"], "llllrrr");
    let (mut left_out, mut said) = (0, Vec::new());
    for (_, layer, stages) in reports {
        for stage in stages {
            let Some(c) = stage.comparison else {
                left_out += 1;
                continue;
            };
            table.row([
                format!("@{}", layer.name()),
                stage.stage.clone(),
                stage.engine.into(),
                Verdict::of(&c, held).word().into(),
                format!("{:.2e}", c.max_error),
                format!("{:.2e}", c.relative),
                format!("{:.1} %", 100.0 * c.of_bound),
            ]);
            said.extend(
                held::reasons(&c, held).into_iter().map(|r| format!("@{}, {}: {r}\n", layer.name(), stage.stage)),
            );
        }
    }
    let mut text = table.finish() + &said.concat();
    if left_out > 0 {
        text += &format!("{left_out} stages in the loop interpreter left out, of large layers; --all runs them\n");
    }
    text
}

fn as_json(file: &str, layer: &Layer, stages: &[StageCheck], held: Held) -> Value {
    let stages: Vec<_> = stages
        .iter()
        .map(|s| {
            let Some(c) = s.comparison else {
                return json!({ "stage": s.stage, "engine": s.engine, "left_out": true });
            };
            let mut object = held::as_json(&c, held);
            (object["stage"], object["engine"]) = (json!(s.stage), json!(s.engine));
            object
        })
        .collect();
    json!({ "file": file, "layer": layer.name(), "stages": stages })
}
