//! `Einsum`: sums of products, as diagonals, sums, permutations and matrix products.
//!
//! Operands are multiplied from left to right. Letters of two operands are batches of their product where the result or a later operand has them, and are summed over
//! where none has. Axes that `...` stands for are letters too, numbered from the last axis.

use super::build::real;
use super::product::product;
use crate::call::{Call, Value1};
use crate::error::{Converted, malformed};
use crate::importer::Importer;
use crate::value::Net;

/// A letter of an equation, in the order that an implied result has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Letter {
    /// One of the axes that `...` stands for; the last has number 0.
    Dots(std::cmp::Reverse<usize>),
    Named(char),
}

/// A part of an equation: the letters of an operand, or of the result.
struct Term {
    before: Vec<char>,
    dots: bool,
    after: Vec<char>,
}

impl Term {
    fn of(text: &str) -> Converted<Term> {
        let (before, after) = text.split_once("...").unwrap_or((text, ""));
        match before.chars().chain(after.chars()).find(|c| !c.is_ascii_alphabetic()) {
            Some(odd) => malformed(format!("`{odd}` in `{text}` is no letter")),
            None => Ok(Term {
                before: before.chars().collect(),
                dots: text.contains("..."),
                after: after.chars().collect(),
            }),
        }
    }

    /// The letters, `axes` of them for `...`.
    fn letters(&self, axes: usize) -> Vec<Letter> {
        let named = |list: &[char]| list.iter().copied().map(Letter::Named).collect::<Vec<_>>();
        let dots = (0..axes).rev().map(|i| Letter::Dots(std::cmp::Reverse(i))).collect();
        [named(&self.before), dots, named(&self.after)].concat()
    }

    /// The letters of an operand of this rank.
    fn of_rank(&self, rank: usize) -> Converted<Vec<Letter>> {
        let named = self.before.len() + self.after.len();
        match rank.checked_sub(named).filter(|&axes| self.dots || axes == 0) {
            Some(axes) => Ok(self.letters(axes)),
            None => malformed(format!("an operand of rank {rank}, for which the equation names {named} axes")),
        }
    }
}

/// An operand with a letter for each axis.
struct Operand {
    net: Net,
    letters: Vec<Letter>,
}

impl Operand {
    fn extent(&self, letter: Letter) -> Option<usize> {
        self.letters.iter().position(|&l| l == letter).map(|axis| self.net.dims[axis])
    }

    /// The letters that `keep`.
    fn with(&self, keep: impl Fn(Letter) -> bool) -> Vec<Letter> {
        self.letters.iter().copied().filter(|&letter| keep(letter)).collect()
    }

    /// The elements whose indices are equal where a letter is named twice, so that each is named once.
    fn diagonal(mut self, importer: &mut Importer<'_>) -> Converted<Operand> {
        let repeats = |list: &[Letter]| {
            (0..list.len()).flat_map(|j| (0..j).map(move |i| (i, j))).find(|&(i, j)| list[i] == list[j])
        };
        while let Some((i, j)) = repeats(&self.letters) {
            let extent = self.net.dims[i];
            if extent != self.net.dims[j] {
                return malformed(format!("a letter stands for extents {extent} and {}", self.net.dims[j]));
            }
            let others: Vec<usize> = (0..self.letters.len()).filter(|&axis| axis != i && axis != j).collect();
            let x = importer.permute(&self.net, &[&others[..], &[i, j]].concat())?;
            let mut dims: Vec<usize> = others.iter().map(|&axis| self.net.dims[axis]).collect();
            let x = importer.reshape(&x, &[&dims[..], &[extent * extent]].concat())?;
            dims.push(extent);
            let mut steps = vec![1; dims.len()];
            steps[others.len()] = extent as i64 + 1;
            let letters = others.iter().chain([&i]).map(|&axis| self.letters[axis]).collect();
            self = Operand { net: importer.slice(&x, &vec![0; dims.len()], &dims, &steps)?, letters };
        }
        Ok(self)
    }

    /// Without the axes of extent 1 that `...` stretches to what another operand has.
    fn unstretched(self, importer: &mut Importer<'_>, extent: impl Fn(Letter) -> usize) -> Converted<Operand> {
        let is_stretched = |l: Letter| matches!(l, Letter::Dots(_)) && self.extent(l) == Some(1) && extent(l) != 1;
        let letters = self.with(|letter| !is_stretched(letter));
        let dims: Vec<usize> = letters.iter().filter_map(|&letter| self.extent(letter)).collect();
        if let Some((&odd, letter)) = dims.iter().zip(&letters).find(|&(&dim, &letter)| dim != extent(letter)) {
            return malformed(format!("a letter stands for extents {odd} and {}", extent(*letter)));
        }
        Ok(Operand { net: importer.reshape(&self.net, &dims)?, letters })
    }

    /// With letters in this order, those left out summed over.
    fn arranged(&self, importer: &mut Importer<'_>, order: &[Letter]) -> Value1 {
        let dropped: Vec<usize> = (0..self.letters.len()).filter(|&i| !order.contains(&self.letters[i])).collect();
        let summed = match dropped.is_empty() {
            true => self.net.clone(),
            false => importer.reduce("reduce_sum", &self.net, &dropped)?,
        };
        let kept = self.with(|letter| order.contains(&letter));
        let dims: Vec<usize> = kept.iter().filter_map(|&letter| self.extent(letter)).collect();
        let x = importer.reshape(&summed, &dims)?;
        let at = |letter: &Letter| kept.iter().position(|k| k == letter).unwrap_or_default();
        importer.permute(&x, &order.iter().map(at).collect::<Vec<_>>())
    }

