//! Networks of zips: rounds of shuffles that transpose in registers.
//!
//! ```text
//!   round   rows 2i and 2i + 1  ←  zip lo, zip hi of rows i and i + v/2          of v rows, v a power of two
//! ```
//!
//! Number the elements of v rows of n lanes from 0 to v·n − 1. A round rotates the bits of each element's number to the left by one. So log₂ n
//! rounds transpose n rows. They also take the columns out of v rows that hold a matrix of v columns row after row; log₂ v rounds put such
//! columns back.
//!
//! Two zips make two rows of two rows, so all rows read so far stay in registers. To keep them few, a network is built depth first: rows are
//! zipped as soon as they are read. The last round is not part of the steps; the caller places each of its zips where the row is used.

use convoke_ir::loops::Half;

/// A row within the network: the number of its step, or `None` for padding.
pub(in crate::loops) type Row = Option<usize>;

/// One step of a network, which gives a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::loops) enum Step {
    /// This row of the input.
    Input(usize),
    /// Two rows, interleaved.
    Zip(Zip),
}

/// One half of two interleaved rows, at most one of which is padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::loops) struct Zip {
    pub(in crate::loops) half: Half,
    pub(in crate::loops) a: Row,
    pub(in crate::loops) b: Row,
}

/// Steps, each after those it reads.
#[derive(Debug)]
pub(in crate::loops) struct Network {
    /// All rounds but the last.
    pub(in crate::loops) steps: Vec<Step>,
    /// The last round: for each row of the output its zip, if it is wanted.
    pub(in crate::loops) last: Vec<Option<Zip>>,
}

impl Network {
    /// The network of `rounds` rounds over `wanted.len()` rows, at least two; rows from `present` on are padding. `wanted` says which rows of
    /// the last round are used.
    pub(in crate::loops) fn new(present: usize, rounds: u32, wanted: &[bool]) -> Network {
        let rows = wanted.len();
        let mut walk = Walk { rows, present, steps: Vec::new(), first: Vec::new() };
        // The last log₂ v rounds mix all rows, so rounds before them are done for all rows first.
        let extra = rounds.saturating_sub(rows.ilog2());
        if extra > 0 {
            walk.first = (0..rows).map(|row| walk.input(row)).collect();
        }
        for _ in 0..extra {
            let before = std::mem::take(&mut walk.first);
            walk.first = (0..rows).map(|to| walk.zip(to, before[to / 2], before[to / 2 + rows / 2])).collect();
        }
        let (even, odd) = walk.halves(0, 1, wanted);
        let last = |(to, &wanted): (usize, &bool)| wanted.then(|| zip(to, even[to / 2], odd[to / 2])).flatten();
        let last = wanted.iter().enumerate().map(last).collect();
        Network { steps: walk.steps, last }
    }

    /// All zips.
    fn all(&self) -> impl Iterator<Item = &Zip> {
        let before = self.steps.iter().filter_map(|step| if let Step::Zip(zip) = step { Some(zip) } else { None });
        before.chain(self.last.iter().flatten())
    }

    /// How many zips there are.
    pub(in crate::loops) fn zips(&self) -> usize {
        self.all().count()
    }

    /// Whether a zip reads padding.
    pub(in crate::loops) fn is_padded(&self) -> bool {
        self.all().any(|zip| zip.a.is_none() || zip.b.is_none())
    }
}

/// Row `to` of a round, if it is more than padding.
fn zip(to: usize, a: Row, b: Row) -> Option<Zip> {
    (a.is_some() || b.is_some()).then_some(Zip { half: Half::ALL[to % 2], a, b })
}

struct Walk {
    rows: usize,
    present: usize,
    steps: Vec<Step>,
    /// The rows that the last rounds begin with, where those are not the inputs themselves.
    first: Vec<Row>,
}

impl Walk {
    fn push(&mut self, step: Step) -> usize {
        self.steps.push(step);
        self.steps.len() - 1
    }

