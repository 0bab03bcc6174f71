//! `convoke analyze` in words.

use convoke::analyze::Analysis;
use convoke_filter::{Class, Filter, Sense};

/// Orientations less pronounced than this are not told.
const COHERENT: f64 = 0.05;

pub(super) fn text(all: &[(String, Vec<Analysis>)]) -> String {
    let mut out = String::new();
    for (name, analyses) in all {
        if analyses.is_empty() {
            out += &format!("@{name} has no convolution whose weights have values\n");
        }
        for analysis in analyses {
            if !out.is_empty() {
                out.push('\n');
            }
            out += &one(name, analysis);
        }
    }
    out
}

fn one(layer: &str, analysis: &Analysis) -> String {
    let [k, c, rows, columns] = analysis.extents();
    let kernels = analysis.kernels();
    let looked = match analysis.looked() {
        n if n < kernels => format!(", of which {n} were looked at"),
        _ => String::new(),
    };
    let channels = format!("{} -> {k} channels", c * analysis.group());
    let plural = if kernels == 1 { "" } else { "s" };
    let mut out =
        format!("@{layer} %{}: {rows}x{columns}, {channels}, {kernels} kernel{plural}{looked}\n", analysis.value());
    match analysis.filters() {
        [] if analysis.looked() == 0 => {
            out += "  kernels of this size take too long to look at; allow more with --work\n"
        }
        [] => out += "  none of them is finite\n",
        // Kernels of one tap are gains, whatever the filter.
        _ if rows * columns == 1 => {
            out += "  each kernel is a single number: channels are mixed, and nothing is filtered\n"
        }
        [filter] => out += &single(filter),
        filters => out += &many(analysis, filters),
    }
    if analysis.too_many_channels() {
        out += "  channels     too many to look for a bottleneck; allow more with --work\n";
    }
    for b in analysis.bottlenecks() {
        let [r3, r4] = b.ranks;
        out += &format!(
            "  channels     {r4} in and {r3} out of a bottleneck are off by at most {}, and save {:.2} times\n",
            b.error, b.saves
        );
    }
    out
}

fn single(filter: &Filter) -> String {
    let response = &filter.response;
    let orientation = response.orientation();
    let turned = match orientation.coherence {
        c if c < COHERENT => "none".into(),
        // Not -0.0.
        c => format!("{:.1} degrees from across, coherence {c:.2}", (10.0 * orientation.degrees).round() / 10.0 + 0.0),
    };
    let symmetries: Vec<String> = filter.symmetries.iter().map(ToString::to_string).collect();
    let symmetry = if symmetries.is_empty() { "none".into() } else { symmetries.join(", ") };
    let [low, high] = response.half_power();
    let largest = response.largest();
    // Less is the rounding of the transform.
    let smallest = Some(response.smallest()).filter(|s| *s > 1e-12 * largest).unwrap_or(0.0);
    let lines = [
        ("separable", separable(filter)),
        ("energy", format!("{} in ranks 1, 2, …", percents(&filter.rank.energies))),
        ("symmetry", symmetry),
        ("DC gain", format!("{:.4}", filter.dc_gain)),
        ("class", format!("{}: {}", filter.class, filter.class.criterion())),
        ("response", format!("from {smallest:.3e} to {largest:.3e}")),
        ("half power", format!("from {low:.3} to {high:.3} cycles per pixel, all around")),
        ("orientation", turned),
    ];
    lines.iter().map(|(name, value)| format!("  {name:<13}{value}\n")).collect()
}

fn separable(filter: &Filter) -> String {
    let rank = &filter.rank;
    match rank.sense {
        Sense::Exact => "exactly: a column times a row".into(),
        Sense::Rounding => {
            let exact = rank.exact.map_or("of an unknown rank".into(), |exact| format!("of rank {exact}"));
            format!("up to rounding: a column times a row, though {exact} in exact numbers")
        }
        Sense::Approximate => {
            let left = (1.0 - rank.energies.first().copied().unwrap_or(0.0)).max(0.0).sqrt();
            format!("no: of rank {}; the nearest product is off by {left:.2e}", rank.rounding)
        }
    }
}

fn many(analysis: &Analysis, filters: &[Filter]) -> String {
    let of = filters.len() as f64;
    let part = |n: usize| format!("{:.1} %", 100.0 * n as f64 / of);
    let classes = Class::ALL.iter().map(|&class| (class, filters.iter().filter(|f| f.class == class).count()));
    let classes: Vec<String> =
        classes.filter(|(_, n)| *n > 0).map(|(class, n)| format!("{class} {}", part(n))).collect();
    let senses = [(Sense::Exact, "exactly"), (Sense::Rounding, "up to rounding"), (Sense::Approximate, "not")];
    let senses: Vec<String> =
        senses.iter().map(|&(sense, name)| format!("{name} {}", part(analysis.separable(sense)))).collect();
    let gains = filters.iter().map(|f| f.dc_gain);
    let (low, high) = gains.clone().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), g| (a.min(g), b.max(g)));
    let lines = [
        ("class", classes.join(", ")),
        ("separable", senses.join(", ")),
        ("energy", format!("{} in ranks 1, 2, …, in the mean", percents(&analysis.energies()))),
        ("DC gain", format!("from {low:.4} to {high:.4}, mean {:.4}", gains.sum::<f64>() / of)),
    ];
    lines.iter().map(|(name, value)| format!("  {name:<13}{value}\n")).collect()
}

/// The first parts that are worth telling.
fn percents(energies: &[f64]) -> String {
    let shown = energies.iter().take(5).filter(|e| **e >= 5e-6);
    let shown: Vec<String> = shown.map(|e| format!("{:.3} %", 100.0 * e)).collect();
    if shown.is_empty() { "none".into() } else { shown.join(", ") }
}
