//! The bounds of a net for all inputs in their ranges, as text and as JSON.

use convoke::check::{Extent, Lost, NetBounds, OutputBounds};
use serde_json::{Value, json};

use super::facts::error;
use super::text::wrapped;
use crate::table::Table;

/// The outputs, and each op with the relative size of its bound.
pub(super) fn section(bounds: &NetBounds) -> String {
    let mut text = String::from("\nbounds for all inputs in their ranges\n");
    let mut table = Table::new(&["output", "from", "to", "off by at most", "measured", "bound / measured"], "lrrrrr");
    let mut lost = Vec::new();
    for output in &bounds.outputs {
        let measured = output.measured.map_or_else(|| "-".into(), error);
        let name = format!("%{}", output.output);
        match output.extent() {
            Ok(extent) => {
                let ratio = ratio(output, &extent).map_or_else(|| "-".into(), |ratio| format!("{ratio:.1e}"));
                table.row([name, number(extent.lower), number(extent.upper), error(extent.bound), measured, ratio]);
            }
            Err(why) => {
                table.row([name, "-".into(), "-".into(), "-".into(), measured, "-".into()]);
                lost.push(format!("%{}: {why}", output.output));
            }
        }
    }
    text += &table.finish();
    lost.iter().for_each(|why| text += &wrapped(why));
    text += &wrapped(
        "off by: how far a result of native code may be from that of exact arithmetic; measured: the largest error of one run on random inputs",
    );
    text += "\nbounds of each op as compiled\n";
    let mut table = Table::new(&["value", "op", "from", "to", "off by at most", "relative"], "llrrrr");
    for value in &bounds.values {
        let (name, op) = (format!("%{}", value.value), value.op.to_owned());
        table.row(match &value.extent {
            Ok(e) => [name, op, number(e.lower), number(e.upper), error(e.bound), error(relative(e))],
            Err(_) => [name, op, "-".into(), "-".into(), "-".into(), "-".into()],
        });
    }
    text += &table.finish();
    let first = bounds.values.iter().find_map(|value| Some((&value.value, value.extent.err()?)));
    text += &first.map_or_else(String::new, |(value, why)| wrapped(&format!("from %{value} on there is {why}")));
    text + &wrapped("relative: to the largest magnitude that the value may have")
}

fn number(x: f64) -> String {
    format!("{x:.4e}")
}

fn relative(extent: &Extent) -> f64 {
    let largest = extent.lower.abs().max(extent.upper.abs());
    if extent.bound == 0.0 { 0.0 } else { extent.bound / largest }
}

/// How loose the bound is.
fn ratio(output: &OutputBounds, extent: &Extent) -> Option<f64> {
    output.measured.filter(|&measured| measured > 0.0).map(|measured| extent.bound / measured)
}

pub(super) fn as_json(bounds: &NetBounds) -> Value {
    let of = |extent: Result<Extent, Lost>| match extent {
        Ok(e) => json!({ "from": e.lower, "to": e.upper, "bound": e.bound }),
        Err(lost) => json!({ "no_bound": { "op": lost.op, "why": lost.why } }),
    };
    let output = |output: &OutputBounds| {
        let mut object = of(output.extent());
        (object["output"], object["measured"]) = (json!(output.output), json!(output.measured));
        object["bound_by_measured"] = json!(output.extent().ok().and_then(|extent| ratio(output, &extent)));
        object
    };
    let values = bounds.values.iter().map(|value| {
        let mut object = of(value.extent);
        (object["value"], object["op"]) = (json!(value.value), json!(value.op));
        object
    });
    json!({ "outputs": bounds.outputs.iter().map(output).collect::<Vec<_>>(), "values": values.collect::<Vec<_>>() })
}
