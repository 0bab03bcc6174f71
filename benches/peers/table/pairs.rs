//! Our measurements beside the peers': which belongs to which, and what they come to.

use crate::records::{Machine, Measurement, Run};

/// Peers count at equal accuracy up to this relative root mean square error.
pub(crate) const ACCURATE: f64 = 1e-5;
/// Above this, in CPUs, what others did while a row was measured makes it doubtful.
pub(crate) const FOREIGN: f64 = 0.05;
/// Layers of fewer operations are not asked to gain from threads.
pub(crate) const LARGE: f64 = 100e6;
/// The layer that shows what a call costs.
pub(crate) const CALL: &str = "call_overhead";

/// A layer on a number of threads: ours, and each peer's.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) ours: Measurement,
    pub(crate) peers: Vec<Measurement>,
    /// Whether all were measured in the same rounds.
    pub(crate) paired: bool,
    /// Our milliseconds on one thread, if this row has more.
    pub(crate) one_thread: Option<f64>,
}

/// All rows of a number of threads.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) threads: usize,
    /// Of the last run with a row.
    pub(crate) machine: Option<Machine>,
    /// In the order in which they were first met.
    pub(crate) peers: Vec<String>,
    pub(crate) rows: Vec<Row>,
    /// What a call costs, as a row.
    pub(crate) call: Option<Row>,
}

/// A table for each number of threads, fewest first. Rows are those that `ours` was measured on, by its last run; peers that have
/// no part in that run are taken from the last that has them. Other names that begin with `ours` are no peers.
pub(crate) fn tables(runs: &[Run], ours: &str) -> Vec<Table> {
    let mut threads: Vec<usize> = runs.iter().flat_map(|run| &run.layers).map(|m| m.threads).collect();
    threads.sort_unstable();
    threads.dedup();
    let mut tables: Vec<Table> = threads.into_iter().map(|threads| table(runs, ours, threads)).collect();
    tables.retain(|table| !table.rows.is_empty());
    if let Some((one, more)) = tables.split_first_mut().filter(|(one, _)| one.threads == 1) {
        for row in more.iter_mut().flat_map(|table| &mut table.rows) {
            row.one_thread = one.rows.iter().find(|r| r.ours.layer == row.ours.layer).and_then(|r| r.ours.median_ms);
        }
    }
    tables
}

fn table(runs: &[Run], ours: &str, threads: usize) -> Table {
    let of = |run: &'_ Run| run.layers.iter().filter(|m| m.threads == threads).cloned().collect::<Vec<_>>();
    let runs: Vec<_> = runs.iter().map(|run| (run.machine.clone(), of(run))).collect();
    let all = || runs.iter().flat_map(|(_, layers)| layers);
    let mut peers: Vec<String> = Vec::new();
    for m in all().filter(|m| !m.peer.starts_with(ours)) {
        if !peers.contains(&m.peer) {
            peers.push(m.peer.clone());
        }
    }
    let mut table = Table { threads, machine: None, peers, rows: Vec::new(), call: None };
    let mut seen: Vec<&str> = Vec::new();
    for m in all().filter(|m| m.peer == ours) {
        if !seen.contains(&m.layer.as_str()) {
            seen.push(&m.layer);
        }
    }
    let find = |layers: &[Measurement], layer: &str, peer: &str| {
        layers.iter().rev().find(|m| m.layer == layer && m.peer == peer).cloned()
    };
    for layer in seen {
        let last = runs.iter().rev().find_map(|(machine, layers)| Some((machine, layers, find(layers, layer, ours)?)));
        let Some((machine, layers, ours)) = last else { continue };
        table.machine = machine.clone().or(table.machine);
        let mut row = Row { ours, peers: Vec::new(), paired: true, one_thread: None };
        for peer in &table.peers {
            let beside = find(layers, layer, peer);
            row.paired &= beside.is_some() || !all().any(|m| m.layer == layer && m.peer == *peer);
            row.peers.extend(beside.or_else(|| runs.iter().rev().find_map(|(_, layers)| find(layers, layer, peer))));
        }
        if layer == CALL { table.call = Some(row) } else { table.rows.push(row) }
    }
    table
}

