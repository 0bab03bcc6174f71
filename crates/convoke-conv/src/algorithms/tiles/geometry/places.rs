//! How tiles lie along an axis of an image: which of their inputs are in it, and how many taps of each output are.

use std::collections::HashMap;

use convoke_bilinear::error::Alike;
use convoke_ir::layer::Axis;

use crate::geometry::runs::alike;

/// The tiles along an axis, by kind, each with every one of the `blocks` of the kernel. Residues whose tiles lie alike are looked at once, and so are
/// their tiles that lie alike, and the blocks that meet as much of the image.
pub(super) fn places(axis: &Axis, outputs: usize, inputs: usize, blocks: usize) -> Vec<Alike> {
    let residues = axis.residues();
    // How many inputs of a residue lie before a place; negative for the first ones after it.
    let before =
        |at: usize, residue: usize| -((axis.stride * residue) as i64 - at as i64).div_euclid(axis.dilation as i64);
    let lies = |residue: usize| {
        let of_residue = axis.output.saturating_sub(residue).div_ceil(residues);
        (of_residue, before(axis.begin, residue), before(axis.begin + axis.input, residue))
    };
    let reach = (inputs.max((outputs - 1) * axis.steps() + axis.kernel) + (blocks - 1) * outputs) as i64;
    let mut kinds: HashMap<(Vec<bool>, Vec<usize>), usize> = HashMap::new();
    let last = residues.min(axis.output);
    let mut residue = 0;
    while residue < last {
        let (of_residue, begin, end) = lies(residue);
        let same = alike(last - residue, |after| lies(residue + after) == (of_residue, begin, end));
        // The inputs of a tile that are in the image, and its outputs.
        let met = |tile: usize| {
            let first = tile * outputs;
            let within = |at: i64| (at - (axis.steps() * first) as i64).clamp(0, reach) as usize;
            (within(begin)..within(end), outputs.min(of_residue - first))
        };
        let tiles = of_residue.div_ceil(outputs);
        let mut tile = 0;
        while tile < tiles {
            let (image, there) = met(tile);
            let count = alike(tiles - tile, |after| met(tile + after) == (image.clone(), there));
            let taps = |l: usize| {
                let first = axis.steps() * l;
                let met = image.end.min(first + axis.kernel).saturating_sub(image.start.max(first));
                if l < there { met } else { 0 }
            };
            let taps: Vec<usize> = (0..outputs).map(taps).collect();
            // The inputs of the tile that a block meets.
            let within = |block: usize| {
                let inside = |at: usize| at.saturating_sub(block * outputs).min(inputs);
                inside(image.start)..inside(image.end)
            };
            let mut block = 0;
            while block < blocks {
                let inside = within(block);
                let met = alike(blocks - block, |after| within(block + after) == inside);
                let kind = ((0..inputs).map(|i| inside.contains(&i)).collect(), taps.clone());
                *kinds.entry(kind).or_default() += same * count * met;
                block += met;
            }
            tile += count;
        }
        residue += same;
    }
    let mut kinds: Vec<_> = kinds.into_iter().map(|((inputs, taps), count)| Alike { count, inputs, taps }).collect();
    // The order of a map differs from run to run, and sums of floats with it.
    kinds.sort_by(|a, b| (&a.inputs, &a.taps).cmp(&(&b.inputs, &b.taps)));
    kinds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_at_borders_are_told_from_those_inside() {
        let axis = Axis { input: 11, kernel: 3, stride: 1, dilation: 1, begin: 1, end: 1, output: 11 };
        let alike = |count, inputs: [u8; 4], taps| Alike { count, inputs: inputs.map(|i| i == 1).into(), taps };
        let expected = [
            alike(1, [0, 1, 1, 1], vec![2, 3]),
            alike(1, [1, 1, 0, 0], vec![2, 0]),
            alike(4, [1, 1, 1, 1], vec![3, 3]),
        ];
        assert_eq!(places(&axis, 2, 4, 1), expected);
    }

    #[test]
    fn no_output_is_left_out_or_counted_twice() {
        for (stride, dilation) in [(1, 1), (2, 1), (1, 2), (2, 4), (3, 2)] {
            let axis = Axis { input: 29, kernel: 3, stride, dilation, begin: 2, end: 2, output: 9 };
            let inputs = axis.steps() + 3;
            let outputs = |a: &Alike| a.count * a.taps.iter().filter(|&&taps| taps > 0).count();
            assert_eq!(places(&axis, 2, inputs, 1).iter().map(outputs).sum::<usize>(), 9, "{stride} {dilation}");
        }
    }

    /// Each tile with each block by itself.
    #[test]
    fn blocks_are_counted_as_if_one_by_one() {
        for (begin, input, kernel) in [(0, 60, 9_usize), (11, 40, 23), (30, 3, 31), (0, 90, 64)] {
            let (outputs, inputs, blocks) = (4, 8, kernel.div_ceil(4));
            let output = 2 * begin + input - kernel + 1;
            let axis = Axis { input, kernel, stride: 1, dilation: 1, begin, end: begin, output };
            let mut expected: HashMap<(Vec<bool>, Vec<usize>), usize> = HashMap::new();
            let image = |at: usize| (begin..begin + input).contains(&at);
            for (first, block) in (0..output).step_by(4).flat_map(|first| (0..blocks).map(move |block| (first, block)))
            {
                let taps = |l: usize| (0..kernel).filter(|j| first + l < output && image(first + l + j)).count();
                let inside = (0..inputs).map(|i| image(first + block * outputs + i)).collect();
                *expected.entry((inside, (0..outputs).map(taps).collect())).or_default() += 1;
            }
            let found = places(&axis, outputs, inputs, blocks).into_iter();
            let found: HashMap<_, _> = found.map(|kind| ((kind.inputs, kind.taps), kind.count)).collect();
            assert_eq!(found, expected, "{axis:?}");
        }
    }

    /// Each tile by itself, input by input.
    #[test]
    fn tiles_are_counted_as_if_one_by_one() {
        for (stride, dilation) in [(1, 1), (2, 1), (1, 3), (2, 4), (3, 2), (1, 40)] {
            for (begin, input, outputs) in [(0, 150, 2), (7, 131, 4), (45, 90, 3), (200, 5, 2)] {
                let kernel = 3;
                let reach = 2 * begin + input - (kernel - 1) * dilation - 1;
                let axis = Axis { input, kernel, stride, dilation, begin, end: begin, output: reach / stride + 1 };
                let inputs = (outputs - 1) * axis.steps() + kernel;
                let mut expected: HashMap<(Vec<bool>, Vec<usize>), usize> = HashMap::new();
                for residue in 0..axis.residues().min(axis.output) {
                    let all: Vec<usize> = (residue..axis.output).step_by(axis.residues()).collect();
                    for tile in all.chunks(outputs) {
                        let image = |i: usize| (begin..begin + input).contains(&(stride * tile[0] + dilation * i));
                        let there = |l: usize| l < tile.len();
                        let taps = |l: usize| (0..kernel).filter(|j| there(l) && image(axis.steps() * l + j)).count();
                        let kind = ((0..inputs).map(image).collect(), (0..outputs).map(taps).collect());
                        *expected.entry(kind).or_default() += 1;
                    }
                }
                let found = places(&axis, outputs, inputs, 1).into_iter();
                let found: HashMap<_, _> = found.map(|kind| ((kind.inputs, kind.taps), kind.count)).collect();
                assert_eq!(found, expected, "{axis:?}");
            }
        }
    }
}