    /// The product with another operand, summed over the letters that `keep` does not.
    fn times(&self, importer: &mut Importer<'_>, other: &Operand, keep: impl Fn(Letter) -> bool) -> Converted<Operand> {
        let shared = |letter: Letter| self.letters.contains(&letter) && other.letters.contains(&letter);
        let batch = self.with(|l| shared(l) && keep(l));
        let summed = self.with(|l| shared(l) && !keep(l));
        let rows = self.with(|l| !shared(l) && keep(l));
        let columns = other.with(|l| !shared(l) && keep(l));
        let x = self.arranged(importer, &[&batch[..], &rows, &summed].concat())?;
        let y = other.arranged(importer, &[&batch[..], &summed, &columns].concat())?;
        let (n, m, k) = (batch.len(), rows.len(), summed.len());
        let (batches, x_rows, sums) = (&x.dims[..n], &x.dims[n..n + m], &x.dims[n + m..]);
        let y_columns = &y.dims[n + k..];
        let net = if summed.is_empty() {
            let right = importer.reshape(&y, &[batches, &vec![1; m], y_columns].concat())?;
            let left = importer.reshape(&x, &[batches, x_rows, &vec![1; columns.len()]].concat())?;
            importer.binary("mul", &left, &right)?
        } else {
            let size = |dims: &[usize]| dims.iter().product::<usize>();
            let lead = if n == 0 { vec![] } else { vec![size(batches)] };
            let left = importer.reshape(&x, &[&lead[..], &[size(x_rows), size(sums)]].concat())?;
            let right = importer.reshape(&y, &[&lead[..], &[size(sums), size(y_columns)]].concat())?;
            let z = product(importer, &left, &right)?;
            importer.reshape(&z, &[batches, x_rows, y_columns].concat())?
        };
        Ok(Operand { net, letters: [batch, rows, columns].concat() })
    }
}

/// The letters of each operand, and those of the result.
fn letters(equation: &str, ranks: &[usize]) -> Converted<(Vec<Vec<Letter>>, Vec<Letter>)> {
    let equation: String = equation.chars().filter(|c| !c.is_whitespace()).collect();
    let (left, right) = equation.split_once("->").map_or((equation.as_str(), None), |(l, r)| (l, Some(r)));
    let terms = left.split(',').map(Term::of).collect::<Converted<Vec<_>>>()?;
    if terms.len() != ranks.len() {
        return malformed(format!("the equation has {} operands, the node {}", terms.len(), ranks.len()));
    }
    let operands = terms.iter().zip(ranks).map(|(term, &rank)| term.of_rank(rank)).collect::<Converted<Vec<_>>>()?;
    let all = operands.concat();
    let dots = all.iter().filter_map(|l| if let Letter::Dots(i) = l { Some(i.0 + 1) } else { None }).max();
    let result = match right {
        Some(text) => {
            let term = Term::of(text)?;
            term.letters(if term.dots { dots.unwrap_or(0) } else { 0 })
        }
        // Without a result, the axes of `...` and the letters that occur once, sorted.
        None => {
            let times = |letter: &Letter| all.iter().filter(|other| *other == letter).count();
            let mut result = all.clone();
            result.sort_unstable();
            result.dedup();
            result.retain(|letter| matches!(letter, Letter::Dots(_)) || times(letter) == 1);
            result
        }
    };
    let odd = (0..result.len()).find(|&i| result[..i].contains(&result[i]) || !all.contains(&result[i]));
    match odd {
        Some(i) => malformed(format!("axis {i} of the result `{equation}` is named twice, or is in no operand")),
        None => Ok((operands, result)),
    }
}

pub(super) fn einsum(importer: &mut Importer<'_>, call: &Call<'_>) -> Value1 {
    let mut nets = Vec::new();
    for i in 0..call.inputs.len() {
        nets.push(real(importer.net(call.input(i)?)?)?);
    }
    let ranks: Vec<usize> = nets.iter().map(|net| net.dims.len()).collect();
    let (lists, result) = letters(call.attributes().word("equation", "")?, &ranks)?;
    let mut operands = Vec::new();
    for (net, letters) in nets.into_iter().zip(lists) {
        operands.push(Operand { net, letters }.diagonal(importer)?);
    }
    let extents: Vec<(Letter, usize)> =
        operands.iter().flat_map(|x| x.letters.iter().copied().zip(x.net.dims.iter().copied())).collect();
    let extent = |letter: Letter| extents.iter().filter(|(l, _)| *l == letter).map(|(_, d)| *d).max().unwrap_or(1);
    let mut factors = Vec::new();
    for operand in operands {
        factors.push(operand.unstretched(importer, extent)?);
    }
    let mut rest = factors.into_iter();
    let Some(mut all) = rest.next() else { return malformed("it has no operands") };
    while let Some(next) = rest.next() {
        let later = |letter: Letter| rest.as_slice().iter().any(|operand| operand.letters.contains(&letter));
        all = all.times(importer, &next, |letter| result.contains(&letter) || later(letter))?;
    }
    all.arranged(importer, &result)
}