impl Measurement {
    /// Milliseconds from a layer to its first result.
    pub(crate) fn first_answer(&self) -> Option<f64> {
        Some(self.compile_ms? + self.first_run_ms?)
    }

    /// Whether its error is one that plain sums in f32 could have too.
    pub(crate) fn accurate(&self) -> bool {
        self.rel_rms_err.is_some_and(|e| e <= ACCURATE)
    }
}

impl Row {
    pub(crate) fn peer(&self, name: &str) -> Option<&Measurement> {
        self.peers.iter().find(|m| m.peer == name)
    }

    /// How many times as long as ours the peer takes: above 1 we are ahead.
    pub(crate) fn ratio(&self, peer: &Measurement) -> Option<f64> {
        Some(peer.median_ms? / self.ours.median_ms?)
    }

    /// The fastest peer and the ratio to it; `any` whether inaccurate ones count.
    pub(crate) fn best(&self, any: bool) -> Option<(&Measurement, f64)> {
        let counted = self.peers.iter().filter(|m| any || m.accurate());
        counted.filter_map(|m| Some((m, self.ratio(m)?))).min_by(|a, b| a.1.total_cmp(&b.1))
    }

    /// The peer that gives its first result soonest.
    pub(crate) fn soonest(&self) -> Option<f64> {
        self.peers.iter().filter_map(Measurement::first_answer).min_by(f64::total_cmp)
    }

    /// One thread's time over this row's.
    pub(crate) fn speed_up(&self) -> Option<f64> {
        Some(self.one_thread? / self.ours.median_ms?)
    }

    /// What makes the row doubtful.
    pub(crate) fn flags(&self) -> Vec<String> {
        let mut flags = Vec::new();
        if let Some(why) = &self.ours.error {
            flags.push(format!("error: {why}"));
        }
        if let Some(foreign) = self.ours.foreign_cpu.filter(|f| *f > FOREIGN) {
            flags.push(format!("foreign {foreign:.2}"));
        }
        if !self.paired {
            flags.push("not in the same rounds".into());
        }
        if self.ours.error.is_none() && !self.ours.accurate() {
            flags.push(format!("our error {:.0e}", self.ours.rel_rms_err.unwrap_or(f64::NAN)));
        }
        flags
    }
}

/// What ratios come to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Figures {
    pub(crate) layers: usize,
    pub(crate) mean: f64,
    /// How many are at least 1.
    pub(crate) ahead: usize,
    pub(crate) least: f64,
}

/// The geometric mean and the rest; `None` of no ratios.
pub(crate) fn figures(ratios: impl IntoIterator<Item = f64>) -> Option<Figures> {
    let ratios: Vec<f64> = ratios.into_iter().collect();
    let layers = ratios.len();
    (layers > 0).then(|| Figures {
        layers,
        mean: (ratios.iter().map(|r| r.ln()).sum::<f64>() / layers as f64).exp(),
        ahead: ratios.iter().filter(|r| **r >= 1.0).count(),
        least: ratios.iter().copied().fold(f64::INFINITY, f64::min),
    })
}

impl Table {
    /// Ratios to one peer, or to the best; `any` whether inaccurate ones count.
    pub(crate) fn ratios(&self, peer: Option<&str>, any: bool) -> Vec<f64> {
        let one = |row: &Row| match peer {
            Some(name) => row.ratio(row.peer(name).filter(|m| any || m.accurate())?),
            None => row.best(any).map(|(_, ratio)| ratio),
        };
        self.rows.iter().filter_map(one).collect()
    }

    /// Rows with a ratio to the best at equal accuracy, smallest first.
    pub(crate) fn worst(&self) -> Vec<(&Row, &Measurement, f64)> {
        let one = |row| Row::best(row, false).map(|(peer, ratio)| (row, peer, ratio));
        let mut rows: Vec<_> = self.rows.iter().filter_map(one).collect();
        rows.sort_by(|a, b| a.2.total_cmp(&b.2));
        rows
    }
}
