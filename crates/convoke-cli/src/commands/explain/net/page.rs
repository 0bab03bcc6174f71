//! The page of a net: one file that fetches nothing. A small script zooms and drags the drawing; without it the page can be read all the same.
//!
//! It has the sums, the net as a graph, the ops in a table, and for each convolution its own report, hidden until its box or its row opens it. Convolutions
//! of the same numbers share a report. Beyond [`MOST`] reports those with the largest shares of the time are there.

use std::collections::HashMap;
use std::fmt::Write;

use super::graph;
use super::rows::{Net, Row};
use super::text::{percent, shortened, summed, time};
use crate::commands::explain::facts::{Report, View, error};
use crate::commands::explain::html::{convolution, costs, escaped, head, passes};
use crate::table::{count, seconds};

/// Reports of convolutions.
const MOST: usize = 80;
/// Lines of an IR that is shown.
const LINES: usize = 1500;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The reports of convolutions that a page has.
struct Sections<'a> {
    /// Each with the names of the other convolutions of the same numbers.
    shown: Vec<(View<'a>, Vec<String>)>,
    /// For each selection, the place of its report in `shown`.
    of: Vec<Option<usize>>,
}

impl<'a> Sections<'a> {
    fn new(report: &'a Report<'_>, net: &Net<'_>) -> Sections<'a> {
        let views = report.views();
        let mut of: Vec<Option<usize>> = vec![None; views.len()];
        let shares: HashMap<usize, f64> =
            net.rows.iter().filter_map(|row| Some((row.selection?, row.share?))).collect();
        let share = |i: &usize| shares.get(i).copied().unwrap_or(0.0);
        let mut by_share: Vec<usize> = (0..views.len()).collect();
        by_share.sort_by(|a, b| share(b).total_cmp(&share(a)));
        let mut firsts: Vec<usize> = Vec::new();
        for i in by_share {
            let alike = |first: usize| {
                let (a, b) = (views[first].selection, views[i].selection);
                a.conv == b.conv && a.chosen == b.chosen && a.reason == b.reason
            };
            let place = firsts.iter().position(|&first| alike(first));
            of[i] = place.or_else(|| {
                (firsts.len() < MOST).then(|| {
                    firsts.push(i);
                    firsts.len() - 1
                })
            });
        }
        let mut others = vec![Vec::new(); firsts.len()];
        for (i, view) in views.iter().enumerate() {
            if let Some(place) = of[i].filter(|&place| firsts[place] != i) {
                others[place].push(view.selection.value.clone());
            }
        }
        let mut views: Vec<Option<View<'a>>> = views.into_iter().map(Some).collect();
        let shown = firsts.into_iter().filter_map(|first| views[first].take()).zip(others).collect();
        Sections { shown, of }
    }

    /// The id of the report of a convolution, by its place among the selections.
    fn id(&self, selection: usize) -> Option<String> {
        let place = self.of.get(selection).copied().flatten()?;
        Some(self.shown[place].0.selection.value.clone())
    }
}

pub(crate) fn page(report: &Report<'_>, net: &Net<'_>) -> String {
    let sections = Sections::new(report, net);
    let mut page = head(report, STYLE);
    page += &sums(net);
    page += "<section id=\"net\" class=\"full\"><h2>The net as it is compiled</h2>\n";
    page += "<p class=\"idle\">A box is an op with its epilogue. The fuller its colour, the larger its share of the time. Wheel: zoom; drag: move; \
             click a convolution: its candidates.</p>\n";
    page += &kinds(net);
    let drawing = graph::svg(net, &|place| sections.id(place));
    page += &format!(
        "<div class=\"stage\" id=\"stage\">\n{drawing}<svg id=\"map\" role=\"presentation\"><use href=\"#drawing\"/><rect id=\"seen\"/></svg>\n\
         <p class=\"buttons\"><button id=\"all\">whole net</button><button id=\"one\">1 : 1</button></p>\n</div></section>\n"
    );
    page += "<div class=\"layers\">\n";
    for (view, others) in &sections.shown {
        page += &convolution(view, &above(others));
    }
    page += "</div>\n";
    if let Some(left) = sections.of.iter().filter(|of| of.is_none()).count().checked_sub(1) {
        page += &format!(
            "<p class=\"idle\">{} convolutions have no report here; <code>--of NAME</code> writes the report of one.</p>\n",
            left + 1
        );
    }
    page += &format!("<section><h2>Ops</h2>\n{}</section>\n", ops(net, &sections));
    page += &costs(report);
    page += &passes(report, LINES);
    page + &format!("<script>\n{SCRIPT}</script>\n</html>\n")
}

/// The head of a convolution's report: a link back, and the other convolutions with the same numbers.
fn above(others: &[String]) -> String {
    let same = others.iter().map(|name| format!("%{}", escaped(name))).collect::<Vec<_>>().join(", ");
    let same = if same.is_empty() { same } else { format!("The same holds for {same}.") };
    format!("<p class=\"idle\"><a href=\"#net\">back to the net</a> {same}</p>\n")
}

fn sums(net: &Net<'_>) -> String {
    let ops = [(net.rows.len().to_string(), "ops as compiled".to_owned())];
    let all = ops.into_iter().chain(summed(&net.sums));
    let all: String =
        all.map(|(number, what)| format!("<p><b>{}</b> {}</p>", escaped(&number), escaped(&what))).collect();
    format!("<div class=\"facts\">{all}</div>\n")
}

/// The kinds of ops with their colours.
fn kinds(net: &Net<'_>) -> String {
    let mut text = String::from(
        "<div class=\"wide\"><table class=\"kinds\">\n<tr><th>kind<th>ops<th>multiplications<th>predicted",
    );
    text += if net.is_measured { "<th>measured<th>share<th></tr>\n" } else { "<th>share<th></tr>\n" };
    for kind in net.kinds() {
        let multiplications = if kind.multiplications > 0 { count(kind.multiplications as f64) } else { "-".into() };
        let _ = write!(
            text,
            "<tr class=\"{}\"><td><i></i>{}<td>{}<td>{multiplications}<td>{}",
            kind.kind.name(),
            escaped(&kind.kind.words()),
            kind.ops,
            seconds(kind.predicted)
        );
        if let Some(measured) = kind.measured {
            let _ = write!(text, "<td>{}", seconds(measured));
        }
        let _ = writeln!(text, "<td>{}<td>{}</tr>", percent(Some(kind.share)), bar(kind.share));
    }
    text + "</table></div>\n"
}

/// A bar of a width of its share.
fn bar(share: f64) -> String {
    format!("<div class=\"part\"><i style=\"width:{:.1}%\"></i></div>", 100.0 * share.clamp(0.0, 1.0))
}

fn ops(net: &Net<'_>, sections: &Sections<'_>) -> String {
    let mut text = String::from(
        "<div class=\"wide\"><table class=\"ops\">\n<tr><th>value<th>op<th>shape<th>algorithm<th>fused<th>multiplications<th>predicted",
    );
    text += if net.is_measured { "<th>measured" } else { "" };
    text += "<th>share<th><th>error to expect</tr>\n";
    let inputs = net.layer.params.len();
    for (i, row) in net.rows.iter().enumerate() {
        text += &op(row, inputs + i, net, sections);
    }
    text + "</table></div>\n<p class=\"idle\">Click a heading to sort by it. Predicted times are those of one core: of convolutions by the cost model, of other \
            ops by the bytes that they read and write. Measured are ops inside runs of the net.</p>\n"
}

fn op(row: &Row<'_>, node: usize, net: &Net<'_>, sections: &Sections<'_>) -> String {
    let name = escaped(&shortened(row.value));
    let title = escaped(row.value);
    let named = match row.selection.and_then(|place| sections.id(place)) {
        Some(id) => format!("<a href=\"#{}\" title=\"{title}\">%{name}</a>", escaped(&id)),
        None => format!("<span title=\"{title}\">%{name}</span>"),
    };
    let mut text = format!(
        "<tr class=\"{}\"><td><i></i><a href=\"#stage\" data-op=\"{node}\" title=\"show it in the net\">◎</a> {named}",
        row.kind.name()
    );
    // Cells that sort by a number carry it.
    let mut cell = |shown: String, number: Option<f64>| {
        let key = number.map_or_else(String::new, |number| format!(" data-n=\"{number:e}\""));
        let _ = write!(text, "<td{key}>{}", escaped(&shown));
    };
    cell(row.op.into(), None);
    cell(row.shape.clone(), None);
    cell(row.algorithm(), None);
    cell(row.fused.join(", "), None);
    let done = row.multiplications as f64;
    cell(if done > 0.0 { count(done) } else { "-".into() }, Some(done));
    cell(time(row.predicted), Some(row.predicted.unwrap_or(0.0)));
    if net.is_measured {
        cell(time(row.measured), Some(row.measured.unwrap_or(0.0)));
    }
    let share = row.share.unwrap_or(0.0);
    cell(percent(row.share), Some(share));
    let _ = write!(text, "<td data-n=\"{share:e}\">{}", bar(share / net.largest()));
    let shown = row.error.map_or_else(|| "-".into(), error);
    let _ = writeln!(text, "<td data-n=\"{:e}\">{}</tr>", row.error.unwrap_or(0.0), escaped(&shown));
    text
}
