//! The report as one JSON object.

use convoke::Plan;
use convoke_conv::Origin;
use convoke_passes::stats::Stats;
use serde_json::{Value, json};

use super::facts::{Report, Row, View, assumption, budget, relative, relative_to, whole};
use super::{bounds, net, shape, verdict, waterfall};
use crate::options::signature;
use crate::output_errors;

pub(super) fn json(report: &Report<'_>) -> Value {
    let (compiler, views) = (report.compiler, report.views());
    let passes: Vec<_> = report
        .explanation
        .records()
        .iter()
        .map(|r| {
            let mut pass = json!({ "pass": r.pass, "changed": r.changed.is_yes(), "before": stats(&r.before),
                                   "after": stats(&r.after) });
            if !report.no_times {
                pass["seconds"] = json!(r.elapsed.as_secs_f64());
            }
            pass
        })
        .collect();
    let stages: Vec<_> = waterfall::rows(report).iter().map(stage).collect();
    let tuned = |value: &str| report.explanation.verdicts().iter().find(|verdict| verdict.value() == value);
    let convolution = |view: &View<'_>| {
        let mut object = convolution(view);
        if let Some(verdict) = tuned(&view.selection.value).filter(|_| !report.no_times) {
            let one = |(algorithm, seconds): &(_, f64)| json!({ "algorithm": Plan::form(algorithm).to_string(), "plan": Plan::to_string(algorithm), "seconds": seconds });
            object["tuned"] = verdict.times().iter().map(one).collect();
        }
        object
    };
    let convolutions: Vec<_> = views.iter().map(convolution).collect();
    let mut object = json!({ "layer": report.layer.name(), "signature": signature(report.layer),
                             "machine": compiler.machine().name, "ghz": compiler.machine().ghz,
                             "threads": compiler.threads(), "level": compiler.level(),
                             "convolutions": convolutions, "passes": passes,
                             "waterfall": stages, "remarks": waterfall::sentences(report) });
    if let Some(errors) = report.explanation.output_errors() {
        object["output_errors"] = output_errors::as_json(errors);
    }
    if let Some(found) = report.bounds {
        object["bounds"] = bounds::as_json(found);
    }
    let net = net::Net::new(report);
    object["net"] = net::json(&net);
    if report.measured.is_some() {
        object["measured"] = views.iter().flat_map(measured).collect();
    } else if report.ops_measured.is_some() {
        object["measured"] = net::measured(&net);
    }
    object
}

/// The layer after a pass.
fn stage(row: &waterfall::Row<'_>) -> Value {
    let mut object = json!({ "after": row.name, "parameters": whole(row.cost.parameters),
                             "multiplications": whole(row.cost.multiplications), "predicted_seconds": row.seconds,
                             "notes": row.said });
    match row.measured {
        Some(Ok(time)) => object["measured_seconds"] = json!(time.seconds),
        Some(Err(why)) => object["not_measured"] = json!(why),
        None => {}
    }
    object
}

fn convolution(view: &View<'_>) -> Value {
    let selection = view.selection;
    let refused = selection.candidates.iter().filter_map(|(algorithm, plan)| {
        let refusal = plan.as_ref().err()?;
        Some(json!({ "algorithm": algorithm.form().to_string(), "refused": refusal.to_string() }))
    });
    let candidates: Vec<_> = view.rows.iter().map(|row| candidate(view, row)).chain(refused).collect();
    let mut object = json!({
        "value": selection.value, "shape": shape(selection), "chosen": selection.chosen.form().to_string(), "plan": selection.chosen.to_string(),
        "reason": selection.reason.to_string(), "verdict": verdict::sentences(view),
        "multiplications": selection.conv.multiplications() as f64,
        "budget": { "limit": selection.budget.limit, "certified": selection.budget.certified,
                    "given": selection.budget.origin == Origin::Given,
                    "shared": selection.budget.origin == Origin::Shared, "words": budget(&selection.budget) },
        "propagation": selection.propagation().name(),
        "error_typical_assumes": assumption(view), "candidates": candidates,
    });
    if let Some(other) = &view.in_a_loop {
        object["in_a_loop"] = json!(other.plan.form().to_string());
    }
    if let Some(range) = selection.conv.range {
        object["range"] = json!({ "least": range.least(), "most": range.most(), "spread": range.spread() });
    }
    if let Some(range) = view.range {
        object["input_range"] = json!(range);
    }
    if let Some(regret) = view.regret() {
        object["regret"] = json!(regret);
    }
    object
}

fn candidate(view: &View<'_>, row: &Row<'_>) -> Value {
    let plan = row.plan;
    let mut object = json!({
        "algorithm": row.algorithm.to_string(),
        "plan": plan.plan.to_string(),
        "standing": match row.standing.word() { "" => "open", word => word },
        "allowed": view.selection.budget.allows(plan),
        "multiplications": plan.cost.multiplications as f64,
        "fewer": row.fewer,
        "bytes_moved": plan.cost.bytes_moved as f64,
        "scratch_bytes": plan.cost.scratch_bytes as f64,
        "cycles": plan.cycles(),
        "predicted_seconds": row.seconds,
        "terms": plan.cost.terms.iter().map(|t| json!({ "name": t.name, "cycles": t.cycles })).collect::<Vec<_>>(),
        "error_bound": plan.error_bound,
        "error_bound_relative_to": relative_to(row.algorithm, view.selection.conv.range),
        "error_typical": plan.error_typical,
        "error_typical_relative_to": relative(view),
    });
    if let Some([h, w]) = view.blocks(row) {
        object["kernel_blocks"] = json!({ "count": [h.blocks, w.blocks], "taps": [h.taps, w.taps] });
    }
    if let Some(bound) = row.absolute {
        object["error_bound_absolute"] = json!(bound);
    }
    if let Some(time) = row.timing() {
        object["measured_seconds"] = json!(time.seconds);
        object["measured_median_seconds"] = json!(time.median);
        object["measured_turns"] = json!(time.turns);
    }
    object
}

/// Each measured candidate, by itself.
fn measured<'a>(view: &'a View<'_>) -> impl Iterator<Item = Value> + 'a {
    let value = &view.selection.value;
    view.rows.iter().filter_map(move |row| {
        let algorithm = row.algorithm.to_string();
        Some(match row.measured.as_ref()? {
            Ok(time) => json!({ "value": value, "algorithm": algorithm, "seconds": time.seconds }),
            Err(why) => json!({ "value": value, "algorithm": algorithm, "refused": why }),
        })
    })
}

fn stats(stats: &Stats) -> Value {
    json!({ "ops": stats.ops as f64, "parameters": stats.parameters as f64,
            "multiplications": stats.multiplications as f64, "activation_bytes": stats.activation_bytes as f64,
            "weight_bytes": stats.weight_bytes as f64 })
}
