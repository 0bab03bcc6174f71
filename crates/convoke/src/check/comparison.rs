//! The distance of outputs from a reference, relative to three limits: the bound, the error to expect and the error allowed.
//!
//! A bound is far above most errors, and says little of a run that is merely poor. Errors are therefore also held against two root mean
//! squares: the error to *expect* of the algorithms chosen, and the error *allowed* ([`Budget`](convoke_conv::Budget)). A run on seeded inputs
//! that exceeds the first by far has lost a product. A run that exceeds the second has data that the estimate does not assume, such as one
//! pixel far brighter than its neighbours.

use convoke_interp::Bounded;
use ndarray::ArrayD;

/// Errors in multiples of a root mean square that each element has.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Share {
    /// The root mean square of these multiples over all elements.
    pub mean: f64,
    /// The largest.
    pub largest: f64,
    /// The number of elements.
    pub elements: usize,
}

impl Share {
    /// The largest mean of a correct run: estimates are right within this factor.
    pub const MEAN: f64 = 2.0;
    /// The largest multiple of single elements: the largest of 10⁹ normal numbers is 6.1 root mean squares, and outputs of a large tile differ by
    /// another factor of up to 5.
    pub const LARGEST: f64 = 32.0;

    /// Whether both are within their limits. The limit of the mean is higher for few elements.
    pub fn is_within(&self) -> bool {
        let mean = Share::MEAN * (1.0 + 4.0 / (self.elements.max(1) as f64).sqrt());
        self.mean <= mean.min(Share::LARGEST) && self.largest <= Share::LARGEST
    }

    fn of(errors: &[(f64, f64)]) -> Share {
        let fraction = |&(error, of): &(f64, f64)| if error == 0.0 || of == f64::INFINITY { 0.0 } else { error / of };
        let largest = errors.iter().map(fraction).fold(0.0, f64::max);
        // Scaled, so that no square overflows.
        let unit = if largest > 0.0 { largest } else { 1.0 };
        let squares: f64 = errors.iter().map(fraction).map(|f| (f / unit).powi(2)).sum();
        let mean = if largest.is_finite() { unit * (squares / errors.len().max(1) as f64).sqrt() } else { largest };
        Share { mean, largest, elements: errors.len() }
    }
}

/// The distance of outputs from the reference: infinite where one is NaN or infinite and the other is not the same.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Comparison {
    /// The largest |y − reference| of all elements.
    pub max_error: f64,
    /// The largest error relative to its element's natural scale: Σ|w||x| of the last sum, and what was added to it.
    pub relative: f64,
    /// The bound of the element whose error is nearest to, or exceeds, its bound.
    pub bound: f64,
    /// The largest error as a fraction of its element's bound; above 1 the check fails.
    pub of_bound: f64,
    /// The number of elements that are not finite where the reference is, though all inputs and constants are finite: a sum or a transform overflowed.
    /// Any such element fails the check.
    pub overflowed: usize,
    /// The number of elements that a fast algorithm made infinite or NaN where the reference is not: it mixed in inputs or weights that are not finite.
    /// They count in no other number here.
    pub spoilt: usize,
    /// The root mean square of the errors of an output relative to that of its values, of the output where it is largest.
    pub of_output: f64,
    /// Errors in multiples of the error to expect.
    pub expected: Share,
    /// Errors in multiples of the error allowed; `None` where every algorithm is a plain sum, which is always allowed.
    pub allowed: Option<Share>,
}

impl Comparison {
    /// Outputs that cannot be compared at all.
    const WRONG: Comparison = Comparison {
        max_error: f64::INFINITY,
        relative: f64::INFINITY,
        bound: 0.0,
        of_bound: f64::INFINITY,
        overflowed: 0,
        spoilt: 0,
        of_output: f64::INFINITY,
        expected: Share { mean: f64::INFINITY, largest: f64::INFINITY, elements: 0 },
        allowed: None,
    };

    /// Whether every element is within its bound, and none overflowed.
    pub fn passes(&self) -> bool {
        self.of_bound <= 1.0 && self.overflowed == 0
    }

    /// Whether errors are no larger than those to expect of the algorithms chosen. A correct run on inputs with structure may fail this, since its
    /// roundings may all go one way.
    pub fn is_expected(&self) -> bool {
        self.expected.is_within()
    }

