//! A table as people read it: speed, the way to the first answer, and what they come to.

use crate::grid::{Grid, Style};
use crate::pairs::{FOREIGN, Figures, LARGE, Row, Table, figures};
use crate::records::Measurement;

/// Rows of the list of the worst.
const WORST: usize = 10;

/// The whole report on one number of threads.
pub(crate) fn report(table: &Table, style: Style) -> String {
    let mut parts = vec![heading(table), speed(table).finish(style)];
    parts.push("Against each peer; at equal accuracy, then with the peers' inaccurate runs too:\n".into());
    parts.push(against(table).finish(style));
    parts.push(format!("The worst {WORST}, at equal accuracy:\n"));
    parts.push(worst(table).finish(style));
    parts.push(
        "From a layer to its first result, milliseconds (compile, then compile and first run), and memory:\n".into(),
    );
    parts.push(latency(table).finish(style));
    parts.push(sentences(table));
    parts.join("\n")
}

fn heading(table: &Table) -> String {
    let threads = if table.threads == 1 { "1 thread".into() } else { format!("{} threads", table.threads) };
    let machine = table.machine.as_ref().map_or_else(String::new, |m| {
        format!(
            "; {}, multiply-add peak {:.0} GFLOP/s a core ({:.0} with 128-bit vectors); {}",
            m.cpu,
            m.fma512_gflops.max(m.fma256_gflops),
            m.fma128_gflops,
            m.date
        )
    });
    format!(
        "{threads}{machine}. Ratios are the peer's time over ours; in parentheses where the peer's relative RMS error is above 1e-5.\n"
    )
}

fn speed(table: &Table) -> Grid {
    let mut headings = vec!["layer", "algorithm", "ms", "of peak"];
    let more = table.rows.iter().any(|row| row.one_thread.is_some());
    headings.extend(more.then_some("speed-up"));
    headings.extend(table.peers.iter().map(String::as_str));
    headings.extend(["best ≤ 1e-5", "best of all", ""]);
    let align = format!("ll{}ll l", "r".repeat(headings.len() - 5)).replace(' ', "");
    let mut grid = Grid::new(&headings, align);
    for row in &table.rows {
        let mut cells = vec![
            row.ours.layer.clone(),
            row.ours.algorithm.clone().unwrap_or_else(|| "-".into()),
            milliseconds(row.ours.median_ms),
            or_dash(row.ours.peak_fraction.map(|f| format!("{f:.2}"))),
        ];
        cells.extend(more.then(|| or_dash(row.speed_up().map(|r| format!("{r:.2}")))));
        cells.extend(table.peers.iter().map(|name| or_dash(row.peer(name).and_then(|m| marked(row, m)))));
        cells
            .extend([false, true].map(|any| or_dash(row.best(any).map(|(m, ratio)| format!("{ratio:.2} {}", m.peer)))));
        cells.push(row.flags().join("; "));
        grid.row(cells);
    }
    grid
}

/// A ratio, in parentheses where it does not count at equal accuracy.
fn marked(row: &Row, peer: &Measurement) -> Option<String> {
    let ratio = row.ratio(peer)?;
    Some(if peer.accurate() { format!("{ratio:.2}") } else { format!("({ratio:.2})") })
}

fn against(table: &Table) -> Grid {
    let headings = ["against", "layers", "mean", "≥ 1", "least", "layers, any error", "mean", "≥ 1", "least"];
    let mut grid = Grid::new(&headings, "lrrrrrrrr");
    let cells = |f: Option<Figures>| match f {
        Some(f) => [f.layers.to_string(), format!("{:.2}", f.mean), f.ahead.to_string(), format!("{:.2}", f.least)],
        None => ["0", "-", "-", "-"].map(str::to_owned),
    };
    let names = table.peers.iter().map(|name| (Some(name.as_str()), name.as_str()));
    for (peer, name) in names.chain([(None, "the best of them")]) {
        let [equal, any] = [false, true].map(|any| cells(figures(table.ratios(peer, any))));
        grid.row([name.to_owned()].into_iter().chain(equal).chain(any));
    }
    grid
}

fn worst(table: &Table) -> Grid {
    let mut grid = Grid::new(&["layer", "ratio", "to", "algorithm", "of peak", "its of peak"], "lrllrr");
    let of_peak = |m: &Measurement| or_dash(m.peak_fraction.map(|f| format!("{f:.2}")));
    for (row, peer, ratio) in table.worst().into_iter().take(WORST) {
        let algorithm = row.ours.algorithm.clone().unwrap_or_else(|| "-".into());
        let [ours, its] = [of_peak(&row.ours), of_peak(peer)];
        grid.row([row.ours.layer.clone(), format!("{ratio:.2}"), peer.peer.clone(), algorithm, ours, its]);
    }
    grid
}

