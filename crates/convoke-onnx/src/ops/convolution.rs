//! `Conv` and `ConvTranspose`, over one or two spatial axes.

use convoke_ir::attr::AutoPad;
use convoke_ir::layer::{Bias, Conv2d};

use crate::call::{Call, Value1};
use crate::error::{Converted, malformed, unsupported};
use crate::importer::Importer;
use crate::tensor::Tensor;
use crate::value::Net;

/// The largest stride, dilation and kernel of a transposed convolution; products of them are then far from overflow.
const MOST: usize = 1 << 20;

/// The attributes of a window over rows and columns. A window over one axis has rows of extent 1.
pub(super) struct Spatial {
    pub(super) pads: [i64; 4],
    pub(super) auto_pad: AutoPad,
    pub(super) strides: [i64; 2],
    pub(super) dilations: [i64; 2],
}

impl Spatial {
    /// The attributes of a node whose operand has `axes` spatial axes.
    pub(super) fn of(call: &Call<'_>, axes: usize) -> Converted<Spatial> {
        let attributes = call.attributes();
        let auto_pad = match attributes.word("auto_pad", "NOTSET")? {
            "NOTSET" | "" => AutoPad::NotSet,
            "SAME_UPPER" => AutoPad::SameUpper,
            "SAME_LOWER" => AutoPad::SameLower,
            "VALID" => AutoPad::Valid,
            other => return malformed(format!("`auto_pad` is `{other}`, which is no word for it")),
        };
        let pads = match axes {
            1 => attributes.exactly("pads", [0; 2]).map(|[begin, end]| [0, begin, 0, end])?,
            _ => attributes.exactly("pads", [0; 4])?,
        };
        let pair = |name| match axes {
            1 => attributes.exactly(name, [1]).map(|[along]| [1, along]),
            _ => attributes.exactly(name, [1; 2]),
        };
        Ok(Spatial { pads, auto_pad, strides: pair("strides")?, dilations: pair("dilations")? })
    }
}

/// How many spatial axes an image operand has: one or two.
pub(super) fn spatial_axes(dims: &[usize]) -> Converted<usize> {
    match dims.len() {
        3 => Ok(1),
        4 => Ok(2),
        5 => unsupported("it works over three spatial axes; convoke compiles one and two"),
        rank => malformed(format!("its operand has rank {rank}; a batch, channels and spatial axes are expected")),
    }
}

/// Extents with rows: `[N, C, W]` becomes `[N, C, 1, W]`.
pub(super) fn with_rows(dims: &[usize]) -> Vec<usize> {
    match *dims {
        [a, b, w] => vec![a, b, 1, w],
        _ => dims.to_vec(),
    }
}

/// Extents without rows, for a result over one spatial axis.
pub(super) fn without_rows(dims: &[usize], axes: usize) -> Vec<usize> {
    match (axes, dims) {
        (1, &[a, b, 1, w]) => vec![a, b, w],
        _ => dims.to_vec(),
    }
}

pub(super) fn conv(importer: &mut Importer<'_>, call: &Call<'_>) -> Value1 {
    let x = importer.net(call.input(0)?)?;
    let axes = spatial_axes(&x.dims)?;
    let spatial = Spatial::of(call, axes)?;
    let w = importer.net(call.input(1)?)?;
    if w.dims.len() != x.dims.len() {
        return malformed(format!("weights of rank {} on an image of rank {}", w.dims.len(), x.dims.len()));
    }
    if let Some(kernel) = call.attributes().ints("kernel_shape")
        && !kernel.iter().copied().eq(w.dims[2..].iter().map(|&k| k as i64))
    {
        return malformed(format!("`kernel_shape` is {kernel:?}, the weights have {:?}", &w.dims[2..]));
    }
    let x = importer.reshape(&x, &with_rows(&x.dims))?;
    let w = importer.reshape(&w, &with_rows(&w.dims))?;
    let op = Conv2d {
        pads: spatial.pads,
        auto_pad: spatial.auto_pad,
        strides: spatial.strides,
        dilations: spatial.dilations,
        group: call.attributes().int("group", 1),
        ..Conv2d::default()
    };
    let y = importer.op(op, &[&x, &w], x.ty)?;
    let y = bias(importer, call, y)?;
    importer.reshape(&y, &without_rows(&y.dims, axes))
}

