//! Builds straight-line code: pairs, multiples, chains.

use num_traits::{One, Signed, ToPrimitive};
use rustc_hash::FxHashMap;

use super::coefficients::{Coefficient, Coefficients};
use super::writer::{Value, Writer, ZERO};
use super::{Output, Straight};
use crate::matrix::{Matrix, Rational};

/// A number at hand: an input, or a sum that rows share. The inputs come first.
type Number = usize;
/// A row as coefficients of numbers at hand, in their order.
type Form = Vec<(Number, Coefficient)>;

impl Straight {
    /// Code for `y = matrix · x`.
    pub fn of(matrix: &Matrix) -> Straight {
        let mut build = Build::new(matrix);
        while build.share_pair() {}
        while build.share_multiple() {}
        let forms = std::mem::take(&mut build.forms);
        let mut done: FxHashMap<Form, Value> = FxHashMap::default();
        let outputs: Vec<Value> = forms.iter().map(|form| build.row(form, &mut done)).collect();
        build.code.finish(&outputs).in_short_order()
    }
}

/// For each row, the factor that lets its code begin with a number that needs no multiplication. 0 has the factor 1.
pub(crate) fn scales(matrix: &Matrix) -> Vec<Rational> {
    let mut build = Build::new(matrix);
    while build.share_pair() {}
    (0..matrix.rows()).map(|i| build.scale(matrix, i)).collect()
}

/// Two numbers, and a residue of the ratio of their coefficients, which stands for the ratio.
type Pair = (Number, Number, u64);

/// The rows that have a pair in one ratio, and the coefficients in one of them.
#[derive(Clone, Copy)]
struct Sharing {
    rows: usize,
    first: Coefficient,
    second: Coefficient,
}

struct Build {
    code: Writer,
    coefficients: Coefficients,
    numbers: Vec<Value>,
    forms: Vec<Form>,
    pairs: FxHashMap<Pair, Sharing>,
}

impl Build {
    fn new(matrix: &Matrix) -> Build {
        let code = Writer::new(matrix.cols());
        let mut coefficients = Coefficients::new();
        let mut form = |i| matrix.nonzero(i).map(|(j, c)| (j, coefficients.add(c))).collect();
        let forms = (0..matrix.rows()).map(&mut form).collect();
        let numbers = (0..matrix.cols()).map(|j| code.input(j)).collect();
        let mut build = Build { code, coefficients, numbers, forms, pairs: FxHashMap::default() };
        for row in 0..build.forms.len() {
            let form = std::mem::take(&mut build.forms[row]);
            for (i, &x) in form.iter().enumerate() {
                form[i + 1..].iter().for_each(|&y| build.count(x, y, true));
            }
            build.forms[row] = form;
        }
        build
    }

    /// Counts a pair of a row, or no longer counts it.
    fn count(&mut self, x: (Number, Coefficient), y: (Number, Coefficient), more: bool) {
        let (x, y) = if x.0 < y.0 { (x, y) } else { (y, x) };
        let pair = (x.0, y.0, self.coefficients.ratio(y.1, x.1));
        let sharing = self.pairs.entry(pair).or_insert(Sharing { rows: 0, first: x.1, second: y.1 });
        if more {
            sharing.rows += 1;
        } else if sharing.rows > 1 {
            sharing.rows -= 1;
        } else {
            self.pairs.remove(&pair);
        }
    }

    /// Computes once the sum of two terms that most rows have in the same ratio. False if no two rows share one.
    fn share_pair(&mut self) -> bool {
        // Of the pairs that most rows share, one that needs no multiplication, then the first.
        let quotient = |s: &Sharing| self.coefficients.approximate(s.second) / self.coefficients.approximate(s.first);
        let rank = |(pair, s): (&Pair, &Sharing)| {
            (s.rows, s.first.magnitude() == s.second.magnitude(), std::cmp::Reverse((pair.0, pair.1)))
        };
        let shared = self.pairs.iter().filter(|(_, sharing)| sharing.rows > 1);
        let best = shared.max_by(|a, b| rank(*a).cmp(&rank(*b)).then_with(|| quotient(b.1).total_cmp(&quotient(a.1))));
        let Some((&(x, y, residue), &sharing)) = best else { return false };
        let ratio = self.coefficients.exact(sharing.second) / self.coefficients.exact(sharing.first);
        // If only the reciprocal is whole, the sum is taken the other way round: constants stay exact in binary.
        let turned = !ratio.is_integer() && ratio.recip().is_integer();
        let sum = if turned { self.sum(y, &ratio.recip(), x) } else { self.sum(x, &ratio, y) };
        let number = self.numbers.len();
        self.numbers.push(sum);
        for row in 0..self.forms.len() {
            let find = |number: Number| self.forms[row].iter().find(|term| term.0 == number).map(|term| term.1);
            let (Some(cx), Some(cy)) = (find(x), find(y)) else { continue };
            let same = (cx, cy) == (sharing.first, sharing.second)
                || self.coefficients.ratio(cy, cx) == residue
                    && *self.coefficients.exact(cy) == self.coefficients.exact(cx) * &ratio;
            if !same {
                continue;
            }
            let mut form = std::mem::take(&mut self.forms[row]);
            form.retain(|term| term.0 != x && term.0 != y);
            self.count((x, cx), (y, cy), false);
            let term = (number, if turned { cy } else { cx });
            for &other in &form {
                self.count((x, cx), other, false);
                self.count((y, cy), other, false);
                self.count(other, term, true);
            }
            form.push(term);
            self.forms[row] = form;
        }
        true
    }

