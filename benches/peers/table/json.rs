//! A table as JSON: every ratio, and what they come to.

use serde_json::{Map, Value, json};

use crate::pairs::{Figures, Row, Table, figures};
use crate::records::Measurement;

pub(crate) fn table(table: &Table) -> Value {
    let of = |f: Option<Figures>| match f {
        Some(f) => json!({ "layers": f.layers, "geometric_mean": f.mean, "ahead": f.ahead, "least": f.least }),
        None => Value::Null,
    };
    let both = |peer: Option<&str>| json!({ "equal_accuracy": of(figures(table.ratios(peer, false))), "any_error": of(figures(table.ratios(peer, true))) });
    let against: Map<String, Value> = table.peers.iter().map(|name| (name.clone(), both(Some(name)))).collect();
    json!({
        "threads": table.threads,
        "date": table.machine.as_ref().map(|m| &m.date),
        "against": against,
        "best": both(None),
        "worst_first": table.worst().iter().map(|(row, ..)| &row.ours.layer).collect::<Vec<_>>(),
        "layers": table.rows.iter().map(row).collect::<Vec<_>>(),
    })
}

fn row(row: &Row) -> Value {
    let best = |any| row.best(any).map(|(m, ratio)| json!({ "peer": m.peer, "ratio": ratio }));
    let peer = |m: &Measurement| {
        json!({
            "ms": m.median_ms, "ratio": row.ratio(m), "rel_rms_err": m.rel_rms_err, "compile_ms": m.compile_ms,
            "first_answer_ms": m.first_answer(), "error": m.error,
        })
    };
    let peers: Map<String, Value> = row.peers.iter().map(|m| (m.peer.clone(), peer(m))).collect();
    let ours = &row.ours;
    json!({
        "layer": ours.layer, "network": ours.network, "flops": ours.flops, "algorithm": ours.algorithm, "ms": ours.median_ms,
        "peak_fraction": ours.peak_fraction, "speed_up": row.speed_up(), "rel_rms_err": ours.rel_rms_err,
        "compile_ms": ours.compile_ms, "prepare_ms": ours.prepare_ms, "first_answer_ms": ours.first_answer(),
        "scratch_bytes": ours.scratch_bytes, "constant_bytes": ours.constant_bytes, "code_bytes": ours.code_bytes,
        "best_equal_accuracy": best(false), "best_any_error": best(true), "peers": peers, "flags": row.flags(),
    })
}
