//! The report: a line for each layer, and what they come to.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::measure::{Candidate, Measured, Times};

/// Within this of the best, a choice counts as right.
const NEAR: f64 = 0.05;

pub(crate) const HEADINGS: &str = "layer                    chosen               ms        best                 ms        \
                                   regret    any error: chosen    best                 regret";

impl Measured {
    /// The choice and the fastest of what was measured; `any` whether errors above the default count.
    fn ends(&self, any: bool) -> Option<[(&Candidate, f64); 2]> {
        let measured = self.candidates.iter().filter(|c| any || c.allowed);
        let measured: Vec<_> = measured.filter_map(|c| Some((c, *c.time.as_ref().ok()?))).collect();
        let chosen = measured.iter().find(|(c, _)| c.plan.plan == self.chosen[usize::from(any)])?;
        let best = measured.iter().min_by(|a, b| a.1.total_cmp(&b.1))?;
        Some([*chosen, *best])
    }

    fn regret(&self, any: bool) -> Option<f64> {
        let [chosen, best] = self.ends(any)?;
        Some(chosen.1 / best.1 - 1.0)
    }
}

/// A layer in a line.
pub(crate) fn line(name: &str, layer: &Measured) -> String {
    let (Some([chosen, best]), Some([any_chosen, any_best])) = (layer.ends(false), layer.ends(true)) else {
        let why = layer.candidates.iter().filter_map(|c| c.time.as_ref().err()).next();
        return format!("{name:<24} could not be measured: {}", why.map_or("no candidate", String::as_str));
    };
    let name_of = |c: &(&Candidate, f64)| c.0.plan.plan.to_string();
    format!(
        "{name:<24} {:<20} {:<9.4} {:<20} {:<9.4} {:<9} {:<20} {:<20} {}",
        name_of(&chosen),
        1e3 * chosen.1,
        name_of(&best),
        1e3 * best.1,
        percent(layer.regret(false)),
        name_of(&any_chosen),
        name_of(&any_best),
        percent(layer.regret(true))
    )
}

fn percent(regret: Option<f64>) -> String {
    regret.map_or_else(|| "-".into(), |r| format!("{:.1} %", 100.0 * r))
}

/// The share of right choices, and the worst.
pub(crate) fn summary(all: &[Measured]) -> String {
    let one = |any: bool| {
        let regrets: Vec<f64> = all.iter().filter_map(|m| m.regret(any)).collect();
        let near = regrets.iter().filter(|r| **r <= NEAR).count();
        let worst = regrets.iter().copied().fold(0.0, f64::max);
        format!(
            "{near} of {} choices within {:.0} % of the best ({:.1} %), worst regret {:.1} %",
            regrets.len(),
            100.0 * NEAR,
            100.0 * near as f64 / regrets.len().max(1) as f64,
            100.0 * worst
        )
    };
    format!("\ndefault error: {}\nany error:     {}\n", one(false), one(true))
}

/// The times of the candidates of each layer, from lines that [`json`] made.
pub(crate) fn times(text: &str) -> Result<HashMap<String, Times>, String> {
    let line = |line: &str| {
        let value: Value = serde_json::from_str(line).map_err(|e| e.to_string())?;
        let name = value["layer"].as_str().ok_or("a line without the name of a layer")?;
        let candidates = value["candidates"].as_array().ok_or("a line without candidates")?;
        let time = |c: &Value| Some((c["algorithm"].as_str()?.to_owned(), c["seconds"].as_f64()?));
        Ok((name.to_owned(), candidates.iter().filter_map(time).collect()))
    };
    text.lines().map(line).collect()
}

/// A layer with every candidate.
pub(crate) fn json(name: &str, layer: &Measured) -> Value {
    let candidate = |c: &Candidate| {
        let terms = c.plan.cost.terms.iter().map(|t| (t.name.to_owned(), json!(t.cycles)));
        let terms: serde_json::Map<String, Value> = terms.collect();
        let mut value = json!({
            "algorithm": c.plan.plan.to_string(), "allowed": c.allowed, "cycles": c.plan.cycles(), "terms": terms,
            "multiplications": c.plan.cost.multiplications as f64, "bytes_moved": c.plan.cost.bytes_moved as f64,
            "error_typical": c.plan.error_typical,
        });
        match &c.time {
            Ok(seconds) => value["seconds"] = json!(seconds),
            Err(why) => value["not_run"] = json!(why),
        }
        value
    };
    json!({
        "layer": name,
        "chosen": layer.chosen[0].to_string(), "regret": layer.regret(false),
        "chosen_with_any_error": layer.chosen[1].to_string(), "regret_with_any_error": layer.regret(true),
        "candidates": layer.candidates.iter().map(candidate).collect::<Vec<_>>(),
    })
}
