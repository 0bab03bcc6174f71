//! Which convolutions of a net may err how much, so that the net is fast and its output keeps a limit.
//!
//! Convolution i has candidates of cost c and error e; its error reaches the output with the weight w_i:
//!
//! ```text
//! minimise  Σ c_i    subject to    Σ w_i e_i² ≤ left
//! ```
//!
//! For a multiplier λ each convolution takes the candidate with the least c + λ w e², by itself. The least λ whose sum of squares fits is found by bisection.
//! What it leaves unspent goes to single convolutions, that which saves the most first.

/// A candidate of a convolution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Candidate {
    pub(super) cost: f64,
    pub(super) error: f64,
}

/// A convolution.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Spender {
    /// At least one.
    pub(super) candidates: Vec<Candidate>,
    /// Mean square of the relative error of the output, by the square of the convolution's own error.
    pub(super) weight: f64,
}

impl Spender {
    /// What a candidate takes of the sum of squares.
    fn takes(&self, candidate: usize) -> f64 {
        let takes = self.weight * self.candidates[candidate].error.powi(2);
        if takes.is_nan() { f64::INFINITY } else { takes }
    }

    /// The candidate with the least of these; of equals the most accurate.
    fn least(&self, of: impl Fn(usize) -> f64) -> usize {
        let error = |i: usize| self.candidates[i].error;
        let all = 0..self.candidates.len();
        all.min_by(|&a, &b| of(a).total_cmp(&of(b)).then(error(a).total_cmp(&error(b)))).unwrap_or(0)
    }

    /// The most accurate candidate; of equals the cheapest.
    fn most_accurate(&self) -> usize {
        let key = |i: usize| (self.candidates[i].error, self.candidates[i].cost);
        let all = 0..self.candidates.len();
        let order = |a: &usize, b: &usize| {
            let ((a_error, a_cost), (b_error, b_cost)) = (key(*a), key(*b));
            a_error.total_cmp(&b_error).then(a_cost.total_cmp(&b_cost))
        };
        all.min_by(order).unwrap_or(0)
    }
}

/// Halvings of the interval of λ, on a scale of logarithms.
const HALVINGS: usize = 60;

/// For each convolution the place of its candidate. If even the most accurate take more than is left, the second is false, and `otherwise` says
/// how much to spend in place of the little that these take.
pub(super) fn spend(all: &[Spender], left: f64, otherwise: impl Fn(f64) -> f64) -> (Vec<usize>, bool) {
    let by = |lambda: f64| -> Vec<usize> {
        let weighed = |s: &Spender, i: usize| s.candidates[i].cost + lambda * s.takes(i);
        all.iter().map(|s| s.least(|i| weighed(s, i))).collect()
    };
    let taken = |picked: &[usize]| all.iter().zip(picked).map(|(s, &i)| s.takes(i)).sum::<f64>();
    let cheapest = by(0.0);
    if taken(&cheapest) <= left {
        return (cheapest, true);
    }
    let mut picked: Vec<usize> = all.iter().map(Spender::most_accurate).collect();
    let least = taken(&picked);
    let (kept, left) = (least <= left, if least <= left { left } else { otherwise(least) });
    // Between these λ lie all at which some convolution changes its candidate, whatever the units of cost and error.
    let (mut low, mut high) = (f64::MIN_POSITIVE.ln(), f64::MAX.ln());
    for _ in 0..HALVINGS {
        let middle = low.midpoint(high);
        let found = by(middle.exp());
        if taken(&found) <= left {
            (high, picked) = (middle, found);
        } else {
            low = middle;
        }
    }
    while let Some((at, candidate)) = best_change(all, &picked, left - taken(&picked)) {
        picked[at] = candidate;
    }
    (picked, kept)
}

