//! `convoke check --against`: native code against arrays that were computed elsewhere, and the first value of the net that is off.

use std::path::Path;

use convoke::check::{Distance, Expected, ValueCheck, outputs_against, values_against};
use convoke::ir::diagnostic::shown;
use convoke::{Compiler, Layer, Model};
use ndarray::ArrayD;
use serde_json::{Value, json};

use super::expected::{DataSet, arrays, data_sets, note_outputs_left_out, options};
use crate::args::Check;
use crate::failure::Failure;
use crate::inputs::Given;
use crate::io::Io;
use crate::options::compiler;
use crate::table::Table;
use crate::{sink, source};

/// The comparison of a net with one data set or one file.
struct Finding {
    /// The file or folder of the arrays.
    path: String,
    outputs: Vec<ValueCheck>,
    /// The inner values, if an output is off and there are arrays for some.
    inner: Vec<ValueCheck>,
}

pub(super) fn run(args: &Check, path: &Path, io: &mut Io<'_>) -> Result<(), Failure> {
    let [file] = args.files.as_slice() else {
        return Err(Failure::Usage("--against takes one net; name one file".into()));
    };
    let compiler = compiler(&args.options, [file], io)?.with_sanitize(args.sanitizer.sanitize);
    let mut findings = Vec::new();
    let sets = data_sets(path)?;
    let prepared = |layer: Layer| {
        compiler.fits(&layer)?;
        let given = Given::new(&args.inputs, &layer, convoke::onnx::is_model(file))?;
        Ok::<_, Failure>((given.prepared(layer, &args.inputs, &args.options)?, given))
    };
    let which = &args.options.which;
    // A model is imported for each data set, which binds its sizes; its file is read once.
    let model = match convoke::onnx::is_model(file) && !sets.is_empty() {
        true => Some(Model::from_onnx(file)?.with_compiler(compiler.clone())),
        false => None,
    };
    let mut checked = None;
    for folder in &sets {
        let layer = match &model {
            Some(model) => {
                model.layer(&options(folder, model, which.onnx(), which.max_memory)?)?.with_budget(which.max_memory)
            }
            None => source::layer(file, which, io)?.0,
        };
        let (net, given) = prepared(layer)?;
        let set = DataSet::read(folder, &net)?;
        note_outputs_left_out(&net, &set.outputs, io);
        let read = given.read(&compiler, &net, &args.random, &args.options, io)?;
        let inputs = net.inputs().into_iter().zip(read).map(|((name, _), read)| match set.inputs.get(name) {
            _ if given.file(name).is_some() => Ok(read),
            Some(array) => Ok(array.clone()),
            None => Err(no_input(name, folder)),
        });
        let inputs = inputs.collect::<Result<Vec<_>, _>>()?;
        findings.push(compare(&compiler, &net, &inputs, &set.outputs, (folder, args.within))?);
        checked = Some(net);
    }
    if sets.is_empty() {
        let (net, given) = prepared(source::layer(file, which, io)?.0)?;
        let expected = arrays(path, &net, io)?;
        if let Some((name, _)) = net.inputs().iter().find(|(name, _)| given.file(name).is_none()) {
            return Err(no_input(name, path));
        }
        let inputs = given.read(&compiler, &net, &args.random, &args.options, io)?;
        findings.push(compare(&compiler, &net, &inputs, &expected, (path, args.within))?);
        checked = Some(net);
    }
    let net = checked.expect("one net at least was compared");
    match args.format.json {
        true => sink::json(io, &as_json(&net, &findings, args.within))?,
        false => sink::print(io, &as_text(&findings, args.within))?,
    }
    let off = |checks: &[ValueCheck]| checks.iter().filter(|check| !check.distance.is_within(args.within)).count();
    match findings.iter().map(|finding| off(&finding.outputs)).sum() {
        0 => Ok(()),
        1 => Err(Failure::Input("1 output is off".into())),
        n => Err(Failure::Input(format!("{n} outputs are off"))),
    }
}