fn latency(table: &Table) -> Grid {
    let mut headings: Vec<String> = ["layer", "compile", "weights"].map(str::to_owned).into();
    headings.extend(table.peers.clone());
    headings.push("first".into());
    headings.extend(table.peers.clone());
    headings.extend(["scratch KiB", "weights KiB", "code KiB"].map(str::to_owned));
    let mut grid = Grid::new(&headings, format!("l{}", "r".repeat(headings.len() - 1)));
    let kib = |bytes: Option<f64>| or_dash(bytes.map(|b| format!("{:.0}", b / 1024.0)));
    for row in &table.rows {
        let of = |what: fn(&Measurement) -> Option<f64>| {
            table.peers.iter().map(move |name| milliseconds(row.peer(name).and_then(what)))
        };
        let ours = &row.ours;
        let mut cells = vec![ours.layer.clone(), milliseconds(ours.compile_ms), milliseconds(ours.prepare_ms)];
        cells.extend(of(|m| m.compile_ms));
        cells.push(milliseconds(ours.first_answer()));
        cells.extend(of(Measurement::first_answer));
        cells.extend([ours.scratch_bytes, ours.constant_bytes, ours.code_bytes].map(kib));
        grid.row(cells);
    }
    grid
}

/// What needs no table.
fn sentences(table: &Table) -> String {
    let mut lines = Vec::new();
    let ours = |what: fn(&Measurement) -> Option<f64>| sorted(table.rows.iter().filter_map(|row| what(&row.ours)));
    for (name, what) in [
        ("compile", (|m| m.compile_ms) as fn(&Measurement) -> Option<f64>),
        ("compile less weights", |m| Some(m.compile_ms? - m.prepare_ms?)),
        ("scratch KiB", |m| Some(m.scratch_bytes? / 1024.0)),
    ] {
        let numbers = ours(what);
        if let Some(worst) = numbers.last() {
            lines.push(format!("- {name}: median {:.2}, worst {worst:.2}", numbers[numbers.len() / 2]));
        }
    }
    let sooner = |theirs: &dyn Fn(&Row) -> Option<f64>| {
        let both = table.rows.iter().filter_map(|row| Some(row.ours.first_answer()? <= theirs(row)?));
        both.fold([0, 0], |[sooner, all], one| [sooner + usize::from(one), all + 1])
    };
    let [first, all] = sooner(&Row::soonest);
    let each = table.peers.iter().map(|name| {
        let [sooner, all] = sooner(&|row| row.peer(name)?.first_answer());
        format!("{name} {sooner} of {all}")
    });
    let each = each.collect::<Vec<_>>().join(", ");
    lines.push(format!("- first result sooner than {each}; than the soonest {first} of {all}"));
    let large = table.rows.iter().filter(|row| row.ours.flops >= LARGE);
    if let Some(f) = figures(large.filter_map(Row::speed_up)) {
        lines.push(format!(
            "- {} threads over one, {} layers above {:.0} MFLOP: {:.2} times as fast in the mean, {:.2} at the least",
            table.threads,
            f.layers,
            LARGE / 1e6,
            f.mean,
            f.least
        ));
    }
    if let Some(call) = &table.call {
        let micro = |m: &Measurement| m.median_ms.map(|ms| format!("{} {:.1}", m.peer, 1e3 * ms));
        let all = [&call.ours].into_iter().chain(&call.peers).filter_map(micro);
        lines.push(format!("- a call of a layer of one pixel, µs: {}", all.collect::<Vec<_>>().join(", ")));
    }
    let failed = |m: &&Measurement| m.error.is_some();
    for m in table.rows.iter().flat_map(|row| row.peers.iter().filter(failed)) {
        lines.push(format!("- {} of {}: {}", m.layer, m.peer, m.error.as_deref().unwrap_or_default()));
    }
    let noisy = table.rows.iter().filter(|row| row.ours.foreign_cpu.is_some_and(|f| f > FOREIGN)).count();
    if noisy > 0 {
        lines.push(format!(
            "- {noisy} rows are marked `foreign`: others used more than {FOREIGN} of our CPUs meanwhile"
        ));
    }
    lines.join("\n") + "\n"
}

fn sorted(numbers: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut numbers: Vec<f64> = numbers.collect();
    numbers.sort_by(f64::total_cmp);
    numbers
}

/// Three digits or so.
fn milliseconds(ms: Option<f64>) -> String {
    or_dash(ms.map(|ms| match ms {
        ms if ms < 0.1 => format!("{ms:.4}"),
        ms if ms < 1.0 => format!("{ms:.3}"),
        ms if ms < 100.0 => format!("{ms:.2}"),
        ms => format!("{ms:.0}"),
    }))
}

fn or_dash(cell: Option<String>) -> String {
    cell.unwrap_or_else(|| "-".into())
}
