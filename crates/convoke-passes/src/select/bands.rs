//! `bands`: compute chains of convolutions by bands of rows, so that what is between them stays in a cache.
//!
//! ```text
//! %t = conv2d %x, %v { … }                        %t = conv2d %x, %v { … }
//! %y = conv2d %t, %w { … }                  ⟶    %y = conv2d %t, %w { …, band = 24 }
//! ```
//!
//! For each chain, and each number of rows, the plan of every convolution is made for a band, as for an image of so few rows: what is between them then
//! counts as read from the cache that holds it, and the rows that neighbouring bands both need are computed twice. What the chain reads and gives comes from
//! where it would without. Between a column and a row of taps a band may lie [transposed](super::transposed).
//!
//! Applies:    to convolutions of one image of which one makes what only the next reads, where that is larger than the second-level cache or bands are to
//!             lie transposed; those of a longer chain that gain most, if they gain at least a fiftieth.
//! Guarantee:  `Exact`; the same sums, tiles begin anew in each band.
//! Leaves:     chains of which some convolution names its band; results of fewer than six bands, which are what threads share out.

use std::ops::Range;

use convoke_ir::attr::{Algorithm, Attr, AttrType};
use convoke_ir::layer::{Axis, Layer, Op, Window};
use convoke_ir::types::Image;
use convoke_machine::Machine;

use super::cost::{bandwidth, burst, second_level};
use super::{Conv, Errors, Plan, plan, transposed};
use crate::bands::{bands, chain, conv, ends, links, rows};
use crate::error::PassError;
use crate::guarantee::{Exact, Granted, Guarantee};
use crate::note::{Counts, Log, Outcome, Rewritten};
use crate::pass::{Changed, Context, LayerPass, PassOption};

/// Rows of a band that are tried.
const ROWS: [usize; 7] = [4, 8, 12, 16, 24, 32, 48];
/// The fewest bands.
const FEWEST: usize = 6;
/// The most convolutions that take turns.
const LONGEST: usize = 4;
/// How many times as fast bands must be: there is code of its own for those at the edges.
const WORTH: f64 = 1.02;

/// Of bands that are as good as equal, those of fewer rows leave more of the cache to what passes through it, and read and write by turns in
/// shorter bursts: 16 rows of a filter of 31 + 31 taps took 1.61 ms where 32 took 1.74 and 48 took 1.79.
const EQUAL: f64 = 1.03;

/// See the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct Bands {
    /// Rows of each band, whatever is faster.
    rows: Option<usize>,
}

impl LayerPass for Bands {
    type Needs = Exact;
    const NAME: &'static str = "bands";
    const SUMMARY: &'static str =
        "compute chains of convolutions by bands of rows, so that what is between them stays in a cache";
    const OPTIONS: &'static [PassOption] = &[PassOption {
        name: "rows",
        doc: "rows of a band, in every chain; if not given, as many as are fastest, if any",
    }];

    fn set(&mut self, _: &str, value: &Attr) -> Result<(), String> {
        let rows = i64::from_attr(value).and_then(|rows| usize::try_from(rows).ok());
        self.rows = Some(rows.filter(|rows| (1..=1 << 30).contains(rows)).ok_or("a whole number between 1 and 2^30")?);
        Ok(())
    }

    fn run(&self, layer: &mut Layer, cx: &Context<'_>, _: Granted<Exact>, log: &mut Log) -> Result<Changed, PassError> {
        let links = links(layer);
        let mut changed = false;
        for sequence in sequences(layer, &links) {
            for found in self.split(layer, &sequence, cx.machine) {
                for &at in &sequence[found.range.clone()][1..] {
                    if let Op::Conv2d(conv) = &mut layer.body[at].op {
                        conv.band = found.rows as i64;
                    }
                }
                let name = &layer.values[layer.body[sequence[found.range.end - 1]].result].name;
                log.say(name, Outcome::Rewritten(Box::new(found.told())));
                changed = true;
            }
        }
        Ok(changed.into())
    }
}

