//! 1-D kernels as products of kernels of at most three taps. The taps are the coefficients of a polynomial, a convolution is its product, and
//! every real polynomial splits into real quadratics: so every 1-D kernel of odd length is a stack of three-tap kernels.
//!
//! Method  Square-free parts first, over the rationals, by Yun's algorithm: a root of multiplicity n, as binomial kernels have, costs a numerical
//!         method all but 1/n of its digits, while here it is a simple root of its part. Then the roots of each part are eigenvalues of its companion matrix,
//!         improved by Newton's method, and conjugate ones are put together.
//! Source  Yun, On square-free decomposition algorithms, SYMSAC 1976.

use faer::Mat;
use num_rational::BigRational;
use num_traits::{One, Zero};

use crate::exact::{self, number, rational};

/// The most bits of all coefficients of a polynomial whose multiple roots are looked for: exact division makes numbers that long, or longer.
const LONGEST: usize = 1 << 13;

/// Kernels of three taps whose product is `taps`, or nearly: `(n − 1) / 2` of them for n taps. `None` if n is even or less than 3, if all taps
/// are 0 or one is not finite.
///
/// All but the last are scaled so that their largest tap is ±1 or their outer taps are; the last carries the gain.
pub fn triples(taps: &[f64]) -> Option<Vec<[f64; 3]>> {
    let degree = taps.len().checked_sub(1)?;
    if degree == 0 || degree % 2 != 0 || !taps.iter().all(|v| v.is_finite()) {
        return None;
    }
    let first = taps.iter().position(|&v| v != 0.0)?;
    let last = taps.iter().rposition(|&v| v != 0.0)?;
    // Highest power first, so that index i of a product is the sum of the indices of its factors, as in a convolution.
    let (mut doubles, mut triples) = linear_and_quadratic(&taps[first..=last])?;
    doubles.extend(std::iter::repeat_n([0.0, 1.0], first));
    doubles.extend(std::iter::repeat_n([1.0, 0.0], degree - last));
    triples.extend(doubles.chunks_exact(2).map(|pair| {
        let ([a, b], [c, d]) = (pair[0], pair[1]);
        [a * c, a * d + b * c, b * d]
    }));
    let product = product(&triples.iter().map(|t| t.to_vec()).collect::<Vec<_>>());
    // The gain that fits best in the mean.
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let gain = dot(&product, taps) / dot(&product, &product);
    triples.last_mut()?.iter_mut().for_each(|v| *v *= gain);
    Some(triples)
}

/// The convolution of kernels.
pub fn product(kernels: &[Vec<f64>]) -> Vec<f64> {
    kernels.iter().fold(vec![1.0], |product, kernel| {
        let mut next = vec![0.0; product.len() + kernel.len() - 1];
        for (i, a) in product.iter().enumerate() {
            for (j, b) in kernel.iter().enumerate() {
                next[i + j] += a * b;
            }
        }
        next
    })
}

type Factors = (Vec<[f64; 2]>, Vec<[f64; 3]>);

/// Monic real factors of a polynomial, highest power first, whose first and last coefficients are not 0. Real roots that follow each other in
/// magnitude stand side by side.
fn linear_and_quadratic(polynomial: &[f64]) -> Option<Factors> {
    let exact: Vec<BigRational> = polynomial.iter().map(|&v| rational(v)).collect();
    // Most polynomials have simple roots only, which one prime mostly shows; of very long numbers more is not asked.
    let parts = match exact::is_square_free(polynomial) || polynomial.len() * exact::bits(polynomial) > LONGEST {
        true => vec![(monic(exact), 1)],
        false => square_free(&exact),
    };
    let mut reals: Vec<f64> = Vec::new();
    let mut quadratics: Vec<[f64; 3]> = Vec::new();
    for (part, multiplicity) in parts {
        let (real, complex) = roots(&part)?;
        for _ in 0..multiplicity {
            reals.extend(&real);
            quadratics.extend(&complex);
        }
    }
    reals.sort_by(|a, b| a.abs().total_cmp(&b.abs()).then(a.total_cmp(b)));
    Some((reals.into_iter().map(|root| [1.0, -root]).collect(), quadratics))
}

