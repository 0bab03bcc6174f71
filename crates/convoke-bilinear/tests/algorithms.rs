//! Constructors are proved; wrong coefficients are refused by name; published figures are met.

use convoke_bilinear::*;
use num_traits::Zero;
use proptest::prelude::*;

fn points(list: &[(i64, i64)]) -> Vec<Rational> {
    list.iter().map(|&(n, d)| ratio(n, d)).collect()
}

const F2: &[(i64, i64)] = &[(0, 1), (1, 1), (-1, 1)];
const F4: &[(i64, i64)] = &[(0, 1), (1, 1), (-1, 1), (2, 1), (-2, 1)];
const F6: &[(i64, i64)] = &[(0, 1), (1, 1), (-1, 1), (2, 1), (-2, 1), (1, 2), (-1, 2)];
const F8: &[(i64, i64)] = &[(0, 1), (1, 1), (-1, 1), (1, 2), (-1, 2), (2, 1), (-2, 1), (-1, 4), (4, 1)];

fn with_points(m: usize, list: &[(i64, i64)]) -> Proved {
    cook_toom(m, 3, &points(list)).expect("the points fit").prove().expect("Cook-Toom is right")
}

#[test]
fn winograd_is_proved_up_to_eight() {
    for m in 1..=8 {
        for r in 1..=8 {
            let f = winograd(m, r).expect("in range").prove().expect("Cook-Toom is right");
            assert_eq!(f.rank(), m + r - 1);
        }
    }
    assert!(winograd(0, 3).is_err() && winograd(usize::MAX, 3).is_err() && winograd(60, 10).is_err());
}

#[test]
fn every_builtin_is_proved_and_the_schemes_have_their_ranks() {
    let ranks = |name: &str| builtin().into_iter().find(|f| f.name == name).map(|f| f.rank());
    assert_eq!(ranks("strassen"), Some(7));
    assert_eq!(ranks("strassen-winograd"), Some(7));
    assert_eq!(ranks("laderman"), Some(23));
    assert_eq!(ranks("strassen-squared"), Some(49));
    assert!(fft::fft(4, 3).expect("a size").prove().is_ok_and(|f| f.is_exact()));
    for f in builtin().iter().filter(|f| f.name.starts_with("fft")) {
        assert!(!f.is_exact() && to_f64(f.residual()) < 1e-15, "{f}: {:e}", to_f64(f.residual()));
    }
    for levels in 1..=3 {
        let k = karatsuba(levels).expect("known").prove().expect("Karatsuba is right");
        assert_eq!(k.rank(), 3usize.pow(levels));
    }
}

/// Worst-case amplification of nested F(m, 3): computed in `numpy` from the definition, by point set.
#[test]
fn amplification_is_that_of_the_point_sets() {
    let sets: &[(usize, &[(i64, i64)], f64)] = &[
        (2, F2, 7.0),
        (4, F4, 256.0),
        (4, &[(0, 1), (1, 1), (-1, 1), (1, 2), (-2, 1)], 97.0),
        (4, &[(0, 1), (1, 1), (-1, 1), (1, 2), (-3, 1)], 122.0),
        (6, &[(0, 1), (1, 1), (-1, 1), (2, 1), (-2, 1), (3, 1), (-3, 1)], 52517.0),
        (6, F6, 509.0),
        (8, F8, 9895.0),
    ];
    for (m, set, expected) in sets {
        let f = with_points(*m, set);
        let found = Facts::nested(&f, &f).amplification_f64();
        assert!((found - expected).abs() <= 0.5, "F({m}, 3): {found}, expected {expected}");
    }
}

#[test]
fn searched_points_are_at_least_as_good_as_published_ones() {
    for (m, set) in [(2, F2), (4, &[(0, 1), (1, 1), (-1, 1), (1, 2), (-2, 1)][..]), (6, F6), (8, F8)] {
        let best = winograd(m, 3).expect("in range").prove().expect("right");
        let published = with_points(m, set);
        assert!(Facts::of(&best).amplification <= Facts::of(&published).amplification, "F({m}, 3)");
    }
}

#[test]
fn the_table_of_points_is_what_the_search_finds() {
    for (m, r) in [(2, 3), (4, 3), (3, 5), (2, 7)] {
        assert_eq!(points::best(m, r), points::search(m, r), "F({m}, {r})");
    }
}

/// Lavin & Gray, arXiv:1509.09308, section 5: data, filter and inverse transforms of F(m × m, 3 × 3). An operation is an
/// addition, a multiplication or a fused multiply-add; a 2-D transform is the 1-D one over the columns, then the rows.
#[test]
fn transforms_take_no_more_operations_than_published() {
    for (m, set, published) in [(2, F2, [32, 28, 24]), (4, F4, [144, 72, 100]), (6, F6, [416, 143, 280])] {
        let t = Transforms::of(&with_points(m, set));
        let n = m + 2;
        let found = [
            2 * n * t.data.operations(),
            (3 + n) * t.weights.operations(),
            (n + m) * t.inverse.operations(),
        ];
        println!("F({m}x{m}, 3x3): data, filter, inverse {found:?}, published {published:?}");
        assert!(found.iter().zip(published).all(|(f, p)| *f <= p), "F({m}, 3): {found:?}, published {published:?}");
    }
}

