//! The protocol of a worker that a harness starts and gives turns: a line of JSON on standard input, its answer a line on standard output.

use std::io::{BufRead, Write};
use std::time::Duration;

use convoke::clock::time;
use serde_json::{Value, json};

/// Runs after the first, before any that counts.
pub const WARM_UP: Duration = Duration::from_millis(100);
/// The fewest runs that are timed, unless they take longer than this many seconds.
const FEWEST: (usize, f64) = (3, 2.0);

/// Answers each line of standard input until it ends; what cannot be done is answered by `{"error": "why"}`.
///
/// # Errors
///
/// Standard input or output that fails.
pub fn serve(mut answer: impl FnMut(&str) -> Result<Value, String>) -> Result<(), String> {
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line = line.map_err(|e| e.to_string())?;
        let answer = answer(&line).unwrap_or_else(|why| json!({ "error": why }));
        writeln!(out, "{answer}").and_then(|()| out.flush()).map_err(|e| e.to_string())?;
    }
    Ok(())
}

/// Times runs for about `seconds`; the answer has each in milliseconds.
///
/// # Errors
///
/// A run that fails, and a time that is none.
pub fn timed(seconds: f64, mut run: impl FnMut() -> Result<(), String>) -> Result<Value, String> {
    let least = Duration::try_from_secs_f64(seconds).map_err(|e| e.to_string())?;
    let mut runs = time(least, &mut run)?;
    while runs.len() < FEWEST.0 && runs.iter().sum::<f64>() <= FEWEST.1 {
        runs.extend(time(Duration::ZERO, &mut run)?);
    }
    Ok(json!({ "ms": runs.iter().map(|s| 1e3 * s).collect::<Vec<_>>() }))
}

/// Resident memory of this process in MB of 2²⁰ bytes; NaN where the system does not say.
pub fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|kb| kb.trim().strip_suffix(" kB")?.parse::<f64>().ok()).map_or(f64::NAN, |kb| kb / 1024.0)
}