/// The square-free parts of a polynomial with their multiplicities: p = Π part^multiplicity.
fn square_free(polynomial: &[BigRational]) -> Vec<(Vec<BigRational>, usize)> {
    let mut found = Vec::new();
    let slope = derivative(polynomial);
    let common = gcd(polynomial, &slope);
    let mut b = divide(polynomial, &common).0;
    let mut c = divide(&slope, &common).0;
    let mut multiplicity = 1;
    while b.len() > 1 {
        let d = minus(&c, &derivative(&b));
        let part = gcd(&b, &d);
        b = divide(&b, &part).0;
        c = divide(&d, &part).0;
        if part.len() > 1 {
            found.push((part, multiplicity));
        }
        multiplicity += 1;
    }
    found
}

fn derivative(p: &[BigRational]) -> Vec<BigRational> {
    let degree = p.len() - 1;
    let terms = p[..degree].iter().enumerate();
    terms.map(|(i, v)| v * BigRational::from_integer((degree - i).into())).collect()
}

/// Without leading zeros.
fn trimmed(mut p: Vec<BigRational>) -> Vec<BigRational> {
    let zeros = p.iter().take_while(|v| v.is_zero()).count();
    p.drain(..zeros);
    p
}

fn minus(a: &[BigRational], b: &[BigRational]) -> Vec<BigRational> {
    let n = a.len().max(b.len());
    let at =
        |p: &[BigRational], i: usize| (i + p.len()).checked_sub(n).map_or_else(BigRational::zero, |i| p[i].clone());
    trimmed((0..n).map(|i| at(a, i) - at(b, i)).collect())
}

/// Quotient and remainder.
fn divide(a: &[BigRational], b: &[BigRational]) -> (Vec<BigRational>, Vec<BigRational>) {
    let mut rest = a.to_vec();
    let mut quotient = Vec::new();
    while rest.len() >= b.len() {
        let factor = &rest[0] / &b[0];
        for (v, d) in rest.iter_mut().zip(b) {
            *v -= &factor * d;
        }
        rest.remove(0);
        quotient.push(factor);
    }
    (quotient, trimmed(rest))
}

/// A polynomial divided by its first coefficient.
fn monic(p: Vec<BigRational>) -> Vec<BigRational> {
    let lead = p[0].clone();
    p.into_iter().map(|v| v / &lead).collect()
}

/// The monic greatest common divisor.
fn gcd(a: &[BigRational], b: &[BigRational]) -> Vec<BigRational> {
    let (mut a, mut b) = (a.to_vec(), trimmed(b.to_vec()));
    while !b.is_empty() {
        b = monic(b);
        let rest = divide(&a, &b).1;
        a = std::mem::replace(&mut b, rest);
    }
    if a.is_empty() { vec![BigRational::one()] } else { monic(a) }
}

/// The real roots of a square-free polynomial, and its complex ones as quadratics.
fn roots(polynomial: &[BigRational]) -> Option<(Vec<f64>, Vec<[f64; 3]>)> {
    use num_traits::ToPrimitive;
    if let [lead, last] = polynomial {
        // A rational root: exact where a float can be.
        let root = -(last / lead);
        return Some((vec![number(&root).or_else(|| root.to_f64())?], Vec::new()));
    }
    let p: Vec<f64> = polynomial.iter().map(|v| v.to_f64()).collect::<Option<_>>()?;
    if let [1.0, b, c] = p[..]
        && b * b < 4.0 * c
    {
        return Some((Vec::new(), vec![[1.0, b, c]]));
    }
    let degree = p.len() - 1;
    let companion = Mat::from_fn(degree, degree, |i, j| match (i, j) {
        (0, _) => -p[j + 1] / p[0],
        _ => f64::from(u8::from(i == j + 1)),
    });
    let eigenvalues = companion.eigenvalues().ok()?;
    let (mut reals, mut quadratics) = (Vec::new(), Vec::new());
    for z in eigenvalues {
        let (re, im) = newton(&p, z.re, z.im);
        if im == 0.0 {
            reals.push(re);
        } else if im > 0.0 {
            quadratics.push([1.0, -2.0 * re, re * re + im * im]);
        }
    }
    // A pair of which one half was lost is not split.
    (reals.len() + 2 * quadratics.len() == degree).then_some((reals, quadratics))
}

