//! The numbers of a net as every form of its report shows them: a row for each op of the compiled layer, their sums, and sums by kind.

use std::collections::{HashMap, HashSet};

use convoke::Plan;
use convoke::explain::{OpCost, Workspace};
use convoke::ir::layer::{Instr, Layer, Op, ValueId};
use convoke_passes::stats::Stats;

use super::shape::short;
use crate::commands::explain::facts::Report;

/// Ops of a layer of one convolution beyond which its report is that of a net.
const MANY: usize = 8;
/// Ops of the given layer that are followed back from an op, at most.
const FOLLOWED: usize = 64;

/// A net, op by op.
pub(crate) struct Net<'a> {
    pub(crate) layer: &'a Layer,
    pub(crate) rows: Vec<Row<'a>>,
    pub(crate) sums: Sums,
    /// Whether the ops were timed.
    pub(crate) is_measured: bool,
}

/// An op with its epilogue.
pub(crate) struct Row<'a> {
    /// The value, without `%`.
    pub(crate) value: &'a str,
    pub(crate) op: &'static str,
    pub(crate) kind: Kind,
    pub(crate) shape: String,
    /// The algorithm, if it is a convolution.
    pub(crate) algorithm: Option<Plan>,
    /// The ops that it computes besides: its epilogue, and ops of the given layer that went into its weights or its pads.
    pub(crate) fused: Vec<String>,
    pub(crate) multiplications: u128,
    /// Predicted seconds on one core.
    pub(crate) predicted: Option<f64>,
    /// Measured seconds.
    pub(crate) measured: Option<f64>,
    /// The part of the whole time; measured if ops were timed, else predicted.
    pub(crate) share: Option<f64>,
    pub(crate) error: Option<f64>,
    /// The place of a convolution among the selections.
    pub(crate) selection: Option<usize>,
}

/// Sums over a net.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sums {
    pub(crate) parameters: u128,
    /// Those that the chosen algorithms do.
    pub(crate) multiplications: u128,
    /// Those of the sums as they are written.
    pub(crate) written: u128,
    pub(crate) predicted: f64,
    /// The sum of the ops, inside runs of the net.
    pub(crate) measured: Option<f64>,
    /// The net as a whole, timed with all passes.
    pub(crate) whole: Option<f64>,
    /// Bytes of a run besides inputs, outputs and constants.
    pub(crate) workspace: Workspace,
}

/// The kind of an op, by which a net is summed up and drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A convolution by an algorithm of this family.
    Conv(&'static str),
    Matmul,
    Pooling,
    Elementwise,
    Reduction,
    Resampling,
    /// Elements that change their places alone.
    Movement,
}

impl Kind {
    fn of(op: &Op) -> Kind {
        match op {
            Op::Conv2d(conv) => Kind::Conv(conv.plan.algorithm.name()),
            Op::MatMul(_) => Kind::Matmul,
            Op::MaxPool(_) | Op::AvgPool(_) | Op::GlobalAvgPool(_) => Kind::Pooling,
            Op::Resize(_) => Kind::Resampling,
            op if op.reduction().is_some() => Kind::Reduction,
            op if op.is_elementwise() => Kind::Elementwise,
            _ => Kind::Movement,
        }
    }

    /// The kind in words.
    pub(crate) fn words(self) -> String {
        match self {
            Kind::Conv(family) => format!("convolution, {family}"),
            other => other.name().into(),
        }
    }

    /// The kind in one word: of a convolution, its algorithm's family.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Conv(family) => family,
            Kind::Matmul => "matmul",
            Kind::Pooling => "pooling",
            Kind::Elementwise => "elementwise",
            Kind::Reduction => "reduction",
            Kind::Resampling => "resampling",
            Kind::Movement => "movement",
        }
    }
}

/// Ops of one kind together.
#[derive(Clone, Debug)]
pub(crate) struct OfKind {
    pub(crate) kind: Kind,
    pub(crate) ops: usize,
    pub(crate) multiplications: u128,
    pub(crate) predicted: f64,
    pub(crate) measured: Option<f64>,
    pub(crate) share: f64,
}

/// Whether a report is that of a net: of several convolutions, or of many ops.
pub(crate) fn is_net(convolutions: usize, ops: usize) -> bool {
    convolutions > 1 || ops > MANY
}

impl<'a> Net<'a> {
    pub(crate) fn new(report: &'a Report<'_>) -> Net<'a> {
        let explanation = report.explanation;
        let layer = explanation.compiled();
        let measured = report.ops_measured.filter(|_| !report.no_times);
        let folded = folded(report.layer.ir(), layer);
        let rows = layer.body.iter().zip(explanation.ops()).zip(folded).enumerate();
        let mut rows: Vec<Row<'a>> = rows
            .map(|(i, ((instr, cost), folded))| Row {
                predicted: cost.cycles.map(|cycles| report.in_seconds(cycles)),
                measured: measured.and_then(|times| times.get(i).copied().flatten()),
                ..row(layer, instr, cost, folded)
            })
            .collect();
        let of = |time: fn(&Row<'a>) -> Option<f64>| rows.iter().filter_map(time).sum::<f64>();
        let stats = Stats::of_layer(layer);
        let sums = Sums {
            parameters: stats.parameters,
            written: stats.multiplications,
            multiplications: rows.iter().map(|row| row.multiplications).sum(),
            predicted: of(|row| row.predicted),
            measured: measured.map(|_| of(|row| row.measured)),
            whole: report.whole_measured(),
            workspace: explanation.workspace(),
        };
        let is_measured = measured.is_some();
        let whole = sums.measured.unwrap_or(sums.predicted).max(f64::MIN_POSITIVE);
        for row in &mut rows {
            row.share = row.time(is_measured).map(|time| time / whole);
        }
        Net { layer, rows, sums, is_measured }
    }

