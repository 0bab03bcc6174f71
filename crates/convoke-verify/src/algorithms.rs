//! That each convolution of the last layer has the algorithm, the identity and the bound that the certificate states.

use std::collections::HashMap;
use std::path::Path;

use convoke_ir::attr::Algorithm;
use convoke_ir::layer::{Instr, Layer, Op, Window};
use num_traits::ToPrimitive;

use crate::bounds::bound;
use crate::certificate::{Axis, Certificate, Convolution, Problem};
use crate::cover::{self, TileOf};
use crate::files;
use crate::identity::prove;
use crate::refused::{Check, Result, wrong};

/// How far two computations of a bound may differ, relatively: they are the same sums in another order.
const SAME: f64 = 1e-9;

/// Checks all convolutions of `last` against the certificate.
pub(crate) fn check(at: &Path, certificate: &Certificate, last: &Layer) -> Result<Vec<Check>> {
    let stated: HashMap<&str, &Convolution> =
        certificate.convolutions.iter().map(|conv| (conv.value.as_str(), conv)).collect();
    let convs: Vec<&Instr> = last.body.iter().filter(|instr| matches!(instr.op, Op::Conv2d(_))).collect();
    if stated.len() != certificate.convolutions.len() || convs.len() != stated.len() {
        return wrong(&last.name, "the certificate does not list each convolution once");
    }
    let mut proved = HashMap::new();
    let mut checks = Vec::new();
    for instr in convs {
        let value = &last.values[instr.result].name;
        let Some(conv) = stated.get(value.as_str()) else {
            return wrong(value, "the certificate does not list this convolution");
        };
        let says = one(at, conv, last, instr, &mut proved)?;
        checks.extend(says.map(|says| Check { of: format!("%{value}"), says }));
    }
    Ok(checks)
}

/// What is proved of the matrices of a file: their problem, and how far they are off.
type Proved = HashMap<String, (Problem, f64)>;

fn one(at: &Path, conv: &Convolution, last: &Layer, instr: &Instr, proved: &mut Proved) -> Result<[String; 2]> {
    let (Op::Conv2d(op), &[x, w]) = (&instr.op, &instr.args[..]) else {
        unreachable!("only convolutions are asked for")
    };
    let value = &conv.value;
    let algorithm = op.plan.algorithm;
    if algorithm.to_string() != conv.algorithm {
        return wrong(value, format!("the layer names `{algorithm}`, the certificate `{}`", conv.algorithm));
    }
    let Ok(window) = op.window(last.ty(x), last.ty(w)) else { return wrong(value, "it has no window") };
    let channels = last.ty(w).shape.dims()[1];
    let unit = last.ty(instr.result).elem.compute().unit_roundoff();
    if conv.taps != [window.h.kernel, window.w.kernel] || conv.channels != channels || conv.unit_roundoff != unit {
        return wrong(value, "taps, channels or unit roundoff are others in the layer");
    }
    let Some(bound) = bound(algorithm, &window, channels, unit) else {
        return wrong(value, format!("`{algorithm}` has no sizes, and so no bound"));
    };
    if (bound - conv.bound).abs() > SAME * bound {
        return wrong(value, format!("its bound is {bound:e}, the certificate says {:e}", conv.bound));
    }
    let (blocks, block) = cut(algorithm, conv.taps);
    let given = conv.identity.as_ref().and_then(|identity| identity.blocks);
    if given != blocks {
        return wrong(value, format!("its kernel is cut into {blocks:?} blocks, the certificate says {given:?}"));
    }
    let tiles = tiles(algorithm, &window, block);
    let needed = match algorithm {
        Algorithm::Winograd { .. } | Algorithm::Fft { .. } => {
            let of = |(tile, r): (&TileOf, usize)| Problem::Correlation { m: tile.identity, r, s: tile.s };
            tiles.iter().zip(block).map(of).collect()
        }
        Algorithm::Strassen { .. } => vec![Problem::Matmul(2, 2, 2)],
        _ => Vec::new(),
    };
    let axes: &[Axis] = conv.identity.as_ref().map_or(&[], |identity| &identity.axes);
    if axes.len() != needed.len() {
        return wrong(value, format!("`{algorithm}` rests on {} identities, {} are given", needed.len(), axes.len()));
    }
    let mut off = 0.0_f64;
    for (axis, needed) in axes.iter().zip(needed) {
        let (problem, by) = match proved.get(&axis.file.name) {
            Some(&known) => known,
            None => {
                let text = files::text(at, &axis.file.name)?;
                let (problem, off) = prove(&text).or_else(|reason| wrong(&axis.file.name, reason))?;
                let known = (problem, off.to_f64().unwrap_or(f64::INFINITY));
                proved.insert(axis.file.name.clone(), known);
                known
            }
        };
        if problem != needed || axis.problem != needed {
            return wrong(value, format!("{} computes {problem:?}, {needed:?} is needed", axis.file.name));
        }
        off = off.max(by);
    }
    let identity = match (axes.is_empty(), off) {
        (true, _) => "a sum as it is written".to_owned(),
        (false, 0.0) => "every coefficient as it must be".to_owned(),
        (false, off) => format!("every coefficient as it must be to within {off:.1e}"),
    };
    let summed = blocks.map_or(String::new(), |[h, w]| {
        format!(", kernel in {h}x{w} blocks of {}x{} that cover it once", block[0], block[1])
    });
    let [h, w] = &conv.covers;
    for (along, axis, stated, tile) in [("rows", &window.h, h, tiles[0]), ("columns", &window.w, w, tiles[1])] {
        cover::check(stated, axis, tile).or_else(|reason| wrong(value, format!("along {along}, {reason}")))?;
    }
    let covers = format!(
        "tiles of {}x{} outputs cover its {}x{}, each once; of {}x{} inputs with the zeros around them",
        h.outputs, w.outputs, window.h.output, window.w.output, h.inputs, w.inputs
    );
    Ok([format!("{algorithm}{summed}: {identity}; no error above {bound:.2e}"), covers])
}

