//! The transposition principle: code for `y = M·x`, read backwards, computes `x = Mᵀ·y`.
//!
//! Every number of the code has a sensitivity, what a change of it adds to the result; the sensitivities of outputs are given, and each operation
//! passes its own on to its operands. The order of operations is reversed, so that no more numbers are alive at a time than before.
//!
//! Source: Bordewijk 1956; Bürgisser, Clausen, Shokrollahi 1997, *Algebraic Complexity Theory*, §13.

use num_traits::Signed;

use super::writer::{Value, Writer, ZERO};
use super::{Op, Straight, Var};
use crate::matrix::Rational;

impl Straight {
    /// Code for the transposed matrix, with as many operations but for those that inputs and outputs make up.
    pub fn transposed(&self) -> Straight {
        let mut sums = Sums {
            code: Writer::new(self.outputs.len()),
            inputs: vec![ZERO; self.inputs],
            ops: vec![ZERO; self.ops.len()],
        };
        for (j, output) in self.outputs.iter().enumerate() {
            if let Some(var) = output.var {
                let input = sums.code.input(j);
                sums.add(var, input, output.negated);
            }
        }
        for (i, op) in self.ops.iter().enumerate().rev() {
            let sum = sums.ops[i];
            match op {
                Op::Add { x, minus_x, y, minus_y } => {
                    sums.add(*x, sum, *minus_x);
                    sums.add(*y, sum, *minus_y);
                }
                Op::Mul { factor, x } => sums.add_scaled(*x, factor, sum),
                Op::Fma { factor, x, y, minus_y } => {
                    sums.add(*y, sum, *minus_y);
                    sums.add_scaled(*x, factor, sum);
                }
            }
        }
        sums.code.finish(&sums.inputs)
    }
}

/// The sensitivities so far.
struct Sums {
    code: Writer,
    inputs: Vec<Value>,
    ops: Vec<Value>,
}

impl Sums {
    fn of(&mut self, var: Var) -> &mut Value {
        match var {
            Var::Input(i) => &mut self.inputs[i],
            Var::Op(i) => &mut self.ops[i],
        }
    }

    fn add(&mut self, to: Var, value: Value, minus: bool) {
        let before = *self.of(to);
        *self.of(to) = self.code.add(before, if minus { -value } else { value });
    }

    fn add_scaled(&mut self, to: Var, factor: &Rational, value: Value) {
        let magnitude = self.code.factor(factor.abs());
        let scaled = self.code.scale(magnitude, value);
        self.add(to, scaled, factor.is_negative());
    }
}
