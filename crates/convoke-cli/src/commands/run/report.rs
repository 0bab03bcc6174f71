//! The report of a run, as text and as JSON.

use std::time::Duration;

use convoke::check::Comparison;
use convoke::profile::Profile;
use convoke::{Cached, Choice, CompiledLayer, Compiler, Layer, TensorType};
use convoke_passes::stats::Stats;
use ndarray::ArrayD;
use serde_json::{Value, json};

use super::Timing;
use crate::judge::{self, Judgement, Rules};
use crate::options::{flushed_note, machine_line, signature};
use crate::output_errors;
use crate::profile::{self, Predicted, Profiled};
use crate::table::{bytes, count, seconds, threads};

/// The summary of an output. NaNs are counted, and take no part in the numbers.
struct Summary {
    /// Smallest, largest and mean number, unless there is none.
    numbers: Option<[f64; 3]>,
    nans: usize,
}

impl Summary {
    fn of(array: &ArrayD<f64>) -> Summary {
        let numbers = || array.iter().copied().filter(|v| !v.is_nan());
        let count = numbers().count();
        let (low, high) = numbers().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        let numbers = (count > 0).then(|| [low, high, numbers().sum::<f64>() / count as f64]);
        Summary { numbers, nans: array.len() - count }
    }

    fn text(&self) -> String {
        match (self.numbers, self.nans) {
            (None, _) => "all NaN".to_owned(),
            (Some([low, high, mean]), 0) => format!("from {low:.4} to {high:.4}, mean {mean:.4}"),
            (Some([low, high, mean]), nans) => {
                format!("{nans} NaN, the others from {low:.4} to {high:.4}, mean {mean:.4}")
            }
        }
    }

    /// JSON has no NaN and no infinity: they are `null`.
    fn json(&self, name: &str, ty: &TensorType) -> Value {
        let [low, high, mean] = self.numbers.unwrap_or([f64::NAN; 3]);
        json!({ "name": name, "type": ty.to_string(), "min": low, "max": high, "mean": mean, "nan": self.nans })
    }
}

/// A run to be reported.
pub(super) struct Finished<'a> {
    pub(super) compiler: &'a Compiler,
    pub(super) layer: &'a Layer,
    /// The native code; `None` where the interpreter ran.
    pub(super) compiled: Option<&'a CompiledLayer>,
    /// Times of the runs; `None` where times are left out.
    pub(super) timing: Option<Timing>,
    pub(super) outputs: &'a [ArrayD<f64>],
    /// The comparison with the interpreter, if there was one.
    pub(super) check: Option<(Comparison, Rules)>,
    /// The times of the kernels, if they were asked for.
    pub(super) profile: Option<&'a (Profile, Predicted)>,
}

/// The most convolutions whose algorithms are listed one by one.
const FEW: usize = 6;

/// The algorithms of the convolutions: of each, or of how many each.
fn chosen(choices: &[Choice]) -> Option<String> {
    let each = |choice: &Choice| format!("%{} {}", choice.result, choice.algorithm.form());
    match choices.len() {
        0 => return None,
        1..=FEW => return Some(choices.iter().map(each).collect::<Vec<_>>().join(", ")),
        _ => {}
    }
    let mut counts: Vec<(String, usize)> = Vec::new();
    for form in choices.iter().map(|choice| choice.algorithm.form().to_string()) {
        match counts.iter_mut().find(|(known, _)| *known == form) {
            Some((_, count)) => *count += 1,
            None => counts.push((form, 1)),
        }
    }
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let counts: Vec<_> = counts.iter().map(|(form, count)| format!("{count} {form}")).collect();
    Some(format!("{} convolutions: {}", choices.len(), counts.join(", ")))
}

