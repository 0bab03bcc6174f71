//! Element types: what one number of a tensor, buffer or vector is.

use std::fmt;

/// The type of one element. `f32` is the working type; the others ride the same road.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Elem {
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary64.
    F64,
}

impl Elem {
    /// Every element type, in the order the documentation lists them.
    pub const ALL: &'static [Elem] = &[Elem::F32, Elem::F64];

    /// The name in the text form.
    pub fn name(self) -> &'static str {
        match self {
            Elem::F32 => "f32",
            Elem::F64 => "f64",
        }
    }

    /// The type that has this name.
    pub fn from_name(name: &str) -> Option<Elem> {
        Elem::ALL.iter().copied().find(|e| e.name() == name)
    }

    /// Bytes of one element.
    pub fn bytes(self) -> usize {
        match self {
            Elem::F32 => 4,
            Elem::F64 => 8,
        }
    }

    /// The nearest number of this type, ties to even.
    pub fn round(self, x: f64) -> f64 {
        match self {
            Elem::F32 => f64::from(x as f32),
            Elem::F64 => x,
        }
    }

    /// Whether this type has a number near `x`: no finite number may round to an infinite one.
    pub fn holds(self, x: f64) -> bool {
        !x.is_finite() || self.round(x).is_finite()
    }

    /// What to say of a number that this type does not [hold](Elem::holds).
    pub(crate) fn cannot_hold(self, x: f64) -> String {
        format!("{x:?} is beyond the largest number of `{self}`")
    }

    /// The unit roundoff `u`: half the distance from 1 to the next larger number.
    pub fn unit_roundoff(self) -> f64 {
        match self {
            Elem::F32 => f64::from(f32::EPSILON) / 2.0,
            Elem::F64 => f64::EPSILON / 2.0,
        }
    }

    /// The smallest positive normal number.
    pub fn smallest_normal(self) -> f64 {
        match self {
            Elem::F32 => f32::MIN_POSITIVE.into(),
            Elem::F64 => f64::MIN_POSITIVE,
        }
    }
}

/// How native code takes subnormal numbers, those nearer to zero than the smallest normal number.
///
/// CPUs take up to 200 times as long for an operation that reads or makes one. Interpreters always keep them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Subnormals {
    /// Zeros stand for them, whether they are read or computed.
    #[default]
    Flush,
    /// As IEEE 754 says.
    Keep,
}

impl fmt::Display for Elem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
