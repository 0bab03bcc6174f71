//! That the tiles of a convolution cover its outputs, each once, and that an output finds in its tile what it reads.
//!
//! Along an axis, output p is `Σ_j w[j] · x[stride·p + dilation·j − begin]`, with zeros before input 0 and from `input` on. A tile of m outputs and of r taps,
//! s inputs apart, computes `y[l] = Σ_j w[j] · d[s·l + j]`; `identity.rs` proves that. Tile t of residue a has
//!
//! ```text
//!   outputs   p = a + residues·(m·t + l)          of these, those below `output`
//!   inputs    d[i] = x[stride·a + step·t + dilation·i − begin]
//! ```
//!
//! | for all outputs | because |
//! |---|---|
//! | each is in one tile | p has one remainder a by `residues`, and (p − a) / residues one quotient t and one remainder l by m; there is a tile t, as tiles·m outputs reach the last of a residue |
//! | d[s·l + j] is the input that tap j meets | residues·stride = dilation·s, and step = dilation·s·m |
//! | it is an input of the tile | inputs ≥ (m − 1)·s + r, with equality where the kernel is not cut into blocks |
//! | zeros are where the definition has them | output 0 begins `begin` before the first input, and the last output ends so far after the last |

use convoke_ir::layer;

use crate::certificate::Cover;

/// A tile along an axis.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TileOf {
    /// Outputs, and how many inputs they are apart.
    pub(crate) m: usize,
    pub(crate) s: usize,
    /// Inputs that all blocks of the kernel read.
    pub(crate) reads: usize,
    /// Outputs of the identity that it rests on: no fewer than `m`.
    pub(crate) identity: usize,
}

