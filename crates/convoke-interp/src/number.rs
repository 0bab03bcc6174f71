//! Functions of numbers that both languages have.

/// The larger, the first of two that are equal; NaN if either is NaN.
pub(crate) fn max(a: f64, b: f64) -> f64 {
    if a >= b || a.is_nan() { a } else { b }
}

/// The smaller, the first of two that are equal; NaN if either is NaN.
pub(crate) fn min(a: f64, b: f64) -> f64 {
    if a <= b || a.is_nan() { a } else { b }
}

/// 1 where a < b, else 0.
pub(crate) fn less(a: f64, b: f64) -> f64 {
    f64::from(u8::from(a < b))
}

/// 1 where a ≤ b, else 0.
pub(crate) fn less_equal(a: f64, b: f64) -> f64 {
    f64::from(u8::from(a <= b))
}

/// ⌊log₂|x|⌋ of a normal number.
pub(crate) fn exponent(x: f64) -> f64 {
    let biased = (x.to_bits() >> 52) & 0x7ff;
    biased as f64 - 1023.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_nan_is_lost() {
        for f in [min, max] {
            assert!(f(f64::NAN, 1.0).is_nan() && f(1.0, f64::NAN).is_nan() && f(f64::NAN, f64::INFINITY).is_nan());
        }
        let zeros = [max(-0.0, 0.0), min(-0.0, 0.0), max(0.0, -0.0), min(0.0, -0.0)];
        assert_eq!(zeros.map(f64::is_sign_negative), [true, true, false, false]);
        assert_eq!((max(1.0, 2.0), max(2.0, 1.0), min(1.0, 2.0), min(2.0, 1.0)), (2.0, 2.0, 1.0, 1.0));
    }
}
