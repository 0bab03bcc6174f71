//! The times of kernels inside runs of a whole net, as text and as JSON.

use std::collections::HashMap;

use convoke::explain::{OpCost, explain};
use convoke::ir::layer::Instr;
use convoke::profile::Profile;
use convoke::{CompiledLayer, Compiler, Layer};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::options::{in_seconds, pass_failure};
use crate::table::{Table, bar, seconds};

/// Cells of the longest bar.
const BAR: usize = 24;

/// The predicted seconds of each value, by name.
pub(crate) type Predicted = HashMap<String, f64>;

/// The predictions for the ops of a layer as it is compiled.
pub(crate) fn predicted(compiler: &Compiler, layer: &Layer) -> Result<Predicted, Failure> {
    let explanation = explain(compiler, layer).map_err(pass_failure)?;
    let ir = explanation.compiled();
    let ops = ir.body.iter().zip(explanation.ops());
    let seconds = |cycles: f64| in_seconds(cycles, compiler.machine());
    let one = |(instr, op): (&Instr, &OpCost)| Some((ir.values[instr.result].name.clone(), seconds(op.cycles?)));
    Ok(ops.filter_map(one).collect())
}

/// A profile with the predictions for its values.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Profiled<'a> {
    pub(crate) compiled: &'a CompiledLayer,
    pub(crate) profile: &'a Profile,
    pub(crate) predicted: &'a Predicted,
}

/// A table with a row for each kernel, in the order of a run. The prediction stands beside the last kernel of a value, and is for all of them.
pub(crate) fn as_text(of: Profiled<'_>) -> String {
    let Profiled { compiled, profile, predicted } = of;
    let sum: f64 = profile.kernels.iter().sum();
    let longest = profile.kernels.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    let values: HashMap<&str, f64> = profile.by_value(compiled).into_iter().collect();
    let headings = ["kernel", "of value", "time", "share", "", "predicted", "of pred."];
    let mut table = Table::new(&headings, "llrrlrr");
    for (i, (kernel, &time)) in compiled.kernels().iter().zip(&profile.kernels).enumerate() {
        let value = kernel.value.as_str();
        let is_last = compiled.kernels()[i + 1..].iter().all(|next| next.value != value);
        let prediction = predicted.get(value).filter(|&&seconds| is_last && seconds > 0.0);
        table.row([
            format!("@{}", kernel.name),
            if value.is_empty() { String::new() } else { format!("%{value}") },
            seconds(time),
            format!("{:.1} %", 100.0 * time / sum),
            bar(time / longest, BAR),
            prediction.map_or_else(String::new, |&prediction| seconds(prediction)),
            prediction.map_or_else(String::new, |prediction| format!("{:.0} %", 100.0 * values[value] / prediction)),
        ]);
    }
    let between = (profile.run - sum).max(0.0);
    format!(
        "{} kernels, medians of {} runs: {} of {} a run; {} between kernels\n\n{}",
        profile.kernels.len(),
        profile.runs,
        seconds(sum),
        seconds(profile.run),
        seconds(between),
        table.finish()
    )
}

/// The same as JSON.
pub(crate) fn as_json(of: Profiled<'_>) -> Value {
    let Profiled { compiled, profile, predicted } = of;
    let kernels = compiled.kernels().iter().zip(&profile.kernels);
    let kernels: Vec<Value> = kernels
        .map(|(kernel, seconds)| json!({ "kernel": kernel.name, "value": kernel.value, "seconds": seconds }))
        .collect();
    let values = profile.by_value(compiled).into_iter();
    let values: Vec<Value> = values
        .map(
            |(value, seconds)| json!({ "value": value, "seconds": seconds, "predicted_seconds": predicted.get(value) }),
        )
        .collect();
    json!({ "runs": profile.runs, "run_seconds": profile.run, "kernels": kernels, "values": values })
}
