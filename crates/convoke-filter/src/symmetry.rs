//! Symmetries of a kernel, up to the rounding of its taps.

use std::fmt;

use convoke_factor::Matrix;

/// A symmetry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Symmetry {
    /// The same upside down.
    EvenDown,
    /// Its negative upside down.
    OddDown,
    /// The same from right to left.
    EvenAcross,
    /// Its negative from right to left.
    OddAcross,
    /// The same turned by 180°.
    EvenAround,
    /// Its negative turned by 180°.
    OddAround,
    /// The same with rows as columns.
    Transpose,
}

impl Symmetry {
    pub(crate) fn of(kernel: &Matrix, unit: f64) -> Vec<Symmetry> {
        let (rows, columns, largest) =
            (kernel.rows(), kernel.columns(), kernel.numbers().iter().fold(0.0f64, |m, v| m.max(v.abs())));
        let holds = |sign: f64, other: &dyn Fn(usize, usize) -> f64| {
            let near = |i: usize, j: usize| (kernel.at(i, j) - sign * other(i, j)).abs() <= 4.0 * unit * largest;
            largest > 0.0 && (0..rows).all(|i| (0..columns).all(|j| near(i, j)))
        };
        let down = |i: usize, j: usize| kernel.at(rows - 1 - i, j);
        let across = |i: usize, j: usize| kernel.at(i, columns - 1 - j);
        let around = |i: usize, j: usize| kernel.at(rows - 1 - i, columns - 1 - j);
        let mut found = Vec::new();
        for (symmetry, sign, other) in [
            (Symmetry::EvenDown, 1.0, &down as &dyn Fn(usize, usize) -> f64),
            (Symmetry::OddDown, -1.0, &down),
            (Symmetry::EvenAcross, 1.0, &across),
            (Symmetry::OddAcross, -1.0, &across),
            (Symmetry::EvenAround, 1.0, &around),
            (Symmetry::OddAround, -1.0, &around),
        ] {
            if holds(sign, other) {
                found.push(symmetry);
            }
        }
        if rows == columns && holds(1.0, &|i, j| kernel.at(j, i)) {
            found.push(Symmetry::Transpose);
        }
        found
    }
}

impl fmt::Display for Symmetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Symmetry::EvenDown => "even down",
            Symmetry::OddDown => "odd down",
            Symmetry::EvenAcross => "even across",
            Symmetry::OddAcross => "odd across",
            Symmetry::EvenAround => "even around",
            Symmetry::OddAround => "odd around",
            Symmetry::Transpose => "its transpose",
        })
    }
}