/// The longest sequences of convolutions that may take turns, if none of them names its band.
fn sequences(layer: &Layer, links: &[Option<usize>]) -> Vec<Vec<usize>> {
    let mut last = vec![true; links.len()];
    links.iter().flatten().for_each(|&before| last[before] = false);
    let sequence = |end: usize| {
        let mut all: Vec<_> = std::iter::successors(Some(end), |&at| links[at]).collect();
        all.reverse();
        all
    };
    let all = (0..links.len()).filter(|&i| last[i]).map(sequence);
    all.filter(|all| all.len() > 1 && all.iter().all(|&at| rows(&layer.body[at]) == 0)).collect()
}

/// Convolutions that are to take turns.
struct Found {
    /// Those of the sequence.
    range: Range<usize>,
    rows: usize,
    convs: Vec<Conv>,
    /// Predicted cycles, each by itself and in turns.
    cycles: [f64; 2],
}

impl Bands {
    /// The parts of a sequence that are to take turns: those with which all of it is predicted to be fastest.
    fn split(&self, layer: &Layer, sequence: &[usize], machine: &Machine) -> Vec<Found> {
        let planned = sequence.iter().map(|&at| Planned::new(layer, at, machine)).collect::<Option<Vec<_>>>();
        let Some(all) = planned else { return vec![] };
        if let Some(rows) = self.rows {
            let turns = Turns::new(&all, rows, machine).filter(|_| rows < all[all.len() - 1].conv.y.h);
            return turns.into_iter().map(|turns| Found::new(&all, 0..all.len(), &turns, machine)).collect();
        }
        let before = |at: usize| at.checked_sub(1).map_or(0.0, |before| waits(&all[before], machine));
        // Cycles up to each convolution, and the part that ends there.
        let mut best: Vec<(f64, Option<Found>)> = vec![(0.0, None)];
        for end in 1..=all.len() {
            let mut least = (best[end - 1].0 + before(end - 1) + all[end - 1].cycles, None);
            for begin in end.saturating_sub(LONGEST)..end - 1 {
                if let Some(turns) = worth(&all[begin..end], machine) {
                    let total = best[begin].0 + before(begin) + turns.cycles;
                    if total < least.0 {
                        least = (total, Some(Found::new(&all, begin..end, &turns, machine)));
                    }
                }
            }
            best.push(least);
        }
        let mut parts = Vec::new();
        let mut end = all.len();
        while end > 0 {
            match best[end].1.take() {
                Some(found) => {
                    end = found.range.start;
                    parts.push(found);
                }
                None => end -= 1,
            }
        }
        parts
    }
}

/// The best bands for convolutions, if they are worth it.
fn worth(part: &[Planned], machine: &Machine) -> Option<Turns> {
    let (last, others) = part.split_last()?;
    let cache = second_level(machine) as u128;
    let held = others.iter().any(|one| one.conv.bytes()[2] <= cache);
    let convs: Vec<_> = part.iter().map(|one| (one.conv, one.algorithm)).collect();
    let mut pairs = (0..convs.len()).filter_map(|at| convs[at..].first_chunk());
    if held && !pairs.any(|two| transposed::may_lie(two, machine)) {
        return None;
    }
    let rows = ROWS.into_iter().filter(|rows| rows * FEWEST <= last.conv.y.h);
    let tried = rows.filter_map(|rows| Turns::new(part, rows, machine)).filter(|turns| turns.between <= cache / 2);
    let tried = tried.filter(|turns| turns.transposed || !held);
    let tried: Vec<Turns> = tried.collect();
    let least = tried.iter().map(|turns| turns.cycles).fold(f64::INFINITY, f64::min);
    let best = tried.into_iter().find(|turns| turns.cycles <= least * EQUAL)?;
    (best.cycles * WORTH <= apart(part, machine)).then_some(best)
}

/// A convolution with its algorithm, and the cycles that it takes by itself.
struct Planned {
    conv: Conv,
    algorithm: Algorithm,
    cycles: f64,
}

