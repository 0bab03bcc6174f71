//! Seeded random numbers, or decisions that bytes make; random convolution shapes, weighted towards what breaks compilers: equal extents, extents of 1, kernels larger
//! than the image, strides larger than the kernel, uneven pads, groups, and every remainder of a vector.

use crate::ConvShape;

/// A sequence of numbers, the same for the same seed on every machine (SplitMix64). Bytes may be given that decide the first numbers.
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
    decisions: std::vec::IntoIter<u8>,
}

impl Random {
    /// The sequence of this seed.
    pub fn new(seed: u64) -> Random {
        Random { state: seed, decisions: Vec::new().into_iter() }
    }

    /// A byte decides each small number while there are bytes; after them comes the sequence of seed 0. A fuzzer that changes a byte thus changes one
    /// decision.
    pub fn decided_by(bytes: &[u8]) -> Random {
        Random { state: 0, decisions: Vec::from(bytes).into_iter() }
    }

    /// Any 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: usize, high: usize) -> usize {
        let count = (high - low + 1) as u64;
        let decided = if count <= 256 { self.decisions.next() } else { None };
        low + (decided.map_or_else(|| self.bits(), u64::from) % count) as usize
    }

    /// Whether, with one chance in `n`.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.between(1, n) == 1
    }

    /// One of the items.
    pub fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.between(0, items.len() - 1)]
    }

    /// A shape of at most `most` multiply-adds.
    pub fn shape(&mut self, most: u64) -> ConvShape {
        loop {
            let shape = self.any_shape();
            if shape.macs().is_some_and(|m| m <= most) {
                return shape;
            }
        }
    }

    fn any_shape(&mut self) -> ConvShape {
        // Every remainder by 4, 8 and 16 lanes, and the neighbours of powers of two.
        let channels = [1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 20, 31, 32, 33];
        let g = if self.one_in(3) { self.pick(&[2, 3, 4, 5, 8]) } else { 1 };
        let mut shape = ConvShape {
            n: if self.one_in(4) { self.between(2, 3) } else { 1 },
            g,
            c: g * self.pick(&channels[..if g > 1 { 6 } else { 16 }]),
            h: self.between(1, 20),
            w: self.between(1, 37),
            k: g * self.pick(&channels[..if g > 1 { 6 } else { 16 }]),
            r: self.pick(&[1, 1, 2, 3, 3, 3, 4, 5, 7]),
            s: self.pick(&[1, 1, 2, 3, 3, 3, 4, 5, 7]),
            strides: [1, 1],
            pads: [0; 4],
            dilations: [1, 1],
        };
        if self.one_in(5) {
            // Depthwise, with a channel multiplier.
            shape.g = self.pick(&channels);
            (shape.c, shape.k) = (shape.g, shape.g * self.pick(&[1, 1, 1, 2, 3]));
        }
        match self.between(0, 7) {
            0 => (shape.h, shape.w) = (shape.c, shape.c),
            1 => (shape.h, shape.w) = (1, 1),
            2 => shape.h = 1,
            3 => shape.w = 1,
            _ => {}
        }
        if self.one_in(3) {
            shape.strides = [self.pick(&[1, 2, 3, 5]), self.pick(&[1, 2, 3, 9])];
        }
        if self.one_in(4) {
            shape.dilations = [self.between(1, 3), self.between(1, 4)];
        }
        match self.between(0, 3) {
            0 => {}
            1 => shape.pads = [shape.r / 2, shape.s / 2, shape.r / 2, shape.s / 2],
            2 => shape.pads = [self.between(0, 3), self.between(0, 3), self.between(0, 3), self.between(0, 3)],
            // Whole windows of padding.
            _ => shape.pads = [self.between(0, 9), 0, self.between(0, 9), self.between(0, 12)],
        }
        shape
    }
}