    /// `x + ratio · y`.
    fn sum(&mut self, x: Number, ratio: &Rational, y: Number) -> Value {
        let (x, y) = (self.numbers[x], self.numbers[y]);
        let factor = self.code.factor(ratio.abs());
        self.code.scale_add(factor, if ratio.is_negative() { -y } else { y }, x)
    }

    /// Computes once a multiple that several rows without a coefficient of ±1 would begin with.
    fn share_multiple(&mut self) -> bool {
        let mut count: FxHashMap<(Number, Coefficient), usize> = FxHashMap::default();
        let needs = |form: &Form| !form.is_empty() && form.iter().all(|(_, c)| !c.is_unit());
        for form in self.forms.iter().filter(|form| needs(form)) {
            form.iter().for_each(|(x, c)| *count.entry((*x, c.magnitude())).or_default() += 1);
        }
        let order = |(x, c): (Number, Coefficient)| (x, c);
        let best = count.into_iter().max_by(|a, b| a.1.cmp(&b.1).then(order(b.0).cmp(&order(a.0))));
        let Some(((x, magnitude), _)) = best.filter(|(_, rows)| *rows > 1) else { return false };
        let factor = self.code.factor(self.coefficients.exact(magnitude).clone());
        let multiple = self.code.scale(factor, self.numbers[x]);
        let number = self.numbers.len();
        self.numbers.push(multiple);
        for form in self.forms.iter_mut().filter(|form| needs(form)) {
            let Some(at) = form.iter().position(|(y, c)| *y == x && c.magnitude() == magnitude) else { continue };
            let (_, c) = form.remove(at);
            form.push((number, c.unit()));
        }
        true
    }

    /// What is left of a row, term by term.
    fn row(&mut self, form: &Form, done: &mut FxHashMap<Form, Value>) -> Output {
        let negative: Form = form.iter().map(|(x, c)| (*x, c.negated())).collect();
        if let Some(&same) = done.get(form) {
            return same;
        }
        if let Some(&same) = done.get(&negative) {
            return -same;
        }
        let mut terms = form.clone();
        // Begin with a term that needs no multiplication.
        terms.sort_by_key(|(x, c)| (!c.is_unit(), *x));
        let mut sum = ZERO;
        for (x, c) in terms {
            let x = if c.is_negative() { -self.numbers[x] } else { self.numbers[x] };
            let factor = self.code.factor(self.coefficients.exact(c.magnitude()).clone());
            sum = self.code.scale_add(factor, x, sum);
        }
        done.insert(form.clone(), sum);
        sum
    }

    /// The factor of row `i`: it makes one of the coefficients that are left 1, and of these the one that leaves most numbers of the row
    /// exact in binary, then the one nearest to 1.
    fn scale(&self, matrix: &Matrix, i: usize) -> Rational {
        let dyadic = |x: &Rational| x.denom().magnitude().count_ones() == 1;
        let all = matrix.row(i).iter().all(dyadic);
        let inexact = |factor: &Rational| {
            if all && dyadic(factor) {
                return 0;
            }
            matrix.nonzero(i).filter(|(_, entry)| !dyadic(&(*entry * factor))).count()
        };
        let far = |factor: &Rational| factor.abs().to_f64().map_or(f64::INFINITY, |f| f.log2().abs());
        let candidates = self.forms[i].iter().map(|(_, c)| self.coefficients.exact(*c).recip());
        let best = candidates.map(|factor| (inexact(&factor), far(&factor), factor));
        best.min_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))).map_or_else(Rational::one, |best| best.2)
    }
}