    /// Whether errors are no larger than allowed, and no element is spoilt.
    pub fn is_allowed(&self) -> bool {
        self.spoilt == 0 && self.allowed.is_none_or(|share| share.is_within())
    }
}

/// The distance of `outputs` from `expected`. `finite` says whether all inputs and constants are finite, `plain` whether no algorithm rounds more
/// than a plain sum.
pub(super) fn compare(outputs: &[ArrayD<f64>], expected: &[Bounded], finite: bool, plain: bool) -> Comparison {
    let same_shape = |(a, b): (&ArrayD<f64>, &Bounded)| a.shape() == b.value.shape();
    if outputs.len() != expected.len() || !outputs.iter().zip(expected).all(same_shape) {
        return Comparison::WRONG;
    }
    let zero = Comparison { max_error: 0.0, relative: 0.0, bound: 0.0, of_bound: 0.0, ..Comparison::WRONG };
    let mut worst = Comparison { of_output: 0.0, ..zero };
    let (mut of_expected, mut of_allowed) = (Vec::new(), Vec::new());
    for (found, expected) in outputs.iter().zip(expected) {
        let elements = found.iter().zip(&expected.value).zip(&expected.bound).zip(&expected.scale);
        let errors: Vec<f64> = elements
            .map(|(((&found, &value), &bound), &scale)| worst.add(finite, found, Element { value, bound, scale }))
            .collect();
        worst.of_output = worst.of_output.max(of_output(&errors, &expected.value));
        // Where any finite number is allowed, no error is too large.
        let limits = |of: &ArrayD<f64>| -> Vec<(f64, f64)> {
            let limits = of.iter().zip(&expected.bound);
            let limits = limits.map(|(&of, bound)| if bound.is_finite() { of } else { f64::INFINITY });
            errors.iter().copied().zip(limits).collect()
        };
        of_expected.extend(limits(&expected.expected));
        of_allowed.extend(limits(&expected.allowed));
    }
    worst.expected = Share::of(&of_expected);
    worst.allowed = (!plain).then(|| Share::of(&of_allowed));
    worst
}

/// The root mean square of errors, relative to that of the values that are finite.
fn of_output(errors: &[f64], values: &ArrayD<f64>) -> f64 {
    let squares: f64 = errors.iter().map(|e| e * e).sum();
    let of: f64 = values.iter().filter(|v| v.is_finite()).map(|v| v * v).sum();
    if squares == 0.0 { 0.0 } else { (squares / of).sqrt() }
}

/// An element of the reference.
struct Element {
    value: f64,
    bound: f64,
    scale: f64,
}

impl Comparison {
    /// Counts an element in; its error, or 0 where it has no size.
    fn add(&mut self, finite: bool, found: f64, Element { value, bound, scale }: Element) -> f64 {
        let error = distance(found, value);
        if error == f64::INFINITY && bound == f64::INFINITY {
            // A fast algorithm spread a NaN or an infinity over a tile.
            if !finite {
                self.spoilt += 1;
                return 0.0;
            }
            // The reference was rounded to infinity inside the net, which the code need not do.
            if !value.is_finite() {
                return 0.0;
            }
        }
        self.overflowed += usize::from(finite && value.is_finite() && !found.is_finite());
        // An infinite bound says that a sum may overflow: then any finite number is allowed, and nothing else.
        let any = |of: f64| of == f64::INFINITY && error != f64::INFINITY;
        let fraction = |of: f64| if error == 0.0 || any(of) { 0.0 } else { error / of.min(f64::MAX) };
        self.max_error = self.max_error.max(error);
        self.relative = self.relative.max(fraction(scale));
        if fraction(bound) > self.of_bound || self.of_bound == 0.0 {
            (self.of_bound, self.bound) = (fraction(bound), bound);
        }
        error
    }
}

/// The distance of two numbers: 0 of two NaN, and infinite where one alone is NaN.
pub(super) fn distance(a: f64, b: f64) -> f64 {
    match (a, b) {
        _ if a == b || (a.is_nan() && b.is_nan()) => 0.0,
        _ if a.is_nan() || b.is_nan() => f64::INFINITY,
        _ => (a - b).abs(),
    }
}
