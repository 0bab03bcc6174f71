//! Where scratch buffers lie: one area for all, in which buffers that are never live at once share bytes.
//!
//! A buffer is live from the first run of `entry` that names it to the last. Buffers are placed largest first, each in the
//! smallest gap that is left among those it is live with (best fit), on 64-byte boundaries.

use std::ops::RangeInclusive;

use convoke_ir::loops::{BufferId, Program, Role, Run};

use crate::convention::{ALIGN, locals};
use crate::sanitize::REPORT_BYTES;

/// Bytes a buffer needs and the runs it is live in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// Bytes.
    pub bytes: usize,
    /// First and last run.
    pub runs: RangeInclusive<usize>,
}

/// Offsets for buffers of these lifetimes, and the bytes of the whole area.
pub fn pack(buffers: &[Lifetime]) -> (Vec<usize>, usize) {
    let mut order: Vec<usize> = (0..buffers.len()).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(buffers[i].bytes));
    let mut offsets = vec![0; buffers.len()];
    let mut areas: Vec<Area> = Vec::new();
    let mut total = 0;
    for i in order {
        let size = buffers[i].bytes.next_multiple_of(ALIGN);
        let (mut end, mut best) = (0, None);
        for area in areas.iter().filter(|area| area.is_taken(&buffers[i].runs)) {
            let Area { begin, stop, .. } = *area;
            if begin >= end && begin - end >= size && best.is_none_or(|(_, gap)| begin - end < gap) {
                best = Some((end, begin - end));
            }
            end = end.max(stop);
        }
        let begin = best.map_or(end, |(at, _)| at);
        offsets[i] = begin;
        total = total.max(begin + size);
        let place = areas.binary_search_by_key(&(begin, begin + size), |area| (area.begin, area.stop));
        let place = place.unwrap_or_else(|place| {
            areas.insert(place, Area { begin, stop: begin + size, times: Vec::new() });
            place
        });
        areas[place].take(&buffers[i].runs);
    }
    (offsets, total)
}

/// A run of bytes that buffers take one after the other. The search for a gap goes through areas, ordered by begin, then by end. If most buffers live
/// shortly, areas are far fewer than buffers.
struct Area {
    begin: usize,
    stop: usize,
    /// When they are taken, in order: buffers that share bytes are never live at once. First and last runs.
    times: Vec<(usize, usize)>,
}

impl Area {
    fn is_taken(&self, runs: &RangeInclusive<usize>) -> bool {
        let next = self.times.partition_point(|&(_, last)| last < *runs.start());
        self.times.get(next).is_some_and(|&(first, _)| first <= *runs.end())
    }

    fn take(&mut self, runs: &RangeInclusive<usize>) {
        let next = self.times.partition_point(|&(_, last)| last < *runs.start());
        self.times.insert(next, (*runs.start(), *runs.end()));
    }
}

/// The memory of a run besides inputs, outputs and constants, and what bounds it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Workspace {
    /// Bytes that it takes: buffers that are never live at once share them, and each thread has locals.
    pub bytes: usize,
    /// Bytes if no two buffers shared any.
    pub unshared: usize,
    /// Bytes of the buffers that are live at once, and of the locals: no plan takes fewer.
    pub least: usize,
}

impl Workspace {
    /// Of a program on this many threads.
    pub fn of(program: &Program, threads: usize) -> Workspace {
        let plan = Plan::new(program, &program.entry);
        let locals = plan.local_bytes.saturating_mul(threads.max(1));
        let (_, lifetimes) = lifetimes(program, &program.entry);
        let size = |buffer: &Lifetime| buffer.bytes.next_multiple_of(ALIGN);
        let live = |run| lifetimes.iter().filter(|buffer| buffer.runs.contains(&run)).map(size).sum::<usize>();
        Workspace {
            bytes: plan.bytes(threads.max(1)),
            unshared: lifetimes.iter().map(size).fold(locals, usize::saturating_add),
            least: (0..program.entry.len()).map(live).max().unwrap_or(0).saturating_add(locals),
        }
    }
}

/// The scratch buffers of `runs`, with their lifetimes.
fn lifetimes(program: &Program, runs: &[Run]) -> (Vec<BufferId>, Vec<Lifetime>) {
    let mut used: Vec<Option<RangeInclusive<usize>>> = vec![None; program.buffers.len()];
    for (i, arg) in runs.iter().enumerate().flat_map(|(i, run)| run.args.iter().map(move |arg| (i, arg))) {
        let used = &mut used[arg.index()];
        *used = Some(used.as_ref().map_or(i, |runs| *runs.start())..=i);
    }
    let scratch = program.buffers.iter().zip(used).filter(|((_, buffer), _)| buffer.role == Role::Scratch);
    scratch.filter_map(|((id, buffer), runs)| Some((id, Lifetime { bytes: buffer.ty.bytes(), runs: runs? }))).unzip()
}

/// The memory of a run besides inputs, outputs and constants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// For each buffer of the program, where its scratch memory begins.
    pub(crate) scratch: Vec<Option<usize>>,
    /// Bytes of all scratch buffers, shared by threads.
    pub(crate) scratch_bytes: usize,
    /// Bytes of locals for each thread.
    pub(crate) local_bytes: usize,
}

impl Plan {
    /// For `runs`, the entry of `program`, or its preparation.
    pub(crate) fn new(program: &Program, runs: &[Run]) -> Plan {
        let (owners, lifetimes) = lifetimes(program, runs);
        let (offsets, scratch_bytes) = pack(&lifetimes);
        let mut scratch = vec![None; program.buffers.len()];
        owners.iter().zip(offsets).for_each(|(id, offset)| scratch[id.index()] = Some(offset));
        let local_bytes = runs.iter().map(|run| locals(&program.funcs[run.func]).1).max().unwrap_or(0);
        Plan { scratch, scratch_bytes, local_bytes }
    }

    /// For code that is sanitised, or not.
    pub(crate) fn of(program: &Program, runs: &[Run], sanitize: bool) -> Plan {
        if sanitize { Plan::apart(program, runs) } else { Plan::new(program, runs) }
    }

    /// As [`Plan::new`] for sanitised code: no two buffers share memory, and a report lies in front of the locals of each thread.
    fn apart(program: &Program, runs: &[Run]) -> Plan {
        let Plan { mut scratch, local_bytes, .. } = Plan::new(program, runs);
        let mut end: usize = 0;
        for (place, (_, buffer)) in scratch.iter_mut().zip(program.buffers.iter()) {
            if let Some(place) = place {
                *place = end;
                end = end.saturating_add(buffer.ty.bytes().next_multiple_of(ALIGN));
            }
        }
        Plan { scratch, scratch_bytes: end, local_bytes: local_bytes.saturating_add(REPORT_BYTES) }
    }

    /// Bytes in all for this many threads; scratch first, then the locals of each thread.
    pub(crate) fn bytes(&self, threads: usize) -> usize {
        self.scratch_bytes.saturating_add(self.local_bytes.saturating_mul(threads))
    }
}
