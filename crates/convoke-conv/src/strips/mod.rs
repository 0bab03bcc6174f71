//! Fused row strips: chains of convolutions that are computed strip by strip, so that the values between them stay in a cache.
//!
//! ```text
//!   rows of %x   ██████████     A strip of %y needs more rows of %t, as far as taps reach, and still more of %x.
//!   rows of %t    ████████      Rows outside the image are padding: the first and the last strips differ from the others.
//!   rows of %y     ██████
//! ```
//!
//! The attribute `band` of a convolution is the rows of a strip of the chain's result. This file says which convolutions form a chain, and
//! which rows each of them computes for a strip.

mod choose;
mod lower;
mod refused;

use convoke_ir::layer::{Axis, Conv2d, Instr, Layer, Op, ValueId};

pub use choose::{Chosen, choose, cycles_saved, fused_cycles, savings};
pub use lower::{Repeat, lower};
pub use refused::{clear_refused, refused};

/// For each instruction, the place of the convolution that it may be fused with. Both are convolutions over one image, the second is the only
/// reader of the first's result, and their epilogues are the same in all rows.
pub fn links(layer: &Layer) -> Vec<Option<usize>> {
    let (definitions, readers) = (layer.definitions(), layer.single_readers());
    let images = images(layer);
    let by_rows = |at: usize| by_rows(layer, &layer.body[at], &images);
    let link = |(i, instr): (usize, &Instr)| {
        let before = definitions[instr.args.first()?.index()]?;
        let alone = readers[instr.args[0].index()] == Some(i);
        (alone && by_rows(i) && by_rows(before)).then_some(before)
    };
    layer.body.iter().enumerate().map(link).collect()
}

/// For each value, whether it may share memory with an image that a convolution reads by row strips. Reshaped values may.
fn images(layer: &Layer) -> Vec<bool> {
    let mut images = vec![false; layer.values.len()];
    for instr in &layer.body {
        match instr.op {
            Op::Conv2d(_) => images[instr.args[0].index()] = true,
            Op::Reshape(_) => [instr.args[0], instr.result].iter().for_each(|id| images[id.index()] = true),
            _ => {}
        }
    }
    images
}

/// Whether an instruction is a convolution that can be computed by row strips. Its other operands, which are read whole, must not share memory
/// with its input.
fn by_rows(layer: &Layer, instr: &Instr, images: &[bool]) -> bool {
    let apart = |id: ValueId| layer.constant(id).is_some() || !images[id.index()];
    let one_image = layer.ty(instr.result).as_image().is_some_and(|image| image.n == 1);
    let same_in_all_rows = instr.then.iter().flat_map(|step| &step.args).all(|&id| {
        let pixels = layer.ty(id).as_image().map_or(1, |image| image.h * image.w);
        pixels == 1
    });
    conv(instr).is_some() && one_image && same_in_all_rows && instr.reads().skip(1).all(apart)
}

/// The convolution that an instruction is.
pub(crate) fn conv(instr: &Instr) -> Option<&Conv2d> {
    match &instr.op {
        Op::Conv2d(conv) => Some(conv),
        _ => None,
    }
}

/// The rows of a strip; 0 for an instruction that is not fused.
pub(crate) fn rows(instr: &Instr) -> usize {
    conv(instr).map_or(0, |conv| usize::try_from(conv.band).unwrap_or(0))
}

/// The chain that ends at `last`, first to last: the convolutions that are fused with the one before them, and the first one.
///
/// # Errors
///
/// Why there is nothing to fuse with, in words that follow `band`.
pub fn chain(layer: &Layer, links: &[Option<usize>], last: usize) -> Result<Vec<usize>, &'static str> {
    let mut chain = vec![last];
    while let Some(&at) = chain.last().filter(|&&at| rows(&layer.body[at]) > 0) {
        if rows(&layer.body[at]) != rows(&layer.body[last]) {
            return Err("is another than that of the end of its chain");
        }
        chain.push(links[at].ok_or("needs a convolution that makes its input, and that nothing else reads")?);
    }
    chain.reverse();
    Ok(chain)
}

