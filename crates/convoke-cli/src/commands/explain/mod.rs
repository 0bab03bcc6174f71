//! `convoke explain`: every candidate algorithm with its numbers, which was chosen and why, and what each pass did.

mod html;

use convoke::explain::{Explanation, explain, measure};
use convoke::passes::Record;
use convoke::passes::select::{Plan, Selection};
use convoke::{Algorithm, Compiler, Layer, data};
use serde_json::{Value, json};

use crate::args::Explain;
use crate::failure::Failure;
use crate::io::Io;
use crate::options::{compiler, machine_line, signature};
use crate::table::{Table, count, seconds};
use crate::{sink, source};

type Measured = Vec<(Algorithm, Result<f64, String>)>;

pub(crate) fn run(args: Explain, no_times: bool, io: &mut Io<'_>) -> Result<(), Failure> {
    let compiler = compiler(&args.options)?;
    let layer = source::layer(&args.file, args.options.layer.as_deref(), io)?;
    let explanation = explain(&compiler, &layer)?;
    let measured = if args.measure { Some(measured(&compiler, &layer)?) } else { None };
    if let Some(path) = &args.html {
        sink::not_over(path, &[&args.file])?;
        let page = html::page(&compiler, &layer, &explanation, measured.as_ref(), no_times);
        sink::write(path, page.as_bytes(), io)?;
        if source::is_standard(path) {
            return Ok(());
        }
    }
    if args.json {
        return sink::json(io, &as_json(&compiler, &layer, &explanation, measured.as_ref(), no_times));
    }
    sink::print(io, &as_text(&compiler, &layer, &explanation, measured.as_ref(), no_times))
}

fn measured(compiler: &Compiler, layer: &Layer) -> Result<Measured, Failure> {
    let files = layer.files().clone().with_budget(compiler.get_max_memory());
    let inputs = layer.inputs().into_iter().enumerate();
    let inputs = inputs.map(|(i, (_, ty))| data::random(ty, i as i64, &files)).collect::<Result<Vec<_>, _>>()?;
    let measured = measure(compiler, layer, &inputs).into_iter();
    Ok(measured.map(|(algorithm, time)| (algorithm, time.map_err(|e| e.render(false)))).collect())
}

fn as_text(
    compiler: &Compiler,
    layer: &Layer,
    explanation: &Explanation,
    measured: Option<&Measured>,
    no_times: bool,
) -> String {
    let mut text = format!("layer    {}\nmachine  {}\n", signature(layer), machine_line(compiler.machine()));
    for selection in &explanation.selections {
        text += &format!("\n%{}: {}\n{}", selection.value, shape(selection), candidates(selection));
        text += &format!("chosen: {}, {}\n", selection.chosen, selection.reason);
    }
    if let Some(measured) = measured {
        text += "\nwhole layer, measured\n";
        for (algorithm, time) in measured {
            match time {
                Ok(_) if no_times => text += &format!("  {algorithm}\n"),
                Ok(s) => text += &format!("  {algorithm}  {}\n", seconds(*s)),
                Err(why) => text += &format!("  {algorithm}  not possible: {why}\n"),
            }
        }
    }
    text += &format!("\npasses of -O{}\n{}", compiler.get_level(), passes(&explanation.records, no_times));
    text
}

/// A convolution in a line: `3x3, 256 -> 256 channels, 56x56 -> 56x56`.
fn shape(selection: &Selection) -> String {
    let c = &selection.conv;
    let (h, w) = (c.window.h, c.window.w);
    let mut text = format!("{}x{}, {} -> {} channels, ", h.kernel, w.kernel, c.x.c, c.y.c);
    text += &format!("{}x{} -> {}x{}", c.x.h, c.x.w, c.y.h, c.y.w);
    let mut add = |what: String, usual: bool| {
        if !usual {
            text += &format!(", {what}");
        }
    };
    add(format!("batch {}", c.x.n), c.x.n == 1);
    add(format!("strides [{}, {}]", h.stride, w.stride), [h.stride, w.stride] == [1, 1]);
    add(format!("dilations [{}, {}]", h.dilation, w.dilation), [h.dilation, w.dilation] == [1, 1]);
    add(format!("pads [{}, {}, {}, {}]", h.begin, w.begin, h.end, w.end), h.begin + h.end + w.begin + w.end == 0);
    add(format!("group {}", c.group), c.group == 1);
    text
}

