//! The identity of an algorithm, coefficient by coefficient, in exact arithmetic.
//!
//! ```text
//!   Σ_q A[q,i] · B[q,j] · C[q,l]  =  1 where a[i]·b[j] is a term of y[l], else 0          for all i, j, l
//! ```
//!
//! Both sides are bilinear, so that equal coefficients mean equal results for all numbers. Matrices of cosines are rounded; the file says by how much
//! their coefficients may be off, and what is proved is that they are not off by more.

use num_bigint::BigInt;
use num_integer::Integer;
use num_rational::BigRational;
use num_traits::{One, Signed, Zero};
use serde::Deserialize;

use crate::certificate::Problem;

/// The most products of coefficients of a proof.
const MOST_WORK: usize = 1 << 27;
/// The most digits of a number.
const MOST_DIGITS: usize = 400;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    #[serde(rename = "name")]
    _name: String,
    #[serde(rename = "source")]
    _source: String,
    problem: ProblemText,
    a: Vec<String>,
    b: Vec<String>,
    c: Vec<String>,
    residual: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum ProblemText {
    Correlation { m: Vec<usize>, r: Vec<usize>, s: Option<Vec<usize>> },
    Matmul([usize; 3]),
}

impl ProblemText {
    fn read(&self) -> Option<Problem> {
        match self {
            &ProblemText::Matmul([m, k, n]) => Some(Problem::Matmul(m, k, n)),
            ProblemText::Correlation { m, r, s } => match (&m[..], &r[..], s.as_deref().unwrap_or(&[1])) {
                (&[m], &[r], &[s]) => Some(Problem::Correlation { m, r, s }),
                _ => None,
            },
        }
    }
}

impl Problem {
    /// Numbers of a, of b and of y.
    fn sizes(self) -> Option<[usize; 3]> {
        match self {
            Problem::Correlation { m, r, s } => {
                let inputs = m.checked_sub(1)?.checked_mul(s)?.checked_add(r)?;
                Some([inputs, r, m])
            }
            Problem::Matmul(m, k, n) => Some([m.checked_mul(k)?, k.checked_mul(n)?, m.checked_mul(n)?]),
        }
    }

    /// Whether a[i]·b[j] is a term of y[l].
    fn has_term(self, i: usize, j: usize, l: usize) -> bool {
        match self {
            Problem::Correlation { s, .. } => i == l * s + j,
            // Rows of y by rows of a, columns by columns of b, and the number between them.
            Problem::Matmul(_, k, n) => i / k == l / n && j % n == l % n && i % k == j / n,
        }
    }
}

/// Reads matrices and proves that they compute what they say. Gives that, and the most that a coefficient is off.
pub(crate) fn prove(text: &str) -> Result<(Problem, BigRational), String> {
    let text: Text = toml::from_str(text).map_err(|error| error.to_string())?;
    let problem = text.problem.read().ok_or("the problem is not along one axis")?;
    let sizes = problem.sizes().filter(|sizes| !sizes.contains(&0)).ok_or("the problem has no size")?;
    let [a, b, c] = [&text.a, &text.b, &text.c].map(|rows| matrix(rows));
    let [a, b, c] = [a?, b?, c?];
    let rank = a.len();
    for (matrix, columns, name) in [(&a, sizes[0], "a"), (&b, sizes[1], "b"), (&c, sizes[2], "c")] {
        if matrix.len() != rank || matrix.iter().any(|row| row.len() != columns) {
            return Err(format!("matrix {name} is not {rank}x{columns}"));
        }
    }
    let work = sizes.iter().try_fold(rank, |work, &size| work.checked_mul(size));
    if work.is_none_or(|work| work > MOST_WORK) {
        return Err(format!("a proof takes more than {MOST_WORK} products"));
    }
    let allowed = text.residual.as_deref().map_or(Ok(BigRational::zero()), number)?;
    let [(a, of_a), (b, of_b), (c, of_c)] = [&a, &b, &c].map(|matrix| whole(matrix));
    let one = of_a * of_b * of_c;
    let mut most = BigInt::zero();
    for (i, a) in a.iter().enumerate() {
        for (l, c) in c.iter().enumerate() {
            // Products of which none is 0, with their numbers.
            let met = a.iter().zip(c).map(|(a, c)| a * c).enumerate().filter(|(_, product)| !product.is_zero());
            let met: Vec<(usize, BigInt)> = met.collect();
            for (j, b) in b.iter().enumerate() {
                let sum: BigInt = met.iter().map(|(q, product)| product * &b[*q]).sum();
                let off = if problem.has_term(i, j, l) { sum - &one } else { sum };
                most = most.max(off.abs());
                let off = BigRational::new(most.clone(), one.clone());
                if off > allowed {
                    return Err(format!("the coefficient of a[{i}]*b[{j}] in y[{l}] is off by {off}"));
                }
            }
        }
    }
    Ok((problem, BigRational::new(most, one)))
}

/// The columns of a matrix in whole numbers, and their common denominator.
fn whole(matrix: &[Vec<BigRational>]) -> (Vec<Vec<BigInt>>, BigInt) {
    let common = matrix.iter().flatten().fold(BigInt::one(), |common, x| common.lcm(x.denom()));
    let column = |i: usize| matrix.iter().map(|row| row[i].numer() * (&common / row[i].denom())).collect();
    let columns = matrix.first().map_or(0, Vec::len);
    ((0..columns).map(column).collect(), common)
}

fn matrix(rows: &[String]) -> Result<Vec<Vec<BigRational>>, String> {
    rows.iter().map(|row| row.split_whitespace().map(number).collect()).collect()
}

/// A whole number, a fraction `1/4` or a decimal `-0.25`, `25e-2`.
fn number(word: &str) -> Result<BigRational, String> {
    let refused = || format!("`{word}` is no number of at most {MOST_DIGITS} digits");
    if word.len() > MOST_DIGITS {
        return Err(refused());
    }
    if let Some((numerator, denominator)) = word.split_once('/') {
        let [numerator, denominator] = [numerator, denominator].map(|digits| digits.parse::<BigInt>().ok());
        let parts = numerator.zip(denominator).filter(|(_, denominator)| !denominator.is_zero());
        return parts.map(|(n, d)| BigRational::new(n, d)).ok_or_else(refused);
    }
    let (digits, exponent) = word.split_once(['e', 'E']).unwrap_or((word, "0"));
    let exponent: i32 = exponent.parse().map_err(|_| refused())?;
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let scale = exponent.checked_sub(part.len() as i32).filter(|scale| scale.unsigned_abs() <= MOST_DIGITS as u32);
    let scale = scale.ok_or_else(refused)?;
    let digits: BigInt = format!("{whole}{part}").parse().map_err(|_| refused())?;
    Ok(BigRational::from(digits) * BigRational::from(BigInt::from(10)).pow(scale))
}
