//! Where scratch buffers lie: one area for all, in which buffers that are never live at once share bytes.
//!
//! A buffer is live from the first run of `entry` that names it to the last. Buffers are placed largest first, each in the
//! smallest gap that is left among those it is live with (best fit), on 64-byte boundaries.

use std::ops::RangeInclusive;

use convoke_ir::loops::{Program, Role, Run};

use crate::emit::{ALIGN, locals};

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
    let mut placed: Vec<usize> = Vec::new();
    let mut total = 0;
    for i in order {
        let size = buffers[i].bytes.next_multiple_of(ALIGN);
        let together = |j: &&usize| {
            buffers[**j].runs.start() <= buffers[i].runs.end() && buffers[i].runs.start() <= buffers[**j].runs.end()
        };
        let mut taken: Vec<(usize, usize)> = placed
            .iter()
            .filter(together)
            .map(|&j| (offsets[j], offsets[j] + buffers[j].bytes.next_multiple_of(ALIGN)))
            .collect();
        taken.sort_unstable();
        let (mut end, mut best) = (0, None);
        for (begin, stop) in taken {
            if begin >= end && begin - end >= size && best.is_none_or(|(_, gap)| begin - end < gap) {
                best = Some((end, begin - end));
            }
            end = end.max(stop);
        }
        offsets[i] = best.map_or(end, |(at, _)| at);
        total = total.max(offsets[i] + size);
        placed.push(i);
    }
    (offsets, total)
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
        let mut lifetimes = Vec::new();
        let mut owners = Vec::new();
        for (id, buffer) in program.buffers.iter() {
            let mut uses = runs.iter().enumerate().filter(|(_, run)| run.args.contains(&id)).map(|(i, _)| i);
            if buffer.role != Role::Scratch {
                continue;
            }
            if let Some(first) = uses.next() {
                lifetimes.push(Lifetime { bytes: buffer.ty.bytes(), runs: first..=uses.last().unwrap_or(first) });
                owners.push(id);
            }
        }
        let (offsets, scratch_bytes) = pack(&lifetimes);
        let mut scratch = vec![None; program.buffers.len()];
        owners.iter().zip(offsets).for_each(|(id, offset)| scratch[id.index()] = Some(offset));
        let local_bytes = runs.iter().map(|run| locals(&program.funcs[run.func]).1).max().unwrap_or(0);
        Plan { scratch, scratch_bytes, local_bytes }
    }

    /// Bytes in all for this many threads; scratch first, then the locals of each thread.
    pub(crate) fn bytes(&self, threads: usize) -> usize {
        self.scratch_bytes.saturating_add(self.local_bytes.saturating_mul(threads))
    }
}