/// The ends of the chains that are computed by row strips.
pub fn ends(layer: &Layer, links: &[Option<usize>]) -> Vec<usize> {
    let mut end: Vec<bool> = layer.body.iter().map(|instr| rows(instr) > 0).collect();
    let in_strips = |&(i, _): &(usize, &Option<usize>)| rows(&layer.body[i]) > 0;
    links.iter().enumerate().filter(in_strips).filter_map(|(_, link)| *link).for_each(|before| end[before] = false);
    (0..end.len()).filter(|&i| end[i]).collect()
}

/// Bands that are alike.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Strip {
    /// How many.
    pub count: usize,
    /// The rows of each convolution, as an image of their own.
    pub axes: Vec<Axis>,
    /// The first rows that the first of them reads and makes.
    pub first: [usize; 2],
    /// From strip to strip, if there are several.
    pub step: [usize; 2],
}

/// The strips of `rows` rows of the result of convolutions with these axes, one after the other. `None` where one of them would read padding alone.
pub(crate) fn strips(axes: &[Axis], rows: usize) -> Option<Vec<Strip>> {
    let result = axes.last()?.output;
    let mut all: Vec<Strip> = Vec::new();
    for begin in (0..result).step_by(rows) {
        let mut needed = begin..result.min(begin + rows);
        let mut own = Vec::with_capacity(axes.len());
        for axis in axes.iter().rev() {
            // Counted from the first row of padding.
            let (from, to) = (needed.start * axis.stride, (needed.end - 1) * axis.stride + axis.reach());
            let (low, high) = (from.max(axis.begin), to.min(axis.begin + axis.input));
            if low >= high {
                return None;
            }
            let output = needed.len();
            own.push(Axis { input: high - low, begin: low - from, end: to - high, output, ..*axis });
            needed = low - axis.begin..high - axis.begin;
        }
        own.reverse();
        match all.last_mut() {
            Some(last) if last.axes == own => {
                last.step = [(needed.start - last.first[0]) / last.count, rows];
                last.count += 1;
            }
            _ => all.push(Strip { count: 1, axes: own, first: [needed.start, begin], step: [0; 2] }),
        }
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(input: usize, kernel: usize, stride: usize, pad: usize) -> Axis {
        let output = (input + 2 * pad - kernel) / stride + 1;
        Axis { input, kernel, stride, dilation: 1, begin: pad, end: pad, output }
    }

    #[test]
    fn bands_cover_all_rows_and_stay_inside() {
        let chains = [
            vec![axis(40, 31, 1, 15), axis(40, 1, 1, 0)],
            vec![axis(23, 1, 1, 0), axis(23, 3, 1, 1), axis(23, 1, 1, 0)],
            vec![axis(30, 3, 2, 1), axis(15, 5, 1, 2), axis(15, 3, 2, 0)],
        ];
        for axes in chains {
            for rows in 1..9 {
                let strips = strips(&axes, rows).expect("none of them is all padding");
                let mut next = 0;
                for strip in &strips {
                    assert_eq!(strip.first[1], next);
                    next += (strip.count - 1) * strip.step[1] + strip.axes.last().unwrap().output;
                    let read = strip.first[0] + (strip.count - 1) * strip.step[0] + strip.axes[0].input;
                    assert!(read <= axes[0].input, "{strip:?}");
                    for pair in strip.axes.windows(2) {
                        assert_eq!(pair[0].output, pair[1].input);
                    }
                    for axis in &strip.axes {
                        assert_eq!(axis.begin + axis.input + axis.end, axis.read());
                    }
                }
                assert_eq!(next, axes.last().unwrap().output);
            }
        }
    }

    #[test]
    fn a_band_that_is_all_padding_is_refused() {
        assert_eq!(strips(&[axis(4, 1, 1, 3)], 2), None);
    }
}
