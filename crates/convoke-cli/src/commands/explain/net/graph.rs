//! The net as a drawing: a box for each op, coloured by its kind and filled by its share of the time, and lines for the values between them.

use std::collections::HashMap;
use std::fmt::Write;

use convoke::ir::layer::{Layer, ValueId};

use super::layered::{Drawing, draw};
use super::rows::{Net, Row};
use super::shape::of_value;
use super::text::{percent, time};
use crate::commands::explain::facts::error;
use crate::commands::explain::html::escaped;
use crate::table::{bytes, count};

/// The share of the time from which on a box tells it.
const TOLD: f64 = 0.01;
/// About the width of a character, and the room at both ends of a line of text.
const CHARACTER: f64 = 6.2;
const MARGIN: f64 = 20.0;
/// The narrowest and the widest box.
const WIDTHS: (f64, f64) = (84.0, 250.0);
/// The heights of boxes of one line and of two.
const HEIGHTS: [f64; 2] = [24.0, 40.0];

/// A box of the drawing.
struct Node {
    /// Its class: the kind of op, or `end`.
    class: &'static str,
    lines: Vec<String>,
    /// The text shown for it on hover.
    title: String,
    /// The part of the largest share, from 0 to 1.
    weight: f64,
    /// The section that it opens.
    opens: Option<String>,
}

/// The drawing as SVG. `section` gives the id of the section of a convolution, by its place among the selections.
pub(super) fn svg(net: &Net<'_>, section: &dyn Fn(usize) -> Option<String>) -> String {
    let (nodes, edges) = (nodes(net, section), edges(net));
    let sizes: Vec<(f64, f64)> = nodes.iter().map(size).collect();
    let joined: Vec<(usize, usize)> = edges.iter().map(|edge| (edge.from, edge.to)).collect();
    let drawing = draw(&sizes, &joined);
    // Half of a stroke, and arrows, need room at the edge.
    let (w, h) = (drawing.width + MARGIN, drawing.height + MARGIN);
    let mut text = format!(
        "<svg id=\"graph\" viewBox=\"{0:.0} {0:.0} {w:.0} {h:.0}\" preserveAspectRatio=\"xMidYMin meet\" role=\"img\" \
         aria-label=\"The net as a graph of its ops\">\n<defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"6\" \
         markerHeight=\"6\" orient=\"auto\"><path d=\"M0 0.5L8 4L0 7.5z\"/></marker></defs>\n<g id=\"drawing\">\n",
        -MARGIN / 2.0
    );
    text += &lines(net.layer, &edges, &drawing);
    for (i, (node, place)) in nodes.iter().zip(&drawing.boxes).enumerate() {
        text += &boxed(i, node, *place);
    }
    text + "</g></svg>\n"
}

fn size(node: &Node) -> (f64, f64) {
    let longest = node.lines.iter().map(|line| line.chars().count()).max().unwrap_or(0);
    let height = HEIGHTS[usize::from(node.lines.len() > 1)];
    ((longest as f64 * CHARACTER + MARGIN).clamp(WIDTHS.0, WIDTHS.1), height)
}

/// A box for each input, each op and each output, in that order.
fn nodes(net: &Net<'_>, section: &dyn Fn(usize) -> Option<String>) -> Vec<Node> {
    let layer = net.layer;
    let end = |what: &str, id: &ValueId| {
        let shape = of_value(layer, *id);
        let title = format!("{what} %{}: {}", layer.values[*id].name, layer.ty(*id));
        Node { class: "end", lines: vec![format!("{what} {shape}")], title, weight: 0.0, opens: None }
    };
    let largest = net.largest();
    let op = |row: &Row<'_>| Node {
        class: row.kind.name(),
        lines: labels(row),
        title: title(row),
        weight: row.share.unwrap_or(0.0) / largest,
        opens: row.selection.and_then(section),
    };
    let inputs = layer.params.iter().map(|id| end("input", id));
    inputs.chain(net.rows.iter().map(op)).chain(layer.results.iter().map(|id| end("output", id))).collect()
}

/// The lines of an op's box.
fn labels(row: &Row<'_>) -> Vec<String> {
    let fused: Vec<&str> = row.fused.iter().map(String::as_str).filter(|what| is_step(what)).collect();
    let fused: String = fused.iter().map(|what| format!(" +{what}")).collect();
    let first = match row.algorithm {
        Some(_) => format!("{}{fused}", row.shape),
        None => format!("{} {}{fused}", row.op, row.shape),
    };
    let known = [row.algorithm.map(|plan| plan.algorithm.to_string()), row.best_known().map(|s| time(Some(s)))];
    let share = row.share.filter(|&share| share >= TOLD).map(|share| percent(Some(share)));
    let is_told = row.algorithm.is_some() || share.is_some();
    let second = known.into_iter().flatten().chain(share).collect::<Vec<_>>().join(" · ");
    [first].into_iter().chain(is_told.then_some(second)).collect()
}

/// Whether a box shows a fused op. It shows neither a bias nor an op that was folded, which costs nothing.
fn is_step(what: &str) -> bool {
    what != "bias" && !what.contains(' ')
}

