//! The page that `explain --html` writes: one file, no scripts, nothing fetched.
//!
//! For each convolution a bar for each candidate, its predicted cycles split into the terms of the cost model; the measured times, if
//! there are any; what each pass did, and the IR after each pass that changed it.

use std::fmt::Write;

use convoke::explain::Explanation;
use convoke::passes::select::{Plan, Selection};
use convoke::{Compiler, Layer};

use super::{Measured, passes, shape};
use crate::options::{machine_line, signature};
use crate::table::{count, seconds};

/// Colours of the terms, in the order a plan lists them: distinguishable in grey and to the colour-blind (Okabe and Ito 2008).
const COLORS: [&str; 6] = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00"];

const STYLE: &str = "\
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72em; margin: 2em auto; padding: 0 1em; }
pre { font: 13px/1.4 ui-monospace, monospace; overflow-x: auto; background: #8882; padding: .8em; border-radius: 4px; }
table { border-collapse: collapse; } td, th { padding: .15em .8em .15em 0; text-align: right; vertical-align: middle; white-space: nowrap; }
td:first-child, th:first-child, td.wide, th.wide { text-align: left; }
.chosen td { font-weight: 600; } .refused td { opacity: .7; }
.key span { display: inline-block; width: .8em; height: .8em; margin: 0 .3em 0 1em; border-radius: 2px; }
summary { cursor: pointer; } svg { display: block; }";

/// Width of the longest bar, in CSS pixels.
const BAR: f64 = 360.0;

pub(super) fn page(
    compiler: &Compiler,
    layer: &Layer,
    explanation: &Explanation,
    measured: Option<&Measured>,
    no_times: bool,
) -> String {
    let mut page = String::new();
    let mut put = |text: &str| page.push_str(text);
    put("<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n");
    put("<meta name=\"viewport\" content=\"width=device-width\">\n");
    put(&format!("<title>convoke: {}</title>\n<style>\n{STYLE}\n</style>\n", escaped(layer.name())));
    put(&format!("<h1>{}</h1>\n<p><code>{}</code><br>", escaped(layer.name()), escaped(&signature(layer))));
    put(&format!("for {}, -O{}</p>\n", escaped(&machine_line(compiler.machine())), compiler.get_level()));
    for selection in &explanation.selections {
        put(&convolution(selection));
    }
    if let Some(measured) = measured {
        put(&times(measured, no_times));
    }
    put("<h2>Passes</h2>\n<pre>");
    put(&escaped(&passes(&explanation.records, no_times)));
    put("</pre>\n<h2>The IR, pass by pass</h2>\n<details open><summary>as given</summary><pre>");
    put(&escaped(&layer.ir().to_string()));
    put("</pre></details>\n");
    for (record, text) in explanation.records.iter().zip(&explanation.texts) {
        match text {
            Some(text) => put(&format!(
                "<details><summary>after {}</summary><pre>{}</pre></details>\n",
                escaped(record.pass),
                escaped(text)
            )),
            None => put(&format!("<p>{} had nothing to do</p>\n", escaped(record.pass))),
        }
    }
    put("</html>\n");
    page
}

/// A convolution: its candidates as a table with bars, and why the chosen one was.
fn convolution(selection: &Selection) -> String {
    let plans = || selection.candidates.iter().filter_map(|(_, plan)| plan.as_ref().ok());
    let longest = plans().map(Plan::cycles).fold(f64::MIN_POSITIVE, f64::max);
    let mut text = format!(
        "<h2>%{}: {}</h2>\n<p class=\"key\">predicted cycles:",
        escaped(&selection.value),
        escaped(&shape(selection))
    );
    let mut names: Vec<&str> = Vec::new();
    for term in plans().flat_map(|plan| &plan.terms) {
        if !names.contains(&term.name) {
            names.push(term.name);
        }
    }
    for (i, name) in names.iter().enumerate() {
        let _ = write!(text, "<span style=\"background:{}\"></span>{name}", COLORS[i % COLORS.len()]);
    }
    text += "</p>\n<table><tr><th>candidate<th class=\"wide\">cycles<th><th>multiplications<th>bytes moved<th>scratch\
             <th>typical error<th>bound</tr>\n";
    for (algorithm, plan) in &selection.candidates {
        match plan {
            Ok(plan) => {
                let class = if *algorithm == selection.chosen { " class=\"chosen\"" } else { "" };
                let _ = writeln!(
                    text,
                    "<tr{class}><td>{}<td class=\"wide\">{}<td>{}<td>{}<td>{}<td>{}<td>{:.1e}<td>{:.1e}</tr>",
                    escaped(&algorithm.to_string()),
                    bar(plan, &names, longest),
                    count(plan.cycles()),
                    count(plan.multiplications as f64),
                    count(plan.bytes_moved as f64),
                    count(plan.scratch_bytes as f64),
                    plan.error_typical,
                    plan.error_bound,
                );
            }
            Err(refusal) => {
                let (algorithm, refusal) = (escaped(&algorithm.to_string()), escaped(&refusal.to_string()));
                let _ = writeln!(
                    text,
                    "<tr class=\"refused\"><td>{algorithm}<td class=\"wide\" colspan=\"7\">{refusal}</tr>"
                );
            }
        }
    }
    let (chosen, reason) = (escaped(&selection.chosen.to_string()), escaped(&selection.reason.to_string()));
    let _ = writeln!(
        text,
        "</table>\n<p>Chosen: <b>{chosen}</b>, {reason}. Errors are relative to Σ|w||x| of the output element.</p>"
    );
    text
}

/// The predicted cycles of a plan as one bar, a part for each term.
fn bar(plan: &Plan, names: &[&str], longest: f64) -> String {
    let mut svg = format!("<svg width=\"{BAR}\" height=\"16\" role=\"img\">");
    let mut x = 0.0;
    for term in &plan.terms {
        let width = term.cycles / longest * BAR;
        let color = names.iter().position(|name| *name == term.name).map_or(COLORS[0], |i| COLORS[i % COLORS.len()]);
        let _ = write!(
            svg,
            "<rect x=\"{x:.1}\" width=\"{width:.1}\" height=\"16\" fill=\"{color}\"><title>{} {}</title></rect>",
            term.name,
            count(term.cycles)
        );
        x += width;
    }
    svg + "</svg>"
}

/// Measured times of the whole layer by each algorithm.
fn times(measured: &Measured, no_times: bool) -> String {
    let longest = measured.iter().filter_map(|(_, time)| time.as_ref().ok()).copied().fold(f64::MIN_POSITIVE, f64::max);
    let mut text = String::from("<h2>Measured, the whole layer</h2>\n<table>");
    for (algorithm, time) in measured {
        let algorithm = escaped(&algorithm.to_string());
        let _ = match time {
            Ok(_) if no_times => writeln!(text, "<tr><td>{algorithm}</tr>"),
            Ok(s) => writeln!(
                text,
                "<tr><td>{algorithm}<td class=\"wide\"><svg width=\"{BAR}\" height=\"16\" role=\"img\"><rect width=\"{:.1}\" \
                 height=\"16\" fill=\"{}\"/></svg><td>{}</tr>",
                s / longest * BAR,
                COLORS[0],
                seconds(*s)
            ),
            Err(why) => {
                writeln!(
                    text,
                    "<tr class=\"refused\"><td>{algorithm}<td class=\"wide\" colspan=\"2\">{}</tr>",
                    escaped(why)
                )
            }
        };
    }
    text + "</table>\n"
}

/// Text between tags or in an attribute.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
