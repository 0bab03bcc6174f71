//! Outputs that read alike: runs of them become loops with affine addresses.
//!
//! ```text
//!   output   0  1  2  3  4  5  6  7          first output 1, period 2, 3 times, a source further each time:
//!   source   0  0  0  1  1  2  2  3     ⟶    for t in 0..3 { y[1 + 2t] = x[t]; y[2 + 2t] = x[t] }
//! ```

/// The longest period that is looked for.
const MAX_PERIOD: usize = 16;
/// The fewest outputs that are worth a loop of their own.
const MIN_OUTPUTS: usize = 4;

/// What an output reads: the first source, and the others as distances from it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Reads {
    pub(super) at: i64,
    pub(super) others: Vec<i64>,
}

/// Outputs `first + period·t + i` for t below `times` and i below `period`; each reads `by` further than the one a period before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Group {
    pub(super) first: usize,
    pub(super) period: usize,
    pub(super) times: usize,
    pub(super) by: i64,
}

impl Group {
    /// How many outputs there are.
    pub(super) fn outputs(&self) -> usize {
        self.period * self.times
    }
}

/// All outputs in groups, in order; outputs that are like no others are groups of one.
pub(super) fn groups(reads: &[Reads]) -> Vec<Group> {
    let mut groups = Vec::new();
    let mut first = 0;
    while first < reads.len() {
        let candidates = (1..=MAX_PERIOD).filter_map(|period| from(reads, first, period));
        // Of equally long ones the first, whose period is the shortest.
        let best = candidates.fold(None, |best: Option<Group>, group| match best {
            Some(best) if best.outputs() >= group.outputs() => Some(best),
            _ => Some(group),
        });
        let group = best.unwrap_or(Group { first, period: 1, times: 1, by: 0 });
        first += group.outputs();
        groups.push(group);
    }
    groups
}

/// The longest group of this period from an output on, if it is worth a loop.
fn from(reads: &[Reads], first: usize, period: usize) -> Option<Group> {
    let by = reads.get(first + period)?.at - reads[first].at;
    let alike = |p: &usize| reads[*p].others == reads[p - period].others && reads[*p].at - reads[p - period].at == by;
    let more = (first + period..reads.len()).take_while(alike).count();
    let group = Group { first, period, times: 1 + more / period, by };
    (group.times > 1 && group.outputs() >= MIN_OUTPUTS).then_some(group)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(sources: &[i64]) -> Vec<Group> {
        groups(&sources.iter().map(|&at| Reads { at, others: vec![] }).collect::<Vec<_>>())
    }

    #[test]
    fn runs_and_periods_are_found() {
        let group = |first, period, times, by| Group { first, period, times, by };
        assert_eq!(of(&[0, 1, 2, 3, 4]), [group(0, 1, 5, 1)]);
        assert_eq!(of(&[7, 5, 3, 1]), [group(0, 1, 4, -2)]);
        assert_eq!(of(&[0, 0, 1, 1, 2, 2]), [group(0, 2, 3, 1)]);
        assert_eq!(of(&[0, 3, 1, 4, 2, 5]), [group(0, 2, 3, 1)]);
        assert_eq!(of(&[5, 1, 9]), [group(0, 1, 1, 0), group(1, 1, 1, 0), group(2, 1, 1, 0)]);
        assert_eq!(of(&[9, 0, 0, 1, 1, 4]), [group(0, 1, 1, 0), group(1, 2, 2, 1), group(5, 1, 1, 0)]);
    }

    #[test]
    fn every_output_is_in_one_group_and_reads_what_it_did() {
        let mut sources: Vec<i64> = (0..200).map(|i| i * 37 / 50).collect();
        sources.extend((0..100).map(|i| i * i % 17));
        for group in of(&sources) {
            for (i, t) in (0..group.period).flat_map(|i| (0..group.times).map(move |t| (i, t))) {
                let at = group.first + group.period * t + i;
                assert_eq!(sources[at], sources[group.first + i] + group.by * t as i64);
            }
        }
        assert_eq!(of(&sources).iter().map(Group::outputs).sum::<usize>(), sources.len());
    }
}
