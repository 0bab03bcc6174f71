//! Writes straight-line code operation by operation.
//!
//! What is computed twice is written once; zeros vanish; a sign is kept beside a number until something reads it; a multiplication
//! is put off until it can be part of a multiply-add, and dropped if nothing else reads it. Operations stay in the order they are
//! asked for, so that whoever writes depth first has few numbers alive at a time.

use std::ops::Neg;

use num_bigint::BigInt;
use num_traits::{One, Signed};
use rustc_hash::{FxBuildHasher, FxHashMap};

use super::{Op, Output, Straight, Var};
use crate::matrix::Rational;

/// 0 or ± a number at hand.
pub(crate) type Value = Output;

/// 0.
pub(crate) const ZERO: Value = Output { var: None, negated: false };

impl Neg for Output {
    type Output = Output;
    fn neg(self) -> Output {
        Output { negated: !self.negated && self.var.is_some(), ..self }
    }
}

/// A positive constant of a [`Writer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Factor(usize);

/// The constant 1.
pub(crate) const ONE: Factor = Factor(0);

/// An operation up to its sign.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Term {
    /// `x ± y`; x comes before y.
    Add { x: Var, y: Var, minus: bool },
    /// `factor · x`.
    Mul { factor: Factor, x: Var },
    /// `factor · x ± y`.
    Fma { factor: Factor, x: Var, y: Var, minus: bool },
}

/// Code being written.
pub(crate) struct Writer {
    inputs: usize,
    terms: Vec<Term>,
    known: FxHashMap<Term, Var>,
    factors: Vec<Rational>,
    /// By numerator and denominator, since a rational takes long to hash.
    factor_ids: FxHashMap<(BigInt, BigInt), Factor>,
    floats: FxHashMap<u64, Factor>,
    products: FxHashMap<(Factor, Factor), Factor>,
}

impl Writer {
    pub(crate) fn new(inputs: usize) -> Writer {
        let one = Rational::one();
        Writer {
            inputs,
            terms: Vec::new(),
            known: FxHashMap::with_capacity_and_hasher(8 * inputs, FxBuildHasher),
            factor_ids: std::iter::once((one.clone().into_raw(), ONE)).collect(),
            factors: vec![one],
            floats: FxHashMap::default(),
            products: FxHashMap::default(),
        }
    }

    /// Input `i` of [`Straight::inputs`].
    pub(crate) fn input(&self, i: usize) -> Value {
        debug_assert!(i < self.inputs);
        Value { var: Some(Var::Input(i)), negated: false }
    }

    /// A constant. It is positive.
    pub(crate) fn factor(&mut self, factor: Rational) -> Factor {
        debug_assert!(factor.is_positive());
        let next = Factor(self.factors.len());
        let known = *self.factor_ids.entry(factor.clone().into_raw()).or_insert(next);
        if known == next {
            self.factors.push(factor);
        }
        known
    }

    /// A float as the exact number it is. It is positive and finite.
    pub(crate) fn float(&mut self, x: f64) -> Factor {
        if let Some(&known) = self.floats.get(&x.to_bits()) {
            return known;
        }
        let factor = self.factor(Rational::from_float(x).expect("finite"));
        self.floats.insert(x.to_bits(), factor);
        factor
    }

    fn product(&mut self, f: Factor, g: Factor) -> Factor {
        let key = (f.min(g), f.max(g));
        if let Some(&product) = self.products.get(&key) {
            return product;
        }
        let product = self.factor(&self.factors[f.0] * &self.factors[g.0]);
        self.products.insert(key, product);
        product
    }

    /// The factor and the number of a multiplication.
    fn multiple(&self, x: Value) -> Option<(Factor, Value)> {
        let Some(Var::Op(i)) = x.var else { return None };
        match self.terms[i] {
            Term::Mul { factor, x: of } => Some((factor, Value { var: Some(of), negated: x.negated })),
            _ => None,
        }
    }

    fn write(&mut self, term: Term, negated: bool) -> Value {
        let next = Var::Op(self.terms.len());
        let var = *self.known.entry(term).or_insert(next);
        if var == next {
            self.terms.push(term);
        }
        Value { var: Some(var), negated }
    }

    /// `x + y`. The sum of two multiples by the same factor is multiplied once.
    pub(crate) fn add(&mut self, x: Value, y: Value) -> Value {
        match (self.multiple(x), self.multiple(y)) {
            (Some((f, x)), Some((g, y))) if f == g => {
                let sum = self.add(x, y);
                return self.scale(f, sum);
            }
            (Some((f, x)), _) => return self.scale_add(f, x, y),
            (_, Some((g, y))) => return self.scale_add(g, y, x),
            _ => {}
        }
        let (Some(a), Some(b)) = (x.var, y.var) else { return if x.var.is_some() { x } else { y } };
        if a == b {
            if x.negated != y.negated {
                return ZERO;
            }
            let two = self.factor(Rational::from_integer(2.into()));
            return self.scale(two, x);
        }
        let (x, y, a, b) = if a < b { (x, y, a, b) } else { (y, x, b, a) };
        self.write(Term::Add { x: a, y: b, minus: x.negated != y.negated }, x.negated)
    }

    /// `x − y`.
    pub(crate) fn sub(&mut self, x: Value, y: Value) -> Value {
        self.add(x, -y)
    }

