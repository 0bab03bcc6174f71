//! Straight-line code computes its matrix, with no more operations than published.

use convoke_bilinear::matmul::{strassen, strassen_winograd};
use convoke_bilinear::straight::Straight;
use convoke_bilinear::winograd::{at_points, best_points};
use convoke_bilinear::{Bilinear, Matrix, Tile, rational};
use proptest::prelude::*;

fn winograd(m: usize, points: &[(i64, i64)]) -> Bilinear {
    let points: Vec<_> = points.iter().map(|&(n, d)| rational(n, d)).collect();
    at_points(m, 3, &points).expect("distinct points")
}

/// Operations of a transform in two dimensions: `code` over the columns of a tile of `side` × `side`, then over the rows of what that gives.
fn two_dimensional(code: &Straight, side: usize) -> usize {
    code.operations() * (side + code.outputs.len())
}

/// Lavin and Gray 2015 (arXiv:1509.09308), §4.1–4.3: floating-point operations of the data, filter and inverse transforms of
/// F(2², 3²), F(4², 3²) and F(6², 3²). An addition, a multiplication and a multiply-add count as one each.
///
/// The rows of the filter transform at ±1 of F(6, 3) and at 0 of F(4, 3) are scaled to units, and those of the data transform
/// against them.
#[test]
fn published_counts_are_reached_or_beaten() {
    let f2 = winograd(2, &[(0, 1), (1, 1), (-1, 1)]);
    let f4 = winograd(4, &[(0, 1), (1, 1), (-1, 1), (2, 1), (-2, 1)]);
    let f6 = winograd(6, &[(0, 1), (1, 1), (-1, 1), (2, 1), (-2, 1), (1, 2), (-1, 2)]);
    let unit = |algorithm: Bilinear, q: usize| {
        let factor = algorithm.b.at(q, 0).recip();
        algorithm.rescaled(q, &factor)
    };
    let f2 = unit(f2, 0);
    let f4 = unit(f4, 0);
    let f6 = unit(unit(unit(f6, 0), 1), 2);
    for (algorithm, published) in [(f2, [32, 28, 24]), (f4, [144, 72, 100]), (f6, [416, 143, 280])] {
        let proved = algorithm.clone().prove().expect("scaling keeps it right");
        let n = algorithm.rank();
        let code = [Straight::of(&algorithm.a), Straight::of(&algorithm.b), Straight::of(&algorithm.c.transposed())];
        let counts = [two_dimensional(&code[0], n), two_dimensional(&code[1], 3), two_dimensional(&code[2], n)];
        println!("{}: data, filter, inverse {counts:?}, published {published:?}", proved.problem);
        for (which, (found, published)) in counts.iter().zip(published).enumerate() {
            assert!(
                *found <= published,
                "{}, transform {which}: {found} operations, published {published}",
                proved.problem
            );
        }
    }
}

/// What runs, data and inverse transforms at the points we choose, takes no more operations than is published for others.
#[test]
fn tiles_take_no_more() {
    for (m, published) in [(2, [32, 24]), (4, [144, 100]), (6, [416, 280])] {
        let tile = Tile::winograd([m; 2], [3; 2], [1; 2]).expect("small");
        let counts = [tile.data.operations(), tile.inverse.operations()];
        println!("F({m}x{m}, 3x3): data, inverse {counts:?}, published {published:?}");
        assert!(counts.iter().zip(published).all(|(found, published)| *found <= published), "F({m}, 3): {counts:?}");
    }
}

/// Scaling its rows keeps an algorithm right, and its amplification what its points make it.
#[test]
fn scaled_rows() {
    for m in 2..=9 {
        for r in 2..=11 - m {
            let plain = at_points(m, r, &best_points(m, r)).expect("distinct points").amplification();
            let scaled =
                convoke_bilinear::winograd::winograd(m, r).expect("small").prove().expect("scaled against each other");
            assert!((scaled.amplification() / plain - 1.0).abs() < 1e-12, "F({m}, {r})");
            let exact = |matrix: &Matrix| {
                (0..matrix.rows()).all(|i| matrix.row(i).iter().all(|x| x.denom().magnitude().count_ones() == 1))
            };
            assert!(exact(&scaled.c), "F({m}, {r}): the inverse's coefficients are exact in binary");
        }
    }
}

/// Few numbers are alive at a time: 16 registers hold those of one axis, or nearly.
#[test]
fn numbers_alive() {
    for (m, r, most) in [(2, 3, 4), (4, 3, 8), (6, 3, 9), (8, 3, 12), (4, 7, 12), (6, 7, 16), (10, 7, 20)] {
        let tile = Tile::winograd([m; 2], [r; 2], [1; 2]).expect("small");
        let alive = [&tile.data.then[0], &tile.inverse.then[0]].map(|lines| lines.code.alive());
        println!("F({m}, {r}): alive in the data and the inverse transform {alive:?}");
        assert!(alive.iter().all(|alive| *alive <= most), "F({m}, {r}): {alive:?}");
    }
}

/// The transposed code computes the transposed matrix.
#[test]
fn transposed_code() {
    let matrices = [winograd(4, &[(0, 1), (1, 1), (-1, 1), (1, 3), (-2, 1)]).a, strassen().c, strassen_winograd().b];
    for matrix in matrices {
        let code = Straight::of(&matrix).transposed();
        for i in 0..matrix.rows() {
            let unit: Vec<_> = (0..matrix.rows()).map(|j| rational(i64::from(i == j), 1)).collect();
            assert_eq!(code.evaluate(&unit), matrix.row(i));
        }
    }
}

/// Winograd's variant of Strassen's algorithm is known for its 15 additions; Strassen's own takes 18.
#[test]
fn additions_of_strassen() {
    let additions = |algorithm: Bilinear| -> usize {
        [&algorithm.a, &algorithm.b, &algorithm.c.transposed()].map(|m| Straight::of(m).operations()).iter().sum()
    };
    assert_eq!(additions(strassen()), 18);
    assert_eq!(additions(strassen_winograd()), 15);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn code_computes_its_matrix(
        rows in 1usize..8,
        cols in 1usize..8,
        entries in prop::collection::vec((-3i64..4, prop_oneof![Just(1i64), Just(2), Just(3)]), 64),
        x in prop::collection::vec(-9i64..10, 8),
    ) {
        let matrix = Matrix::from_fn(rows, cols, |i, j| rational(entries[i * 8 + j].0, entries[i * 8 + j].1));
        let x: Vec<_> = x[..cols].iter().map(|&v| rational(v, 1)).collect();
        let code = Straight::of(&matrix);
        let expected: Vec<_> = (0..rows).map(|i| (0..cols).map(|j| matrix.at(i, j) * &x[j]).sum()).collect();
        prop_assert_eq!(code.evaluate(&x), expected);
        let dense: usize = (0..rows).map(|i| matrix.nonzero(i).count()).sum();
        // A chain has as many operations as coefficients at the most; the sign of an output may take one more.
        prop_assert!(code.operations() <= dense + rows, "{} operations for {dense} coefficients", code.operations());
    }
}
