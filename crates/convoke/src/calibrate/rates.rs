//! From times to the numbers of a [`Machine`].

use convoke_machine::{Cache, Machine, ProductRates, Rates};

use super::probes::{DEPTHS, Kind, LOADS, MOVES, OPERATIONS, tiles};
use super::{Calibration, Figure};

/// The fewest cycles that anything counts with: a difference of two times may come out as nothing.
const LEAST: f64 = 0.05;

/// The description that these seconds of a unit of each kind give.
pub(super) fn machine(base: &Machine, seconds: impl Fn(Kind) -> f64) -> Calibration {
    let (multiply_add, chain) = (seconds(Kind::MultiplyAdd), seconds(Kind::Chain));
    let fma_per_cycle = per_cycle(chain / multiply_add);
    // Of whole cycles in truth; a fraction of one is noise, or a move between two links of the chain.
    let fma_latency = (chain / multiply_add / fma_per_cycle).round().max(1.0);
    let hertz = 1.0 / (multiply_add * fma_per_cycle);
    let cycles = |kind| seconds(kind) * hertz;
    let bandwidth = |level| 1.0 / cycles(Kind::Read(level));
    let levels = base.caches.iter().enumerate();
    let caches: Vec<Cache> =
        levels.map(|(level, c)| Cache { bytes: c.bytes, bytes_per_cycle: bandwidth(level) }).collect();
    let memory_bytes_per_cycle = bandwidth(caches.len());
    let mut machine =
        Machine { fma_per_cycle, fma_latency, ghz: hertz / 1e9, memory_bytes_per_cycle, caches, ..base.clone() };

    let call_cycles = cycles(Kind::Call);
    let each = |kinds: [Kind; 2], counts: [usize; 2]| {
        ((cycles(kinds[1]) - cycles(kinds[0])) / (counts[1] - counts[0]) as f64).max(LEAST)
    };
    let arithmetic_cycles = each([0, 1].map(Kind::Operations), OPERATIONS);
    // A load and an addition; what a core does at the same time is counted once.
    let load_cycles = (each([0, 1].map(Kind::Loads), LOADS) - arithmetic_cycles).max(arithmetic_cycles / 2.0);
    let vector = |kind| (cycles(kind) - call_cycles) / MOVES as f64;
    let store_cycles = (vector(Kind::Copy) - load_cycles).max(LEAST);
    let lanes = f64::from(base.lanes(4));
    let gather_cycles = ((vector(Kind::Gather) - store_cycles) / lanes).max(LEAST);
    let scatter_cycles = ((vector(Kind::Scatter) - load_cycles) / lanes).max(LEAST);
    let tiles = tiles(base);
    let efficiency = tiles.iter().map(|&[rows, vectors]| {
        let step = machine.step_cycles(rows * vectors, vectors);
        let reached =
            |d: usize| DEPTHS[d] as f64 * step / (cycles(Kind::Product([rows, vectors], d)) - call_cycles).max(LEAST);
        // Digits beyond these are noise.
        (0..DEPTHS.len()).map(|d| (reached(d).clamp(0.01, 4.0) * 1e3).round() / 1e3).collect()
    });
    let product = ProductRates {
        sums: tiles.iter().map(|[rows, vectors]| (rows * vectors) as u32).collect(),
        depths: DEPTHS.iter().map(|&d| d as u32).collect(),
        efficiency: efficiency.collect(),
    };
    machine.rates = Rates {
        call_cycles,
        load_cycles,
        arithmetic_cycles,
        store_cycles,
        gather_cycles,
        scatter_cycles,
        product,
        ..base.rates.clone()
    };
    let rates = &mut machine.rates;
    let singles = [
        &mut machine.ghz,
        &mut machine.memory_bytes_per_cycle,
        &mut rates.call_cycles,
        &mut rates.load_cycles,
        &mut rates.arithmetic_cycles,
        &mut rates.store_cycles,
        &mut rates.gather_cycles,
        &mut rates.scatter_cycles,
    ];
    let caches = machine.caches.iter_mut().map(|cache| &mut cache.bytes_per_cycle);
    singles.into_iter().chain(caches).for_each(|number| *number = (*number * 1e3).round().max(1.0) / 1e3);
    Calibration { figures: figures(&machine), machine }
}

/// The number of multiply-adds that start in a cycle, from the number in flight.
fn per_cycle(in_flight: f64) -> f64 {
    let latency_off = |rate: f64| (in_flight / rate - 4.0).abs();
    [1.0, 2.0, 4.0].into_iter().min_by(|a, b| latency_off(*a).total_cmp(&latency_off(*b))).expect("there are three")
}

fn figures(machine: &Machine) -> Vec<Figure> {
    let rates = &machine.rates;
    let mut all = Vec::new();
    let mut add = |name: String, value, unit| all.push(Figure { name, value, unit });
    add("clock".into(), machine.ghz, "GHz");
    add("multiply-adds of vectors".into(), machine.fma_per_cycle, "per cycle");
    add("latency of a multiply-add".into(), machine.fma_latency, "cycles");
    for (level, cache) in machine.caches.iter().enumerate() {
        add(format!("read from level {}", level + 1), cache.bytes_per_cycle, "bytes per cycle");
    }
    add("read from memory".into(), machine.memory_bytes_per_cycle, "bytes per cycle");
    add("call of a codelet".into(), rates.call_cycles, "cycles");
    add("load of a vector".into(), rates.load_cycles, "cycles");
    add("operation on vectors".into(), rates.arithmetic_cycles, "cycles");
    add("store of a vector".into(), rates.store_cycles, "cycles");
    add("load of an element apart".into(), rates.gather_cycles, "cycles");
    add("store of an element apart".into(), rates.scatter_cycles, "cycles");
    for ([rows, vectors], row) in tiles(machine).iter().zip(&rates.product.efficiency) {
        for (depth, efficiency) in DEPTHS.iter().zip(row) {
            let name = format!("product of {rows} x {vectors} vectors, {depth} deep");
            add(name, 100.0 * efficiency, "% of its bound");
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::per_cycle;

    #[test]
    fn rates_of_known_cores_are_told_apart() {
        // Multiply-adds in flight: Zen 3 to 5 and Skylake 4 · 2, Haswell 5 · 2, Neoverse V2 4 · 4, small cores 4 or 5 of 1.
        for (in_flight, expected) in [(8.1, 2.0), (7.8, 2.0), (10.0, 2.0), (16.0, 4.0), (4.2, 1.0), (5.0, 1.0)] {
            assert_eq!(per_cycle(in_flight), expected, "{in_flight}");
        }
    }
}