    /// `factor · x`.
    pub(crate) fn scale(&mut self, factor: Factor, x: Value) -> Value {
        let Some(var) = x.var else { return ZERO };
        if factor == ONE {
            return x;
        }
        if let Some((f, x)) = self.multiple(x) {
            let factor = self.product(factor, f);
            return self.scale(factor, x);
        }
        self.write(Term::Mul { factor, x: var }, x.negated)
    }

    /// `factor · x + y`.
    pub(crate) fn scale_add(&mut self, factor: Factor, x: Value, y: Value) -> Value {
        if let Some((f, x)) = self.multiple(x) {
            let factor = self.product(factor, f);
            return self.scale_add(factor, x, y);
        }
        let Some(a) = x.var else { return y };
        let Some(b) = y.var else { return self.scale(factor, x) };
        if factor == ONE {
            return self.add(x, y);
        }
        self.write(Term::Fma { factor, x: a, y: b, minus: x.negated != y.negated }, x.negated)
    }

    /// What `code` gives for these inputs.
    pub(crate) fn run(&mut self, code: &Straight, x: &[Value]) -> Vec<Value> {
        let mut results: Vec<Value> = Vec::with_capacity(code.ops.len());
        let signed = |value: Value, minus: bool| if minus { -value } else { value };
        for op in &code.ops {
            let read = |var: Var| match var {
                Var::Input(i) => x[i],
                Var::Op(i) => results[i],
            };
            let result = match op {
                Op::Add { x, minus_x, y, minus_y } => self.add(signed(read(*x), *minus_x), signed(read(*y), *minus_y)),
                Op::Mul { factor, x } => {
                    let (x, factor) = (signed(read(*x), factor.is_negative()), self.factor(factor.abs()));
                    self.scale(factor, x)
                }
                Op::Fma { factor, x, y, minus_y } => {
                    let (x, factor) = (signed(read(*x), factor.is_negative()), self.factor(factor.abs()));
                    self.scale_add(factor, x, signed(read(*y), *minus_y))
                }
            };
            results.push(result);
        }
        let output = |o: &Output| match o.var {
            None => ZERO,
            Some(Var::Input(i)) => signed(x[i], o.negated),
            Some(Var::Op(i)) => signed(results[i], o.negated),
        };
        code.outputs.iter().map(output).collect()
    }

    /// The code that computes these outputs, without what none of them reads.
    pub(crate) fn finish(self, outputs: &[Value]) -> Straight {
        // For each operation, whether it is kept and whether it is computed with the other sign; readers settle that first.
        let mut kept = vec![false; self.terms.len()];
        let mut flip: Vec<Option<bool>> = vec![None; self.terms.len()];
        for output in outputs {
            if let Some(Var::Op(i)) = output.var {
                kept[i] = true;
                flip[i].get_or_insert(output.negated);
            }
        }
        for i in (0..self.terms.len()).rev() {
            if !kept[i] {
                continue;
            }
            let negated = *flip[i].get_or_insert(false);
            let (x, y) = match self.terms[i] {
                Term::Mul { x, .. } => (x, None),
                Term::Add { x, y, minus } => {
                    // Of −x − y, the first operand that nobody has settled takes the sign.
                    if negated && !minus {
                        let free = [x, y].into_iter().find_map(|v| match v {
                            Var::Op(j) if flip[j].is_none() => Some(j),
                            _ => None,
                        });
                        if let Some(j) = free {
                            flip[j] = Some(true);
                        }
                    }
                    (x, Some(y))
                }
                Term::Fma { x, y, .. } => (x, Some(y)),
            };
            for var in std::iter::once(x).chain(y) {
                if let Var::Op(j) = var {
                    kept[j] = true;
                }
            }
        }
        let flipped = |var: Var| matches!(var, Var::Op(i) if flip[i] == Some(true));
        let mut place = vec![0; self.terms.len()];
        let mut ops = Vec::new();
        for (i, term) in self.terms.iter().enumerate().filter(|(i, _)| kept[*i]) {
            let at = |var: Var| if let Var::Op(i) = var { Var::Op(place[i]) } else { var };
            let minus_all = flipped(Var::Op(i));
            let signed = |factor: Factor, minus: bool| {
                let factor = self.factors[factor.0].clone();
                if minus { -factor } else { factor }
            };
            let op = match *term {
                Term::Add { x, y, minus } => {
                    let (minus_x, minus_y) = (minus_all ^ flipped(x), minus_all ^ minus ^ flipped(y));
                    Op::Add { x: at(x), minus_x, y: at(y), minus_y }
                }
                Term::Mul { factor, x } => Op::Mul { factor: signed(factor, minus_all ^ flipped(x)), x: at(x) },
                Term::Fma { factor, x, y, minus } => {
                    let factor = signed(factor, minus_all ^ flipped(x));
                    Op::Fma { factor, x: at(x), y: at(y), minus_y: minus_all ^ minus ^ flipped(y) }
                }
            };
            place[i] = ops.len();
            ops.push(op);
        }
        let output = |output: &Value| match output.var {
            Some(Var::Op(i)) => {
                Output { var: Some(Var::Op(place[i])), negated: output.negated ^ (flip[i] == Some(true)) }
            }
            _ => *output,
        };
        let outputs = outputs.iter().map(output).collect();
        Straight { inputs: self.inputs, ops, outputs }
    }
}