    /// Its kinds of ops, that with the largest share first.
    pub(crate) fn kinds(&self) -> Vec<OfKind> {
        let mut kinds: Vec<OfKind> = Vec::new();
        for row in &self.rows {
            let at = kinds.iter().position(|known| known.kind == row.kind).unwrap_or_else(|| {
                let measured = self.is_measured.then_some(0.0);
                kinds.push(OfKind { kind: row.kind, ops: 0, multiplications: 0, predicted: 0.0, measured, share: 0.0 });
                kinds.len() - 1
            });
            let sum = &mut kinds[at];
            sum.ops += 1;
            sum.multiplications += row.multiplications;
            sum.predicted += row.predicted.unwrap_or(0.0);
            sum.measured = sum.measured.map(|sum| sum + row.measured.unwrap_or(0.0));
            sum.share += row.share.unwrap_or(0.0);
        }
        kinds.sort_by(|a, b| b.share.total_cmp(&a.share));
        kinds
    }

    /// The largest share of one op.
    pub(crate) fn largest(&self) -> f64 {
        self.rows.iter().filter_map(|row| row.share).fold(f64::MIN_POSITIVE, f64::max)
    }
}

impl Row<'_> {
    fn time(&self, is_measured: bool) -> Option<f64> {
        if is_measured { self.measured } else { self.predicted }
    }

    /// The measured time, or else the predicted one.
    pub(crate) fn best_known(&self) -> Option<f64> {
        self.measured.or(self.predicted)
    }

    /// The algorithm as tables show it, with its lanes and its input: `direct(pixels, in_place)`; `-` for other ops.
    pub(crate) fn algorithm(&self) -> String {
        let short = |plan: Plan| plan.form().to_string().replace("lanes = ", "").replace("input = ", "");
        self.algorithm.map_or_else(|| "-".into(), short)
    }
}

fn row<'a>(layer: &'a Layer, instr: &'a Instr, cost: &OpCost, folded: Vec<&str>) -> Row<'a> {
    let steps = instr.then.iter().map(|step| step.op.name().to_owned());
    let folded = folded.into_iter().map(|op| format!("{op} folded"));
    let strips = match &instr.op {
        Op::Conv2d(conv) if conv.band > 0 => Some(format!("strips of {} rows with the one before", conv.band)),
        _ => None,
    };
    Row {
        value: &layer.values[instr.result].name,
        op: instr.op.name(),
        kind: Kind::of(&instr.op),
        shape: short(layer, instr),
        algorithm: match &instr.op {
            Op::Conv2d(conv) => Some(conv.plan),
            _ => None,
        },
        fused: folded.chain(steps).chain(strips).collect(),
        multiplications: cost.multiplications,
        predicted: None,
        measured: None,
        share: None,
        error: cost.error,
        selection: cost.selection,
    }
}

/// For each op of `compiled`, the batch norms and pads of the layer as given that are part of it: those met on the way back from its value to values that
/// are still there.
fn folded(given: &Layer, compiled: &Layer) -> Vec<Vec<&'static str>> {
    let name = |layer: &'_ Layer, id: ValueId| layer.values[id].name.clone();
    let there: HashSet<String> = compiled.body.iter().map(|instr| name(compiled, instr.result)).collect();
    let definitions: HashMap<String, &Instr> =
        given.body.iter().map(|instr| (name(given, instr.result), instr)).collect();
    let of = |instr: &Instr| {
        let (mut found, mut followed) = (Vec::new(), 0);
        let mut next: Vec<&Instr> = definitions.get(&name(compiled, instr.result)).copied().into_iter().collect();
        while let Some(instr) = next.pop().filter(|_| followed < FOLLOWED) {
            followed += 1;
            let steps = instr.then.iter().map(|step| &step.op);
            let ops = [&instr.op].into_iter().chain(steps);
            found.extend(ops.filter(|op| matches!(op, Op::BatchNorm(_) | Op::Pad(_))).map(Op::name));
            let reads = instr.reads().map(|id| name(given, id)).filter(|name| !there.contains(name));
            next.extend(reads.filter_map(|name| definitions.get(&name)));
        }
        for op in [&instr.op].into_iter().chain(instr.then.iter().map(|step| &step.op)) {
            if let Some(at) = found.iter().position(|name| *name == op.name()) {
                found.remove(at);
            }
        }
        found.dedup();
        found
    };
    compiled.body.iter().map(of).collect()
}
