//! Straight-line code with factors as floats: values, magnitudes, sensitivities, roundings.
//!
//! Registers are a 0, the inputs, then the results of operations. Every operation is `fx·x + fy·y` with `fy` of ±1 or 0.

use num_bigint::BigInt;
use num_traits::{Signed, ToPrimitive};

use crate::matrix::Rational;
use crate::straight::{Op, Straight, Var, is_power_of_two};

/// One operation.
#[derive(Clone, Copy, Debug)]
struct Step {
    x: usize,
    y: usize,
    fx: f64,
    fy: f64,
    /// Roundings of the product: none for a factor that is a power of two.
    product: u8,
    /// Roundings of the factor itself: one if single precision does not hold it.
    factor: u8,
    /// Roundings of the sum.
    sum: u8,
}

/// Code for one line.
#[derive(Clone, Debug)]
pub(super) struct Code {
    inputs: usize,
    steps: Vec<Step>,
    /// Register and sign.
    outputs: Vec<(usize, f64)>,
}

impl Code {
    pub(super) fn of(code: &Straight) -> Code {
        let register = |var: Var| match var {
            Var::Input(i) => 1 + i,
            Var::Op(i) => 1 + code.inputs + i,
        };
        let sign = |minus: bool| if minus { -1.0 } else { 1.0 };
        let float = |factor: &Rational| factor.to_f64().unwrap_or(f64::NAN);
        let product = |factor: &Rational| u8::from(!is_power_of_two(factor));
        let inexact = |factor: &Rational| u8::from(!fits_single(factor));
        let step = |op: &Op| match op {
            Op::Add { x, minus_x, y, minus_y } => Step {
                x: register(*x),
                y: register(*y),
                fx: sign(*minus_x),
                fy: sign(*minus_y),
                product: 0,
                factor: 0,
                sum: 1,
            },
            Op::Mul { factor, x } => Step {
                x: register(*x),
                y: 0,
                fx: float(factor),
                fy: 0.0,
                product: product(factor),
                factor: inexact(factor),
                sum: 0,
            },
            Op::Fma { factor, x, y, minus_y } => Step {
                x: register(*x),
                y: register(*y),
                fx: float(factor),
                fy: sign(*minus_y),
                product: product(factor),
                factor: inexact(factor),
                sum: 1,
            },
        };
        let outputs = code.outputs.iter().map(|o| (o.var.map_or(0, register), sign(o.negated)));
        Code { inputs: code.inputs, steps: code.ops.iter().map(step).collect(), outputs: outputs.collect() }
    }

    /// This code with every sign a plus: from magnitudes of inputs it computes bounds of its results.
    pub(super) fn absolute(mut self) -> Code {
        for step in &mut self.steps {
            (step.fx, step.fy) = (step.fx.abs(), step.fy.abs());
        }
        self.outputs.iter_mut().for_each(|output| output.1 = 1.0);
        self
    }

    pub(super) fn registers(&self) -> usize {
        1 + self.inputs + self.steps.len()
    }

    pub(super) fn inputs(&self) -> usize {
        self.inputs
    }

    pub(super) fn outputs(&self) -> usize {
        self.outputs.len()
    }

    /// Fills the registers, of which the inputs are there already. Each product and each sum adds `lost`, to bound what underflow takes.
    pub(super) fn run(&self, registers: &mut [f64], lost: f64) {
        registers[0] = 0.0;
        for (i, step) in self.steps.iter().enumerate() {
            let value = step.fx * registers[step.x] + step.fy * registers[step.y];
            let operations = u8::from(step.fx.abs() != 1.0) + u8::from(step.fy != 0.0);
            registers[1 + self.inputs + i] = value + f64::from(operations) * lost;
        }
    }

    pub(super) fn output(&self, registers: &[f64], j: usize) -> f64 {
        let (register, sign) = self.outputs[j];
        sign * registers[register]
    }

    /// Turns the sensitivities of the outputs into those of all registers. Gives the expected square of the error that operations on these `values`
    /// make, in units of one rounding's variance. Multiply-adds are fused.
    pub(super) fn back(&self, values: &[f64], outputs: impl Fn(usize) -> f64, sensitivities: &mut [f64]) -> f64 {
        sensitivities.fill(0.0);
        for (j, &(register, sign)) in self.outputs.iter().enumerate() {
            sensitivities[register] += sign * outputs(j);
        }
        let mut error = 0.0;
        for (i, step) in self.steps.iter().enumerate().rev() {
            let at = 1 + self.inputs + i;
            let s = sensitivities[at];
            let (result, product) = (values[at], step.fx * values[step.x]);
            let rounded = if step.sum > 0 { 1.0 } else { f64::from(step.product) };
            error += s * s * (rounded * result * result + f64::from(step.factor) * product * product);
            sensitivities[step.x] += step.fx * s;
            sensitivities[step.y] += step.fy * s;
        }
        error
    }

