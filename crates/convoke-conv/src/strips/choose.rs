//! The choice of the convolutions to fuse, of the height of their strips, and of their plans.
//!
//! For each chain and each height of a strip, every convolution is planned for an image of that height. The values between the convolutions then
//! count as read from the cache that holds a strip of them. Rows that two neighbouring strips need are computed twice, and counted twice. The
//! input and the result of the chain count as they do without fusion. Between a kernel of one column and one of one row, a value may lie by
//! columns ([`crate::storage`]).
//!
//! Applies:    to chains over one image in which each value has one reader, if such a value is larger than the second-level cache or gains by
//!             lying by columns. Of a longer chain, the part that gains most is fused, if it gains at least a fiftieth.
//! Leaves:     chains of which some convolution names its strips; results with fewer than six strips, since threads share strips.

use std::ops::Range;

use convoke_ir::attr::Plan;
use convoke_ir::layer::{Axis, Layer, Op, Order, Storage, ValueId, Window};
use convoke_ir::limits::{Bounds, Exceeded};
use convoke_ir::types::Image;
use convoke_machine::Machine;

use super::{chain, conv, ends, links, rows, strips};
use crate::algorithms;
use crate::conv::Conv;
use crate::cost::{bandwidth, burst};
use crate::estimate::Estimate;
use crate::weigh::weigh_open;

/// The heights of strips that are tried, in rows.
const STRIP_HEIGHTS: [usize; 7] = [4, 8, 12, 16, 24, 32, 48];
/// The fewest strips.
const MIN_STRIPS: usize = 6;
/// The most convolutions that are fused.
const LONGEST: usize = 4;
/// How many times as fast fused strips must be. The strips at the edges of the image are additional code.
const MIN_SPEEDUP: f64 = 1.02;

/// Heights within this factor of the best count as equal, and the lowest of them is chosen: it leaves more of the cache free, and reads and
/// writes in shorter bursts.
const EQUAL: f64 = 1.03;

/// Convolutions that are to be fused.
#[derive(Clone, Debug)]
pub struct Chosen {
    /// Their places in the body, first to last.
    pub chain: Vec<usize>,
    /// Rows of a strip.
    pub rows: usize,
    /// The convolutions.
    pub convs: Vec<Conv>,
    /// Their plans for a strip.
    pub plans: Vec<Plan>,
    /// For each but the last, elements from column to column if its result is to lie by columns.
    pub columns: Vec<Option<u32>>,
    /// Predicted cycles, each by itself and fused.
    pub cycles: [f64; 2],
}

impl Chosen {
    /// Writes strips, plans and storage into the layer.
    pub fn apply(&self, layer: &mut Layer) {
        for (i, &at) in self.chain.iter().enumerate() {
            let result: ValueId = layer.body[at].result;
            if let Op::Conv2d(conv) = &mut layer.body[at].op {
                conv.plan = self.plans[i];
                if i > 0 {
                    conv.band = self.rows as i64;
                }
            }
            let columns = self.columns.get(i).copied().flatten();
            layer.values[result].storage = columns.map(|pitch| Storage { order: Order::Columns, halo: [0; 4], pitch });
        }
    }

    /// Multiplications of each convolution, all strips together.
    pub fn multiplications(&self) -> Vec<u128> {
        let axes: Vec<Axis> = self.convs.iter().map(|conv| conv.window.h).collect();
        let all = strips(&axes, self.rows).unwrap_or_default();
        let of_conv = |(i, conv): (usize, &Conv)| -> u128 {
            all.iter().map(|strip| strip.count as u128 * of_strip(conv, strip.axes[i]).multiplications()).sum()
        };
        self.convs.iter().enumerate().map(of_conv).collect()
    }
}

/// The convolutions of a planned layer that are to be fused; by strips of `rows` rows, if that is given.
///
/// # Errors
///
/// The time is over.
pub fn choose(layer: &Layer, rows: Option<usize>, machine: &Machine, bounds: &Bounds) -> Result<Vec<Chosen>, Exceeded> {
    let links = links(layer);
    let mut all = Vec::new();
    for sequence in sequences(layer, &links) {
        all.extend(split(layer, &sequence, rows, machine, bounds)?);
    }
    Ok(all)
}