impl Planned {
    /// Weights are packed once in either case, which is left out.
    fn new(layer: &Layer, at: usize, machine: &Machine) -> Option<Planned> {
        let (conv, algorithm) = (Conv::with_known_weights(layer, &layer.body[at])?, conv(&layer.body[at])?.algorithm);
        Some(Planned { conv, algorithm, cycles: cycles(&conv, algorithm, machine)? })
    }
}

fn cycles(conv: &Conv, algorithm: Algorithm, machine: &Machine) -> Option<f64> {
    Some(plan(algorithm, conv, machine, Errors::None).ok()?.cycles())
}

/// Whether an algorithm computes the band of a convolution that has these rows.
pub(crate) fn computes_band(whole: &Conv, rows: Axis, algorithm: Algorithm, machine: &Machine) -> bool {
    let refused = plan(algorithm, whole, machine, Errors::None).is_err();
    // What does not compute all of it is told so by its name.
    refused || applies(&of_band(whole, rows), algorithm, machine)
}

/// Whether an algorithm that computes a convolution computes this part of it, which may be less than a tile.
fn applies(conv: &Conv, algorithm: Algorithm, machine: &Machine) -> bool {
    let any = matches!(algorithm, Algorithm::Depthwise | Algorithm::Direct | Algorithm::Im2col { .. });
    any || plan(algorithm, conv, machine, Errors::None).is_ok()
}

/// Cycles of convolutions each by itself.
fn apart(part: &[Planned], machine: &Machine) -> f64 {
    let between: f64 = part[..part.len() - 1].iter().map(|one| waits(one, machine)).sum();
    between + part.iter().map(|one| one.cycles).sum::<f64>()
}

/// Cycles of convolutions of which each makes what only the next reads, by bands if those of one image are worth it.
pub(crate) fn in_turns(convs: &[(Conv, Plan)], machine: &Machine) -> f64 {
    let planned =
        |(conv, plan): &(Conv, Plan)| Planned { conv: *conv, algorithm: plan.algorithm, cycles: plan.cycles() };
    let part: Vec<Planned> = convs.iter().map(planned).collect();
    let one_image = convs.first().is_some_and(|(conv, _)| conv.x.n == 1);
    let turns = if one_image && part.len() > 1 { worth(&part, machine) } else { None };
    turns.map_or_else(|| part.iter().map(|one| one.cycles).sum(), |turns| turns.cycles)
}

/// What it takes beyond its cycles that the result is written as a whole, and read when it has left the nearer caches.
fn waits(one: &Planned, machine: &Machine) -> f64 {
    let bytes = one.conv.bytes()[2];
    2.0 * bytes as f64 * (1.0 / burst(machine, bytes) - 1.0 / bandwidth(machine, bytes))
}

/// What convolutions take in turns.
struct Turns {
    rows: usize,
    cycles: f64,
    /// Bytes of what is between them.
    between: u128,
    /// Whether some of that lies transposed.
    transposed: bool,
}

impl Turns {
    fn new(part: &[Planned], rows: usize, machine: &Machine) -> Option<Turns> {
        let axes: Vec<Axis> = part.iter().map(|one| one.conv.window.h).collect();
        let all = bands(&axes, rows)?;
        let of_bands: Vec<Vec<(Conv, Algorithm)>> = all
            .iter()
            .map(|band| {
                part.iter().zip(&band.axes).map(|(one, &axis)| (of_band(&one.conv, axis), one.algorithm)).collect()
            })
            .collect();
        let between = |own: &Vec<(Conv, Algorithm)>| own[..own.len() - 1].iter().map(|(conv, _)| conv.bytes()[2]).sum();
        let between = of_bands.iter().map(between).max()?;
        let ends = [(0, 0), (part.len() - 1, 2)];
        let ends = ends.map(|(i, side)| of_bands.iter().map(|own| own[i].0.bytes()[side]).max().unwrap_or(0));
        if !of_bands.iter().flatten().all(|(conv, algorithm)| applies(conv, *algorithm, machine)) {
            return None;
        }
        // Those at the edges take as long as the others.
        let most = (0..all.len()).max_by_key(|&i| (all[i].count, all[i].axes[part.len() - 1].output))?;
        let times = axes[part.len() - 1].output as f64 / all[most].axes[part.len() - 1].output as f64;
        let (cycles, transposed) = in_order(&of_bands[most], machine)?;
        let mut sum = times * cycles;
        // What is read and written is as far away as ever.
        let rate = |bytes: u128| 1.0 / bandwidth(machine, bytes);
        let farther = |whole: u128, band: u128| whole as f64 * (rate(whole) - rate(band));
        let (first, last) = (&part.first()?.conv, &part.last()?.conv);
        sum += farther(first.bytes()[0], ends[0]) + farther(last.bytes()[2], ends[1]);
        Some(Turns { rows, cycles: sum, between, transposed })
    }
}

