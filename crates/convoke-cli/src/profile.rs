//! The times of kernels inside runs of a whole net, as text and as JSON.

use convoke::CompiledLayer;
use convoke::profile::Profile;
use serde_json::{Value, json};

use crate::table::{Table, bar, seconds};

/// Cells of the longest bar.
const BAR: usize = 24;

/// A table with a row for each kernel, in the order of a run.
pub(crate) fn as_text(compiled: &CompiledLayer, profile: &Profile) -> String {
    let sum: f64 = profile.kernels.iter().sum();
    let longest = profile.kernels.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    let mut table = Table::new(&["kernel", "of value", "time", "share", ""], "llrrl");
    for (kernel, &time) in compiled.kernels().iter().zip(&profile.kernels) {
        table.row([
            format!("@{}", kernel.name),
            if kernel.value.is_empty() { String::new() } else { format!("%{}", kernel.value) },
            seconds(time),
            format!("{:.1} %", 100.0 * time / sum),
            bar(time / longest, BAR),
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
pub(crate) fn as_json(compiled: &CompiledLayer, profile: &Profile) -> Value {
    let kernels = compiled.kernels().iter().zip(&profile.kernels);
    let kernels: Vec<Value> = kernels
        .map(|(kernel, seconds)| json!({ "kernel": kernel.name, "value": kernel.value, "seconds": seconds }))
        .collect();
    json!({ "runs": profile.runs, "run_seconds": profile.run, "kernels": kernels })
}
