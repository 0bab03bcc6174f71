//! The numbers of a net as JSON.

use serde_json::{Value, json};

use super::rows::{Net, OfKind, Row};
use crate::commands::explain::facts::whole;

pub(crate) fn json(net: &Net<'_>) -> Value {
    let sums = &net.sums;
    json!({
        "ops": net.rows.iter().map(op).collect::<Vec<_>>(),
        "sums": { "ops": net.rows.len(), "parameters": whole(sums.parameters), "multiplications": whole(sums.multiplications),
                  "predicted_seconds": sums.predicted, "measured_seconds": sums.measured,
                  "measured_whole_seconds": sums.whole, "scratch_bytes": sums.workspace.bytes,
                  "scratch_unshared_bytes": sums.workspace.unshared, "scratch_least_bytes": sums.workspace.least },
        "kinds": net.kinds().iter().map(kind).collect::<Vec<_>>(),
        "share_of": if net.is_measured { "measured_seconds" } else { "predicted_seconds" },
    })
}

fn op(row: &Row<'_>) -> Value {
    json!({
        "value": row.value, "op": row.op, "kind": row.kind.name(), "shape": row.shape,
        "algorithm": row.algorithm.map(|plan| plan.form().to_string()),
        "plan": row.algorithm.map(|plan| plan.to_string()),
        "fused": row.fused, "multiplications": whole(row.multiplications),
        "predicted_seconds": row.predicted, "measured_seconds": row.measured,
        "share": row.share, "expected_error": row.error,
    })
}

fn kind(kind: &OfKind) -> Value {
    json!({
        "kind": kind.kind.words(), "ops": kind.ops, "multiplications": whole(kind.multiplications),
        "predicted_seconds": kind.predicted, "measured_seconds": kind.measured, "share": kind.share,
    })
}

/// The measured time of each convolution's chosen algorithm.
pub(crate) fn measured(net: &Net<'_>) -> Value {
    let one = |row: &Row<'_>| {
        let (plan, seconds) = (row.algorithm?, row.measured?);
        Some(json!({ "value": row.value, "algorithm": plan.form().to_string(), "seconds": seconds }))
    };
    net.rows.iter().filter_map(one).collect()
}