/// The change of one convolution that saves the most and takes no more than is left.
fn best_change(all: &[Spender], picked: &[usize], left: f64) -> Option<(usize, usize)> {
    let changes = all.iter().zip(picked).enumerate().flat_map(|(at, (spender, &now))| {
        let one = move |i: usize| (at, i, spender.candidates[now].cost - spender.candidates[i].cost);
        let fits = move |&i: &usize| spender.takes(i) - spender.takes(now) <= left;
        (0..spender.candidates.len()).filter(fits).map(one)
    });
    let saving = changes.filter(|(_, _, saved)| *saved > 0.0);
    saving.max_by(|a, b| a.2.total_cmp(&b.2)).map(|(at, i, _)| (at, i))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spender(weight: f64, candidates: &[(f64, f64)]) -> Spender {
        let candidates = candidates.iter().map(|&(cost, error)| Candidate { cost, error }).collect();
        Spender { candidates, weight }
    }

    fn places(all: &[Spender], left: f64) -> Vec<usize> {
        spend(all, left, |least| least).0
    }

    fn whole(all: &[Spender], picked: &[usize]) -> (f64, f64) {
        let one = |(s, &i): (&Spender, &usize)| (s.candidates[i].cost, s.takes(i));
        all.iter().zip(picked).map(one).fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    }

    #[test]
    fn the_error_goes_where_it_saves_the_most() {
        let pays = spender(1.0, &[(100.0, 1.0), (10.0, 3.0)]);
        let hardly = spender(1.0, &[(100.0, 1.0), (95.0, 3.0)]);
        assert_eq!(places(&[pays.clone(), hardly.clone()], 10.5), [1, 0]);
        assert_eq!(places(&[hardly.clone(), pays.clone()], 10.5), [0, 1]);
        assert_eq!(places(&[pays.clone(), hardly.clone()], 18.0), [1, 1], "there is enough for both");
        let (picked, kept) = spend(&[pays.clone(), hardly.clone()], 0.5, |least| least);
        assert!(picked == [0, 0] && !kept, "there is not enough for any");
        let (picked, kept) = spend(&[pays, hardly], 0.5, |least| 6.0 * least);
        assert!(picked == [1, 0] && !kept, "the other limit is for what saves the most");
    }

    #[test]
    fn what_does_not_reach_the_output_is_cheap() {
        let all = [spender(0.0, &[(9.0, 1e-7), (1.0, 1.0)]), spender(1.0, &[(9.0, 1e-7), (1.0, 1.0)])];
        assert_eq!(places(&all, 1e-12), [1, 0]);
    }

    /// Against every combination of three convolutions of four candidates.
    #[test]
    fn no_choice_is_far_from_the_best() {
        for case in 0..200_u32 {
            let number = |i: u32| f64::from((case * 7919 + i * 104_729 + i * i * 31) % 97 + 1);
            let one = |s: u32| {
                let candidates: Vec<_> = (0..4).map(|i| (number(8 * s + i), number(8 * s + 4 + i))).collect();
                spender(number(40 + s), &candidates)
            };
            let all = [one(0), one(1), one(2)];
            let combinations = (0..64).map(|c| [c % 4, c / 4 % 4, c / 16]);
            let least = all.iter().map(|s| s.takes(s.most_accurate())).sum::<f64>();
            let left = least * 4.0;
            let best = combinations.map(|picked| whole(&all, &picked)).filter(|(_, takes)| *takes <= left);
            let best = best.map(|(cost, _)| cost).fold(f64::INFINITY, f64::min);
            let (cost, takes) = whole(&all, &places(&all, left));
            assert!(takes <= left, "case {case}: {takes} of {left}");
            // The multiplier leaves at most the cost of one convolution's change.
            assert!(cost <= best + 97.0, "case {case}: {cost}, {best} is possible");
        }
    }

    #[test]
    fn errors_without_a_size_are_as_accurate_as_can_be() {
        assert_eq!(places(&[spender(f64::INFINITY, &[(1.0, 2.0), (5.0, 1.0)])], 1.0), [1]);
        assert_eq!(places(&[spender(f64::NAN, &[(1.0, 2.0), (5.0, 1.0)])], 1.0), [1]);
    }
}
