//! Reductions of few known numbers, as shapes are reduced: `ReduceProd` and its like, `NonZero`.

use super::arithmetic::Binary;
use super::known::Host;
use crate::data_type::DataType;
use crate::error::{Converted, malformed};
use crate::shape;
use crate::tensor::{Numbers, Tensor};

pub(super) fn compute(host: &Host<'_>) -> Converted<Option<Tensor>> {
    let (whole, real): Binary = match host.op() {
        "ReduceProd" => (i64::checked_mul, |a, b| a * b),
        "ReduceSum" => (i64::checked_add, |a, b| a + b),
        "ReduceMax" => (|a, b| Some(a.max(b)), f64::max),
        "ReduceMin" => (|a, b| Some(a.min(b)), f64::min),
        "NonZero" => return non_zero(host).map(Some),
        _ => return Ok(None),
    };
    let x = host.tensor(0)?;
    let reduction = shape::reduction(host.call, x.dims())?;
    let groups = reduction.groups(x.dims());
    let numbers = match x.numbers() {
        Numbers::Whole(numbers) => {
            let fold = |group: &Vec<usize>| {
                let mut all = group.iter().map(|&i| numbers[i]);
                let first = all.next()?;
                all.try_fold(first, whole)
            };
            match groups.iter().map(fold).collect::<Option<Vec<_>>>() {
                Some(numbers) => Numbers::Whole(numbers),
                None => return malformed("whole numbers overflow, or nothing is reduced"),
            }
        }
        Numbers::Real(numbers) => {
            let fold = |group: &Vec<usize>| group.iter().map(|&i| numbers[i]).reduce(real);
            match groups.iter().map(fold).collect::<Option<Vec<_>>>() {
                Some(numbers) => Numbers::Real(numbers),
                None => return malformed("nothing is reduced"),
            }
        }
    };
    Tensor::of(x.ty(), reduction.result(x.dims()), &numbers).map(Some)
}

/// The indices of elements that are not 0: a row for each axis.
fn non_zero(host: &Host<'_>) -> Converted<Tensor> {
    let x = host.tensor(0)?;
    let places: Vec<usize> = x.real().iter().enumerate().filter(|(_, x)| **x != 0.0).map(|(i, _)| i).collect();
    let mut rows = Vec::new();
    for axis in 0..x.dims().len() {
        let inner: usize = x.dims()[axis + 1..].iter().product();
        rows.extend(places.iter().map(|at| (at / inner % x.dims()[axis]) as i64));
    }
    Tensor::of(DataType::Int64, vec![x.dims().len(), places.len()], &Numbers::Whole(rows))
}
