//! Names for the different coefficients of a matrix. Equal coefficients have equal names, and ratios are compared without exact arithmetic.

use num_bigint::BigInt;
use num_integer::Integer;
use num_traits::{One, Signed, ToPrimitive};
use rustc_hash::FxHashMap;

use crate::matrix::Rational;

/// The name of a coefficient: twice its magnitude's number, plus one if it is negative. 1 is number 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Coefficient(usize);

impl Coefficient {
    pub(super) fn is_unit(self) -> bool {
        self.0 < 2
    }

    pub(super) fn is_negative(self) -> bool {
        self.0 % 2 == 1
    }

    pub(super) fn magnitude(self) -> Coefficient {
        Coefficient(self.0 & !1)
    }

    pub(super) fn negated(self) -> Coefficient {
        Coefficient(self.0 ^ 1)
    }

    /// ±1 of the same sign.
    pub(super) fn unit(self) -> Coefficient {
        Coefficient(self.0 & 1)
    }
}

/// Coefficients by name.
pub(super) struct Coefficients {
    names: FxHashMap<(BigInt, BigInt), Coefficient>,
    all: Vec<Known>,
}

struct Known {
    exact: Rational,
    approximate: f64,
    /// Modulo [`PRIME`], and its inverse.
    residue: u64,
    inverse: u64,
}

/// Rationals are compared modulo this prime first. Different ratios that agree are told apart where it matters.
const PRIME: u64 = (1 << 61) - 1;

fn times(x: u64, y: u64) -> u64 {
    (u128::from(x) * u128::from(y) % u128::from(PRIME)) as u64
}

fn inverse(x: u64) -> u64 {
    // x^(p − 2), by Fermat.
    let (mut power, mut result, mut exponent) = (x, 1, PRIME - 2);
    while exponent > 0 {
        if exponent % 2 == 1 {
            result = times(result, power);
        }
        power = times(power, power);
        exponent /= 2;
    }
    result
}

fn residue(x: &BigInt) -> u64 {
    x.mod_floor(&BigInt::from(PRIME)).to_u64().expect("less than the prime")
}

impl Coefficients {
    pub(super) fn new() -> Coefficients {
        let mut all = Coefficients { names: FxHashMap::default(), all: Vec::new() };
        all.add(&Rational::one());
        all
    }

    /// The name of a coefficient other than 0.
    pub(super) fn add(&mut self, x: &Rational) -> Coefficient {
        let key = (x.numer().abs(), x.denom().clone());
        let name = match self.names.get(&key) {
            Some(&name) => name,
            None => {
                let name = Coefficient(self.all.len());
                let (n, d) = (residue(&key.0), residue(&key.1));
                let (over, under) = (times(n, inverse(d)), times(d, inverse(n)));
                let (exact, approximate) = (x.abs(), x.abs().to_f64().unwrap_or(f64::INFINITY));
                let negative =
                    Known { exact: -&exact, approximate: -approximate, residue: PRIME - over, inverse: PRIME - under };
                self.all.extend([Known { exact, approximate, residue: over, inverse: under }, negative]);
                self.names.insert(key, name);
                name
            }
        };
        if x.is_negative() { name.negated() } else { name }
    }

    pub(super) fn exact(&self, name: Coefficient) -> &Rational {
        &self.all[name.0].exact
    }

    pub(super) fn approximate(&self, name: Coefficient) -> f64 {
        self.all[name.0].approximate
    }

    /// The residue of `x / y`.
    pub(super) fn ratio(&self, x: Coefficient, y: Coefficient) -> u64 {
        times(self.all[x.0].residue, self.all[y.0].inverse)
    }
}
