//! A bilinear algorithm as a lowering reads it: for each product, which parts with which coefficients.

use convoke_bilinear::{Bilinear, Matrix, Problem};
use convoke_ir::elem::Elem;
use convoke_ir::loops::{BinOp, FuncBuilder, UnOp, ValId};
use num_traits::ToPrimitive;

/// The parts that are not left out, each with its coefficient.
pub(super) type Terms = Vec<(usize, f64)>;

/// `y[i, j] = Σ_q c[q] · (Σ a[q] · w) · (Σ b[q] · patch)` over parts, row by row.
pub(super) struct Rule {
    /// Parts of output channels, of the reduction and of the pixels.
    pub sizes: [usize; 3],
    /// For each product, parts (output channels, reduction) of the weights.
    pub a: Vec<Terms>,
    /// Parts (reduction, pixels) of the patches.
    pub b: Vec<Terms>,
    /// Parts (output channels, pixels) of the result.
    pub c: Vec<Terms>,
}

impl Rule {
    /// The algorithm `base` on parts of parts, `levels` deep.
    pub(super) fn recursive(base: &Bilinear, levels: u8) -> Rule {
        let tensor = |all: Bilinear, base: &Bilinear| all.tensor(base).expect("both multiply matrices");
        Rule::new(&(1..levels).fold(base.clone(), |all, _| tensor(all, base)))
    }

    /// Of an algorithm that multiplies matrices.
    fn new(algorithm: &Bilinear) -> Rule {
        let Problem::MatMul { m, k, n } = algorithm.problem else {
            unreachable!("only products of matrices come here")
        };
        let row = |matrix: &Matrix, q| matrix.nonzero(q).map(|(i, c)| (i, c.to_f64().unwrap_or(f64::NAN))).collect();
        let terms = |matrix: &Matrix| (0..matrix.rows()).map(|q| row(matrix, q)).collect();
        Rule { sizes: [m, k, n], a: terms(&algorithm.a), b: terms(&algorithm.b), c: terms(&algorithm.c) }
    }
}

/// `Σ coefficient · number`, of numbers that `load` gives by their place in the sum. Coefficients of 1 and −1 cost an addition.
pub(super) fn combination(
    f: &mut FuncBuilder,
    elem: Elem,
    coefficients: &[f64],
    mut load: impl FnMut(&mut FuncBuilder, usize) -> ValId,
) -> ValId {
    // One that is added comes first where there is one, so that nothing need be negated.
    let first = coefficients.iter().position(|&c| c == 1.0).unwrap_or(0);
    let number = load(f, first);
    let mut sum = scaled(f, elem, coefficients[first], number);
    for (i, &coefficient) in coefficients.iter().enumerate().filter(|(i, _)| *i != first) {
        let number = load(f, i);
        sum = plus(f, elem, sum, coefficient, number);
    }
    sum
}

/// `coefficient · number`.
pub(super) fn scaled(f: &mut FuncBuilder, elem: Elem, coefficient: f64, number: ValId) -> ValId {
    match coefficient {
        1.0 => number,
        -1.0 => f.unary(UnOp::Neg, number),
        other => {
            let other = f.number(elem, other);
            f.binary(BinOp::Mul, other, number)
        }
    }
}

/// `sum + coefficient · number`.
pub(super) fn plus(f: &mut FuncBuilder, elem: Elem, sum: ValId, coefficient: f64, number: ValId) -> ValId {
    match coefficient {
        1.0 => f.binary(BinOp::Add, sum, number),
        -1.0 => f.binary(BinOp::Sub, sum, number),
        other => {
            let other = f.number(elem, other);
            f.fma(other, number, sum)
        }
    }
}

/// A letter for each coefficient, for names: p for plus, m for minus, x for a number.
pub(super) fn letters(coefficients: impl Iterator<Item = f64>) -> String {
    coefficients
        .map(|c| {
            if c == 1.0 {
                'p'
            } else if c == -1.0 {
                'm'
            } else {
                'x'
            }
        })
        .collect()
}