fn no_input(name: &str, path: &Path) -> Failure {
    let (name, path) = (shown(name), shown(&path.to_string_lossy()));
    Failure::Input(format!("{path} has no array for input `%{name}`; give one with --input {name}=FILE"))
}

fn compare(
    compiler: &Compiler,
    layer: &Layer,
    inputs: &[ArrayD<f64>],
    expected: &Expected,
    (path, within): (&Path, f64),
) -> Result<Finding, Failure> {
    let outputs = outputs_against(compiler, layer, inputs, expected)?;
    let right = outputs.iter().all(|check| check.distance.is_within(within));
    let inner = if right || expected.len() == outputs.len() {
        Vec::new()
    } else {
        values_against(compiler, layer, inputs, expected)?
    };
    Ok(Finding { path: path.to_string_lossy().into(), outputs, inner })
}

fn as_text(findings: &[Finding], within: f64) -> String {
    let mut text = String::new();
    for finding in findings {
        let mut table = Table::new(&["value", "", "RMS error", "largest error", "of largest", "at"], "llrrrl");
        for ValueCheck { name, distance } in &finding.outputs {
            table.row([
                format!("%{name}"),
                word(distance.is_within(within)).into(),
                format!("{:.2e}", distance.relative),
                format!("{:.2e}", distance.max_error),
                format!("{:.2e}", if distance.scale > 0.0 { distance.max_error / distance.scale } else { 0.0 }),
                if distance.at.is_empty() { String::new() } else { format!("{:?}", distance.at) },
            ]);
        }
        text += &format!("{}\n{}", shown(&finding.path), table.finish());
        for ValueCheck { name, distance } in finding.outputs.iter().filter(|check| check.distance.unlike > 0) {
            text += &format!("%{name}: {} elements are NaN or infinite in one of the arrays alone\n", distance.unlike);
        }
        text += &located(finding, within).unwrap_or_default();
    }
    text + &format!(
        "RMS error: relative to that of the array expected, at most {within:e}; largest error: at most {:e} of the largest element\n",
        Distance::SINGLE * within
    )
}

fn word(right: bool) -> &'static str {
    if right { "ok" } else { "OFF" }
}

/// The first value that is off.
fn first_off(finding: &Finding, within: f64) -> Option<&ValueCheck> {
    finding.inner.iter().find(|check| !check.distance.is_within(within))
}

/// A sentence on the origin of a wrong output, as far as inner values tell.
fn located(finding: &Finding, within: f64) -> Option<String> {
    if finding.outputs.iter().all(|check| check.distance.is_within(within)) {
        return None;
    }
    if finding.inner.is_empty() {
        return Some(
            "the arrays hold no inner values of the net, so that the first value that is off is not known; without --against, the net is checked \
             against the interpreter\n"
                .into(),
        );
    }
    Some(match first_off(finding, within) {
        Some(ValueCheck { name, distance }) => {
            let before = finding.inner.iter().take_while(|check| check.name != *name).count();
            format!(
                "%{name} is the first value that is off, by {:.2e} (RMS); {before} given values before it are right\n",
                distance.relative
            )
        }
        None => "with all given values as outputs, none is off: a pass that fuses ops is wrong; without --against, the check names it\n".into(),
    })
}

fn as_json(layer: &Layer, findings: &[Finding], within: f64) -> Value {
    let one = |ValueCheck { name, distance }: &ValueCheck| {
        json!({ "name": name, "ok": distance.is_within(within), "relative": distance.relative, "max_error": distance.max_error,
                "scale": distance.scale, "unlike": distance.unlike, "at": distance.at })
    };
    let sets: Vec<Value> = findings
        .iter()
        .map(|finding| {
            let outputs: Vec<Value> = finding.outputs.iter().map(one).collect();
            let inner: Vec<Value> = finding.inner.iter().map(one).collect();
            json!({ "against": finding.path, "outputs": outputs, "values": inner,
                    "first_off": first_off(finding, within).map(|check| &check.name) })
        })
        .collect();
    json!({ "layer": layer.name(), "within": within, "sets": sets })
}