/// The longest sequences of convolutions that may be fused, if none of them names its strips.
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

/// The parts of a sequence that are to be fused: those with which all of it is predicted to be fastest.
fn split(
    layer: &Layer,
    sequence: &[usize],
    rows: Option<usize>,
    machine: &Machine,
    bounds: &Bounds,
) -> Result<Vec<Chosen>, Exceeded> {
    let planned = sequence.iter().map(|&at| Planned::new(layer, at, machine)).collect::<Option<Vec<_>>>();
    let Some(all) = planned else { return Ok(vec![]) };
    let chosen = |range: Range<usize>, fused: &Fused| {
        let part = &all[range.clone()];
        Chosen {
            chain: sequence[range].to_vec(),
            rows: fused.rows,
            convs: part.iter().map(|one| one.conv).collect(),
            plans: fused.plans.clone(),
            columns: fused.columns.clone(),
            cycles: [apart(part, machine), fused.cycles],
        }
    };
    if let Some(rows) = rows {
        let fused = Fused::new(&all, rows, machine).filter(|_| rows < all[all.len() - 1].conv.y.h);
        return Ok(fused.into_iter().map(|fused| chosen(0..all.len(), &fused)).collect());
    }
    let before = |at: usize| at.checked_sub(1).map_or(0.0, |before| waits(&all[before], machine));
    // Cycles up to each convolution, and the part that ends there.
    let mut best: Vec<(f64, Option<(usize, Chosen)>)> = vec![(0.0, None)];
    for end in 1..=all.len() {
        bounds.on_time("the choice of row strips")?;
        let mut least = (best[end - 1].0 + before(end - 1) + all[end - 1].cycles, None);
        for begin in end.saturating_sub(LONGEST)..end - 1 {
            if let Some(fused) = worth(&all[begin..end], machine) {
                let total = best[begin].0 + before(begin) + fused.cycles;
                if total < least.0 {
                    least = (total, Some((begin, chosen(begin..end, &fused))));
                }
            }
        }
        best.push(least);
    }
    let mut parts = Vec::new();
    let mut end = all.len();
    while end > 0 {
        match best[end].1.take() {
            Some((begin, chosen)) => {
                end = begin;
                parts.push(chosen);
            }
            None => end -= 1,
        }
    }
    Ok(parts)
}

/// The best strips for convolutions, if they are worth it.
fn worth(part: &[Planned], machine: &Machine) -> Option<Fused> {
    let (last, others) = part.split_last()?;
    let cache = machine.second_level() as u128;
    let held = others.iter().any(|one| one.conv.bytes()[2] <= cache);
    let may_lie_by_columns = |two: &[Planned]| writes_columns(&two[0], machine) && reads_columns(&two[1]);
    if held && !part.windows(2).any(may_lie_by_columns) {
        return None;
    }
    let heights = STRIP_HEIGHTS.into_iter().filter(|rows| rows * MIN_STRIPS <= last.conv.y.h);
    let tried = heights.filter_map(|rows| Fused::new(part, rows, machine)).filter(|fused| fused.between <= cache / 2);
    let tried: Vec<Fused> = tried.filter(|fused| fused.by_columns() || !held).collect();
    let least = tried.iter().map(|fused| fused.cycles).fold(f64::INFINITY, f64::min);
    let best = tried.into_iter().find(|fused| fused.cycles <= least * EQUAL)?;
    (best.cycles * MIN_SPEEDUP <= apart(part, machine)).then_some(best)
}

fn writes_columns(one: &Planned, machine: &Machine) -> bool {
    algorithms::ALL.iter().any(|method| {
        method.takes(&Plan::open(one.plan.algorithm)) && method.writes(&one.conv, machine, Order::Columns)
    })
}

fn reads_columns(one: &Planned) -> bool {
    let open = Plan::open(one.plan.algorithm);
    algorithms::ALL.iter().any(|method| method.takes(&open) && method.reads_columns(&one.conv))
}