/// Checks the numbers that a certificate states of an axis. The error names one that is wrong.
pub(crate) fn check(
    stated: &Cover,
    axis: &layer::Axis,
    TileOf { m, s, reads, identity }: TileOf,
) -> Result<(), String> {
    let wide = |number: usize| number as u128;
    let &Cover { residues, tiles, outputs, inputs, step, zeros } = stated;
    if outputs != m {
        return Err(format!("a tile has {m} outputs, the certificate says {outputs}"));
    }
    if wide(residues) * wide(axis.stride) != wide(axis.dilation) * wide(s) {
        let (stride, dilation) = (axis.stride, axis.dilation);
        return Err(format!(
            "with {residues} residues, steps of {stride} and taps {dilation} apart, outputs of a residue are not {s} of its inputs apart"
        ));
    }
    // The division below is sound: no factor of the right side above is 0.
    let longest = axis.output.div_ceil(residues);
    if wide(tiles) * wide(m) < wide(longest) {
        return Err(format!("{tiles} tiles of {m} outputs do not cover {longest}"));
    }
    if wide(tiles - 1) * wide(m) >= wide(longest) {
        return Err(format!("{tiles} tiles of {m} outputs are more than {longest} outputs need"));
    }
    if wide(step) != wide(axis.dilation) * wide(s) * wide(m) {
        return Err(format!("tiles of {m} outputs are not {step} inputs apart"));
    }
    if m > identity || wide(reads) < wide(m - 1) * wide(s) + wide(axis.kernel) {
        return Err(format!("its identity gives {identity} outputs of {reads} inputs, too few for {m}"));
    }
    if inputs != reads {
        return Err(format!("the outputs of a tile read {reads} inputs, the certificate says {inputs}"));
    }
    let end = wide(axis.output - 1) * wide(axis.stride) + wide(axis.kernel - 1) * wide(axis.dilation) + 1;
    let around = [wide(axis.begin), end.saturating_sub(wide(axis.begin) + wide(axis.input))];
    if zeros.map(wide) != around {
        return Err(format!(
            "outputs reach {around:?} zeros before and after the inputs, the certificate says {zeros:?}"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use convoke_ir::layer::Axis;

    use super::*;

    /// Axes of all kinds, each with tiles of several sizes.
    fn cases() -> Vec<(Axis, TileOf)> {
        let mut all = Vec::new();
        for (input, kernel, m) in [(1_usize, 1, 1), (7, 3, 4), (14, 9, 2), (5, 2, 6), (23, 5, 3)] {
            for (stride, dilation) in [(1, 1), (2, 1), (1, 3), (3, 2), (4, 6), (7, 1)] {
                for (begin, end) in [(0, 0), (1, 1), (0, 4), (20, 3), (40, 41)] {
                    let reach = (kernel - 1) * dilation + 1;
                    if let Some(room) = (input + begin + end).checked_sub(reach) {
                        let output = room / stride + 1;
                        let axis = Axis { input, kernel, stride, dilation, begin, end, output };
                        let s = axis.steps();
                        // One that reads as little as it can, and one of a kernel in blocks.
                        for more in [0, 3] {
                            let reads = (m - 1) * s + kernel + more;
                            all.push((axis, TileOf { m, s, reads, identity: m + more }));
                        }
                    }
                }
            }
        }
        all
    }

    fn of(axis: &Axis, TileOf { m, s, reads, .. }: TileOf) -> Cover {
        let residues = axis.residues();
        Cover {
            residues,
            tiles: axis.output.div_ceil(residues).div_ceil(m),
            outputs: m,
            inputs: reads,
            step: axis.dilation * s * m,
            zeros: [axis.begin, axis.padded() - axis.begin - axis.input],
        }
    }

    #[test]
    fn what_holds_covers_each_output_once_with_the_inputs_that_it_reads() {
        for (axis, tile) in cases() {
            let cover = of(&axis, tile);
            assert_eq!(check(&cover, &axis, tile), Ok(()), "{axis:?} {cover:?}");
            let mut times = vec![0; axis.output];
            let begin = axis.begin as i64;
            let [mut first, mut last] = [0_i64, axis.input as i64 - 1];
            for (a, t, l) in (0..cover.residues)
                .flat_map(|a| (0..cover.tiles).flat_map(move |t| (0..tile.m).map(move |l| (a, t, l))))
            {
                let p = a + cover.residues * (cover.outputs * t + l);
                let Some(times) = times.get_mut(p) else { continue };
                *times += 1;
                for j in 0..axis.kernel {
                    let i = tile.s * l + j;
                    assert!(i < cover.inputs, "{axis:?} {cover:?}");
                    let met = (axis.stride * a + cover.step * t + axis.dilation * i) as i64 - begin;
                    assert_eq!(met, (axis.stride * p + axis.dilation * j) as i64 - begin, "{axis:?} {cover:?}");
                    (first, last) = (first.min(met), last.max(met));
                }
            }
            assert!(times.iter().all(|times| *times == 1), "{axis:?} {cover:?}: {times:?}");
            let zeros = [-first, last + 1 - axis.input as i64].map(|zeros| zeros as usize);
            assert_eq!(zeros, cover.zeros, "{axis:?} {cover:?}");
        }
    }

    #[test]
    fn every_other_number_is_refused() {
        for (axis, tile) in cases() {
            let right = of(&axis, tile);
            for by in [1_usize.wrapping_neg(), 1, 2, usize::MAX / 2] {
                let number = |at: usize| {
                    let mut cover = right;
                    let Cover { residues, tiles, outputs, inputs, step, zeros: [before, after] } = &mut cover;
                    let number = [residues, tiles, outputs, inputs, step, before, after].into_iter().nth(at)?;
                    *number = number.wrapping_add(by);
                    Some(cover)
                };
                let wrong = (0..).map_while(number).collect::<Vec<_>>();
                assert_eq!(wrong.len(), 7);
                for cover in wrong {
                    assert!(check(&cover, &axis, tile).is_err(), "{axis:?} {cover:?}");
                }
            }
        }
    }
}
