//! A transform with factors as floats: its two passes over lines.

use super::code::Code;
use crate::tile::{Lines, Places, Transform};

#[derive(Clone, Debug)]
struct Pass {
    lines: Vec<NumericLines>,
    size: usize,
}

#[derive(Clone, Debug)]
struct NumericLines {
    code: Code,
    count: usize,
    from: Places,
    to: Places,
}

/// A [`Transform`] in `f64`, built once for many runs.
#[derive(Clone, Debug)]
pub(super) struct Passes {
    inputs: usize,
    passes: [Pass; 2],
    registers: usize,
}

impl Passes {
    pub(super) fn of(transform: &Transform) -> Passes {
        let numeric = |lines: &Lines| NumericLines {
            code: Code::of(&lines.code),
            count: lines.count,
            from: lines.from,
            to: lines.to,
        };
        let pass = |lines: &[Lines], size| Pass { lines: lines.iter().map(numeric).collect(), size };
        let passes = [pass(&transform.first, transform.between), pass(&transform.then, transform.outputs)];
        let registers = passes.iter().flat_map(|p| &p.lines).map(|l| l.code.registers()).max().unwrap_or(1);
        Passes { inputs: transform.inputs, passes, registers }
    }

    pub(super) fn absolute(mut self) -> Passes {
        for lines in self.passes.iter_mut().flat_map(|p| &mut p.lines) {
            lines.code = lines.code.clone().absolute();
        }
        self
    }

    pub(super) fn inputs(&self) -> usize {
        self.inputs
    }

    pub(super) fn outputs(&self) -> usize {
        self.passes[1].size
    }

    /// Operations of one run.
    pub(super) fn operations(&self) -> usize {
        self.passes.iter().flat_map(|p| &p.lines).map(|l| l.count * l.code.registers()).sum()
    }

    /// The outputs. Each product and each sum adds `lost`; `largest` becomes at least as large as every number on the way.
    pub(super) fn run(&self, x: &[f64], lost: f64, largest: &mut f64, scratch: &mut Scratch, y: &mut [f64]) {
        scratch.registers.resize(self.registers, 0.0);
        scratch.between.resize(self.passes[0].size, 0.0);
        self.passes[0].run(x, lost, largest, &mut scratch.registers, &mut scratch.between);
        self.passes[1].run(&scratch.between, lost, largest, &mut scratch.registers, y);
    }

    /// The outputs, with all registers of all lines in `trace`.
    pub(super) fn traced(&self, x: &[f64], trace: &mut Vec<f64>) -> Vec<f64> {
        trace.clear();
        let between = self.passes[0].traced(x, trace);
        self.passes[1].traced(&between, trace)
    }

    /// Turns the sensitivities of the outputs into those of the inputs. Gives the expected square of the error of a traced run, in units of one
    /// rounding's variance.
    pub(super) fn back(&self, trace: &[f64], outputs: &[f64]) -> (Vec<f64>, f64) {
        let (first, then) = trace.split_at(self.passes[0].traced_size());
        let (between, error) = self.passes[1].back(then, outputs, self.passes[0].size);
        let (inputs, more) = self.passes[0].back(first, &between, self.inputs);
        (inputs, error + more)
    }

    /// The most roundings on the way from an input to an output.
    pub(super) fn roundings(&self) -> usize {
        let mut most = vec![0; self.inputs];
        for pass in &self.passes {
            let mut next = vec![0; pass.size];
            for lines in &pass.lines {
                let added = lines.code.roundings();
                for i in 0..lines.count {
                    let before = (0..lines.code.inputs()).map(|j| most[lines.from.at(i, j)]).max().unwrap_or(0);
                    added.iter().enumerate().for_each(|(j, added)| next[lines.to.at(i, j)] = before + added);
                }
            }
            most = next;
        }
        most.into_iter().max().unwrap_or(0)
    }

    /// The codes of both passes.
    pub(super) fn codes(&self) -> [Vec<&Code>; 2] {
        [0, 1].map(|pass| self.passes[pass].lines.iter().map(|lines| &lines.code).collect())
    }

