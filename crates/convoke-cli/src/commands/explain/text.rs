//! The report as text, for a terminal of 130 columns.

use convoke::Subnormals;
use convoke_passes::Record;

use super::bounds::section;
use super::facts::{PRODUCTS, Report, Row, Standing, View, assumption, bounds, budget, error, relative};
use super::waterfall;
use super::{shape, verdict};
use crate::options::signature;
use crate::output_errors;
use crate::table::{self, Table, count, seconds};

/// Columns of sentences.
const WIDTH: usize = 112;
/// Cells of the longest bar.
const BAR: f64 = 24.0;

/// The layer and the machine, and what no prediction counts.
pub(super) fn header(report: &Report<'_>) -> String {
    let mut text = format!("layer    {}\nmachine  {}\n", signature(report.layer), report.machine());
    if report.compiler.subnormals() == Subnormals::Keep {
        text += &wrapped(
            "subnormal numbers are kept: an operation that meets one takes up to 700 times as long, which no prediction counts",
        );
    }
    text
}

pub(super) fn text(report: &Report<'_>) -> String {
    let mut text = header(report);
    for view in report.views() {
        text += &convolution(&view);
    }
    if report.only.is_some() {
        return text;
    }
    if report.explanation.selections().is_empty() {
        text += "\nno convolution, so no algorithm to choose\n";
    }
    text += &errors(report);
    text += &waterfall_of(report);
    text += &format!("\npasses of -O{}\n", report.compiler.level());
    text + &passes(report.explanation.records(), report.no_times)
}

/// The errors to expect of outputs and the bounds for all inputs, if there are any.
pub(super) fn errors(report: &Report<'_>) -> String {
    let expected = report.explanation.output_errors().map_or_else(String::new, output_errors::section);
    expected + &report.bounds.map_or_else(String::new, section)
}

fn convolution(view: &View<'_>) -> String {
    let selection = view.selection;
    let mut text = format!("\n%{}: {}\n", selection.value, shape(selection));
    text += &format!("chosen: {}\n", selection.chosen);
    verdict::sentences(view).iter().for_each(|sentence| text += &wrapped(sentence));
    text += &format!("error allowed: {}\n\n", budget(&selection.budget));
    text += &candidates(view);
    text += &wrapped(&format!("error: to expect, relative to {}; {}", relative(view), assumption(view)));
    text += &wrapped(&format!("bound: exceeded by no input, relative to {}", bounds(&view.rows, selection.conv.range)));
    if let Some(range) = view.range {
        text +=
            &wrapped(&format!("off by: at most, with the layer's weights and inputs of magnitude {range:e} or less"));
    }
    text += &format!("\npredicted time by its parts (█ multiply, ░ all else)\n{}", terms(view));
    if !view.refused.is_empty() {
        text += "\nnot applicable\n";
    }
    view.refused.iter().for_each(|(whom, reason)| text += &format!("   {whom}: {reason}\n"));
    text
}

fn candidates(view: &View<'_>) -> String {
    let mut headings = vec!["", "candidate", "predicted"];
    headings.extend(view.measured.then_some(["measured", "of pred."]).into_iter().flatten());
    headings.extend(["multiplications", "fewer", "bytes", "scratch", "error", "bound"]);
    headings.extend(view.range.map(|_| "off by"));
    headings.push("");
    let alignment = format!("ll{}l", "r".repeat(headings.len() - 3));
    let mut table = Table::new(&headings, &alignment);
    for row in &view.rows {
        let mut cells = vec![mark(row.standing).into(), row.algorithm.to_string(), seconds(row.seconds)];
        if view.measured {
            cells.extend(match row.timing() {
                Some(time) => [seconds(time.seconds), format!("{:.0} %", 100.0 * time.seconds / row.seconds)],
                None => ["-".into(), String::new()],
            });
        }
        cells.extend([
            count(row.plan.cost.multiplications as f64),
            format!("{:.2}×", row.fewer),
            count(row.plan.cost.bytes_moved as f64),
            count(row.plan.cost.scratch_bytes as f64),
            error(row.plan.error_typical),
            error(row.plan.error_bound),
        ]);
        cells.extend(view.range.map(|_| row.absolute.map_or_else(|| "-".into(), error)));
        cells.push(row.standing.word().into());
        table.row(cells);
    }
    let mut text = table.finish();
    for row in &view.rows {
        if let Some(Err(why)) = &row.measured {
            text += &format!("   {} could not be measured: {}\n", row.algorithm, why.trim());
        }
    }
    text
}

