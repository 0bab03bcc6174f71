//! Which of the loops around a tile threads share out.
//!
//! A kernel has one parallel loop, and its iterations are alike. The loops around a tile go along axes: images, groups, rows, columns,
//! channels. Each axis is a few *parts*, runs of tiles that are alike; where tiles differ, at edges and where less is left, begins another.
//! [`shares`] makes kernels of the product of all axes: the first takes from the axis that comes out most even its largest part, and all
//! of the others; what is left of that axis is planned anew. Threads thus share edges too, along an axis of their own.

use convoke_ir::loops::{Affine, FuncBuilder};

use crate::Lowering;
use crate::cuts::Cut;
use crate::marks::{each, parallel};

/// Threads that the iterations of a parallel loop should come out even for.
const THREADS: [usize; 4] = [2, 4, 8, 16];
/// How much longer than evenly shared what is left of an axis is taken to run.
const LEFT: f64 = 1.2;
/// An axis is preferred to a later one if its kernels take so much longer at the most.
const PREFERRED: f64 = 1.04;
/// Less than one in so many multiply-adds is not worth a kernel of its own.
const LITTLE: usize = 64;
/// Fewer multiply-adds than this in all are not worth waking a thread.
pub const SMALL: usize = 1 << 19;

/// Minimum trip count worth splitting among threads.
pub const MIN_PARALLEL_TRIPS: usize = 8;

/// How much there is to do: the product of these sizes, which each fit a tensor but all together need not fit a number. Beyond that it is as much as
/// a number holds.
pub fn work<const N: usize>(sizes: [usize; N]) -> usize {
    sizes.into_iter().fold(1, usize::saturating_mul)
}

impl Lowering<'_> {
    /// How much work of these sizes there is for threads to share out: none in a row strip, since they share out the strips.
    pub fn to_share<const N: usize>(&self, sizes: [usize; N]) -> usize {
        if self.in_strip { 0 } else { work(sizes) }
    }
}

/// A run of iterations that are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// How many.
    pub count: usize,
    /// What one of them does, in whatever all parts of the axis are measured by.
    pub work: usize,
}

/// An axis with `count` iterations, all alike.
pub fn alike(count: usize) -> Vec<Part> {
    vec![Part { count, work: 1 }]
}

/// The axis along which `cuts` lie.
pub fn cuts(cuts: &[Cut]) -> Vec<Part> {
    cuts.iter().map(|cut| Part { count: cut.count, work: cut.size }).collect()
}

/// What a kernel does: of each axis the parts of these numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share<const N: usize> {
    /// For each axis, the numbers of its parts.
    pub parts: [Vec<usize>; N],
    /// The axis whose iterations threads share out, and how many there are; they are of one part.
    shared: Option<(usize, usize)>,
}

/// The kernels for axes that are preferred in this order, where `work` multiply-adds are to be done in all.
pub fn shares<const N: usize>(work: usize, axes: &[Vec<Part>; N]) -> Vec<Share<N>> {
    shares_preferring(PREFERRED, work, axes)
}

/// As [`shares`], where a later axis must be so much more even to be worth the order of loops that comes with it.
pub fn shares_preferring<const N: usize>(preferred: f64, work: usize, axes: &[Vec<Part>; N]) -> Vec<Share<N>> {
    let mut rest = axes.each_ref().map(|axis| (0..axis.len()).collect::<Vec<_>>());
    let mut kernels = Vec::new();
    let mut left = work;
    while left >= SMALL && left > work / LITTLE {
        let found = axes.iter().zip(&rest).map(|(axis, parts)| Found::of(axis, parts)).collect::<Vec<_>>();
        let least = found.iter().map(|found| found.time).fold(f64::INFINITY, f64::min);
        let axis = found.iter().position(|found| found.time <= least * preferred).expect("some axis takes the least");
        let Found { part, share, .. } = found[axis];
        let count = axes[axis][part].count;
        if count < 2 {
            break;
        }
        let mut parts = rest.clone();
        parts[axis] = vec![part];
        kernels.push(Share { parts, shared: Some((axis, count)) });
        rest[axis].retain(|&other| other != part);
        if rest[axis].is_empty() {
            return kernels;
        }
        left = (left as f64 * (1.0 - share)) as usize;
    }
    kernels.push(Share { parts: rest, shared: None });
    kernels
}

/// What sharing out the largest part of an axis comes to.
struct Found {
    part: usize,
    /// Of the work of the axis.
    share: f64,
    /// Relative to all parts shared out evenly.
    time: f64,
}