    /// Whether every pass reads each number at most once.
    pub(super) fn reads_once(&self) -> bool {
        [self.inputs, self.passes[0].size].iter().zip(&self.passes).all(|(&size, pass)| {
            let mut read = vec![false; size];
            let mut first = |at: usize| !std::mem::replace(&mut read[at], true);
            let mut line = |lines: &NumericLines, i| (0..lines.code.inputs()).all(|j| first(lines.from.at(i, j)));
            pass.lines.iter().all(|lines| (0..lines.count).all(|i| line(lines, i)))
        })
    }

    /// For each output of a transform without minus signs, a bound on the largest coefficient of any input: the lines of the first
    /// pass read different inputs, so that only coefficients from the same line add up.
    pub(super) fn largest_coefficients(&self) -> Vec<f64> {
        let [first, then] = &self.passes;
        let (mut largest, mut line_of, mut next_line) = (vec![0.0; first.size], vec![0; first.size], 0);
        for lines in &first.lines {
            let dense = lines.code.dense();
            for i in 0..lines.count {
                for (j, row) in dense.iter().enumerate() {
                    largest[lines.to.at(i, j)] = row.iter().copied().fold(0.0, f64::max);
                    line_of[lines.to.at(i, j)] = next_line;
                }
                next_line += 1;
            }
        }
        let (mut result, mut sums) = (vec![0.0; then.size], vec![0.0; next_line]);
        for lines in &then.lines {
            let dense = lines.code.dense();
            for i in 0..lines.count {
                for (j, row) in dense.iter().enumerate() {
                    let places = || (0..row.len()).map(|k| lines.from.at(i, k));
                    places().for_each(|at| sums[line_of[at]] = 0.0);
                    places().zip(row).for_each(|(at, c)| sums[line_of[at]] += c * largest[at]);
                    result[lines.to.at(i, j)] = places().map(|at| sums[line_of[at]]).fold(0.0, f64::max);
                }
            }
        }
        result
    }
}

/// Memory for [`Passes::run`], to be used again.
#[derive(Clone, Debug, Default)]
pub(super) struct Scratch {
    registers: Vec<f64>,
    between: Vec<f64>,
}

impl Pass {
    fn run(&self, x: &[f64], lost: f64, largest: &mut f64, registers: &mut [f64], y: &mut [f64]) {
        for lines in &self.lines {
            let registers = &mut registers[..lines.code.registers()];
            for i in 0..lines.count {
                (0..lines.code.inputs()).for_each(|j| registers[1 + j] = x[lines.from.at(i, j)]);
                lines.code.run(registers, lost);
                *largest = registers.iter().fold(*largest, |most, r| if r.abs() > most { r.abs() } else { most });
                (0..lines.code.outputs()).for_each(|j| y[lines.to.at(i, j)] = lines.code.output(registers, j));
            }
        }
    }

    fn traced(&self, x: &[f64], trace: &mut Vec<f64>) -> Vec<f64> {
        let mut y = vec![0.0; self.size];
        for lines in &self.lines {
            for i in 0..lines.count {
                let start = trace.len();
                trace.resize(start + lines.code.registers(), 0.0);
                let registers = &mut trace[start..];
                (0..lines.code.inputs()).for_each(|j| registers[1 + j] = x[lines.from.at(i, j)]);
                lines.code.run(registers, 0.0);
                (0..lines.code.outputs()).for_each(|j| y[lines.to.at(i, j)] = lines.code.output(registers, j));
            }
        }
        y
    }

    fn traced_size(&self) -> usize {
        self.lines.iter().map(|lines| lines.count * lines.code.registers()).sum()
    }

    fn back(&self, mut trace: &[f64], outputs: &[f64], inputs: usize) -> (Vec<f64>, f64) {
        let (mut result, mut error, mut registers) = (vec![0.0; inputs], 0.0, Vec::new());
        for lines in &self.lines {
            registers.resize(lines.code.registers(), 0.0);
            for i in 0..lines.count {
                let (values, rest) = trace.split_at(lines.code.registers());
                trace = rest;
                error += lines.code.back(values, |j| outputs[lines.to.at(i, j)], &mut registers);
                (0..lines.code.inputs()).for_each(|j| result[lines.from.at(i, j)] += registers[1 + j]);
            }
        }
        (result, error)
    }
}
