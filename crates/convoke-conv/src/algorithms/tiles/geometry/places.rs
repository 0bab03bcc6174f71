//! How tiles lie along an axis of an image: which of their inputs are in it, and how many taps of each output are.

use std::collections::HashMap;

use convoke_bilinear::error::Alike;
use convoke_ir::layer::Axis;

/// The tiles along an axis, by kind. The tiles inside the image are one kind, which is known without looking at each.
pub(super) fn places(axis: &Axis, outputs: usize, inputs: usize) -> Vec<Alike> {
    let residues = axis.residues();
    let image = |at: usize| (axis.begin..axis.begin + axis.input).contains(&at);
    let inside = (vec![true; inputs], vec![axis.kernel; outputs]);
    let mut kinds: HashMap<(Vec<bool>, Vec<usize>), usize> = HashMap::new();
    for residue in 0..residues {
        let of_residue = axis.output.saturating_sub(residue).div_ceil(residues);
        for first in (0..of_residue).step_by(outputs) {
            let input = |i: usize| axis.stride * residue + axis.dilation * (axis.steps() * first + i);
            let whole = first + outputs <= of_residue && image(input(0)) && image(input(inputs - 1));
            let kind = if whole {
                inside.clone()
            } else {
                let taps = |l: usize| match first + l < of_residue {
                    true => (0..axis.kernel).filter(|j| image(input(axis.steps() * l + j))).count(),
                    false => 0,
                };
                ((0..inputs).map(|i| image(input(i))).collect(), (0..outputs).map(taps).collect())
            };
            *kinds.entry(kind).or_default() += 1;
        }
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
        assert_eq!(places(&axis, 2, 4), expected);
    }

    #[test]
    fn no_output_is_left_out_or_counted_twice() {
        for (stride, dilation) in [(1, 1), (2, 1), (1, 2), (2, 4), (3, 2)] {
            let axis = Axis { input: 29, kernel: 3, stride, dilation, begin: 2, end: 2, output: 9 };
            let inputs = axis.steps() + 3;
            let outputs = |a: &Alike| a.count * a.taps.iter().filter(|&&taps| taps > 0).count();
            assert_eq!(places(&axis, 2, inputs).iter().map(outputs).sum::<usize>(), 9, "{stride} {dilation}");
        }
    }
}
