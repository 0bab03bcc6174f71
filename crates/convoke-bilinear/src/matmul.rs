//! Products of small matrices with fewer multiplications than rows × columns × depth.

use crate::algorithm::{Bilinear, Problem};
use crate::matrix::{Matrix, rational};

/// The definition: m·k·n products.
pub fn definition(m: usize, k: usize, n: usize) -> Bilinear {
    // Product q is of row i of a and column j of b, at p.
    let parts = move |q: usize| (q / (k * n), q / n % k, q % n);
    let unit = |yes: bool| rational(i64::from(yes), 1);
    Bilinear {
        name: "definition".into(),
        source: "the definition".into(),
        problem: Problem::MatMul { m, k, n },
        a: Matrix::from_fn(m * k * n, m * k, |q, at| unit(at == parts(q).0 * k + parts(q).1)),
        b: Matrix::from_fn(m * k * n, k * n, |q, at| unit(at == parts(q).1 * n + parts(q).2)),
        c: Matrix::from_fn(m * k * n, m * n, |q, at| unit(at == parts(q).0 * n + parts(q).2)),
        residual: rational(0, 1),
    }
}

/// ⟨2,2,2⟩ in 7 products and 18 additions.
pub fn strassen() -> Bilinear {
    Bilinear {
        name: "strassen".into(),
        source: "Strassen 1969, Gaussian elimination is not optimal".into(),
        problem: Problem::MatMul { m: 2, k: 2, n: 2 },
        // (a11 + a22)(b11 + b22), (a21 + a22) b11, a11 (b12 − b22), a22 (b21 − b11), (a11 + a12) b22, (a21 − a11)(b11 + b12),
        // (a12 − a22)(b21 + b22)
        a: Matrix::of_integers(
            4,
            &[1, 0, 0, 1, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0, 1, 1, 1, 0, 0, -1, 0, 1, 0, 0, 1, 0, -1],
        ),
        b: Matrix::of_integers(
            4,
            &[1, 0, 0, 1, 1, 0, 0, 0, 0, 1, 0, -1, -1, 0, 1, 0, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 1, 1],
        ),
        c: Matrix::of_integers(
            4,
            &[1, 0, 0, 1, 0, 0, 1, -1, 0, 1, 0, 1, 1, 0, 1, 0, -1, 1, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0],
        ),
        residual: rational(0, 1),
    }
}

/// ⟨2,2,2⟩ in 7 products and 15 additions, by sharing sums: the fewest possible.
pub fn strassen_winograd() -> Bilinear {
    Bilinear {
        name: "strassen-winograd".into(),
        source: "Winograd 1971, On multiplication of 2x2 matrices".into(),
        problem: Problem::MatMul { m: 2, k: 2, n: 2 },
        // a11 b11, a12 b21, s4 b22, a22 t4, s1 t1, s2 t2, s3 t3 with s1 = a21 + a22, s2 = s1 − a11, s3 = a11 − a21, s4 = a12 − s2,
        // t1 = b12 − b11, t2 = b22 − t1, t3 = b22 − b12, t4 = t2 − b21
        a: Matrix::of_integers(
            4,
            &[1, 0, 0, 0, 0, 1, 0, 0, 1, 1, -1, -1, 0, 0, 0, 1, 0, 0, 1, 1, -1, 0, 1, 1, 1, 0, -1, 0],
        ),
        b: Matrix::of_integers(
            4,
            &[1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 1, -1, -1, 1, -1, 1, 0, 0, 1, -1, 0, 1, 0, -1, 0, 1],
        ),
        c: Matrix::of_integers(
            4,
            &[1, 1, 1, 1, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, -1, 0, 0, 1, 0, 1, 0, 1, 1, 1, 0, 0, 1, 1],
        ),
        residual: rational(0, 1),
    }
}

/// ⟨3,3,3⟩ in 23 products.
pub fn laderman() -> Bilinear {
    // Entries are numbered by row and column: 12 is row 1, column 2; a minus sign subtracts.
    const A: [&[i64]; 23] = [
        &[11, 12, 13, -21, -22, -32, -33],
        &[11, -21],
        &[22],
        &[-11, 21, 22],
        &[21, 22],
        &[11],
        &[-11, 31, 32],
        &[-11, 31],
        &[31, 32],
        &[11, 12, 13, -22, -23, -31, -32],
        &[32],
        &[-13, 32, 33],
        &[13, -33],
        &[13],
        &[32, 33],
        &[-13, 22, 23],
        &[13, -23],
        &[22, 23],
        &[12],
        &[23],
        &[21],
        &[31],
        &[33],
    ];
    const B: [&[i64]; 23] = [
        &[22],
        &[-12, 22],
        &[-11, 12, 21, -22, -23, -31, 33],
        &[11, -12, 22],
        &[-11, 12],
        &[11],
        &[11, -13, 23],
        &[13, -23],
        &[-11, 13],
        &[23],
        &[-11, 13, 21, -22, -23, -31, 32],
        &[22, 31, -32],
        &[22, -32],
        &[31],
        &[-31, 32],
        &[23, 31, -33],
        &[23, -33],
        &[-31, 33],
        &[21],
        &[32],
        &[13],
        &[12],
        &[33],
    ];
    // For each entry of the result, the products it is the sum of, counted from 1.
    const Y: [&[i64]; 9] = [
        &[6, 14, 19],
        &[1, 4, 5, 6, 12, 14, 15],
        &[6, 7, 9, 10, 14, 16, 18],
        &[2, 3, 4, 6, 14, 16, 17],
        &[2, 4, 5, 6, 20],
        &[14, 16, 17, 18, 21],
        &[6, 7, 8, 11, 12, 13, 14],
        &[12, 13, 14, 15, 22],
        &[6, 7, 8, 9, 23],
    ];
    let entry = |terms: &[i64], at: usize| {
        let place = (at / 3 * 10 + at % 3 + 11) as i64;
        rational(terms.iter().filter(|t| t.abs() == place).map(|t| t.signum()).sum(), 1)
    };
    Bilinear {
        name: "laderman".into(),
        source: "Laderman 1976, A noncommutative algorithm for multiplying 3x3 matrices using 23 multiplications"
            .into(),
        problem: Problem::MatMul { m: 3, k: 3, n: 3 },
        a: Matrix::from_fn(23, 9, |q, at| entry(A[q], at)),
        b: Matrix::from_fn(23, 9, |q, at| entry(B[q], at)),
        c: Matrix::from_fn(23, 9, |q, at| rational(i64::from(Y[at].contains(&(q as i64 + 1))), 1)),
        residual: rational(0, 1),
    }
}
