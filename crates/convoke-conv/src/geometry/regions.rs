//! Regions: runs of outputs of an axis that meet the same taps. Both lowering and the cost model use them.
//!
//! ```text
//!   3 taps, 12 apart, 33 inputs with 12 zeros on either side
//!   outputs    0 … 11    12 … 20    21 … 32
//!   taps       1, 2      0, 1, 2    0, 1
//! ```
//!
//! If the dilation is large compared with the image, regions are few and long, and most outputs lack some taps: of 3×3 taps as above, 43 % are on
//! padding. Within a rectangle of two regions every tap exists, so that code needs neither padding nor tests.

use std::ops::Range;

use convoke_ir::layer::{Axis, Window};
use convoke_machine::Machine;

use super::runs::alike;

/// Outputs of an axis that meet the same taps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Region {
    /// The first output.
    pub begin: usize,
    pub outputs: usize,
    pub taps: Range<usize>,
}

impl Region {
    /// The input under the first tap of the first output.
    pub(crate) fn first(&self, axis: &Axis) -> usize {
        self.begin * axis.stride + self.taps.start * axis.dilation - axis.begin
    }
}

/// The most regions of an axis: those of three taps. Each rectangle of two has code of its own.
const MOST: usize = 5;
/// The most output rows of a strip.
const ROWS: usize = 12;

/// The regions of both axes, if it pays to tell them apart: there is padding, they are few, and none is all padding.
pub(crate) fn of_window(window: &Window) -> Option<[Vec<Region>; 2]> {
    let all = [of_axis(&window.h)?, of_axis(&window.w)?];
    let empty = all.iter().flatten().any(|region| region.taps.is_empty());
    (!empty && all.iter().any(|axis| axis.len() > 1)).then_some(all)
}

/// Output rows of a strip, whose sums, `row` bytes for each, stay in a quarter of the second-level cache. The fewer rows, the more
/// often weights are fetched.
pub(crate) fn strip(machine: &Machine, row: usize) -> usize {
    (machine.second_level() / 4 / row).clamp(1, ROWS)
}

/// The regions of an axis, those without taps too; none of more than [`MOST`].
fn of_axis(axis: &Axis) -> Option<Vec<Region>> {
    let mut found: Vec<Region> = Vec::new();
    let taps = |output: usize| {
        let before = |input: usize| {
            let reach = input.saturating_sub(output * axis.stride);
            reach.div_ceil(axis.dilation).min(axis.kernel)
        };
        before(axis.begin)..before(axis.begin + axis.input)
    };
    let mut begin = 0;
    while begin < axis.output {
        if found.len() == MOST {
            return None;
        }
        let same = taps(begin);
        // Neither end of the taps goes up from output to output.
        let outputs = alike(axis.output - begin, |after| taps(begin + after) == same);
        found.push(Region { begin, outputs, taps: same });
        begin += outputs;
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taps_of_a_region_are_those_inside() {
        for (input, kernel, stride, dilation, pad) in [
            (33, 3, 1, 12, 12),
            (33, 3, 1, 24, 24),
            (65, 3, 2, 18, 18),
            (9, 5, 3, 2, 4),
            (8, 2, 1, 1, 0),
            (4, 1, 1, 1, 6),
        ] {
            let output = (input + 2 * pad - (kernel - 1) * dilation - 1) / stride + 1;
            let axis = Axis { input, kernel, stride, dilation, begin: pad, end: pad, output };
            let mut next = 0;
            for region in of_axis(&axis).expect("few") {
                assert_eq!(region.begin, next);
                next += region.outputs;
                for q in region.begin..next {
                    let inside = |s: &usize| (pad..pad + input).contains(&(q * stride + s * dilation));
                    let taps: Vec<_> = (0..kernel).filter(inside).collect();
                    assert_eq!(region.taps.clone().collect::<Vec<_>>(), taps, "{axis:?} at {q}");
                }
            }
            assert_eq!(next, output);
        }
    }

    #[test]
    fn many_regions_are_none() {
        let axis = |kernel: usize| Axis {
            input: 33,
            kernel,
            stride: 1,
            dilation: 1,
            begin: kernel / 2,
            end: kernel / 2,
            output: 33,
        };
        assert_eq!(of_axis(&axis(5)).expect("2 at each edge").len(), MOST);
        assert_eq!(of_axis(&axis(7)), None);
    }
}
