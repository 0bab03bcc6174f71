//! Random numbers that depend on a seed and an index alone: the same on every machine, in any order, for any shape.
//!
//! The bits are SplitMix64 [1] evaluated at a counter. Normal numbers are the inverse of the cumulative distribution
//! at a uniform number, by Acklam's rational approximation [2] (relative error below 1.2e-9), in which only + − × ÷,
//! √ and, in the tails, a logarithm in software occur: nothing a compiler or a library may round differently.
//!
//! Source  [1] Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators", fig. 13, with Stafford's
//!         mix 13.   [2] P. J. Acklam, "An algorithm for computing the inverse normal cumulative distribution
//!         function", 2003.

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A sequence of random numbers, by index.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sequence(u64);

impl Sequence {
    /// The sequence of this seed. `stream` keeps sequences for different purposes apart.
    pub(crate) fn new(seed: i64, stream: u64) -> Sequence {
        // Mixed, so that the sequences of neighbouring seeds are not the same one shifted.
        Sequence(mix((seed as u64) ^ mix(stream.wrapping_add(GOLDEN))))
    }

    /// 64 random bits.
    pub(crate) fn bits(self, index: usize) -> u64 {
        mix(self.0.wrapping_add(GOLDEN.wrapping_mul(index as u64 + 1)))
    }

    /// Uniform in (−1/2, 1/2): an odd multiple of 2^-53.
    #[inline]
    fn centred(self, index: usize) -> f64 {
        // 52 bits make a number in [1, 2); what follows is exact.
        f64::from_bits((self.bits(index) >> 12) | 0x3ff0_0000_0000_0000) - 1.5 + f64::EPSILON / 2.0
    }

    /// Uniform in (0, 1).
    #[inline]
    pub(crate) fn uniform(self, index: usize) -> f64 {
        self.centred(index) + 0.5
    }

    /// Writes the standard normal numbers from `first` on.
    pub(crate) fn normals(self, first: usize, out: &mut [f64]) {
        // The formula of the centre everywhere, without branches, so that it becomes vectors; then the tails again.
        for (block, part) in out.chunks_mut(256).enumerate() {
            let mut q = [0.0; 256];
            let q = &mut q[..part.len()];
            for (i, q) in q.iter_mut().enumerate() {
                *q = self.centred(first + block * 256 + i);
            }
            for (y, &q) in part.iter_mut().zip(&*q) {
                *y = central(q);
            }
            for (y, &q) in part.iter_mut().zip(&*q) {
                if q.abs() > CENTRE {
                    *y = tail(q);
                }
            }
        }
    }
}

/// Where the approximation in the centre ends: p between 0.02425 and 0.97575.
const CENTRE: f64 = 0.475_75;

/// The inverse distribution at `1/2 + q`, q near 0.
#[inline]
fn central(q: f64) -> f64 {
    let r = q * q;
    let above = ((((-3.969_683_028_665_376e1 * r + 2.209_460_984_245_205e2) * r - 2.759_285_104_469_687e2) * r
        + 1.383_577_518_672_69e2)
        * r
        - 3.066_479_806_614_716e1)
        * r
        + 2.506_628_277_459_239;
    let below = ((((-5.447_609_879_822_406e1 * r + 1.615_858_368_580_409e2) * r - 1.556_989_798_598_866e2) * r
        + 6.680_131_188_771_972e1)
        * r
        - 1.328_068_155_288_572e1)
        * r
        + 1.0;
    above * q / below
}

/// The inverse distribution at `1/2 + q`, q near ±1/2.
#[cold]
fn tail(q: f64) -> f64 {
    let t = (-2.0 * libm::log(0.5 - q.abs())).sqrt();
    let above = ((((-7.784_894_002_430_293e-3 * t - 3.223_964_580_411_365e-1) * t - 2.400_758_277_161_838) * t
        - 2.549_732_539_343_734)
        * t
        + 4.374_664_141_464_968)
        * t
        + 2.938_163_982_698_783;
    let below = (((7.784_695_709_041_462e-3 * t + 3.224_671_290_700_398e-1) * t + 2.445_134_137_142_996) * t
        + 3.754_408_661_907_416)
        * t
        + 1.0;
    // The fit is of the lower tail; the upper one is its mirror image.
    let lower = above / below;
    if q < 0.0 { lower } else { -lower }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_inverse_distribution_meets_the_table() {
        // Quantiles of the standard normal distribution.
        for (p, z) in [(0.5, 0.0), (0.84134474606854, 1.0), (0.975, 1.959963984540054), (0.001, -3.090232306167814)] {
            let q = p - 0.5_f64;
            let got = if q.abs() <= CENTRE { central(q) } else { tail(q) };
            assert!((got - z).abs() < 4e-9, "{p}: {got} for {z}");
        }
        assert!(tail(0.4999999) > 5.0 && tail(-0.4999999) < -5.0);
        assert!((central(CENTRE) - tail(CENTRE)).abs() < 5e-9);
    }

    #[test]
    fn moments_are_those_of_a_normal_distribution() {
        let n = 1 << 18;
        let mut x = vec![0.0; n];
        Sequence::new(7, 0).normals(0, &mut x);
        let moment = |k: i32| x.iter().map(|v| v.powi(k)).sum::<f64>() / n as f64;
        for (k, expected) in [(1, 0.0), (2, 1.0), (3, 0.0), (4, 3.0), (6, 15.0)] {
            let spread = [0.0, 1.0, 1.4, 4.0, 9.8, 31.0, 101.0][k as usize];
            assert!((moment(k) - expected).abs() < 5.0 * spread / (n as f64).sqrt(), "moment {k}: {}", moment(k));
        }
    }

    #[test]
    fn an_element_depends_on_its_index_alone() {
        let (mut whole, mut part) = ([0.0; 64], [0.0; 8]);
        let sequence = Sequence::new(-3, 0);
        sequence.normals(0, &mut whole);
        sequence.normals(40, &mut part);
        assert_eq!(whole[40..48], part);
        assert_ne!(Sequence::new(-2, 0).bits(0), sequence.bits(0));
    }
}