/// Adds operand 2, a number for each channel.
fn bias(importer: &mut Importer<'_>, call: &Call<'_>, y: Net) -> Value1 {
    match call.maybe(2) {
        None => Ok(y),
        Some(b) => {
            let b = importer.net(b)?;
            importer.op(Bias {}, &[&y, &b], y.ty)
        }
    }
}

/// One axis of a transposed convolution, by the residues of its outputs.
///
/// `y[o] = Σ x[i]·w[r]` over `i·s + r·d = o`. The outputs `o = s·q + a` of a residue a read the taps with `r·d = s·t + a`, and of x the elements
/// `q − t`: a convolution of T taps at the resolution of x, where T = ⌈reach / s⌉.
struct Residues {
    stride: usize,
    dilation: usize,
    kernel: usize,
    /// T.
    taps: usize,
    /// Pads of the convolution.
    begin: usize,
    end: usize,
    /// The outputs of the whole: they begin here in what the interleaved convolution gives.
    first: usize,
    output: usize,
}

impl Residues {
    /// The tap of w that a residue reads as tap `u` of the convolution.
    fn tap(&self, residue: usize, u: usize) -> Option<usize> {
        let at = self.stride * (self.taps - 1 - u) + residue;
        at.is_multiple_of(self.dilation).then_some(at / self.dilation).filter(|&r| r < self.kernel)
    }
}

/// Begin and end of what is cut from the full output along one axis, and the extent that is left.
struct Crop {
    begin: usize,
    output: usize,
}

/// What a transposed convolution cuts along axis `i` of `axes`.
fn crop(call: &Call<'_>, axes: usize, i: usize, full: usize, spatial: &Spatial, extent: usize) -> Converted<Crop> {
    let attributes = call.attributes();
    let along = |name: &str| match attributes.ints(name) {
        None | Some([]) => Ok(None),
        // Some models give all extents, batch and channels too.
        Some(list) if list.len() >= axes => usize::try_from(list[list.len() - axes + i]).map(Some),
        Some(_) => Ok(None),
    };
    let extra = along("output_padding")?.unwrap_or(0);
    let stride = usize::try_from(spatial.strides[2 - axes + i])?;
    let given = along("output_shape")?;
    let wanted = match spatial.auto_pad {
        AutoPad::SameUpper | AutoPad::SameLower => Some(given.unwrap_or(extent * stride)),
        _ => given,
    };
    if let Some(output) = wanted {
        let total = (full + extra).saturating_sub(output);
        // As the standard has it: SAME_UPPER puts the odd one at the end, any other at the beginning.
        let begin = if spatial.auto_pad == AutoPad::SameUpper { total / 2 } else { total - total / 2 };
        return Ok(Crop { begin, output });
    }
    let [begin, end] = [spatial.pads[2 - axes + i], spatial.pads[4 - axes + i]].map(usize::try_from);
    let (begin, end) = (begin?, end?);
    match (full + extra).checked_sub(begin + end) {
        Some(output @ 1..) => Ok(Crop { begin, output }),
        _ => malformed(format!("pads of {begin} and {end} leave nothing of {full} outputs")),
    }
}