impl Found {
    fn of(axis: &[Part], parts: &[usize]) -> Found {
        let work = |part: usize| work([axis[part].count, axis[part].work]);
        let part = parts.iter().copied().max_by_key(|&part| (work(part), std::cmp::Reverse(part)));
        let part = part.expect("a kernel has some of every axis");
        let share = work(part) as f64 / parts.iter().map(|&part| work(part) as f64).sum::<f64>().max(1.0);
        // A single iteration is no loop to share out, however little it is of its axis.
        let uneven = if axis[part].count > 1 { uneven(axis[part].count) } else { f64::INFINITY };
        Found { part, share, time: share * uneven + (1.0 - share) * LEFT }
    }
}

/// How much longer than evenly shared threads take for `count` iterations, in the mean.
fn uneven(count: usize) -> f64 {
    let longer = THREADS.map(|threads| (count.div_ceil(threads) * threads) as f64 / count.max(1) as f64);
    longer.iter().sum::<f64>() / THREADS.len() as f64
}

impl<const N: usize> Share<N> {
    /// The body of a kernel: the loop that is shared out, if there is one, around all others.
    pub fn around(&self, f: &mut FuncBuilder, body: impl FnOnce(&mut FuncBuilder, &Loops)) {
        match self.shared {
            Some((axis, count)) => {
                f.for_("share", 0..count, parallel(), |f, i| body(f, &Loops { shared: Some((axis, i.into())) }));
            }
            None => body(f, &Loops { shared: None }),
        }
    }
}

/// The loops within the one that is shared out; by default none is.
#[derive(Default)]
pub struct Loops {
    shared: Option<(usize, Affine)>,
}

impl Loops {
    /// A loop along a part of an axis with `count` iterations: none if it is this axis that is shared out, whose variable is known.
    pub fn each(
        &self,
        f: &mut FuncBuilder,
        (axis, name): (usize, &str),
        count: usize,
        body: impl FnOnce(&mut FuncBuilder, Affine),
    ) {
        match &self.shared {
            Some((shared, i)) if *shared == axis => body(f, i.clone()),
            _ => each(f, name, count, body),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axes() -> Vec<[Vec<Part>; 3]> {
        let axis =
            |counts: &[usize]| counts.iter().map(|&count| Part { count, work: 1 + count % 3 }).collect::<Vec<_>>();
        let kinds = [axis(&[1]), axis(&[16]), axis(&[1, 30, 1]), axis(&[5, 3]), axis(&[1, 1, 1, 9])];
        let pairs = kinds.iter().flat_map(|a| kinds.iter().map(move |b| (a, b)));
        let all = pairs.flat_map(|(a, b)| kinds.iter().map(|c| [a.clone(), b.clone(), c.clone()]));
        all.collect()
    }

    #[test]
    fn every_tile_is_in_one_kernel() {
        for axes in axes() {
            for work in [0, SMALL, 1 << 30] {
                let mut times = vec![0; axes.iter().map(Vec::len).product()];
                for Share { parts, shared } in shares(work, &axes) {
                    for (a, b, c) in parts[0]
                        .iter()
                        .flat_map(|a| parts[1].iter().map(move |b| (a, b)))
                        .flat_map(|(a, b)| parts[2].iter().map(move |c| (a, b, c)))
                    {
                        times[(a * axes[1].len() + b) * axes[2].len() + c] += 1;
                    }
                    if let Some((axis, count)) = shared {
                        let [part] = parts[axis][..] else { panic!("iterations of several parts are not alike") };
                        assert!(count > 1 && count == axes[axis][part].count);
                    }
                }
                assert!(times.iter().all(|&times| times == 1), "{axes:?}: {times:?}");
            }
        }
    }

    #[test]
    fn what_comes_out_even_is_shared_and_what_is_little_work_is_not() {
        let axes = [alike(3), alike(16), vec![Part { count: 1, work: 1 }, Part { count: 7, work: 1 }]];
        let shared = |work| shares(work, &axes).iter().map(|share| share.shared).collect::<Vec<_>>();
        assert_eq!(shared(1 << 30), [Some((1, 16))]);
        assert_eq!(shared(work([1 << 44, 1 << 22])), [Some((1, 16))]);
        assert_eq!(shared(SMALL - 1), [None]);
        let edges = [vec![Part { count: 1, work: 1 }; 24], alike(2)];
        assert_eq!(shares(1 << 30, &edges).iter().map(|share| share.shared).collect::<Vec<_>>(), [Some((1, 2))]);
    }
}