    /// The expected square of the error that all operations make, in units of one rounding's variance: `value` is the expected square of a linear
    /// form of the inputs, `reach` that of what outputs depend on with these gains. Multiply-adds are fused.
    pub(super) fn expected(&self, value: impl Fn(&[f64]) -> f64, reach: impl Fn(&[f64]) -> f64) -> f64 {
        let (forms, gains) = (self.forms(), self.gains());
        let mut error = 0.0;
        for (i, step) in self.steps.iter().enumerate() {
            let at = 1 + self.inputs + i;
            let rounded = if step.sum > 0 { 1.0 } else { f64::from(step.product) };
            let result = if rounded > 0.0 { rounded * value(&forms[at]) } else { 0.0 };
            let factor = if step.factor > 0 { step.fx * step.fx * value(&forms[step.x]) } else { 0.0 };
            if result + factor > 0.0 {
                error += (result + factor) * reach(&gains[at]);
            }
        }
        error
    }

    /// The most roundings on the way from an input to each output, multiply-adds in two steps.
    pub(super) fn roundings(&self) -> Vec<usize> {
        let mut most = vec![0; self.registers()];
        for (i, step) in self.steps.iter().enumerate() {
            let x = most[step.x] + usize::from(step.product) + usize::from(step.factor);
            let y = if step.fy == 0.0 { 0 } else { most[step.y] };
            most[1 + self.inputs + i] = x.max(y) + usize::from(step.sum);
        }
        self.outputs.iter().map(|&(register, _)| most[register]).collect()
    }

    /// What operations round, by how far they are from the inputs.
    pub(super) fn rounded(&self, absolute: &Code) -> Vec<Rounded> {
        let [forms, magnitudes] = [self, absolute].map(Code::forms);
        let gains = self.gains();
        let mut distances = vec![0; self.registers()];
        let mut levels: Vec<Rounded> = Vec::new();
        for (i, step) in self.steps.iter().enumerate() {
            let at = 1 + self.inputs + i;
            let level = distances[step.x].max(distances[step.y]);
            distances[at] = level + 1;
            levels.resize_with(levels.len().max(level + 1), Rounded::default);
            let mut round = |times: f64, register: usize| {
                let scaled = |form: &[f64], times: f64| form.iter().map(|x| x * times).collect();
                levels[level].gains.push(gains[at].clone());
                levels[level].values.push(scaled(&forms[register], times));
                levels[level].magnitudes.push(scaled(&magnitudes[register], times.abs()));
            };
            if step.sum > 0 {
                round(1.0, at);
            }
            if step.product + step.factor > 0 {
                round(f64::from(step.product + step.factor) * step.fx, step.x);
            }
        }
        levels
    }

    /// Each register as coefficients of the inputs.
    fn forms(&self) -> Vec<Vec<f64>> {
        let mut forms = vec![vec![0.0; self.inputs]; self.registers()];
        (0..self.inputs).for_each(|i| forms[1 + i][i] = 1.0);
        for (i, step) in self.steps.iter().enumerate() {
            let pairs = forms[step.x].iter().zip(&forms[step.y]);
            forms[1 + self.inputs + i] = pairs.map(|(x, y)| step.fx * x + step.fy * y).collect();
        }
        forms
    }

    /// How each output depends on each register.
    fn gains(&self) -> Vec<Vec<f64>> {
        let mut gains = vec![vec![0.0; self.outputs.len()]; self.registers()];
        self.outputs.iter().enumerate().for_each(|(j, &(register, sign))| gains[register][j] += sign);
        for (i, step) in self.steps.iter().enumerate().rev() {
            let own = std::mem::take(&mut gains[1 + self.inputs + i]);
            gains[step.x].iter_mut().zip(&own).for_each(|(gain, g)| *gain += step.fx * g);
            gains[step.y].iter_mut().zip(&own).for_each(|(gain, g)| *gain += step.fy * g);
            gains[1 + self.inputs + i] = own;
        }
        gains
    }

    /// The matrix, row by row.
    pub(super) fn dense(&self) -> Vec<Vec<f64>> {
        let forms = self.forms();
        self.outputs.iter().map(|&(register, sign)| forms[register].iter().map(|x| sign * x).collect()).collect()
    }
}

/// What operations equally far from the inputs round. Row by row, for one rounding each.
#[derive(Default)]
pub(super) struct Rounded {
    /// How the outputs depend on it.
    pub(super) gains: Vec<Vec<f64>>,
    /// The number that is rounded, as coefficients of the inputs; twice it where it is rounded twice.
    pub(super) values: Vec<Vec<f64>>,
    /// The same with every sign a plus.
    pub(super) magnitudes: Vec<Vec<f64>>,
}

/// Whether single precision holds a number, range aside. Numbers that only double precision holds do not count: they may stand for
/// irrational ones.
fn fits_single(x: &Rational) -> bool {
    let odd = |n: &BigInt| n.abs().bits() - n.trailing_zeros().unwrap_or(0);
    odd(x.denom()) == 1 && odd(x.numer()) <= 24
}
