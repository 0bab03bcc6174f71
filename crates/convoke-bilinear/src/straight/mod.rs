//! Straight-line code for `y = M·x` with a constant matrix: what a transform is compiled to.
//!
//! ```text
//!   M [rows, cols] ──► greedy sharing of pairs ──► x_i + ratio·x_j, used in several rows, is computed once
//!                  ──► shared multiples        ──► c·x_i, where several rows would begin with it
//!                  ──► chains                  ──► the rest of a row, a multiply-add for each term
//! ```
//!
//! Pairs are found by their *ratio*: −4·x1 + x3 and 4·x1 − x3 share one sum, which is what makes the transforms of symmetric points
//! (±p) cost half. An operation is an addition, a multiplication or a multiply-add; negation is free, since it is a sign of the operation that
//! reads it.
//!
//! Source: Paar 1997, *Optimized Arithmetic for Reed–Solomon Encoders* (greedy pairs), extended to coefficients other than ±1.

mod build;
mod coefficients;
mod order;
mod transpose;
pub(crate) mod writer;

pub(crate) use build::scales;
use num_traits::{ToPrimitive, Zero};

use crate::matrix::Rational;

/// A number at hand: an input, or the result of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Var {
    /// An input.
    Input(usize),
    /// The result of an operation.
    Op(usize),
}

/// One operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// `±x ± y`; the flags say which are negated.
    Add {
        /// First operand.
        x: Var,
        /// Whether it is subtracted.
        minus_x: bool,
        /// Second operand.
        y: Var,
        /// Whether it is subtracted.
        minus_y: bool,
    },
    /// `factor · x`.
    Mul {
        /// The constant.
        factor: Rational,
        /// The operand.
        x: Var,
    },
    /// `factor · x ± y`.
    Fma {
        /// The constant.
        factor: Rational,
        /// What it multiplies.
        x: Var,
        /// What is added.
        y: Var,
        /// Whether it is subtracted.
        minus_y: bool,
    },
}

/// An output: 0, or a number at hand, perhaps negated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Output {
    /// The number; `None` for 0.
    pub var: Option<Var>,
    /// Whether it is negated.
    pub negated: bool,
}

/// Straight-line code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Straight {
    /// How many inputs there are.
    pub inputs: usize,
    /// Operations; each reads inputs and results of those before it.
    pub ops: Vec<Op>,
    /// One for each row.
    pub outputs: Vec<Output>,
}

impl Straight {
    /// How many operations there are; negated outputs count as one each, for nothing is left to take their sign.
    pub fn operations(&self) -> usize {
        self.ops.len() + self.outputs.iter().filter(|o| o.negated).count()
    }

    /// How many of them multiply by something other than a power of two.
    pub fn multiplications(&self) -> usize {
        let cheap = |factor: &Rational| is_power_of_two(factor);
        let factors = self.ops.iter().filter_map(|op| match op {
            Op::Add { .. } => None,
            Op::Mul { factor, .. } | Op::Fma { factor, .. } => Some(factor),
        });
        factors.filter(|factor| !cheap(factor)).count()
    }

    /// The outputs for exact inputs, of which there are [`Straight::inputs`].
    pub fn evaluate(&self, x: &[Rational]) -> Vec<Rational> {
        self.fold(x, Rational::zero(), |x| -x, |x, y| x + y, |factor, x| factor * x)
    }

    /// The outputs in floating point.
    pub fn evaluate_f64(&self, x: &[f64]) -> Vec<f64> {
        let times = |factor: &Rational, x| factor.to_f64().unwrap_or(f64::NAN) * x;
        self.fold(x, 0.0, |x| -x, |x, y| x + y, times)
    }

    /// Runs the code over any kind of number.
    fn fold<T: Clone>(
        &self,
        x: &[T],
        zero: T,
        negated: impl Fn(T) -> T,
        sum: impl Fn(T, T) -> T,
        times: impl Fn(&Rational, T) -> T,
    ) -> Vec<T> {
        let mut results: Vec<T> = Vec::with_capacity(self.ops.len());
        let signed = |value: T, minus: bool| if minus { negated(value) } else { value };
        for op in &self.ops {
            let read = |var: &Var| match *var {
                Var::Input(i) => x[i].clone(),
                Var::Op(i) => results[i].clone(),
            };
            let result = match op {
                Op::Add { x, minus_x, y, minus_y } => sum(signed(read(x), *minus_x), signed(read(y), *minus_y)),
                Op::Mul { factor, x } => times(factor, read(x)),
                Op::Fma { factor, x, y, minus_y } => sum(times(factor, read(x)), signed(read(y), *minus_y)),
            };
            results.push(result);
        }
        let output = |o: &Output| match o.var {
            None => zero.clone(),
            Some(Var::Input(i)) => signed(x[i].clone(), o.negated),
            Some(Var::Op(i)) => signed(results[i].clone(), o.negated),
        };
        self.outputs.iter().map(output).collect()
    }
}

pub(crate) fn is_power_of_two(factor: &Rational) -> bool {
    let one_bit = |n: &num_bigint::BigInt| n.magnitude().count_ones() == 1;
    one_bit(factor.numer()) && one_bit(factor.denom())
}
