//! Random and adversarial numbers, the same for the same seed.

/// SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From 0 to `n` − 1.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.bits() % n as u64) as usize
    }

    /// Uniform in (−1, 1).
    pub(crate) fn number(&mut self) -> f32 {
        (self.bits() as i64 as f64 / 2.0_f64.powi(63)) as f32
    }
}

/// Kinds of data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Data {
    /// Uniform in (−1, 1).
    Uniform,
    /// Nothing cancels.
    Positive,
    /// Large terms that cancel, and small ones that remain.
    Cancelling,
    /// Over sixty powers of two.
    HugeRange,
    /// Mostly zeros.
    Sparse,
}

impl Data {
    pub(crate) const ALL: [Data; 5] = [Data::Uniform, Data::Positive, Data::Cancelling, Data::HugeRange, Data::Sparse];

    pub(crate) fn make(self, count: usize, random: &mut Random) -> Vec<f32> {
        let number = |i: usize| match self {
            Data::Uniform => random.number(),
            Data::Positive => random.number().abs() + 0.5,
            Data::Cancelling => [1e6, -1e6, random.number(), 1e3 + random.number()][i % 4],
            Data::HugeRange => random.number() * 2.0_f32.powi(random.below(60) as i32 - 30),
            Data::Sparse => f32::from(u8::from(random.below(6) == 0)) * random.number(),
        };
        (0..count).map(number).collect()
    }
}
