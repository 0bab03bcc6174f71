//! Arithmetic on few known numbers, with NumPy's broadcasting.

use super::known::{Host, broadcast, strides, walk};
use crate::call::cast_type;
use crate::data_type::DataType;
use crate::error::{Converted, malformed};
use crate::tensor::{Numbers, Tensor};

/// An operation on whole numbers, and the same on real ones.
pub(super) type Binary = (fn(i64, i64) -> Option<i64>, fn(f64, f64) -> f64);
/// A function of a whole number, and the same of a real one.
type Unary = (fn(i64) -> i64, fn(f64) -> f64);
/// A comparison of whole numbers, and the same of real ones.
type Comparison = (fn(&i64, &i64) -> bool, fn(&f64, &f64) -> bool);

pub(super) fn compute(host: &Host<'_>) -> Converted<Option<Tensor>> {
    if let Some(f) = binary(host.op(), host.call.node.attributes.flag("fmod")) {
        return fold(host, f).map(Some);
    }
    if let Some(f) = comparison(host.op()) {
        return compare(host, f).map(Some);
    }
    if let Some((whole, real)) = unary(host.op()) {
        let x = host.tensor(0)?;
        let numbers = match x.numbers() {
            Numbers::Whole(numbers) => Numbers::Whole(numbers.into_iter().map(whole).collect()),
            Numbers::Real(numbers) => Numbers::Real(numbers.into_iter().map(real).collect()),
        };
        return Tensor::of(x.ty(), x.dims().to_vec(), &numbers).map(Some);
    }
    match host.op() {
        "Cast" | "CastLike" => cast(host),
        "Where" => choose(host).map(Some),
        "Not" => {
            let x = host.tensor(0)?;
            let numbers = x.whole()?.into_iter().map(|x| i64::from(x == 0)).collect();
            Tensor::of(x.ty(), x.dims().to_vec(), &Numbers::Whole(numbers)).map(Some)
        }
        _ => Ok(None),
    }
}

fn binary(op: &str, truncated: bool) -> Option<Binary> {
    Some(match op {
        "Add" | "Sum" => (i64::checked_add, |a, b| a + b),
        "Sub" => (i64::checked_sub, |a, b| a - b),
        "Mul" => (i64::checked_mul, |a, b| a * b),
        "Div" => (i64::checked_div, |a, b| a / b),
        "Mod" if truncated => (i64::checked_rem, |a, b| a % b),
        "Mod" => (
            |a, b| a.checked_rem(b).map(|r| if r != 0 && (r < 0) != (b < 0) { r + b } else { r }),
            |a, b| a - b * (a / b).floor(),
        ),
        "Min" => (|a, b| Some(a.min(b)), f64::min),
        "Max" => (|a, b| Some(a.max(b)), f64::max),
        "Pow" => (|a, b| u32::try_from(b).ok().and_then(|b| a.checked_pow(b)), f64::powf),
        "And" => (|a, b| Some(i64::from(a != 0 && b != 0)), |_, _| f64::NAN),
        "Or" => (|a, b| Some(i64::from(a != 0 || b != 0)), |_, _| f64::NAN),
        "Xor" => (|a, b| Some(i64::from((a != 0) != (b != 0))), |_, _| f64::NAN),
        _ => return None,
    })
}

fn comparison(op: &str) -> Option<Comparison> {
    Some(match op {
        "Equal" => (i64::eq, f64::eq),
        "Less" => (i64::lt, f64::lt),
        "LessOrEqual" => (i64::le, f64::le),
        "Greater" => (i64::gt, f64::gt),
        "GreaterOrEqual" => (i64::ge, f64::ge),
        _ => return None,
    })
}

fn unary(op: &str) -> Option<Unary> {
    Some(match op {
        "Neg" => (i64::wrapping_neg, |x| -x),
        "Abs" => (i64::wrapping_abs, f64::abs),
        "Floor" => (|x| x, f64::floor),
        "Ceil" => (|x| x, f64::ceil),
        "Round" => (|x| x, f64::round_ties_even),
        "Sqrt" => (|x| x, f64::sqrt),
        "Exp" => (|x| x, f64::exp),
        "Log" => (|x| x, f64::ln),
        "Reciprocal" => (|x| x, |x| 1.0 / x),
        _ => return None,
    })
}

