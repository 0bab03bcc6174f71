//! The magnitudes of an input's elements, as a user declares them: `%x: f32[1, 3, 8, 8] in [0.0039, 1]`.

/// No element has a larger magnitude than `most`; a smaller one than `least` counts as `least` where errors are relative to it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    least: f64,
    most: f64,
}

impl Range {
    /// Magnitudes from `least` to `most`; `None` unless both are positive and finite, and `least` is no more than `most`.
    pub fn new(least: f64, most: f64) -> Option<Range> {
        let valid = least > 0.0 && least <= most && (most / least).is_finite();
        valid.then_some(Range { least, most })
    }

    /// The smallest magnitude that counts.
    pub fn least(self) -> f64 {
        self.least
    }

    /// The largest magnitude.
    pub fn most(self) -> f64 {
        self.most
    }

    /// The dynamic range: the largest magnitude divided by the smallest.
    pub fn spread(self) -> f64 {
        self.most / self.least
    }

    /// The smallest range that holds both.
    pub fn join(self, other: Range) -> Option<Range> {
        Range::new(self.least.min(other.least), self.most.max(other.most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_positive_and_finite() {
        for (least, most) in [(0.0, 1.0), (-1.0, 1.0), (2.0, 1.0), (f64::NAN, 1.0), (1.0, f64::INFINITY), (5e-324, 1.0)]
        {
            assert_eq!(Range::new(least, most), None, "[{least}, {most}]");
        }
        let [a, b] = [(0.5, 2.0), (1.0, 8.0)].map(|(least, most)| Range::new(least, most).expect("a range"));
        assert_eq!((a.spread(), a.join(b).map(Range::spread), a.to_string()), (4.0, Some(16.0), "[0.5, 2]".into()));
    }
}