    fn input(&mut self, row: usize) -> Row {
        (row < self.present).then(|| self.push(Step::Input(row)))
    }

    fn zip(&mut self, to: usize, a: Row, b: Row) -> Row {
        zip(to, a, b).map(|zip| self.push(Step::Zip(zip)))
    }

    /// The rows that the rounds over rows `first`, `first + step`, … by themselves give, of those `wanted`.
    fn rows(&mut self, first: usize, step: usize, wanted: &[bool]) -> Vec<Row> {
        if step == self.rows {
            return vec![if self.first.is_empty() { self.input(first) } else { self.first[first] }];
        }
        let (even, odd) = self.halves(first, step, wanted);
        let zips = wanted.iter().enumerate();
        zips.map(|(to, &wanted)| if wanted { self.zip(to, even[to / 2], odd[to / 2]) } else { None }).collect()
    }

    /// What the last of these rounds zips: every other row, and those between.
    fn halves(&mut self, first: usize, step: usize, wanted: &[bool]) -> (Vec<Row>, Vec<Row>) {
        let pairs: Vec<bool> = wanted.chunks(2).map(|pair| pair.contains(&true)).collect();
        (self.rows(first, 2 * step, &pairs), self.rows(first + step, 2 * step, &pairs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers of the output's rows; padding is −1.
    fn run(network: &Network, inputs: &[Vec<i32>]) -> Vec<Vec<i32>> {
        let n = inputs[0].len();
        let mut rows: Vec<Vec<i32>> = Vec::new();
        let of = |rows: &[Vec<i32>], step: Step| match step {
            Step::Input(row) => inputs[row].clone(),
            Step::Zip(Zip { half, a, b }) => {
                let [a, b] = [a, b].map(|row| row.map_or(vec![-1; n], |row| rows[row].clone()));
                (0..n).map(|l| [&a, &b][l % 2][usize::from(half.first(n as u8)) + l / 2]).collect()
            }
        };
        for &step in &network.steps {
            rows.push(of(&rows, step));
        }
        network.last.iter().map(|zip| zip.map_or(vec![], |zip| of(&rows, Step::Zip(zip)))).collect()
    }

    fn counted(rows: usize, n: usize) -> Vec<Vec<i32>> {
        (0..rows).map(|row| (0..n).map(|lane| (row * n + lane) as i32).collect()).collect()
    }

    #[test]
    fn transposes_what_is_there() {
        for n in [2usize, 4, 8, 16] {
            for present in 1..=n {
                for wanted in 1..=n {
                    let network = Network::new(present, n.ilog2(), &(0..n).map(|i| i < wanted).collect::<Vec<_>>());
                    let found = run(&network, &counted(present, n));
                    for (column, found) in found[..wanted].iter().enumerate() {
                        let row = |row| if row < present { (row * n + column) as i32 } else { -1 };
                        assert_eq!(*found, (0..n).map(row).collect::<Vec<_>>(), "{present} rows of {n}, {wanted}");
                    }
                    assert!(found[wanted..].iter().all(Vec::is_empty));
                    assert!(network.zips() <= n * n.ilog2() as usize);
                    assert_eq!(network.is_padded(), present < n);
                }
            }
        }
    }

    #[test]
    fn takes_columns_out_and_puts_them_back() {
        for n in [4usize, 8, 16] {
            for v in [2usize, 4, 8].into_iter().filter(|&v| v < n) {
                let memory = counted(v, n);
                let columns = run(&Network::new(v, n.ilog2(), &vec![true; v]), &memory);
                for (column, found) in columns.iter().enumerate() {
                    assert_eq!(*found, (0..n).map(|l| (l * v + column) as i32).collect::<Vec<_>>());
                }
                assert_eq!(run(&Network::new(v, v.ilog2(), &vec![true; v]), &columns), memory);
            }
        }
    }
}