fn mark(standing: Standing) -> &'static str {
    if standing == Standing::Chosen { "*" } else { "" }
}

/// The terms of each candidate in columns, and a bar.
fn terms(view: &View<'_>) -> String {
    let names = view.terms();
    let mut headings = vec!["", "candidate"];
    headings.extend(&names);
    headings.push("");
    let align: String = ["ll", &"r".repeat(names.len()), "l"].concat();
    let mut table = Table::new(&headings, &align);
    for row in &view.rows {
        let mut cells = vec![mark(row.standing).into(), row.algorithm.to_string()];
        let time = |name| match view.term(row, name) {
            0.0 => String::new(),
            s => seconds(s),
        };
        cells.extend(names.iter().copied().map(time));
        cells.push(bar(view, row));
        table.row(cells);
    }
    table.finish()
}

fn bar(view: &View<'_>, row: &Row<'_>) -> String {
    let longest = view.longest(|row| row.seconds);
    let cells = |s: f64| (s / longest * BAR).round().min(BAR) as usize;
    let products = cells(view.term(row, PRODUCTS));
    // At least a cell, so that the fastest is still seen.
    let all = cells(row.seconds).max(1);
    let cut = if row.seconds > longest { "…" } else { "" };
    "█".repeat(products.min(all)) + &"░".repeat(all.saturating_sub(products)) + cut
}

/// The cost of the layer from pass to pass.
pub(super) fn waterfall_of(report: &Report<'_>) -> String {
    let rows = waterfall::rows(report);
    let measured = rows.iter().any(|row| row.measured.is_some());
    let mut headings = vec!["after", "parameters", "", "multiplications", "", "predicted", ""];
    headings.extend(measured.then_some(["measured", ""]).into_iter().flatten());
    headings.push("");
    let mut table = Table::new(&headings, format!("l{}l", "r".repeat(headings.len() - 2)));
    let longest = rows.iter().filter_map(|row| row.seconds).fold(f64::MIN_POSITIVE, f64::max);
    let time = |time: Option<f64>| time.map_or_else(|| "-".into(), seconds);
    let ratio = |before: Option<f64>, after: Option<f64>| {
        before.zip(after).map_or_else(String::new, |(before, after)| waterfall::times(before, after))
    };
    for (i, row) in rows.iter().enumerate() {
        let before = &rows[i.saturating_sub(1)];
        let (a, b) = (row.cost, before.cost);
        let mut cells = vec![row.name.to_owned()];
        for (before, after) in [(b.parameters, a.parameters), (b.multiplications, a.multiplications)] {
            cells.extend([after.to_string(), waterfall::times(before as f64, after as f64)]);
        }
        cells.extend([time(row.seconds), ratio(before.seconds, row.seconds)]);
        if measured {
            cells.extend([time(row.timing()), ratio(before.timing(), row.timing())]);
        }
        cells.push(table::bar(row.seconds.unwrap_or(0.0) / longest, BAR as usize));
        table.row(cells);
    }
    let mut text = format!("\ncost of the layer, from pass to pass (█ predicted)\n{}", table.finish());
    text += &wrapped(
        "multiplications: of the sums as written, after select those that the chosen algorithms do; predicted: with the fastest algorithms allowed",
    );
    let why = rows.iter().filter_map(|row| Some((row.name, row.measured?.err()?)));
    why.for_each(|(name, why)| text += &wrapped(&format!("{name} could not be measured: {}", why.trim())));
    for row in &rows {
        for note in &row.said {
            let mut lines = note.lines();
            text += &wrapped(&format!("{} {}", row.name, lines.next().unwrap_or_default()));
            lines.for_each(|line| text += &format!("    {line}\n"));
        }
    }
    waterfall::left(report).iter().for_each(|note| text += &wrapped(note));
    waterfall::sentences(report).iter().for_each(|sentence| text += &wrapped(sentence));
    text
}

/// The changes of the counts of a layer by each pass.
pub(super) fn passes(records: &[Record], no_times: bool) -> String {
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

/// Words in lines of at most [`WIDTH`] characters, those after the first further in.
pub(super) fn wrapped(text: &str) -> String {
    let (mut lines, mut line) = (String::new(), String::from(" "));
    for word in text.split(' ') {
        if line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines += &format!("{line}\n");
            line = "   ".into();
        }
        line.push(' ');
        line += word;
    }
    lines + &line + "\n"
}