fn title(row: &Row<'_>) -> String {
    let mut text = format!("%{}: {}, {}", row.value, row.op, row.shape);
    let mut line = |what: &str, value: String| {
        let _ = write!(text, "\n{what}: {value}");
    };
    if let Some(plan) = row.algorithm {
        line("algorithm", plan.to_string());
    }
    if !row.fused.is_empty() {
        line("fused", row.fused.join(", "));
    }
    if row.multiplications > 0 {
        line("multiplications", count(row.multiplications as f64));
    }
    line("predicted", time(row.predicted));
    if row.measured.is_some() {
        line("measured", time(row.measured));
    }
    line("share", percent(row.share));
    if let Some(relative) = row.error {
        line("error to expect", error(relative));
    }
    text
}

/// A line of the drawing.
struct Edge {
    value: ValueId,
    from: usize,
    to: usize,
}

/// The values that are passed between boxes, by their boxes; those that one box passes stand together. Constants have no box.
fn edges(net: &Net<'_>) -> Vec<Edge> {
    let layer = net.layer;
    let inputs = layer.params.len();
    let params = layer.params.iter().enumerate().map(|(i, &id)| (id, i));
    let ops = layer.body.iter().enumerate().map(|(i, instr)| (instr.result, inputs + i));
    let made: HashMap<ValueId, usize> = params.chain(ops).collect();
    let reads = layer.body.iter().enumerate().flat_map(|(i, instr)| instr.reads().map(move |id| (id, inputs + i)));
    let returned = layer.results.iter().enumerate().map(|(i, &id)| (id, inputs + layer.body.len() + i));
    let one = |(value, to)| made.get(&value).map(|&from| Edge { value, from, to });
    let mut edges: Vec<Edge> = reads.chain(returned).filter_map(one).collect();
    edges.sort_by_key(|edge| (edge.from, edge.to));
    edges.dedup_by_key(|edge| (edge.from, edge.to));
    edges
}

/// All lines; those of one value are a group, which shows the value on hover.
fn lines(layer: &Layer, edges: &[Edge], drawing: &Drawing) -> String {
    let mut text = String::new();
    let mut open = None;
    for (edge, line) in edges.iter().zip(&drawing.lines) {
        if open != Some(edge.from) {
            let ty = layer.ty(edge.value);
            let told = format!("%{}: {ty}, {}", layer.values[edge.value].name, bytes(ty.bytes() as u64));
            text += if open.is_some() { "</g>\n" } else { "" };
            let _ = write!(text, "<g class=\"line\"><title>{}</title>", escaped(&told));
            open = Some(edge.from);
        }
        let path = path(line);
        let _ = write!(text, "<path class=\"near\" d=\"{path}\"/><path d=\"{path}\"/>");
    }
    text + if open.is_some() { "</g>\n" } else { "" }
}

/// A line through points, with a bend wherever it goes sideways.
fn path(line: &[(f64, f64)]) -> String {
    let mut text = String::new();
    for (i, &(x, y)) in line.iter().enumerate() {
        let before = i.checked_sub(1).map(|before| line[before]);
        let _ = match before {
            None => write!(text, "M{x:.1} {y:.1}"),
            // A step of no length would turn the arrow.
            Some((_, above)) if (above - y).abs() < 0.05 => Ok(()),
            Some((from, _)) if (from - x).abs() < 0.05 => write!(text, "V{y:.1}"),
            Some((from, above)) => {
                let middle = (above + y) / 2.0;
                write!(text, "C{from:.1} {middle:.1} {x:.1} {middle:.1} {x:.1} {y:.1}")
            }
        };
    }
    text
}

fn boxed(i: usize, node: &Node, [x, y, w, h]: [f64; 4]) -> String {
    // A small share is seen too; the fill grows with its root.
    let fill = 0.06 + 0.6 * node.weight.clamp(0.0, 1.0).sqrt();
    let (class, title) = (node.class, escaped(&node.title));
    let round = if class == "end" { h / 2.0 } else { 4.0 };
    let mut text = format!("<g class=\"op {class}\" id=\"op{i}\"><title>{title}</title>");
    let rect = |class: &str, w: f64, more: &str| {
        format!(
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{w:.1}\" height=\"{h:.1}\" rx=\"{round}\"{more}/>"
        )
    };
    text += &rect("paper", w, "");
    text += &rect("fill", w, &format!(" fill-opacity=\"{fill:.2}\""));
    // The largest text that fits is shown; the rest is in the title.
    let most = ((w - MARGIN / 2.0) / CHARACTER) as usize;
    for (i, line) in node.lines.iter().enumerate() {
        let baseline = y + h / 2.0 + 4.0 + if node.lines.len() > 1 { 15.0 * i as f64 - 7.5 } else { 0.0 };
        let class = if i == 0 { "label" } else { "label soft" };
        let (middle, line) = (x + w / 2.0, escaped(&cut(line, most)));
        text += &format!("<text class=\"{class}\" x=\"{middle:.1}\" y=\"{baseline:.1}\">{line}</text>");
    }
    match &node.opens {
        Some(id) => format!("<a href=\"#{}\">{text}</g></a>\n", escaped(id)),
        None => text + "</g>\n",
    }
}

/// A text of at most `most` characters.
fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.into();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}