/// Cycles of convolutions of a band one after the other, with what is between them transposed where that is faster, and whether it is anywhere.
fn in_order(own: &[(Conv, Algorithm)], machine: &Machine) -> Option<(f64, bool)> {
    let alone: Vec<f64> =
        own.iter().map(|(conv, algorithm)| cycles(conv, *algorithm, machine)).collect::<Option<_>>()?;
    let (mut sum, mut at, mut any) = (0.0, 0, false);
    while at < own.len() {
        let both = own[at..].first_chunk().and_then(|two| transposed::cycles(two, machine));
        let both = both.filter(|both| *both < alone[at] + alone[at + 1]);
        any |= both.is_some();
        (sum, at) = both.map_or((sum + alone[at], at + 1), |both| (sum + both, at + 2));
    }
    Some((sum, any))
}

/// The convolution of a band.
fn of_band(conv: &Conv, h: Axis) -> Conv {
    let (x, y) = (Image { h: h.input, ..conv.x }, Image { h: h.output, ..conv.y });
    Conv { x, y, window: Window { h, ..conv.window }, ..*conv }
}

/// Predicted cycles that the bands of a layer save, whose convolutions have their algorithms.
pub fn cycles_saved(layer: &Layer, machine: &Machine) -> f64 {
    let links = links(layer);
    let saved = |end: usize| {
        let chain = chain(layer, &links, end).ok()?;
        let part = chain.iter().map(|&at| Planned::new(layer, at, machine)).collect::<Option<Vec<_>>>()?;
        Some(apart(&part, machine) - Turns::new(&part, rows(&layer.body[end]), machine)?.cycles)
    };
    ends(layer, &links).into_iter().filter_map(saved).sum()
}

impl Found {
    fn new(all: &[Planned], range: Range<usize>, turns: &Turns, machine: &Machine) -> Found {
        let part = &all[range.clone()];
        let convs = part.iter().map(|one| one.conv).collect();
        Found { range, rows: turns.rows, convs, cycles: [apart(part, machine), turns.cycles] }
    }

    /// What to say of it.
    fn told(&self) -> Rewritten {
        let axes: Vec<Axis> = self.convs.iter().map(|conv| conv.window.h).collect();
        let elem = self.convs[0].elem.bytes() as u128;
        let [read, _, _] = self.convs[0].bytes();
        let [_, _, written] = self.convs[self.convs.len() - 1].bytes();
        let weights: u128 = self.convs.iter().map(|conv| conv.bytes()[1]).sum();
        let of_bands = |i: usize, conv: &Conv| -> u128 {
            let all = bands(&axes, self.rows).unwrap_or_default();
            all.iter().map(|band| band.count as u128 * of_band(conv, band.axes[i]).multiplications()).sum()
        };
        let before = Counts {
            parameters: weights / elem,
            multiplications: self.convs.iter().map(Conv::multiplications).sum(),
            bytes: self.convs.iter().flat_map(Conv::bytes).sum(),
            cycles: self.cycles[0],
        };
        let after = Counts {
            multiplications: self.convs.iter().enumerate().map(|(i, conv)| of_bands(i, conv)).sum(),
            bytes: read + weights + written,
            cycles: self.cycles[1],
            ..before
        };
        let form = format!("{} convolutions in turns, {} rows at a time", self.convs.len(), self.rows);
        Rewritten { form, sense: Guarantee::Exact, before, after, deviation: None }
    }
}