/// The elements that meet each other, of two tensors.
fn pairs(a: &Tensor, b: &Tensor, dims: &[usize]) -> (Vec<usize>, Vec<usize>) {
    let places = |tensor: &Tensor| {
        let by: Vec<isize> = strides(tensor.dims(), dims).into_iter().map(|stride| stride as isize).collect();
        let mut places = Vec::new();
        walk(dims, &by, 0, |at| places.push(at));
        places
    };
    (places(a), places(b))
}

fn same_type(a: &Tensor, b: &Tensor) -> Converted<()> {
    match a.ty() == b.ty() {
        true => Ok(()),
        false => malformed(format!("its operands are of types {} and {}", a.ty(), b.ty())),
    }
}

/// All operands combined, from the first on.
fn fold(host: &Host<'_>, (whole, real): Binary) -> Converted<Tensor> {
    let mut sum = host.tensor(0)?.clone();
    for i in 1..host.tensors.len() {
        let other = host.tensor(i)?;
        // The exponent of a power may be of another type.
        if host.op() != "Pow" {
            same_type(&sum, other)?;
        }
        let dims = broadcast([sum.dims(), other.dims()])?;
        host.fits(&dims, 8)?;
        let (at_a, at_b) = pairs(&sum, other, &dims);
        let numbers = match (sum.numbers(), other.numbers()) {
            (Numbers::Whole(a), Numbers::Whole(b)) => {
                let numbers: Option<Vec<i64>> = at_a.iter().zip(&at_b).map(|(&i, &j)| whole(a[i], b[j])).collect();
                match numbers {
                    Some(numbers) => Numbers::Whole(numbers),
                    None => return malformed("whole numbers overflow, or are divided by 0"),
                }
            }
            _ => {
                let (a, b) = (sum.real(), other.real());
                Numbers::Real(at_a.iter().zip(&at_b).map(|(&i, &j)| real(a[i], b[j])).collect())
            }
        };
        sum = Tensor::of(sum.ty(), dims, &numbers)?;
    }
    Ok(sum)
}

fn compare(host: &Host<'_>, (whole, real): Comparison) -> Converted<Tensor> {
    let (a, b) = (host.tensor(0)?, host.tensor(1)?);
    same_type(a, b)?;
    let dims = broadcast([a.dims(), b.dims()])?;
    host.fits(&dims, 8)?;
    let (at_a, at_b) = pairs(a, b, &dims);
    let holds: Vec<i64> = match (a.numbers(), b.numbers()) {
        (Numbers::Whole(a), Numbers::Whole(b)) => {
            at_a.iter().zip(&at_b).map(|(&i, &j)| i64::from(whole(&a[i], &b[j]))).collect()
        }
        _ => {
            let (a, b) = (a.real(), b.real());
            at_a.iter().zip(&at_b).map(|(&i, &j)| i64::from(real(&a[i], &b[j]))).collect()
        }
    };
    Tensor::of(DataType::Bool, dims, &Numbers::Whole(holds))
}

fn choose(host: &Host<'_>) -> Converted<Tensor> {
    let (condition, a, b) = (host.tensor(0)?, host.tensor(1)?, host.tensor(2)?);
    same_type(a, b)?;
    let dims = broadcast([condition.dims(), a.dims(), b.dims()])?;
    host.fits(&dims, 8)?;
    let (at_c, at_a) = pairs(condition, a, &dims);
    let (_, at_b) = pairs(condition, b, &dims);
    let chosen = condition.whole()?;
    let width = a.ty().bytes();
    let mut bytes = Vec::with_capacity(at_c.len() * width);
    for ((&c, &i), &j) in at_c.iter().zip(&at_a).zip(&at_b) {
        let (from, at) = if chosen[c] != 0 { (a, i) } else { (b, j) };
        bytes.extend_from_slice(&from.bytes()[at * width..][..width]);
    }
    Tensor::from_bytes(a.ty(), dims, bytes.into())
}

fn cast(host: &Host<'_>) -> Converted<Option<Tensor>> {
    let x = host.tensor(0)?;
    let ty = cast_type(host.call)?;
    Tensor::of(ty, x.dims().to_vec(), &x.numbers()).map(Some)
}