/// A convolution with its plan, and the cycles that it takes by itself.
struct Planned {
    conv: Conv,
    plan: Plan,
    cycles: f64,
}

impl Planned {
    /// Weights are packed once in either case, which is left out.
    fn new(layer: &Layer, at: usize, machine: &Machine) -> Option<Planned> {
        let (conv, plan) = (Conv::with_known_weights(layer, &layer.body[at])?, conv(&layer.body[at])?.plan);
        let best = weigh_open(Plan::open(plan.algorithm), &conv, machine).into_iter().next()?;
        Some(Planned { conv, plan, cycles: best.cycles() })
    }
}

/// Cycles of convolutions each by itself.
fn apart(part: &[Planned], machine: &Machine) -> f64 {
    let between: f64 = part[..part.len() - 1].iter().map(|one| waits(one, machine)).sum();
    between + part.iter().map(|one| one.cycles).sum::<f64>()
}

/// Cycles of convolutions of which each makes what only the next reads, fused if those of one image are worth it.
pub fn fused_cycles(convs: &[(Conv, Estimate)], machine: &Machine) -> f64 {
    let planned =
        |(conv, estimate): &(Conv, Estimate)| Planned { conv: *conv, plan: estimate.plan, cycles: estimate.cycles() };
    let part: Vec<Planned> = convs.iter().map(planned).collect();
    let one_image = convs.first().is_some_and(|(conv, _)| conv.x.n == 1);
    let fused = if one_image && part.len() > 1 { worth(&part, machine) } else { None };
    fused.map_or_else(|| part.iter().map(|one| one.cycles).sum(), |fused| fused.cycles)
}

/// Cycles beyond its own that a result takes to be written as a whole, and read when it has left the nearer caches.
fn waits(one: &Planned, machine: &Machine) -> f64 {
    let bytes = one.conv.bytes()[2];
    2.0 * bytes as f64 * (1.0 / burst(machine, bytes) - 1.0 / bandwidth(machine, bytes))
}

/// What fused convolutions take.
struct Fused {
    rows: usize,
    cycles: f64,
    plans: Vec<Plan>,
    /// For each convolution but the last, elements from column to column if its result lies by columns.
    columns: Vec<Option<u32>>,
    /// Bytes of the values between them, for a strip.
    between: u128,
}

impl Fused {
    fn new(part: &[Planned], rows: usize, machine: &Machine) -> Option<Fused> {
        let axes: Vec<Axis> = part.iter().map(|one| one.conv.window.h).collect();
        let last = part.len() - 1;
        let all = strips(&axes, rows)?;
        let of_kind = |i: usize| -> Vec<Conv> {
            part.iter().zip(&all[i].axes).map(|(one, &axis)| of_strip(&one.conv, axis)).collect()
        };
        let kinds: Vec<Vec<Conv>> = (0..all.len()).map(of_kind).collect();
        let between = |own: &Vec<Conv>| own[..last].iter().map(|conv| conv.bytes()[2]).sum();
        let between = kinds.iter().map(between).max()?;
        let ends = [(0, 0), (last, 2)];
        let ends = ends.map(|(i, side)| kinds.iter().map(|own| own[i].bytes()[side]).max().unwrap_or(0));
        // Strips at the edges count as long as the others.
        let most = (0..all.len()).max_by_key(|&i| (all[i].count, all[i].axes[last].output))?;
        let times = axes[last].output as f64 / all[most].axes[last].output as f64;
        let alone = (0..part.len()).map(|i| best_for_all(part[i].plan, &kinds, i, most, machine));
        let alone = alone.collect::<Option<Vec<Estimate>>>()?;
        let (cycles, plans, columns) = in_order(&alone, &kinds, most, machine);
        let mut sum = times * cycles;
        // The input and the result of the chain are as far away as without fusion.
        let rate = |bytes: u128| 1.0 / bandwidth(machine, bytes);
        let farther = |whole: u128, strip: u128| whole as f64 * (rate(whole) - rate(strip));
        let (first, end) = (&part.first()?.conv, &part.last()?.conv);
        sum += farther(first.bytes()[0], ends[0]) + farther(end.bytes()[2], ends[1]);
        Some(Fused { rows, cycles: sum, plans, columns, between })
    }

