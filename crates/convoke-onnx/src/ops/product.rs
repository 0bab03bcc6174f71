//! Matrix products: `Gemm` and `MatMul`.

use super::build::real;
use crate::call::{Call, Value1};
use crate::error::malformed;
use crate::importer::Importer;
use crate::value::Net;

pub(super) fn gemm(importer: &mut Importer<'_>, call: &Call<'_>) -> Value1 {
    let attributes = call.attributes();
    let mut factors = Vec::new();
    for (i, name) in [(0, "transA"), (1, "transB")] {
        let x = importer.net(call.input(i)?)?;
        if x.dims.len() != 2 {
            return malformed(format!("operand {i} has rank {}, a matrix is expected", x.dims.len()));
        }
        factors.push(if attributes.flag(name) { transposed(importer, call, i, &x)? } else { x });
    }
    let mut y = product(importer, &factors[0], &factors[1])?;
    let alpha = attributes.float("alpha", 1.0);
    if alpha != 1.0 {
        y = importer.with_number("mul", &y, alpha)?;
    }
    let Some(c) = call.maybe(2) else { return Ok(y) };
    let beta = attributes.float("beta", 1.0);
    let mut c = importer.net(c)?;
    if beta != 1.0 {
        c = importer.with_number("mul", &c, beta)?;
    }
    let columns = y.dims[1];
    match c.dims.iter().product::<usize>() == columns && c.dims.last() == Some(&columns) {
        true => {
            let b = importer.reshape(&c, &[columns])?;
            importer.op(convoke_ir::layer::Bias {}, &[&y, &b], y.ty)
        }
        false => importer.binary("add", &y, &c),
    }
}

/// A transposed matrix; one that is known is transposed now.
fn transposed(importer: &mut Importer<'_>, call: &Call<'_>, i: usize, x: &Net) -> Value1 {
    if let crate::value::Value::Known(tensor, name) = call.input(i)? {
        let turned = crate::host::turned(tensor)?;
        return importer.constant(&turned, &format!("{name}.t"));
    }
    importer.permute(x, &[1, 0])
}

pub(super) fn matmul(importer: &mut Importer<'_>, call: &Call<'_>) -> Value1 {
    let a = real(importer.net(call.input(0)?)?)?;
    let b = real(importer.net(call.input(1)?)?)?;
    // A vector is a matrix of one row, or of one column, that loses that axis again.
    let (row, column) = (a.dims.len() == 1, b.dims.len() == 1);
    let a = if row { importer.reshape(&a, &[1, a.dims[0]])? } else { a };
    let b = if column { importer.reshape(&b, &[b.dims[0], 1])? } else { b };
    let y = product(importer, &a, &b)?;
    let mut dims = y.dims.clone();
    if column {
        dims.pop();
    }
    if row {
        dims.remove(dims.len() - usize::from(!column) - 1);
    }
    importer.reshape(&y, &dims)
}

/// A product of matrices, or of batches of them.
pub(super) fn product(importer: &mut Importer<'_>, a: &Net, b: &Net) -> Value1 {
    let (Some(&k), Some(&l)) = (a.dims.last(), b.dims.len().checked_sub(2).and_then(|i| b.dims.get(i))) else {
        return malformed(format!("{:?} and {:?} are no matrices", a.dims, b.dims));
    };
    if k != l {
        return malformed(format!("{:?} and {:?} do not make a product: {k} columns meet {l} rows", a.dims, b.dims));
    }
    // Rows of all batches of a are rows of one matrix, if b is the same for all.
    if b.dims.len() == 2 && a.dims.len() > 2 {
        let rows = a.dims[..a.dims.len() - 1].iter().product();
        let flat = importer.reshape(a, &[rows, k])?;
        let y = importer.named("matmul", &[&flat, b], &[])?;
        let dims = [&a.dims[..a.dims.len() - 1], &b.dims[1..]].concat();
        return importer.reshape(&y, &dims);
    }
    let rank = a.dims.len().max(b.dims.len());
    let (a, b) = (importer.align(a, rank)?, importer.align(b, rank)?);
    importer.named("matmul", &[&a, &b], &[])
}
