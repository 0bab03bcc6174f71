//! Matrix products: `Gemm`, `MatMul`, and `Einsum` where it is one.

use super::build::real;
use crate::call::{Call, Value1};
use crate::error::{Converted, malformed, unsupported};
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
fn product(importer: &mut Importer<'_>, a: &Net, b: &Net) -> Value1 {
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

/// The letters of an `Einsum`: of each operand, and of the result.
fn letters(equation: &str) -> Converted<(Vec<Vec<char>>, Vec<char>)> {
    let equation: String = equation.chars().filter(|c| !c.is_whitespace()).collect();
    if equation.contains("...") {
        return unsupported("an equation with `...` is not compiled; write its letters");
    }
    let (left, right) = equation.split_once("->").unwrap_or((&equation, ""));
    let operands: Vec<Vec<char>> = left.split(',').map(|part| part.chars().collect()).collect();
    let mut result: Vec<char> = right.chars().collect();
    if !equation.contains("->") {
        // Without a result, the letters that occur once, sorted.
        let all: Vec<char> = operands.concat();
        result = all.iter().copied().filter(|c| all.iter().filter(|d| *d == c).count() == 1).collect();
        result.sort_unstable();
    }
    let repeats = |list: &[char]| list.iter().enumerate().any(|(i, c)| list[..i].contains(c));
    if operands.iter().any(|list| repeats(list)) || repeats(&result) {
        return unsupported("an equation that names a letter twice in one operand is not compiled");
    }
    match result.iter().find(|c| !operands.concat().contains(c)) {
        Some(letter) => malformed(format!("`{letter}` of the result is in no operand")),
        None => Ok((operands, result)),
    }
}

/// An operand whose letters are in this order, those left out summed over.
fn arranged(importer: &mut Importer<'_>, x: &Net, letters: &[char], order: &[char]) -> Value1 {
    let dropped: Vec<usize> = (0..letters.len()).filter(|&i| !order.contains(&letters[i])).collect();
    let summed = if dropped.is_empty() { x.clone() } else { importer.reduce("reduce_sum", x, &dropped)? };
    let kept: Vec<char> = letters.iter().copied().filter(|c| order.contains(c)).collect();
    let dims: Vec<usize> = (0..letters.len()).filter(|i| !dropped.contains(i)).map(|i| x.dims[i]).collect();
    let x = importer.reshape(&summed, &dims)?;
    let at = |c: &char| kept.iter().position(|k| k == c).unwrap_or_default();
    importer.permute(&x, &order.iter().map(at).collect::<Vec<_>>())
}

/// A sum of products of one operand or two: letters of both and the result are batches, of both alone the sum.
pub(super) fn einsum(importer: &mut Importer<'_>, call: &Call<'_>) -> Value1 {
    let (operands, result) = letters(call.attributes().word("equation", "")?)?;
    let mut nets = Vec::new();
    for (i, letters) in operands.iter().enumerate() {
        let net = importer.net(call.input(i)?)?;
        if net.dims.len() != letters.len() {
            return malformed(format!("operand {i} has rank {}, the equation names {}", net.dims.len(), letters.len()));
        }
        nets.push(net);
    }
    let [a, b] = match (&nets[..], &operands[..]) {
        ([x], [letters]) => return arranged(importer, x, letters, &result),
        ([_, _], [a, b]) => [a, b],
        _ => return unsupported(format!("a product of {} operands is not compiled; one and two are", nets.len())),
    };
    let in_result = |c: &&char| result.contains(c);
    let batch: Vec<char> = a.iter().filter(|c| b.contains(c)).filter(in_result).copied().collect();
    let summed: Vec<char> = a.iter().filter(|c| b.contains(c) && !result.contains(c)).copied().collect();
    let rows: Vec<char> = a.iter().filter(|c| !b.contains(c)).filter(in_result).copied().collect();
    let columns: Vec<char> = b.iter().filter(|c| !a.contains(c)).filter(in_result).copied().collect();
    let x = arranged(importer, &nets[0], a, &[&batch[..], &rows, &summed].concat())?;
    let y = arranged(importer, &nets[1], b, &[&batch[..], &summed, &columns].concat())?;
    let (n, m) = (batch.len(), rows.len());
    let size = |dims: &[usize]| dims.iter().product::<usize>();
    let sizes =
        [size(&x.dims[..n]), size(&x.dims[n..n + m]), size(&x.dims[n + m..]), size(&y.dims[n + summed.len()..])];
    if x.dims[..n] != y.dims[..n] || x.dims[n + m..] != y.dims[n..n + summed.len()] {
        return malformed("a letter stands for two extents");
    }
    let left = importer.reshape(&x, &[sizes[0], sizes[1], sizes[2]])?;
    let right = importer.reshape(&y, &[sizes[0], sizes[2], sizes[3]])?;
    let z = importer.named("matmul", &[&left, &right], &[])?;
    let z = importer.reshape(&z, &[&x.dims[..n + m], &y.dims[n + summed.len()..]].concat())?;
    arranged(importer, &z, &[batch, rows, columns].concat(), &result)
}
