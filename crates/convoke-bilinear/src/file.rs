//! Algorithms as text: TOML with the three matrices, a row of numbers a line. Reading one proves it.
//!
//! ```toml
//! name = "karatsuba"
//! source = "Karatsuba, Ofman 1962"
//! problem = { correlation = { m = [2], r = [2] } }     # or { matmul = [m, k, n] }
//! a = ["1 -1 0", "0 1 0", "0 -1 1"]                    # products x inputs
//! b = ["1 0", "1 1", "0 1"]                            # products x weights; fractions as 1/4, decimals as 0.25 or 25e-2
//! c = ["1 0", "1 1", "0 1"]                            # products x outputs
//! residual = "1e-15"                                   # only of rounded coefficients: how far their sums may be off
//! ```

use num_bigint::BigInt;
use num_integer::Integer;
use num_traits::{One, ToPrimitive, Zero};
use serde::{Deserialize, Serialize};

use crate::algorithm::{Bilinear, Problem};
use crate::matrix::{Matrix, Rational};
use crate::proof::{Disproof, Proved};

/// The most bytes of a file.
pub const MAX_BYTES: usize = 1 << 20;
/// The most products of an algorithm.
pub const MAX_RANK: usize = 1024;
/// The most inputs, weights or outputs.
pub const MAX_SIZE: usize = 256;
/// The most digits of a number, in numerator and denominator together.
pub const MAX_DIGITS: usize = 40;
/// The most bits of the common denominator of a matrix. It bounds the numbers that a proof meets.
pub const MAX_DENOMINATOR_BITS: u64 = 256;
/// The most that coefficients may be off: with more, an algorithm is as good as none.
pub const MAX_RESIDUAL: f64 = 1e-3;
/// The most products of coefficients that a proof multiplies out: some seconds.
pub const MAX_WORK: usize = 1 << 22;

