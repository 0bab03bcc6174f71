//! The page that `explain --html` writes: one file, no scripts, nothing fetched.
//!
//! It has the cost of the layer from pass to pass. For each convolution it has the choice in words, the roofline, error against time, the parts of the
//! time, and the candidates in a table. Then follow the changes of each pass, and the IR before and after it, side by side.

mod bars;
mod cascade;
mod difference;
mod labels;
mod roofline;
mod scatter;
mod svg;

use std::fmt::Write;

pub(super) use self::svg::escaped;
use self::svg::family;
use super::facts::{Report, Row, Standing, View, assumption, bounds, budget, error, relative};
use super::{shape, text, verdict, waterfall};
use crate::options::{machine_line, signature};
use crate::table::{count, seconds};

/// Lines of a text that is shown without being asked for.
const SHORT: usize = 24;

const STYLE: &str = include_str!("style.css");

pub(super) fn page(report: &Report<'_>) -> String {
    let mut page = head(report, "");
    if report.only.is_none() {
        page += &costs(report);
    }
    for view in &report.views() {
        page += &convolution(view, "");
    }
    if report.explanation.selections().is_empty() {
        page += "<p>There is no convolution, so no algorithm to choose.</p>\n";
    }
    if report.only.is_none() {
        page += &passes(report, usize::MAX);
    }
    page + "</html>\n"
}

/// The page up to its header; `style` is added to that of all pages.
pub(super) fn head(report: &Report<'_>, style: &str) -> String {
    let (layer, machine) = (report.layer, report.compiler.machine());
    let mut page = String::from("<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n");
    page += "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n";
    page += &format!("<title>convoke: {}</title>\n<style>\n{STYLE}{style}</style>\n", escaped(layer.name()));
    page +=
        &format!("<header><h1>{}</h1>\n<p><code>{}</code></p>\n", escaped(layer.name()), escaped(&signature(layer)));
    let threads = crate::table::threads(report.compiler.threads());
    page += &format!(
        "<p>for {} at {} GHz, {threads}, -O{}</p></header>\n",
        escaped(&machine_line(machine)),
        machine.ghz,
        report.compiler.level()
    );
    page
}

/// The cost of the layer from pass to pass.
pub(super) fn costs(report: &Report<'_>) -> String {
    format!("<section><h2>Cost of the layer, from pass to pass</h2>\n{}</section>\n", cascade::draw(report))
}

/// The changes of each pass, in numbers and in the IR. A text of more than `most` lines is not shown.
pub(super) fn passes(report: &Report<'_>, most: usize) -> String {
    let mut text = format!("<section><h2>Passes of -O{}</h2>\n<pre>", report.compiler.level());
    text += &escaped(&text::passes(report.explanation.records(), report.no_times));
    text += "</pre></section>\n<section><h2>The IR, pass by pass</h2>\n";
    text += &ir(report, most);
    text + "</section>\n"
}

/// A convolution: the choice, two plots, bars and the table. `above` stands above its heading.
pub(super) fn convolution(view: &View<'_>, above: &str) -> String {
    let selection = view.selection;
    let mut text = format!(
        "<section id=\"{0}\">\n{above}<h2>%{0}: {1}</h2>\n",
        escaped(&selection.value),
        escaped(&shape(selection))
    );
    text += &verdict_card(view);
    text += &format!(
        "<div class=\"plots\">\n<figure>\n{}<figcaption><b>Roofline.</b> A mark counts the operations that an algorithm really does; \
         the line above it ends at its <i>effective</i> rate, with all multiplications of the sums counted. Bytes are those that move \
         between the levels of memory.</figcaption></figure>\n",
        roofline::draw(view)
    );
    text += &format!(
        "<figure>\n{}<figcaption><b>Error against time.</b> Below, the error to expect, relative to {}, {}; above, the \
         certified bound, relative to {}. Dotted steps join those that none beats in both.</figcaption></figure>\n</div>\n{}",
        scatter::draw(view),
        escaped(&relative(view)),
        escaped(&assumption(view)),
        escaped(&bounds(&view.rows, view.selection.conv.range)),
        families(view)
    );
    text += &format!("<h3>Where the predicted time goes</h3>\n{}", bars::draw(view));
    text += &format!("<h3>Candidates</h3>\n{}", table(view));
    if !view.refused.is_empty() {
        text += "<h3>Not applicable</h3>\n<ul>";
        for (whom, reason) in &view.refused {
            text += &format!("<li><b>{}</b>: {}</li>", escaped(whom), escaped(reason));
        }
        text += "</ul>\n";
    }
    text + "</section>\n"
}

/// The choice in large, the numbers that matter, and why.
fn verdict_card(view: &View<'_>) -> String {
    let selection = view.selection;
    let mut text = format!(
        "<div class=\"card {}\"><p class=\"choice\">Chosen: <b>{}</b></p>\n<div class=\"facts\">",
        family(selection.chosen),
        escaped(&selection.chosen.to_string())
    );
    let mut fact = |number: String, what: &str| {
        let _ = write!(text, "<p><b>{}</b> {}</p>", escaped(&number), escaped(what));
    };
    if let Some(row) = view.chosen() {
        fact(seconds(row.seconds), "predicted");
        if let Some(timing) = row.timing() {
            fact(seconds(timing.seconds), "measured");
        }
        if row.fewer > 1.0 {
            fact(format!("{:.2}×", row.fewer), "fewer multiplications");
        }
        fact(format!("{:.1}", view.nominal_flops() / row.best_known() / 1e9), "GFLOP/s effective");
        fact(error(row.plan.error_typical), "error to expect");
        fact(error(row.plan.error_bound), "bound");
    }
    let sentences =
        verdict::sentences(view).into_iter().chain([format!("Error allowed: {}.", budget(&selection.budget))]);
    let sentences: String = sentences.map(|s| format!("<li>{}</li>", escaped(&s))).collect();
    text += &format!(
        "</div>
<ul>{sentences}</ul></div>
"
    );
    text
}

