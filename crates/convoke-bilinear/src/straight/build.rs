//! Builds straight-line code: pairs, multiples, chains.

use std::collections::{BTreeMap, HashMap};

use num_traits::{One, Signed, Zero};

use super::{Op, Output, Straight, Var};
use crate::matrix::{Matrix, Rational};

/// A row as coefficients of numbers at hand.
type Form = BTreeMap<Var, Rational>;

pub(super) fn straight(matrix: &Matrix) -> Straight {
    let forms = (0..matrix.rows()).map(|i| matrix.nonzero(i).map(|(j, c)| (Var::Input(j), c.clone())).collect());
    let mut build = Build { forms: forms.collect(), ops: Vec::new() };
    while build.share_pair() {}
    while build.share_multiple() {}
    let forms = std::mem::take(&mut build.forms);
    let mut done: HashMap<Form, Output> = HashMap::new();
    let outputs = forms.iter().map(|form| build.row(form, &mut done)).collect();
    Straight { inputs: matrix.cols(), ops: build.ops, outputs }
}

struct Build {
    forms: Vec<Form>,
    ops: Vec<Op>,
}

impl Build {
    fn push(&mut self, op: Op) -> Var {
        self.ops.push(op);
        Var::Op(self.ops.len() - 1)
    }

    /// Computes once the sum of two terms that most rows have in the same ratio. False if no two rows share one.
    fn share_pair(&mut self) -> bool {
        let mut count: BTreeMap<(Var, Var, Rational), usize> = BTreeMap::new();
        for form in &self.forms {
            let terms: Vec<_> = form.iter().collect();
            for (i, (x, cx)) in terms.iter().enumerate() {
                for (y, cy) in &terms[i + 1..] {
                    *count.entry((**x, **y, *cy / *cx)).or_default() += 1;
                }
            }
        }
        // Of the pairs that most rows share, one that needs no multiplication.
        let simple = |ratio: &Rational| ratio.abs().is_one();
        let best =
            count.iter().max_by(|a, b| a.1.cmp(b.1).then(simple(&a.0.2).cmp(&simple(&b.0.2))).then(b.0.cmp(a.0)));
        let Some(((x, y, ratio), _)) = best.filter(|(_, rows)| **rows > 1).map(|(pair, rows)| (pair.clone(), rows))
        else {
            return false;
        };
        // If only the reciprocal is whole, the sum is taken the other way round: constants stay exact in binary.
        let flip = ratio.recip().is_integer() && !ratio.is_integer();
        let (x, y, ratio) = if flip { (y, x, ratio.recip()) } else { (x, y, ratio) };
        // A difference that is a whole row by itself is taken in that row's direction, so that no sign is left over.
        let whole = |c: i64| {
            let row: Form = [(x, Rational::from_integer(c.into())), (y, Rational::from_integer((-c).into()))].into();
            self.forms.contains(&row)
        };
        let turned = (-&ratio).is_one() && whole(-1) && !whole(1);
        let (x, y) = if turned { (y, x) } else { (x, y) };
        let sum = self.sum(x, &ratio, y);
        for form in &mut self.forms {
            let (Some(cx), Some(cy)) = (form.get(&x), form.get(&y)) else { continue };
            if *cy == cx * &ratio {
                let cx = cx.clone();
                form.remove(&x);
                form.remove(&y);
                form.insert(sum, cx);
            }
        }
        true
    }

    /// `x + ratio · y`.
    fn sum(&mut self, x: Var, ratio: &Rational, y: Var) -> Var {
        if ratio.abs().is_one() {
            return self.push(Op::Add { x, minus_x: false, y, minus_y: ratio.is_negative() });
        }
        self.push(Op::Fma { factor: ratio.clone(), x: y, y: x, minus_y: false })
    }

    /// Computes once a multiple that several rows without a coefficient of ±1 would begin with.
    fn share_multiple(&mut self) -> bool {
        let mut count: BTreeMap<(Var, Rational), usize> = BTreeMap::new();
        let needs = |form: &Form| !form.is_empty() && form.values().all(|c| !c.abs().is_one());
        for form in self.forms.iter().filter(|form| needs(form)) {
            form.iter().for_each(|(x, c)| *count.entry((*x, c.abs())).or_default() += 1);
        }
        let best = count.into_iter().max_by(|a, b| a.1.cmp(&b.1).then(b.0.cmp(&a.0)));
        let Some(((x, factor), _)) = best.filter(|(_, rows)| *rows > 1) else { return false };
        let multiple = self.push(Op::Mul { factor: factor.clone(), x });
        for form in self.forms.iter_mut().filter(|form| needs(form)) {
            let Some(c) = form.get(&x).filter(|c| c.abs() == factor) else { continue };
            let sign = c.signum();
            form.remove(&x);
            form.insert(multiple, sign);
        }
        true
    }

    /// What is left of a row, term by term.
    fn row(&mut self, form: &Form, done: &mut HashMap<Form, Output>) -> Output {
        let negative: Form = form.iter().map(|(x, c)| (*x, -c)).collect();
        if let Some(&same) = done.get(form) {
            return same;
        }
        if let Some(&same) = done.get(&negative) {
            return Output { negated: !same.negated && same.var.is_some(), ..same };
        }
        let mut terms: Vec<(Var, Rational)> = form.iter().map(|(x, c)| (*x, c.clone())).collect();
        let output = if terms.is_empty() { Output { var: None, negated: false } } else { self.chain(&mut terms) };
        done.insert(form.clone(), output);
        output
    }

    fn chain(&mut self, terms: &mut Vec<(Var, Rational)>) -> Output {
        // Begin with a term that needs no multiplication, best one that needs no sign.
        let cost = |c: &Rational| {
            if c.is_one() {
                0
            } else if (-c).is_one() {
                1
            } else {
                2
            }
        };
        terms.sort_by_key(|(x, c)| (cost(c), *x));
        let (first, c) = terms.remove(0);
        let (mut sum, mut negated) = match cost(&c) {
            0 => (first, false),
            1 => (first, true),
            _ => (self.push(Op::Mul { factor: c, x: first }), false),
        };
        for (x, c) in terms.iter() {
            debug_assert!(!c.is_zero());
            sum = if c.abs().is_one() {
                self.push(Op::Add { x: sum, minus_x: negated, y: *x, minus_y: c.is_negative() })
            } else {
                self.push(Op::Fma { factor: c.clone(), x: *x, y: sum, minus_y: negated })
            };
            negated = false;
        }
        Output { var: Some(sum), negated }
    }
}