/// A root improved by Newton's method; a real one stays real.
fn newton(p: &[f64], mut re: f64, mut im: f64) -> (f64, f64) {
    for _ in 0..4 {
        let (mut value, mut slope) = ((p[0], 0.0), (0.0, 0.0));
        let times = |a: (f64, f64)| (a.0 * re - a.1 * im, a.0 * im + a.1 * re);
        for &coefficient in &p[1..] {
            let next = times(slope);
            slope = (next.0 + value.0, next.1 + value.1);
            let next = times(value);
            value = (next.0 + coefficient, next.1);
        }
        let square = slope.0 * slope.0 + slope.1 * slope.1;
        let step = ((value.0 * slope.0 + value.1 * slope.1) / square, (value.1 * slope.0 - value.0 * slope.1) / square);
        // Far steps come of roots that nearly meet; the eigenvalue is as good.
        let length = step.0.hypot(step.1);
        if length.is_nan() || length > 1e-3 * re.hypot(im) {
            break;
        }
        re -= step.0;
        im -= if im == 0.0 { 0.0 } else { step.1 };
    }
    (re, im)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::norm;
    use crate::random::Random;

    fn error(taps: &[f64], triples: &[[f64; 3]]) -> f64 {
        let found = product(&triples.iter().map(|t| t.to_vec()).collect::<Vec<_>>());
        let rest: Vec<f64> = found.iter().zip(taps).map(|(a, b)| a - b).collect();
        norm(&rest) / norm(taps)
    }

    #[test]
    fn binomials_split_to_the_bit() {
        assert_eq!(triples(&[1.0, 4.0, 6.0, 4.0, 1.0]), Some(vec![[1.0, 2.0, 1.0]; 2]));
        let seven = triples(&[1.0, 6.0, 15.0, 20.0, 15.0, 6.0, 1.0].map(|v| v / 64.0)).expect("odd");
        assert_eq!(seven, [[1.0, 2.0, 1.0], [1.0, 2.0, 1.0], [1.0 / 64.0, 2.0 / 64.0, 1.0 / 64.0]]);
    }

    #[test]
    fn every_odd_kernel_is_a_stack_of_threes() {
        let mut random = Random::new(7);
        for n in [3, 5, 7, 9, 11, 15] {
            for _ in 0..20 {
                let taps: Vec<f64> = (0..n).map(|_| random.normal()).collect();
                let found = triples(&taps).expect("odd");
                assert_eq!(found.len(), (n - 1) / 2);
                assert!(error(&taps, &found) < 1e-11, "{taps:?}: {}", error(&taps, &found));
            }
        }
    }

    #[test]
    fn zeros_at_the_ends_are_shifts() {
        for taps in [[0.0, 0.0, 1.0, 2.0, 0.0], [0.0, 3.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0, 1.0]] {
            let found = triples(&taps).expect("odd");
            assert!(error(&taps, &found) < 1e-14, "{taps:?}: {found:?}");
        }
        // Coefficients of all sizes: exact division would make numbers of a million bits.
        let wide: Vec<f64> = (0..63).map(|i| f64::from(2 * (i * 37 % 31) + 1) * 2f64.powi(i * 53 % 121 - 60)).collect();
        assert!(exact::is_square_free(&wide) && exact::bits(&wide) > 100);
        assert!(!exact::is_square_free(&[1.0, 2.0, 1.0]) && exact::is_square_free(&[1.0, 3.0, 1.0]));
        assert_eq!(triples(&[0.0; 5]), None);
        assert_eq!(triples(&[1.0, 2.0]), None);
        assert_eq!(triples(&[1.0, f64::NAN, 1.0]), None);
    }
}
