//! Calibration of the CPU of this process: generated code is timed for each number that the cost model reads in a [`Machine`].
//!
//! Each rate has a small program in loop IR (`probes.rs`). All alternate for some seconds, and each counts by its fastest
//! run: other work of the machine makes runs slower, never faster.
//!
//! The clock is not read. A multiply-add has a rate, `r` a cycle, and a latency of `l` cycles; measured are the rate in a second and
//! the time of one in a chain, of which the product is `r · l`, the multiply-adds in flight. Hardware has an `r` of 1, 2 or 4 and
//! an `l` near 4: the pair nearest to these gives `r`, and with it the clock. It is the clock that generated code runs at, which
//! may be above the one a maker states.

mod probes;
mod rates;

use std::time::{Duration, Instant};

use convoke_machine::Machine;

use crate::error::Error;
use probes::{Kind, Probe};

/// The result of a calibration.
#[derive(Clone, Debug)]
pub struct Calibration {
    /// The description with measured numbers in place of the usual ones.
    pub machine: Machine,
    /// Each number with its name and unit, in the order of the description.
    pub figures: Vec<Figure>,
}

/// A measured number.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// Its name.
    pub name: String,
    /// The number.
    pub value: f64,
    /// Its unit.
    pub unit: &'static str,
}

/// The shortest time a calibration takes whatever is asked for: enough rounds for a fastest run of each probe.
const ROUNDS: u32 = 5;
/// The time of a probe in each round.
const TURN: Duration = Duration::from_micros(500);

/// Measures for about `time`; 5 seconds give numbers that repeat within some percent on a busy machine. `base` is the
/// description to start from, usually [`Machine::host`]: its extensions, vectors and cache sizes stay. `progress` is told the part
/// done, from 0 to 1.
///
/// # Errors
///
/// [`Error::Machine`] for a `base` that does not run on this CPU; [`Error::OutOfMemory`] for an array of twice the last cache.
pub fn calibrate(base: &Machine, time: Duration, mut progress: impl FnMut(f64)) -> Result<Calibration, Error> {
    base.runs_on_host()?;
    let mut probes = Vec::new();
    for kind in Kind::all(base) {
        probes.push((kind, Probe::new(base, kind)?));
    }
    let start = Instant::now();
    let mut round = 0;
    while round < ROUNDS || start.elapsed() < time {
        for (_, probe) in &mut probes {
            probe.turn(TURN)?;
        }
        round += 1;
        let by_time = start.elapsed().as_secs_f64() / time.as_secs_f64().max(1e-9);
        progress(by_time.min(f64::from(round) / f64::from(ROUNDS)).min(1.0));
    }
    let seconds = |kind| probes.iter().find(|(k, _)| *k == kind).map(|(_, p)| p.seconds_per_unit());
    Ok(rates::machine(base, |kind| seconds(kind).expect("every kind has a probe")))
}