/// A run as lines of text.
pub(super) fn as_text(finished: &Finished<'_>) -> String {
    let &Finished { compiler, layer, compiled, timing, outputs, check, profile } = finished;
    let mut text = format!("layer     {}\n", signature(layer));
    let mut flops = 2 * Stats::of_layer(layer.ir()).multiplications;
    if let Some(compiled) = compiled {
        let report = compiled.report();
        flops = report.flops;
        text += &format!("machine   {}\n", machine_line(compiler.machine()));
        if let Some(chosen) = chosen(&report.choices) {
            text += &format!("chosen    {chosen}\n");
        }
        if timing.is_some() {
            let ms = |d: Duration| format!("{:.2}", d.as_secs_f64() * 1e3);
            text += &match report.cached {
                Cached::Loaded => format!("loaded    {} ms, from the cache\n", ms(report.compile_time())),
                _ => format!(
                    "compile   {} ms: passes {}, code {}, weights {}\n",
                    ms(report.compile_time()),
                    ms(report.passes_time),
                    ms(report.codegen_time),
                    ms(report.weights_time)
                ),
            };
        }
        text += &format!(
            "memory    code {}, weights {}, scratch {}\n",
            bytes(report.code_bytes as u64),
            bytes(report.constant_bytes as u64),
            bytes(report.scratch_bytes as u64)
        );
        for line in report.output_errors.iter().flat_map(output_errors::lines) {
            text += &format!("expected  error of {line}\n");
        }
        if let Some(note) = flushed_note(report.flushed) {
            text += &format!("flushed   {note}\n");
        }
    }
    let what = if compiled.is_some() { "native code" } else { "interpreter" };
    text += &format!("run       {what}, {} multiply-adds", count(flops as f64 / 2.0));
    match timing {
        None => text += "\n",
        Some(timing) => {
            let s = timing.median.as_secs_f64();
            text += &format!(
                "\ntime      {} (median of {}), {:.2} GFLOP/s, {}\n",
                seconds(s),
                timing.runs,
                flops as f64 / s / 1e9,
                threads(compiler.threads())
            );
        }
    }
    for ((name, ty), array) in layer.outputs().iter().zip(outputs) {
        text += &format!("output    %{name}: {ty}, {}\n", Summary::of(array).text());
    }
    text += &check.map_or_else(String::new, |(comparison, rules)| checked(&comparison, rules));
    if let Some((compiled, (profile, predicted))) = compiled.zip(profile) {
        text += &format!("\n{}", profile::as_text(Profiled { compiled, profile, predicted }));
    }
    text
}

/// The comparison with the interpreter, as a line for each statement.
fn checked(c: &Comparison, rules: Rules) -> String {
    let mut text = format!(
        "check     {}: largest error {:.2e}, {:.2e} of Σ|w||x|; at worst {:.1} % of its bound {:.2e}\n",
        Judgement::of(c, rules).word(),
        c.max_error,
        c.relative,
        100.0 * c.of_bound,
        c.bound
    );
    if rules.max_output_error.is_some() {
        text += &format!("          error of the output {:.2e} of it\n", c.of_output);
    }
    judge::reasons(c, rules).iter().for_each(|reason| text += &format!("          {reason}\n"));
    text
}

/// A run as one JSON object.
pub(super) fn as_json(finished: &Finished<'_>) -> Value {
    let &Finished { compiler, layer, compiled, timing, outputs, check, profile } = finished;
    let flops = 2 * Stats::of_layer(layer.ir()).multiplications;
    let mut object = json!({
        "layer": layer.name(),
        "signature": signature(layer),
        "backend": if compiled.is_some() { "jit" } else { "interp" },
        "threads": compiler.threads(),
        "multiply_adds": flops as f64 / 2.0,
        "outputs": layer.outputs().iter().zip(outputs).map(|((name, ty), array)| {
            Summary::of(array).json(name, ty)
        }).collect::<Vec<_>>(),
    });
    if let Some(compiled) = compiled {
        let report = compiled.report();
        object["machine"] = json!(compiler.machine().name);
        object["chosen"] = report
            .choices
            .iter()
            .map(|c| json!({ "result": c.result, "algorithm": c.algorithm.form().to_string(), "plan": c.algorithm.to_string() }))
            .collect();
        object["code_bytes"] = json!(report.code_bytes);
        object["weight_bytes"] = json!(report.constant_bytes);
        object["scratch_bytes"] = json!(report.scratch_bytes);
        object["flushed_weights"] = json!(report.flushed);
        if let Some(errors) = &report.output_errors {
            object["output_errors"] = output_errors::as_json(errors);
        }
        if compiler.cache().is_some() {
            object["loaded"] = json!(matches!(report.cached, Cached::Loaded));
        }
        if timing.is_some() {
            object["compile_seconds"] = json!({
                "all": report.compile_time().as_secs_f64(),
                "passes": report.passes_time.as_secs_f64(),
                "code": report.codegen_time.as_secs_f64(),
                "weights": report.weights_time.as_secs_f64(),
            });
        }
    }
    if let Some(timing) = timing {
        let s = timing.median.as_secs_f64();
        object["run_seconds"] = json!(s);
        object["runs"] = json!(timing.runs);
        object["gflops"] = json!(flops as f64 / s / 1e9);
    }
    if let Some((comparison, rules)) = check {
        object["check"] = judge::as_json(&comparison, rules);
    }
    if let Some((compiled, (profile, predicted))) = compiled.zip(profile) {
        object["profile"] = profile::as_json(Profiled { compiled, profile, predicted });
    }
    object
}
