//! Every construction is proved, and what is wrong is refused by name.

use convoke_bilinear::karatsuba::karatsuba;
use convoke_bilinear::matmul::{definition, laderman, strassen, strassen_winograd};
use convoke_bilinear::winograd::{WinogradError, at_points, winograd};
use convoke_bilinear::{Bilinear, Disproof, Matrix, Problem, Rational, catalog, fft, rational};
use num_traits::Zero;
use proptest::prelude::*;

#[test]
fn winograd_for_every_size() {
    for m in 1..=8 {
        for r in 1..=8 {
            let algorithm = winograd(m, r).expect("within the limits");
            assert_eq!(algorithm.rank(), m + r - 1);
            algorithm.prove().unwrap_or_else(|error| panic!("F({m}, {r}): {error}"));
        }
    }
}

#[test]
fn products_of_matrices() {
    for (algorithm, rank) in [(definition(2, 3, 4), 24), (strassen(), 7), (strassen_winograd(), 7), (laderman(), 23)] {
        assert_eq!(algorithm.rank(), rank);
        algorithm.prove().expect("it computes its product");
    }
    karatsuba().prove().expect("it computes F(2, 2)");
}

/// What [`convoke_bilinear::Proved::tensor`] takes for granted, coefficient by coefficient.
#[test]
fn tensor_products_of_every_kind() {
    let f23 = winograd(2, 3).expect("small");
    let f32 = winograd(3, 2).expect("small");
    let square = f23.tensor(&f32).expect("both are correlations");
    assert_eq!(square.problem, Problem::Correlation { m: vec![2, 3], r: vec![3, 2], s: vec![1, 1] });
    square.prove().expect("a 2-D correlation");
    let deep = strassen().tensor(&definition(1, 2, 3)).expect("both are products");
    assert_eq!((deep.rank(), deep.problem.to_string().as_str()), (42, "<2,4,6>"));
    deep.prove().expect("a product of blocks");
    assert!(strassen().tensor(&f23).is_none());
}

/// What [`convoke_bilinear::Proved::nested`] and `recursive` take for granted.
#[test]
fn nested_and_recursive() {
    let deep = karatsuba().prove().expect("F(2, 2)").recursive(3).expect("it nests");
    assert_eq!((deep.rank(), deep.problem.to_string().as_str()), (27, "F(8, 8)"));
    deep.into_inner().prove().expect("a correlation of blocks of blocks");
    let blocks = winograd(3, 2).expect("small").nested(&karatsuba()).expect("F(3, 2) of F(2, 2)");
    assert_eq!((blocks.rank(), blocks.problem.to_string().as_str()), (12, "F(6, 4)"));
    blocks.prove().expect("a correlation of blocks");
    let strassens = strassen().prove().expect("a product").recursive(2).expect("it nests");
    assert_eq!((strassens.rank(), strassens.problem.to_string().as_str()), (49, "<4,4,4>"));
    strassens.into_inner().prove().expect("a product of blocks");
    assert!(karatsuba().nested(&winograd(2, 3).expect("small")).is_none(), "the inner filter is longer than the block");
    let strassen = strassen().prove().expect("a product");
    assert!(strassen.recursive(0).is_none() && strassen.recursive(99).is_none());
    assert!(winograd(2, 3).expect("small").prove().expect("F(2, 3)").recursive(2).is_none());
    // Rounded algorithms stay rounded, by no more than the theorem says.
    let fft = fft::correlation(8, 5).expect("8 points").prove().expect("to within rounding");
    let fft = fft.nested(&karatsuba().prove().expect("F(2, 2)")).expect("F(4, 5) of F(2, 2)");
    assert!(!fft.off().is_zero() && fft.off() <= &fft.residual);
    let bound = fft.off().clone();
    assert!(fft.into_inner().prove().expect("to within rounding").off() <= &bound);
}

#[test]
fn the_catalog() {
    let all = catalog::all();
    let names: std::collections::HashSet<_> = all.iter().map(|a| a.name.clone()).collect();
    assert_eq!(names.len(), all.len(), "names are unique");
    assert_eq!(catalog::find("strassen-4x4x4").map(|a| a.rank()), Some(49));
    assert_eq!(catalog::find("dumas-pernet-sedoglavic-4x4x4").map(|a| a.rank()), Some(48));
    let rounded: Vec<_> = all.iter().filter(|a| !a.off().is_zero()).map(|a| a.name.as_str()).collect();
    assert_eq!(rounded, ["fft-8", "fft-16", "fft-32"]);
    for algorithm in all.iter().filter(|a| a.rank() <= 49) {
        algorithm.clone().into_inner().prove().expect("the catalog is proved");
    }
}

