//! Correlations that move by more than 1, by polyphase decomposition: the taps j ≡ φ (mod s) only meet the inputs i ≡ φ, so that each
//! phase φ is a correlation of its own with steps of 1, and the result is the sum of all phases.
//!
//! ```text
//!   y[l] = Σ_φ Σ_j a[s·(l + j) + φ] · b[s·j + φ]            phase φ has ⌈(r − φ) / s⌉ taps
//! ```
//!
//! Every phase is F(m, rφ) by points, except where m or rφ is 1: then the definition takes as few products and rounds less.
//!
//! Source: Vaidyanathan 1993, *Multirate Systems and Filter Banks*, §4.3.

use num_traits::{One, Zero};

use super::{WinogradError, winograd};
use crate::algorithm::{Bilinear, Problem};
use crate::matrix::{Matrix, Rational};

/// The most inputs of a tile along an axis.
pub const MAX_INPUTS: usize = 64;

/// m outputs of an r-tap filter that moves by `s`. With s = 1 this is F(m, r), or the definition where m or r is 1.
///
/// # Errors
///
/// Sizes out of range for one of the phases; more than [`MAX_INPUTS`] inputs; steps of 0.
pub fn strided(m: usize, r: usize, s: usize) -> Result<Bilinear, WinogradError> {
    if m == 0 || r == 0 || s == 0 {
        return Err(WinogradError::Size { m, r });
    }
    let inputs = (m - 1).checked_mul(s).and_then(|inputs| inputs.checked_add(r));
    if inputs.is_none_or(|inputs| inputs > MAX_INPUTS) {
        return Err(WinogradError::Inputs { m, r, s });
    }
    let phases = (0..s.min(r)).map(|phase| one(m, (r - phase).div_ceil(s))).collect::<Result<Vec<_>, _>>()?;
    // Row q of the whole is row q − first of a phase.
    let firsts: Vec<usize> = phases.iter().scan(0, |sum, p| Some(std::mem::replace(sum, *sum + p.rank()))).collect();
    let rank = phases.iter().map(Bilinear::rank).sum();
    let of = |q: usize| {
        let phase = firsts.partition_point(|&first| first <= q) - 1;
        (phase, q - firsts[phase])
    };
    // Column i of a phase is column s·i + φ of the whole.
    let spread = |q: usize, at: usize, matrix: fn(&Bilinear) -> &Matrix| {
        let (phase, row) = of(q);
        let matrix = matrix(&phases[phase]);
        let inside = at % s == phase && at / s < matrix.cols();
        if inside { matrix.at(row, at / s).clone() } else { Rational::zero() }
    };
    let problem = Problem::strided(m, r, s);
    let [inputs, taps, outputs] = problem.sizes();
    Ok(Bilinear {
        name: if s == 1 { format!("winograd-{m}-{r}") } else { format!("winograd-{m}-{r}-s{s}") },
        source: if s == 1 { phases[0].source.clone() } else { "Winograd 1980, of the phases of the filter".into() },
        problem,
        a: Matrix::from_fn(rank, inputs, |q, at| spread(q, at, |p| &p.a)),
        b: Matrix::from_fn(rank, taps, |q, at| spread(q, at, |p| &p.b)),
        c: Matrix::from_fn(rank, outputs, |q, l| phases[of(q).0].c.at(of(q).1, l).clone()),
        residual: Rational::zero(),
    })
}

/// One phase.
fn one(m: usize, r: usize) -> Result<Bilinear, WinogradError> {
    if m > 1 && r > 1 {
        return winograd(m, r);
    }
    let unit = |yes: bool| if yes { Rational::one() } else { Rational::zero() };
    let rank = m * r;
    Ok(Bilinear {
        name: format!("definition-{m}-{r}"),
        source: "the definition".into(),
        problem: Problem::correlation(m, r),
        a: Matrix::from_fn(rank, rank, |q, i| unit(q == i)),
        b: Matrix::from_fn(rank, r, |q, j| unit(q % r == j)),
        c: Matrix::from_fn(rank, m, |q, l| unit(q / r == l)),
        residual: Rational::zero(),
    })
}
