//! The harness's results: lines of JSON, a `machine` record, a `layer` record for each layer and peer, and an `end` record for each run.
//!
//! Runs that were appended to one file, or that stand in several, are read as one after the other.

use serde::Deserialize;

/// A line.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "record", rename_all = "lowercase")]
enum Record {
    Machine(Machine),
    Layer(Box<Measurement>),
    End {},
}

/// What a run was done on.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct Machine {
    pub(crate) date: String,
    pub(crate) cpu: String,
    /// Multiply-add peaks of one core, by vector width.
    pub(crate) fma128_gflops: f64,
    pub(crate) fma256_gflops: f64,
    pub(crate) fma512_gflops: f64,
    pub(crate) threads: usize,
}

/// One layer by one peer. Times in milliseconds; what an error kept from being measured is `None`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct Measurement {
    pub(crate) layer: String,
    pub(crate) network: String,
    pub(crate) peer: String,
    /// Two for each nominal multiply-add.
    pub(crate) flops: f64,
    pub(crate) threads: usize,
    /// CPUs' worth of the work of others on our CPUs meanwhile.
    #[serde(default)]
    pub(crate) foreign_cpu: Option<f64>,
    #[serde(default)]
    pub(crate) error: Option<String>,
    #[serde(default)]
    pub(crate) median_ms: Option<f64>,
    /// Nominal operations over those at the multiply-add peak of all threads.
    #[serde(default)]
    pub(crate) peak_fraction: Option<f64>,
    #[serde(default)]
    pub(crate) compile_ms: Option<f64>,
    #[serde(default)]
    pub(crate) first_run_ms: Option<f64>,
    #[serde(default)]
    pub(crate) rel_rms_err: Option<f64>,
    /// Our worker's alone, as are those below: the part of `compile_ms` that packed and transformed weights.
    #[serde(default)]
    pub(crate) prepare_ms: Option<f64>,
    #[serde(default)]
    pub(crate) algorithm: Option<String>,
    #[serde(default)]
    pub(crate) scratch_bytes: Option<f64>,
    #[serde(default)]
    pub(crate) constant_bytes: Option<f64>,
    #[serde(default)]
    pub(crate) code_bytes: Option<f64>,
}

/// One run of the harness.
#[derive(Clone, Debug, Default)]
pub(crate) struct Run {
    pub(crate) machine: Option<Machine>,
    pub(crate) layers: Vec<Measurement>,
}

/// The runs in `text`, in order.
///
/// # Errors
///
/// A line that is no record, with its number.
pub(crate) fn runs(text: &str) -> Result<Vec<Run>, String> {
    let mut runs = vec![Run::default()];
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        match serde_json::from_str(line).map_err(|e| format!("line {}: {e}", number + 1))? {
            Record::Machine(machine) => runs.push(Run { machine: Some(machine), layers: Vec::new() }),
            Record::Layer(measurement) => runs.last_mut().expect("never empty").layers.push(*measurement),
            Record::End {} => {}
        }
    }
    Ok(runs)
}