#[test]
fn wrong_sizes_and_points() {
    assert_eq!(winograd(0, 3), Err(WinogradError::Size { m: 0, r: 3 }));
    assert_eq!(winograd(usize::MAX, 3), Err(WinogradError::Size { m: usize::MAX, r: 3 }));
    assert_eq!(at_points(2, 3, &[]), Err(WinogradError::Count { found: 0, expected: 3 }));
    let twice = [0, 1, 1].map(|p| rational(p, 1));
    assert!(matches!(at_points(2, 3, &twice), Err(WinogradError::Repeated(_))));
    let mut short = strassen();
    short.b = Matrix::of_integers(4, &[1, 0, 0, 1]);
    assert!(matches!(short.prove(), Err(Disproof::Shape { matrix: "B", rows: 1, .. })));
}

/// Amplifications of the literature's point sets in two dimensions, and that ours are no worse.
#[test]
fn points_decide_the_amplification() {
    let square = |m: usize, points: &[(i64, i64)]| {
        let points: Vec<Rational> = points.iter().map(|&(n, d)| rational(n, d)).collect();
        at_points(m, 3, &points).expect("distinct points").amplification().powi(2)
    };
    let (one, two, three) = ([(0, 1), (1, 1), (-1, 1)], [(2, 1), (-2, 1)], [(3, 1), (-3, 1)]);
    let set = |more: &[&[(i64, i64)]]| [&one[..], &more.concat()].concat();
    let halves = [(1, 2), (-1, 2)];
    for (m, points, expected) in [
        (2, set(&[]), 7.0),
        (4, set(&[&two]), 256.0),
        (4, set(&[&[(1, 2), (-2, 1)]]), 97.0),
        (4, set(&[&[(1, 2), (-3, 1)]]), 122.0),
        (6, set(&[&two, &three]), 52_517.0),
        (6, set(&[&two, &halves]), 509.0),
        (8, set(&[&halves, &two, &[(-1, 4), (4, 1)]]), 9_895.0),
    ] {
        let found = square(m, &points);
        assert!((found / expected - 1.0).abs() < 0.02, "F({m}, 3) at {points:?}: {found}, published {expected}");
        let best = winograd(m, 3).expect("small").amplification().powi(2);
        assert!(best <= found * 1.0001, "F({m}, 3): our points have {best}, {points:?} have {found}");
    }
}

fn matrices(algorithm: &mut Bilinear) -> [&mut Matrix; 3] {
    [&mut algorithm.a, &mut algorithm.b, &mut algorithm.c]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// One wrong coefficient anywhere makes a coefficient of the tensor wrong, and the disproof's entry is indeed wrong.
    #[test]
    fn a_wrong_coefficient_is_found(which in 0usize..3, at in 0usize..1000, by in prop_oneof![Just(-1i64), Just(1), Just(2)], laderman_ in any::<bool>()) {
        let mut algorithm = if laderman_ { laderman() } else { winograd(4, 3).expect("small") };
        let matrix = &mut matrices(&mut algorithm)[which];
        let (rows, cols) = (matrix.rows(), matrix.cols());
        let at = at % (rows * cols);
        let changed = Matrix::from_fn(rows, cols, |i, j| {
            matrix.at(i, j) + if i * cols + j == at { rational(by, 1) } else { rational(0, 1) }
        });
        **matrix = changed;
        let Err(Disproof::Entry { i, j, l, found, expected, .. }) = algorithm.clone().prove() else {
            panic!("a wrong coefficient passed");
        };
        let sum: Rational = (0..algorithm.rank()).map(|q| algorithm.a.at(q, i) * algorithm.b.at(q, j) * algorithm.c.at(q, l)).sum();
        prop_assert_eq!(&sum, &*found);
        prop_assert_ne!(sum, rational(i64::from(expected), 1));
    }

    /// Applying an algorithm gives what the definition gives.
    #[test]
    fn applied_to_numbers(m in 1usize..5, r in 1usize..5, numbers in prop::collection::vec(-9i64..10, 16)) {
        let algorithm = winograd(m, r).expect("small");
        let [a, b, _] = algorithm.problem.sizes();
        let a: Vec<_> = numbers[..a].iter().map(|&x| rational(x, 1)).collect();
        let b: Vec<_> = numbers[numbers.len() - b..].iter().map(|&x| rational(x, 3)).collect();
        let expected: Vec<Rational> = (0..m).map(|i| (0..r).map(|j| &a[i + j] * &b[j]).sum()).collect();
        prop_assert_eq!(algorithm.apply(&a, &b), expected);
    }
}