/// The meaning of the shapes of marks.
fn families(view: &View<'_>) -> String {
    let mut seen = Vec::new();
    let mut key = String::new();
    for row in &view.rows {
        let name = family(row.algorithm);
        if !seen.contains(&name) {
            seen.push(name);
            key += &format!("<span>{}{name}</span>", swatch(row, false));
        }
    }
    if view.rows.iter().any(|row| row.standing == Standing::Over) {
        key += "<span>hollow: error over the limit</span>";
    }
    format!("<p class=\"key\">{key}<span>ring: chosen</span></p>\n")
}

/// The mark of a candidate, small.
fn swatch(row: &Row<'_>, hollow: bool) -> String {
    let mut svg = svg::Svg::new(16.0, 16.0, family(row.algorithm));
    svg.mark(row.algorithm, (8.0, 8.0), false, hollow, "");
    svg.finish()
}

fn table(view: &View<'_>) -> String {
    let mut text = String::from("<div class=\"wide\"><table>\n<tr><th>candidate<th>predicted");
    if view.measured {
        text += "<th>measured<th>of predicted";
    }
    text += "<th>multiplications<th>fewer<th>bytes moved<th>scratch<th>GFLOP/s executed<th>effective<th>error to expect<th>bound<th></tr>\n";
    for row in &view.rows {
        let class = match row.standing {
            Standing::Chosen => "chosen",
            Standing::Over | Standing::OnRequest => "faint",
            Standing::Open => "",
        };
        let hollow = row.standing == Standing::Over;
        let _ =
            write!(text, "<tr class=\"{class}\"><td>{}{}", swatch(row, hollow), escaped(&row.algorithm.to_string()));
        let mut cell = |cell: String| {
            let _ = write!(text, "<td>{}", escaped(&cell));
        };
        cell(seconds(row.seconds));
        if view.measured {
            match &row.measured {
                Some(Ok(timing)) => {
                    cell(seconds(timing.seconds));
                    cell(format!("{:.0} %", 100.0 * timing.seconds / row.seconds));
                }
                Some(Err(why)) => {
                    cell(format!("not possible: {why}"));
                    cell(String::new());
                }
                None => {
                    cell("not tried".into());
                    cell(String::new());
                }
            }
        }
        cell(count(row.plan.cost.multiplications as f64));
        cell(format!("{:.2}×", row.fewer));
        cell(count(row.plan.cost.bytes_moved as f64));
        cell(count(row.plan.cost.scratch_bytes as f64));
        cell(format!("{:.1}", view.flops(row) / row.best_known() / 1e9));
        cell(format!("{:.1}", view.nominal_flops() / row.best_known() / 1e9));
        cell(error(row.plan.error_typical));
        cell(error(row.plan.error_bound));
        cell(row.standing.word().into());
        text += "</tr>\n";
    }
    text + "</table></div>\n"
}

/// The IR before and after each pass that changed it, beside each other.
fn ir(report: &Report<'_>, most: usize) -> String {
    let given = report.layer.ir().to_string();
    let (mut text, mut before, mut heading) = (String::new(), given.as_str(), "as given".to_owned());
    let mut idle: Vec<&str> = Vec::new();
    let flush = |idle: &mut Vec<&str>, text: &mut String| {
        if !idle.is_empty() {
            *text += &format!("<p class=\"idle\">{}: nothing to do</p>\n", escaped(&idle.join(", ")));
            idle.clear();
        }
    };
    let stages = waterfall::rows(report);
    for (record, after) in report.explanation.records().iter().zip(report.explanation.texts()) {
        let Some(after) = after else {
            idle.push(record.pass);
            continue;
        };
        flush(&mut idle, &mut text);
        let lines = after.lines().count();
        if lines.max(before.lines().count()) > most {
            text += &format!(
                "<p class=\"idle\">{}: {lines} lines after it; <code>convoke opt --print-after-all</code> prints them</p>\n",
                escaped(record.pass)
            );
            before = after;
            heading = format!("after {}", record.pass);
            continue;
        }
        let said = stages.iter().filter(|row| row.name == record.pass).flat_map(|row| &row.said);
        let said: String = said.map(|note| format!("<p class=\"note\">{}</p>\n", escaped(note))).collect();
        // A short text is shown at once, a long one when it is asked for.
        let open = if lines <= SHORT { " open" } else { "" };
        text += &format!(
            "<details{open}><summary>{}</summary>\n{said}<div class=\"beside\"><table>\n<tr><th>{}<th>after {0}</tr>\n{}</table></div></details>\n",
            escaped(record.pass),
            escaped(&heading),
            difference::rows(before, after)
        );
        before = after;
        heading = format!("after {}", record.pass);
    }
    flush(&mut idle, &mut text);
    text
}