    fn by_columns(&self) -> bool {
        self.columns.iter().any(Option::is_some)
    }
}

/// The fastest plan for the strips of kind `most`, by the same algorithm, that also computes the strips of all other kinds.
fn best_for_all(plan: Plan, kinds: &[Vec<Conv>], i: usize, most: usize, machine: &Machine) -> Option<Estimate> {
    let all = weigh_open(Plan::open(plan.algorithm), &kinds[most][i], machine).into_iter();
    let mut fitting = all.filter(|estimate| {
        let method = algorithms::of(&estimate.plan);
        method.is_some_and(|method| kinds.iter().all(|own| method.fits(estimate.plan, &own[i], machine).is_ok()))
    });
    fitting.next()
}

/// The cycles of the convolutions of a strip, their plans, and which values between them lie by columns: those for which that is faster.
fn in_order(
    alone: &[Estimate],
    kinds: &[Vec<Conv>],
    most: usize,
    machine: &Machine,
) -> (f64, Vec<Plan>, Vec<Option<u32>>) {
    let own = &kinds[most];
    let (mut sum, mut plans, mut columns) = (0.0, Vec::new(), Vec::new());
    let mut at = 0;
    while at < own.len() {
        let both = own[at..].first_chunk().and_then(|[first, second]: &[Conv; 2]| by_columns(first, second, machine));
        let both =
            both.filter(|(cycles, _)| *cycles < alone[at].cycles() + alone.get(at + 1).map_or(0.0, Estimate::cycles));
        match both {
            Some((cycles, both)) => {
                let lanes = own[at].lanes(machine);
                let longest = kinds.iter().map(|own| own[at].y.h).max().unwrap_or(1);
                sum += cycles;
                plans.extend(both);
                columns.extend([u32::try_from(longest.next_multiple_of(lanes)).ok(), None]);
                at += 2;
            }
            None => {
                sum += alone[at].cycles();
                plans.push(alone[at].plan);
                columns.push(None);
                at += 1;
            }
        }
    }
    columns.truncate(own.len() - 1);
    (sum, plans, columns)
}

/// Cycles and plans of two convolutions between which the value lies by columns, if it may.
fn by_columns(first: &Conv, second: &Conv, machine: &Machine) -> Option<(f64, [Plan; 2])> {
    let writer = algorithms::ALL.iter().find(|method| method.writes(first, machine, Order::Columns))?;
    let reader = algorithms::ALL.iter().find(|method| method.reads_columns(second))?;
    let (a, first) = writer.storing_columns(first, machine)?;
    let (b, second) = reader.storing_columns(&second.transposed(), machine)?;
    Some((first + second, [a, b]))
}

/// The convolution over the rows of a strip.
pub(super) fn of_strip(conv: &Conv, h: Axis) -> Conv {
    let (x, y) = (Image { h: h.input, ..conv.x }, Image { h: h.output, ..conv.y });
    Conv { x, y, window: Window { h, ..conv.window }, ..*conv }
}

/// Predicted cycles that the strips of a layer save, whose convolutions have their plans.
pub fn cycles_saved(layer: &Layer, machine: &Machine) -> f64 {
    savings(layer, machine).iter().map(|(_, cycles)| cycles).sum()
}

/// The chains of a layer whose convolutions have their plans, each with the predicted cycles that its strips save.
pub fn savings(layer: &Layer, machine: &Machine) -> Vec<(Vec<usize>, f64)> {
    let links = links(layer);
    let saved = |end: usize| {
        let chain = chain(layer, &links, end).ok()?;
        let part = chain.iter().map(|&at| Planned::new(layer, at, machine)).collect::<Option<Vec<_>>>()?;
        let cycles = apart(&part, machine) - Fused::new(&part, rows(&layer.body[end]), machine)?.cycles;
        Some((chain, cycles))
    };
    ends(layer, &links).into_iter().filter_map(saved).collect()
}
