//! `convoke analyze --json`.

use convoke::analyze::Analysis;
use convoke_filter::{Filter, Sense};
use serde_json::{Value, json};

pub(super) fn value(all: &[(String, Vec<Analysis>)]) -> Value {
    let analyses = all.iter().flat_map(|(layer, analyses)| analyses.iter().map(move |a| one(layer, a)));
    analyses.collect::<Vec<_>>().into()
}

fn one(layer: &str, analysis: &Analysis) -> Value {
    let bottlenecks: Vec<Value> = analysis
        .bottlenecks()
        .iter()
        .map(|b| json!({ "error": b.error, "ranks": b.ranks, "saves": b.saves }))
        .collect();
    json!({
        "layer": layer,
        "value": analysis.value(),
        "weights": analysis.extents(),
        "group": analysis.group(),
        "kernels": analysis.kernels(),
        "mean_energies": analysis.energies(),
        "looked_at": analysis.filters().iter().map(filter).collect::<Vec<_>>(),
        "bottlenecks": bottlenecks,
    })
}

fn filter(filter: &Filter) -> Value {
    let sense = match filter.rank.sense {
        Sense::Exact => "exact",
        Sense::Rounding => "rounding",
        Sense::Approximate => "approximate",
    };
    let orientation = filter.response.orientation();
    json!({
        "separable": sense,
        "rank": { "exact": filter.rank.exact, "rounding": filter.rank.rounding, "energies": filter.rank.energies },
        "symmetries": filter.symmetries.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "dc_gain": filter.dc_gain,
        "class": filter.class.name(),
        "power": { "low": filter.bands.low, "middle": filter.bands.middle, "high": filter.bands.high },
        "response": { "smallest": filter.response.smallest(), "largest": filter.response.largest() },
        "half_power": filter.response.half_power(),
        "orientation": { "degrees": orientation.degrees, "coherence": orientation.coherence },
    })
}