pub(super) fn conv_transpose(importer: &mut Importer<'_>, call: &Call<'_>) -> Value1 {
    let x = importer.net(call.input(0)?)?;
    let axes = spatial_axes(&x.dims)?;
    let spatial = Spatial::of(call, axes)?;
    let weights = call.known(1, "weights")?;
    let [inputs, outputs, kernel @ ..] = &with_rows(weights.dims())[..] else {
        return malformed("its weights have no channels");
    };
    let group = usize::try_from(call.attributes().int("group", 1))?;
    if x.dims.len() != weights.dims().len() || *inputs != x.dims[1] || group == 0 || inputs % group != 0 {
        return malformed(format!("weights {:?} in {group} groups on an image {:?}", weights.dims(), x.dims));
    }
    let x = importer.reshape(&x, &with_rows(&x.dims))?;
    let mut residues = Vec::new();
    for (i, &kernel) in kernel.iter().enumerate() {
        let (stride, dilation) = (usize::try_from(spatial.strides[i])?, usize::try_from(spatial.dilations[i])?);
        if [stride, dilation, kernel].iter().any(|n| !(1..=MOST).contains(n)) {
            return malformed(format!("strides, dilations and kernel are from 1 to {MOST}; one is not"));
        }
        let reach = (kernel - 1) * dilation + 1;
        let extent = x.dims[2 + i];
        let full = (extent - 1) * stride + reach;
        let crop = match (axes, i) {
            (1, 0) => Crop { begin: 0, output: 1 },
            _ => crop(call, axes, i + axes - 2, full, &spatial, extent)?,
        };
        let taps = reach.div_ceil(stride);
        let begin = (taps - 1).saturating_sub(crop.begin / stride);
        let from = taps - 1 - begin;
        let rows = (crop.begin + crop.output).div_ceil(stride) - from;
        let end = (rows + taps - 1).saturating_sub(extent + begin);
        let first = crop.begin - from * stride;
        residues.push(Residues { stride, dilation, kernel, taps, begin, end, first, output: crop.output });
    }
    let [h, w] = <[Residues; 2]>::try_from(residues).unwrap_or_else(|_| unreachable!("two axes were pushed"));
    let packed = packed(weights, group, [&h, &w], *outputs)?;
    let packed = importer.constant(&packed, &format!("{}.residues", call.node.name))?;
    let op = Conv2d {
        pads: [h.begin, w.begin, h.end, w.end].map(|pad| pad as i64),
        group: group as i64,
        ..Conv2d::default()
    };
    let y = importer.op(op, &[&x, &packed], x.ty)?;
    let y = interleave(importer, &y, [h.stride, w.stride])?;
    let sizes = [y.dims[0], y.dims[1], h.output, w.output];
    let y = importer.slice(&y, &[0, 0, h.first, w.first], &sizes, &[1; 4])?;
    let y = bias(importer, call, y)?;
    importer.reshape(&y, &without_rows(&y.dims, axes))
}

/// Weights `[C, M/g, R, S]` as those of the convolution of residues: `[M·s_h·s_w, C/g, T_h, T_w]`, residues innermost.
fn packed(weights: &Tensor, group: usize, [h, w]: [&Residues; 2], outputs: usize) -> Converted<Tensor> {
    let width = weights.ty().bytes();
    let inputs = weights.dims()[0] / group;
    let zero = vec![0; width];
    let dims = vec![group * outputs * h.stride * w.stride, inputs, h.taps, w.taps];
    let mut bytes = Vec::new();
    let channels = (0..group).flat_map(|g| (0..outputs).map(move |m| (g, m)));
    for (g, m) in channels {
        for (a, b) in (0..h.stride).flat_map(|a| (0..w.stride).map(move |b| (a, b))) {
            for c in g * inputs..(g + 1) * inputs {
                for (u, v) in (0..h.taps).flat_map(|u| (0..w.taps).map(move |v| (u, v))) {
                    match (h.tap(a, u), w.tap(b, v)) {
                        (Some(r), Some(s)) => {
                            let at = ((c * outputs + m) * h.kernel + r) * w.kernel + s;
                            bytes.extend_from_slice(&weights.bytes()[at * width..][..width]);
                        }
                        _ => bytes.extend_from_slice(&zero),
                    }
                }
            }
        }
    }
    Tensor::from_bytes(weights.ty(), dims, bytes.into())
}

/// `[N, M·s_h·s_w, H, W]` as `[N, M, H·s_h, W·s_w]`.
fn interleave(importer: &mut Importer<'_>, y: &Net, [sh, sw]: [usize; 2]) -> Value1 {
    let [n, c, h, w] = <[usize; 4]>::try_from(y.dims.as_slice()).unwrap_or_else(|_| unreachable!("of a convolution"));
    let m = c / (sh * sw);
    let y = importer.reshape(y, &[n, m, sh, sw, h, w])?;
    let y = importer.permute(&y, &[0, 1, 4, 2, 5, 3])?;
    importer.reshape(&y, &[n, m, h * sh, w * sw])
}