/// The blocks that an algorithm cuts a kernel of `taps` into, if it does, and the taps of each. Block b has the taps from b times these on, none
/// beyond the kernel, and is summed at as many inputs further on: each tap of the kernel once, with the input that it meets.
fn cut(algorithm: Algorithm, taps: [usize; 2]) -> (Option<[usize; 2]>, [usize; 2]) {
    let Algorithm::Fft { points: Some(points) } = algorithm else { return (None, taps) };
    let halves = [points.h, points.w].map(|points| usize::from(points) / 2);
    let is_cut = |i: usize| taps[i] > usize::from([points.h, points.w][i]) && halves[i] > 0;
    let block = [0, 1].map(|i| if is_cut(i) { halves[i] } else { taps[i] });
    let blocks = [0, 1].map(|i| taps[i].div_ceil(block[i]));
    (Some(blocks).filter(|blocks| *blocks != [1, 1]), block)
}

/// The tiles of an algorithm along rows and columns, with kernels of blocks of `block` taps; of one that transforms none, its outputs one by one.
fn tiles(algorithm: Algorithm, window: &Window, block: [usize; 2]) -> [TileOf; 2] {
    let axes = [&window.h, &window.w];
    std::array::from_fn(|i| {
        let (kernel, s) = (axes[i].kernel, axes[i].steps());
        let plain = |m: usize| TileOf { m, s, reads: m.saturating_sub(1) * s + kernel, identity: m };
        match algorithm {
            Algorithm::Winograd { outputs: Some(outputs) } => plain([outputs.h, outputs.w][i].into()),
            Algorithm::Fft { points: Some(points) } => {
                let points = usize::from([points.h, points.w][i]);
                // As many outputs as do not wrap around; of blocks, as many as blocks are apart.
                let identity = (points + 1).saturating_sub(block[i]);
                let further = (kernel.div_ceil(block[i]) - 1) * block[i];
                let m = if further > 0 { block[i] } else { identity };
                TileOf { m, s, reads: points + further, identity }
            }
            _ => plain(1),
        }
    })
}
