//! Values of options, from text. An error says the form that is expected.

use std::path::PathBuf;

use convoke::ir::layer::Range;
use convoke::{InputRange, Limit, Plan};

pub(super) fn algorithm(text: &str) -> Result<Plan, String> {
    text.parse().map_err(|expected| format!("an algorithm is {expected}"))
}

pub(super) fn ops() -> clap::builder::PossibleValuesParser {
    clap::builder::PossibleValuesParser::new(convoke::ir::layer::OPS.iter().map(|op| op.name))
}

/// The beginning of a C identifier, or nothing.
pub(super) fn symbol_prefix(text: &str) -> Result<String, String> {
    let fits = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    match text.chars().next() {
        Some(first) if !fits || !first.is_ascii_alphabetic() => {
            Err("expected letters, digits and `_`, with a letter in front, or ''".into())
        }
        _ => Ok(text.into()),
    }
}

/// A command line with a place for a file.
pub(super) fn with_place(text: &str) -> Result<String, String> {
    let wrong = || "write {} where the file of the net is to stand, as in `grep conv2d {}`".to_owned();
    text.contains("{}").then(|| text.to_owned()).ok_or_else(wrong)
}

/// Seconds, an hour at the most.
pub(super) fn duration(text: &str) -> Result<f64, String> {
    not_negative(text).ok().filter(|s| *s <= 3600.0).ok_or_else(|| "expected seconds between 0 and 3600".into())
}

/// Seconds, as milliseconds; an instant at the least.
pub(super) fn limit_seconds(text: &str) -> Result<u64, String> {
    not_negative(text).map(|seconds| Limit::Time.value_of(seconds))
}

pub(super) fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|n| *n >= 1).ok_or_else(|| "expected a whole number of at least 1".into())
}

pub(super) fn seed(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("expected a whole number from 0 to {}", u64::MAX))
}

pub(super) fn not_negative(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(v) if v >= 0.0 && v.is_finite() => Ok(v),
        Ok(_) => Err("expected a finite number that is not negative".into()),
        Err(_) => Err("expected a number such as 1e-4".into()),
    }
}

/// `HI` or `LO,HI`.
pub(super) fn input_range(text: &str) -> Result<InputRange, String> {
    let Some((least, most)) = text.split_once(',') else { return not_negative(text).map(InputRange::UpTo) };
    let range = Range::new(not_negative(least.trim())?, not_negative(most.trim())?);
    let wrong = "expected the smallest magnitude that counts and the largest, both positive, as in `0.0039,1`";
    range.map(InputRange::Within).ok_or_else(|| wrong.into())
}

/// A number of bytes, with K, M, G or T behind it for powers of 1024.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let wrong = || "expected a number of bytes such as 512M or 4G".to_owned();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
    let shift = match &text[digits..] {
        "" | "B" => 0,
        "K" | "KB" | "KiB" => 10,
        "M" | "MB" | "MiB" => 20,
        "G" | "GB" | "GiB" => 30,
        "T" | "TB" | "TiB" => 40,
        _ => return Err(wrong()),
    };
    number.checked_mul(1 << shift).ok_or_else(|| "more bytes than 64 bits can count".into())
}

/// `NAME=FILE`, or a file of named arrays; a `%` before the name is allowed.
pub(super) fn input(text: &str) -> Result<(Option<String>, PathBuf), String> {
    match binding(text) {
        Ok((name, file)) => Ok((Some(name), file)),
        Err(_) if !text.contains('=') && [".npz", ".safetensors"].iter().any(|ending| text.ends_with(ending)) => {
            Ok((None, text.into()))
        }
        Err(_) => {
            Err("expected NAME=FILE, as in `x=x.npy`, or a file of arrays by the names of inputs, as in `x.npz`".into())
        }
    }
}

/// `MEAN,DEVIATION`, or the means of all channels and then their deviations.
pub(super) fn normalise(text: &str) -> Result<Normalise, String> {
    let wrong = || "expected MEAN,DEVIATION, as in `0.5,0.5`, or as many means as deviations".to_owned();
    let numbers = text.split(',').map(|number| number.trim().parse().ok().filter(|x: &f64| x.is_finite()));
    let numbers: Vec<f64> = numbers.collect::<Option<_>>().ok_or_else(wrong)?;
    let (means, deviations) = numbers.split_at(numbers.len() / 2);
    match means.len() == deviations.len() && deviations.iter().all(|&d| d != 0.0) {
        true => Ok(Normalise(means.iter().copied().zip(deviations.iter().copied()).collect())),
        false => Err(wrong()),
    }
}

/// Means and standard deviations of the channels of a picture.
#[derive(Clone, Debug)]
pub(crate) struct Normalise(pub(crate) Vec<(f64, f64)>);

/// `NAME=FILE`; a `%` before the name is allowed, as the IR writes it.
pub(super) fn binding(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, file)) if !name.is_empty() && !file.is_empty() => {
            Ok((name.trim_start_matches('%').into(), file.into()))
        }
        _ => Err("expected NAME=FILE, as in `x=x.npy`".into()),
    }
}

/// `NAME=SIZE`.
pub(super) fn dim(text: &str) -> Result<(String, usize), String> {
    let parsed = text.rsplit_once('=').and_then(|(name, size)| Some((name.to_owned(), size.parse().ok()?)));
    parsed
        .filter(|(name, size)| !name.is_empty() && *size > 0)
        .ok_or_else(|| "expected NAME=SIZE, as in `batch=1`".into())
}

/// `NAME=1,3,640,640`.
pub(super) fn input_shape(text: &str) -> Result<(String, Vec<usize>), String> {
    let sizes =
        |list: &str| list.split([',', 'x']).map(|size| size.trim().parse().ok()).collect::<Option<Vec<usize>>>();
    let parsed = text.rsplit_once('=').and_then(|(name, list)| Some((name.to_owned(), sizes(list)?)));
    let fits = parsed.filter(|(name, dims)| !name.is_empty() && !dims.contains(&0));
    fits.ok_or_else(|| "expected NAME=SHAPE, as in `x=1,3,640,640`".into())
}
