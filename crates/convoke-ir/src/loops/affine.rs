//! Affine expressions: `4*%i + %j + 3` over loop variables. Every address of the loop IR is one.

use std::ops::{Add, Mul};

use smallvec::{SmallVec, smallvec};

use super::VarId;

/// A sum of loop variables times integers, plus an integer. Kept canonical: terms sorted by variable, none zero.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Affine {
    /// Most have one term, which needs no memory of its own.
    terms: SmallVec<[(VarId, i64); 1]>,
    offset: i64,
}

impl Affine {
    /// The constant `offset`.
    pub fn constant(offset: i64) -> Affine {
        Affine { terms: SmallVec::new(), offset }
    }

    /// From terms in any order, with repetitions.
    pub fn new(terms: impl IntoIterator<Item = (VarId, i64)>, offset: i64) -> Affine {
        terms.into_iter().fold(Affine::constant(offset), |sum, (var, by)| sum + Affine::from(var) * by)
    }

    /// The terms, sorted by variable.
    pub fn terms(&self) -> &[(VarId, i64)] {
        &self.terms
    }

    /// The constant part.
    pub fn offset(&self) -> i64 {
        self.offset
    }

    /// What `var` is multiplied by; 0 if it does not occur.
    pub fn coefficient(&self, var: VarId) -> i64 {
        self.terms.binary_search_by_key(&var, |t| t.0).map_or(0, |i| self.terms[i].1)
    }

    /// The value, if no variable occurs.
    pub fn as_constant(&self) -> Option<i64> {
        self.terms.is_empty().then_some(self.offset)
    }

    /// With `by` in place of `var`.
    pub fn substitute(&self, var: VarId, by: &Affine) -> Affine {
        let factor = self.coefficient(var);
        if factor == 0 {
            return self.clone();
        }
        let mut rest = self.clone();
        rest.terms.retain(|t| t.0 != var);
        rest + by.clone() * factor
    }

    /// With every variable renamed; `to` may map two variables to one.
    pub fn rename(&self, mut to: impl FnMut(VarId) -> VarId) -> Affine {
        match self.terms[..] {
            [] => self.clone(),
            [(var, by)] => Affine { terms: smallvec![(to(var), by)], offset: self.offset },
            _ => Affine::new(self.terms.iter().map(|&(var, by)| (to(var), by)), self.offset),
        }
    }

    /// The value when each variable has the value `of` gives it.
    pub fn eval(&self, mut of: impl FnMut(VarId) -> i64) -> i64 {
        self.terms.iter().fold(self.offset, |sum, &(var, by)| sum.wrapping_add(of(var).wrapping_mul(by)))
    }

    /// The smallest and largest value when each variable lies in the closed range `of` gives it. In 128 bits, which
    /// hold every sum of products of 64-bit numbers that a program within the IR's limits can write.
    pub fn range(&self, mut of: impl FnMut(VarId) -> (i64, i64)) -> (i128, i128) {
        let start = (i128::from(self.offset), i128::from(self.offset));
        self.terms.iter().fold(start, |(low, high), &(var, by)| {
            let (a, b) = of(var);
            let (p, q) = (i128::from(a) * i128::from(by), i128::from(b) * i128::from(by));
            (low + p.min(q), high + p.max(q))
        })
    }
}

impl From<VarId> for Affine {
    fn from(var: VarId) -> Affine {
        Affine { terms: smallvec![(var, 1)], offset: 0 }
    }
}

impl From<i32> for Affine {
    fn from(offset: i32) -> Affine {
        Affine::constant(offset.into())
    }
}

impl From<i64> for Affine {
    fn from(offset: i64) -> Affine {
        Affine::constant(offset)
    }
}

impl From<usize> for Affine {
    fn from(offset: usize) -> Affine {
        Affine::constant(i64::try_from(offset).expect("sizes are below 2^44"))
    }
}

impl<T: Into<Affine>> Add<T> for Affine {
    type Output = Affine;
    fn add(mut self, other: T) -> Affine {
        let other = other.into();
        for (var, by) in other.terms {
            match self.terms.binary_search_by_key(&var, |t| t.0) {
                Ok(i) => {
                    self.terms[i].1 = self.terms[i].1.wrapping_add(by);
                    if self.terms[i].1 == 0 {
                        self.terms.remove(i);
                    }
                }
                Err(i) => self.terms.insert(i, (var, by)),
            }
        }
        self.offset = self.offset.wrapping_add(other.offset);
        self
    }
}

impl Mul<i64> for Affine {
    type Output = Affine;
    fn mul(mut self, by: i64) -> Affine {
        self.terms.iter_mut().for_each(|t| t.1 = t.1.wrapping_mul(by));
        self.terms.retain(|t| t.1 != 0);
        self.offset = self.offset.wrapping_mul(by);
        self
    }
}

impl Mul<usize> for Affine {
    type Output = Affine;
    fn mul(self, by: usize) -> Affine {
        self * i64::try_from(by).expect("sizes are below 2^44")
    }
}