/// Why a file gives no algorithm.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FileError {
    /// It is too long.
    #[error("the file has {found} bytes, an algorithm has at most {max}", max = MAX_BYTES)]
    TooLong {
        /// Its length.
        found: usize,
    },
    /// It is not the TOML described here.
    #[error("{0}")]
    Toml(String),
    /// The problem has no size, or too large a one.
    #[error("the problem needs extents of at least 1, at most {max_size} numbers on each side, and one r for each m", max_size = MAX_SIZE)]
    Problem,
    /// A matrix has too many rows, or rows of different lengths.
    #[error("matrix {matrix}, row {row}: {reason}")]
    Row {
        /// `a`, `b` or `c`.
        matrix: &'static str,
        /// Counted from 1.
        row: usize,
        /// What is wrong.
        reason: String,
    },
    /// The residual is no number, or too large a one.
    #[error("residual `{found}`: a number from 0 to {MAX_RESIDUAL} such as 1e-15 is needed")]
    Residual {
        /// What is there.
        found: String,
    },
    /// A proof would take too long.
    #[error("a proof would multiply out {found} products of coefficients, at most {max} are", max = MAX_WORK)]
    Work {
        /// How many there are.
        found: usize,
    },
    /// The coefficients do not multiply out.
    #[error("not an algorithm for {problem}: {source}")]
    Disproof {
        /// What it claims to compute.
        problem: String,
        /// The coefficient that is wrong.
        source: Disproof,
    },
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Text {
    name: String,
    source: String,
    problem: ProblemText,
    a: Vec<String>,
    b: Vec<String>,
    c: Vec<String>,
    /// Exact if left out.
    residual: Option<String>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum ProblemText {
    Correlation {
        m: Vec<usize>,
        r: Vec<usize>,
        /// Steps of 1 if left out.
        s: Option<Vec<usize>>,
    },
    MatMul([usize; 3]),
}

/// Reads an algorithm and proves it.
///
/// # Errors
///
/// Anything but the form above within its limits; a coefficient that is wrong.
pub fn parse(text: &str) -> Result<Proved, FileError> {
    if text.len() > MAX_BYTES {
        return Err(FileError::TooLong { found: text.len() });
    }
    let text: Text = toml::from_str(text).map_err(|error| FileError::Toml(shown(&error.to_string())))?;
    let problem = match text.problem {
        ProblemText::Correlation { m, r, s } => {
            let s = s.unwrap_or_else(|| vec![1; m.len()]);
            Problem::Correlation { m, r, s }
        }
        ProblemText::MatMul([m, k, n]) => Problem::MatMul { m, k, n },
    };
    let [a, b, y] = sizes(&problem).ok_or(FileError::Problem)?;
    let algorithm = Bilinear {
        name: text.name,
        source: text.source,
        problem,
        a: matrix("a", &text.a, a)?,
        b: matrix("b", &text.b, b)?,
        c: matrix("c", &text.c, y)?,
        residual: residual(text.residual.as_deref())?,
    };
    let count = |matrix: &Matrix, q: usize| matrix.nonzero(q).count();
    let products = |q: usize| count(&algorithm.a, q) * (y + count(&algorithm.b, q) * count(&algorithm.c, q));
    let same = [&algorithm.b, &algorithm.c].iter().all(|matrix| matrix.rows() == algorithm.rank());
    let found: usize = if same { (0..algorithm.rank()).map(products).sum() } else { 0 };
    if found > MAX_WORK {
        return Err(FileError::Work { found });
    }
    let problem = algorithm.problem.to_string();
    algorithm.prove().map_err(|source| FileError::Disproof { problem, source })
}

fn residual(text: Option<&str>) -> Result<Rational, FileError> {
    let Some(text) = text else { return Ok(Rational::zero()) };
    let most = |x: &Rational| x.to_f64().is_some_and(|x| (0.0..=MAX_RESIDUAL).contains(&x));
    let short: String = text.chars().take(20).collect();
    parse_number(text).filter(most).ok_or_else(|| FileError::Residual { found: shown(&short) })
}

/// The problem's sizes, if they are within the limits.
fn sizes(problem: &Problem) -> Option<[usize; 3]> {
    let extents: Vec<usize> = match problem {
        Problem::Correlation { m, r, s } if m.len() == r.len() && m.len() == s.len() => {
            m.iter().chain(r).chain(s).copied().collect()
        }
        Problem::Correlation { .. } => return None,
        Problem::MatMul { m, k, n } => vec![*m, *k, *n],
    };
    let small = !extents.is_empty() && extents.len() <= 6 && extents.iter().all(|e| (1..=MAX_SIZE).contains(e));
    // Two axes of up to 256 · 256 numbers do not overflow the products of `sizes`.
    let sizes = small.then(|| problem.sizes())?;
    sizes.iter().all(|&size| size <= MAX_SIZE).then_some(sizes)
}

fn matrix(matrix: &'static str, rows: &[String], cols: usize) -> Result<Matrix, FileError> {
    let wrong = |row: usize, reason: String| FileError::Row { matrix, row: row + 1, reason };
    if rows.len() > MAX_RANK {
        return Err(wrong(MAX_RANK, format!("an algorithm has at most {MAX_RANK} products")));
    }
    let mut entries = Vec::with_capacity(rows.len() * cols);
    let mut common = BigInt::one();
    for (i, row) in rows.iter().enumerate() {
        let numbers: Vec<&str> = row.split_whitespace().collect();
        if numbers.len() != cols {
            return Err(wrong(i, format!("{} numbers, {cols} are needed", numbers.len())));
        }
        for number in numbers {
            let entry = parse_number(number).ok_or_else(|| {
                let number: String = number.chars().take(20).collect();
                let number = shown(&number);
                wrong(i, format!("`{number}` is no number like 2, -1, 1/4 or 0.25 of at most {MAX_DIGITS} digits"))
            })?;
            common = common.lcm(entry.denom());
            if common.bits() > MAX_DENOMINATOR_BITS {
                return Err(wrong(
                    i,
                    format!("the common denominator so far has more than {MAX_DENOMINATOR_BITS} bits"),
                ));
            }
            entries.push(entry);
        }
    }
    Ok(Matrix::from_fn(rows.len(), cols, |i, j| entries[i * cols + j].clone()))
}

fn parse_number(text: &str) -> Option<Rational> {
    if text.len() > MAX_DIGITS {
        return None;
    }
    let Some((numerator, denominator)) = text.split_once('/') else { return parse_decimal(text) };
    let denominator: BigInt = denominator.parse().ok()?;
    let numerator: BigInt = numerator.parse().ok()?;
    (!denominator.is_zero()).then(|| Rational::new(numerator, denominator))
}

/// A whole number or a decimal, as the exact number it is: `-1`, `0.25`, `25e-2`.
fn parse_decimal(text: &str) -> Option<Rational> {
    let (digits, exponent) = match text.split_once(['e', 'E']) {
        Some((digits, exponent)) => (digits, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    // A sign is part of the whole digits, of which there is at least one.
    let plain =
        fraction.bytes().all(|b| b.is_ascii_digit()) && whole.bytes().last().is_some_and(|b| b.is_ascii_digit());
    let number: BigInt = format!("{whole}{fraction}").parse().ok().filter(|_| plain)?;
    let shift = exponent.checked_sub(i32::try_from(fraction.len()).ok()?)?;
    let power = (shift.unsigned_abs() as usize <= MAX_DIGITS).then(|| BigInt::from(10).pow(shift.unsigned_abs()))?;
    Some(if shift < 0 { Rational::new(number, power) } else { Rational::from_integer(number * power) })
}

/// Text that quotes the file, without what a terminal would act on.
fn shown(text: &str) -> String {
    let escape = |c: char| if c.is_control() && c != '\n' { c.escape_default().collect() } else { c.to_string() };
    text.trim_end().chars().map(escape).collect()
}

/// The algorithm as [`parse`] reads it.
pub fn print(algorithm: &Bilinear) -> String {
    let quoted = |text: &str| toml::Value::String(text.into()).to_string();
    let problem = match &algorithm.problem {
        Problem::Correlation { m, r, s } if s.iter().all(|&s| s == 1) => {
            format!("{{ correlation = {{ m = {m:?}, r = {r:?} }} }}")
        }
        Problem::Correlation { m, r, s } => format!("{{ correlation = {{ m = {m:?}, r = {r:?}, s = {s:?} }} }}"),
        Problem::MatMul { m, k, n } => format!("{{ matmul = [{m}, {k}, {n}] }}"),
    };
    let mut text =
        format!("name = {}\nsource = {}\nproblem = {problem}\n", quoted(&algorithm.name), quoted(&algorithm.source));
    for (name, matrix) in [("a", &algorithm.a), ("b", &algorithm.b), ("c", &algorithm.c)] {
        text += &format!("{name} = [\n");
        for i in 0..matrix.rows() {
            let row: Vec<String> = matrix.row(i).iter().map(Rational::to_string).collect();
            text += &format!("  \"{}\",\n", row.join(" "));
        }
        text += "]\n";
    }
    if !algorithm.residual.is_zero() {
        text += &format!("residual = \"{}\"\n", algorithm.residual);
    }
    text
}
