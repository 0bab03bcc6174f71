//! The choice of the parallel loop among the loops around a tile.
//!
//! A kernel has one parallel loop, whose iterations take the same time. The loops around a tile go along axes: images, groups, rows, columns,
//! channels. An axis has a few *parts*: runs of equal tiles; tiles at an edge or at the end are parts of their own.
//!
//! [`shares`] cuts the product of all axes into kernels. It takes the axis that divides most evenly among threads; the first kernel has its
//! largest part, as the parallel loop, and all parts of the other axes. The rest of that axis is cut in the same way. So the threads share
//! the edges too, along another axis.

use convoke_ir::loops::{Affine, FuncBuilder};

use crate::cuts::Cut;
use crate::marks::{each, parallel};

/// Numbers of threads among which the iterations of a parallel loop should divide evenly.
const THREADS: [usize; 4] = [2, 4, 8, 16];
/// The time that the rest of an axis is assumed to take, relative to an even division.
const LEFT: f64 = 1.2;
/// The time, relative to the fastest axis, up to which an earlier axis is preferred.
const PREFERRED: f64 = 1.04;
/// A rest of less than one multiply-add in [`LITTLE`] gets no parallel kernel of its own.
const LITTLE: usize = 64;
/// Minimum multiply-adds worth waking a thread for.
pub const SMALL: usize = 1 << 19;

/// Minimum trip count worth splitting among threads.
pub const MIN_PARALLEL_TRIPS: usize = 8;

/// The product of sizes, saturating: each is at most that of a tensor, but their product may overflow.
pub fn work<const N: usize>(sizes: [usize; N]) -> usize {
    sizes.into_iter().fold(1, usize::saturating_mul)
}

/// A run of equal iterations along an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Number of iterations.
    pub count: usize,
    /// The work of one iteration, in a unit that all parts of the axis share.
    pub work: usize,
}

/// An axis of `count` equal iterations.
pub fn alike(count: usize) -> Vec<Part> {
    vec![Part { count, work: 1 }]
}

/// The axis that is cut into `cuts`; the work of a tile is its size.
pub fn cuts(cuts: &[Cut]) -> Vec<Part> {
    cuts.iter().map(|cut| Part { count: cut.count, work: cut.size }).collect()
}

/// The part of all work that one kernel does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share<const N: usize> {
    /// For each axis, the indices of its parts.
    pub parts: [Vec<usize>; N],
    /// The axis of the parallel loop, and its number of iterations, which are of one part.
    shared: Option<(usize, usize)>,
}

/// The kernels for these axes, earlier ones preferred, and `work` multiply-adds in all.
pub fn shares<const N: usize>(work: usize, axes: &[Vec<Part>; N]) -> Vec<Share<N>> {
    shares_preferring(PREFERRED, work, axes)
}

/// As [`shares`]; a later axis must be faster by the factor `preferred` to be worth its order of loops.
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

/// The result of making the largest part of an axis the parallel loop.
struct Found {
    part: usize,
    /// Its part of the work of the axis.
    share: f64,
    /// Time relative to an even division of the whole axis.
    time: f64,
}

impl Found {
    fn of(axis: &[Part], parts: &[usize]) -> Found {
        let work = |part: usize| work([axis[part].count, axis[part].work]);
        let part = parts.iter().copied().max_by_key(|&part| (work(part), std::cmp::Reverse(part)));
        let part = part.expect("a kernel has some of every axis");
        let share = work(part) as f64 / parts.iter().map(|&part| work(part) as f64).sum::<f64>().max(1.0);
        // A single iteration cannot be shared, however small its part of the axis.
        let uneven = if axis[part].count > 1 { uneven(axis[part].count) } else { f64::INFINITY };
        Found { part, share, time: share * uneven + (1.0 - share) * LEFT }
    }
}

/// The time for `count` iterations relative to an even division, in the mean over [`THREADS`].
fn uneven(count: usize) -> f64 {
    let longer = THREADS.map(|threads| (count.div_ceil(threads) * threads) as f64 / count.max(1) as f64);
    longer.iter().sum::<f64>() / THREADS.len() as f64
}

impl<const N: usize> Share<N> {
    /// Writes the body of a kernel: the parallel loop, if there is one, around `body`.
    pub fn around(&self, f: &mut FuncBuilder, body: impl FnOnce(&mut FuncBuilder, &Loops)) {
        match self.shared {
            Some((axis, count)) => {
                f.for_("share", 0..count, parallel(), |f, i| body(f, &Loops { shared: Some((axis, i.into())) }));
            }
            None => body(f, &Loops { shared: None }),
        }
    }
}

/// Makes the loops inside the parallel one; by default there is no parallel one.
#[derive(Default)]
pub struct Loops {
    shared: Option<(usize, Affine)>,
}

impl Loops {
    /// A loop along a part of an axis with `count` iterations; if the axis is that of the parallel loop, the body alone, with its variable.
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