#[test]
fn strassen_takes_18_additions_and_winograds_form_15() {
    assert_eq!(Transforms::of(&schemes::strassen()).additions(), 18);
    assert_eq!(Transforms::of(&schemes::strassen_winograd()).additions(), 15);
}

#[test]
fn files_that_are_shipped_are_what_the_constructors_make() {
    for (file, algorithm) in shipped() {
        let path = format!("{}/../../algorithms/{file}", env!("CARGO_MANIFEST_DIR"));
        let bytes = std::fs::read(&path).expect("the file is shipped");
        assert_eq!(text::read(&bytes).expect("it is proved").into_inner(), algorithm, "{file}");
        assert_eq!(String::from_utf8_lossy(&bytes), text::write(&algorithm), "{file}");
    }
}

fn shipped() -> Vec<(&'static str, Bilinear)> {
    vec![
        ("strassen.toml", schemes::strassen()),
        ("strassen-winograd.toml", schemes::strassen_winograd()),
        ("laderman.toml", schemes::laderman()),
        ("strassen-squared.toml", schemes::strassen_squared()),
        ("winograd-2-3.toml", winograd(2, 3).expect("in range")),
        ("winograd-4-3.toml", winograd(4, 3).expect("in range")),
    ]
}

#[test]
fn bad_files_are_refused_with_a_reason() {
    let good = text::write(&schemes::strassen());
    for (from, to, expected) in [
        ("name", "nam", "unknown field"),
        ("kind = \"matmul\"", "kind = \"matmull\"", "unknown variant"),
        ("m = 2", "m = 0", "size of zero"),
        ("m = 2", "m = 9223372036854775807", "too large to count"),
        ("m = 2", "m = 2000", "at most 1024"),
        ("m = 2", "m = 3", "expected 6"),
        ("[1, 0, 0, 1]", "[1, 0, 0]", "expected 4"),
        ("[1, 0, 0, 1]", "[\"1/0\", 0, 0, 1]", "a[0][0]"),
        ("[1, 0, 0, 1]", "[1.5, 0, 0, 1]", "no algorithm"),
        ("[1, 0, 0, 1]", "[1, 0, 0, \"1/2\"]", "is not computed"),
    ] {
        let error = text::read(good.replacen(from, to, 1).as_bytes()).expect_err(to).to_string();
        assert!(error.contains(expected), "{to}: {error}");
    }
    assert!(text::read(&[0xff]).is_err() && text::read(b"").is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_wrong_coefficient_is_refused_naming_an_entry(which in 0usize..3, q in 0usize..7, col in 0usize..4, by in 1i64..5) {
        let s = schemes::strassen();
        let mut matrices = [s.a().clone(), s.b().clone(), s.c().clone()];
        let was = matrices[which].get(q, col).clone();
        matrices[which].set(q, col, was + int(by));
        let wrong = Bilinear::new("wrong", "", s.problem, matrices).expect("the shapes are right");
        let refused = matches!(wrong.prove(), Err(ProofError::Wrong { found, expected, .. }) if found != expected.to_string());
        prop_assert!(refused);
    }

    #[test]
    fn tensor_products_of_proved_algorithms_are_proved(m in 1usize..4, r in 1usize..4, n in 1usize..4, s in 1usize..4) {
        let (x, y) = (winograd(m, r).expect("in range"), winograd(n, s).expect("in range"));
        prop_assert!(x.tensor(&y).expect("both are correlations").prove().is_ok());
        let square = winograd(s, s).expect("in range");
        prop_assert!(x.recurse(&square).expect("the inner is square").prove().is_ok());
    }

    #[test]
    fn programs_compute_matrix_times_vector(rows in 1usize..7, cols in 1usize..7, entries in prop::collection::vec((-3i64..4, 1i64..4), 36), x in prop::collection::vec(-9i64..9, 6)) {
        let matrix = Matrix::from_fn(rows, cols, |r, c| ratio(entries[r * 6 + c].0, entries[r * 6 + c].1));
        let x: Vec<Rational> = x[..cols].iter().map(|n| int(*n)).collect();
        let program = Straight::of(&matrix);
        prop_assert_eq!(program.eval(&x), matrix.apply(&x));
        let dense: usize = (0..rows).map(|r| matrix.nonzero(r).count()).sum();
        prop_assert!(program.operations() <= dense);
    }

    #[test]
    fn any_text_is_an_algorithm_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(text::read(&bytes).is_err());
    }
}

#[test]
fn programs_of_zero_rows_give_zero() {
    let program = Straight::of(&Matrix::from_fn(2, 3, |_, _| Rational::zero()));
    assert_eq!((program.operations(), program.outputs), (0, vec![None, None]));
}