fn candidates(selection: &Selection) -> String {
    let headings =
        ["", "candidate", "multiplications", "bytes moved", "scratch", "error", "bound", "cycles", "of which"];
    let mut table = Table::new(&headings, "llrrrrrrl");
    let mut refused = String::new();
    for (algorithm, plan) in &selection.candidates {
        let mark = if *algorithm == selection.chosen { "*" } else { "" };
        match plan {
            Ok(plan) => table.row([
                mark.into(),
                algorithm.to_string(),
                count(plan.multiplications as f64),
                count(plan.bytes_moved as f64),
                count(plan.scratch_bytes as f64),
                format!("{:.1e}", plan.error_typical),
                format!("{:.1e}", plan.error_bound),
                count(plan.cycles()),
                terms(plan),
            ]),
            Err(refusal) => refused += &format!("   {algorithm}: {refusal}\n"),
        }
    }
    table.finish() + &refused
}

fn terms(plan: &Plan) -> String {
    let terms: Vec<_> = plan.terms.iter().map(|t| format!("{} {}", t.name, count(t.cycles))).collect();
    terms.join(", ")
}

fn passes(records: &[Record], no_times: bool) -> String {
    let mut headings = vec!["pass", "", "ops", "parameters", "multiplications", "activation bytes"];
    headings.extend((!no_times).then_some("time"));
    let mut table = Table::new(&headings, "llrrrrr");
    for r in records {
        let moved = |before: u128, after: u128| {
            if before == after { after.to_string() } else { format!("{before} -> {after}") }
        };
        let mut row = vec![
            r.pass.into(),
            if r.changed.is_yes() { "changed".into() } else { String::new() },
            moved(r.before.ops, r.after.ops),
            moved(r.before.parameters, r.after.parameters),
            moved(r.before.multiplications, r.after.multiplications),
            moved(r.before.activation_bytes, r.after.activation_bytes),
        ];
        row.extend((!no_times).then(|| seconds(r.elapsed.as_secs_f64())));
        table.row(row);
    }
    table.finish()
}

fn as_json(
    compiler: &Compiler,
    layer: &Layer,
    explanation: &Explanation,
    measured: Option<&Measured>,
    no_times: bool,
) -> Value {
    let convolutions: Vec<_> = explanation.selections.iter().map(selection_json).collect();
    let passes: Vec<_> = explanation
        .records
        .iter()
        .map(|r| {
            let mut pass = json!({ "pass": r.pass, "changed": r.changed.is_yes(), "before": stats(&r.before),
                                   "after": stats(&r.after) });
            if !no_times {
                pass["seconds"] = json!(r.elapsed.as_secs_f64());
            }
            pass
        })
        .collect();
    let mut object = json!({ "layer": layer.name(), "signature": signature(layer), "machine": compiler.machine().name,
                             "level": compiler.get_level(), "convolutions": convolutions, "passes": passes });
    if let Some(measured) = measured {
        let one = |(algorithm, time): &(Algorithm, Result<f64, String>)| match time {
            Ok(s) => json!({ "algorithm": algorithm.to_string(), "seconds": s }),
            Err(why) => json!({ "algorithm": algorithm.to_string(), "refused": why }),
        };
        object["measured"] = measured.iter().map(one).collect();
    }
    object
}

fn selection_json(selection: &Selection) -> Value {
    let candidates: Vec<_> = selection
        .candidates
        .iter()
        .map(|(algorithm, plan)| match plan {
            Ok(plan) => json!({
                "algorithm": algorithm.to_string(),
                "multiplications": plan.multiplications as f64,
                "bytes_moved": plan.bytes_moved as f64,
                "scratch_bytes": plan.scratch_bytes as f64,
                "cycles": plan.cycles(),
                "terms": plan.terms.iter().map(|t| json!({ "name": t.name, "cycles": t.cycles })).collect::<Vec<_>>(),
                "error_bound": plan.error_bound,
                "error_typical": plan.error_typical,
            }),
            Err(refusal) => json!({ "algorithm": algorithm.to_string(), "refused": refusal.to_string() }),
        })
        .collect();
    json!({ "value": selection.value, "shape": shape(selection), "chosen": selection.chosen.to_string(),
            "reason": selection.reason.to_string(), "candidates": candidates })
}

fn stats(stats: &convoke::passes::stats::Stats) -> Value {
    json!({ "ops": stats.ops as f64, "parameters": stats.parameters as f64,
            "multiplications": stats.multiplications as f64, "activation_bytes": stats.activation_bytes as f64,
            "weight_bytes": stats.weight_bytes as f64 })
}
