//! Explicit padding for convolutions whose weights may be NaN or infinite.
//!
//! ```text
//! %y = conv2d %x, %w { pads = [1, 1, 1, 1] }       ⟶       %p = pad %x { pads = [1, 1, 1, 1] }
//!                                                           %y = conv2d %p, %w
//! ```
//!
//! Padding is 0, and 0 times such a weight is NaN. Most algorithms skip taps on padding, which is right for finite weights alone; an explicit
//! `pad` puts the zeros into memory, where every plain algorithm reads them. Weights that are not constant count as possibly not finite.
//!
//! A changed convolution loses its `band`, since a fused row strip would have to begin behind the `pad`, and its input loses its `storage`,
//! since a `pad` reads plain images.

use convoke_data::{Files, values};
use convoke_ir::attr::{AutoPad, PadMode};
use convoke_ir::layer::{Def, Generator, Instr, Layer, Names, Op, Pad, Source, Value, ValueId};
use convoke_ir::span::Span;
use convoke_ir::types::{Image, TensorType};
use convoke_ir::values::Values;

use crate::{LowerError, too_large};

/// The layer with explicit padding, and the results of the convolutions that changed: their plans were made for padded ones.
pub fn with_padding_read(layer: &Layer, files: &Files) -> Result<(Layer, Vec<ValueId>), LowerError> {
    let mut layer = layer.clone();
    let (mut names, mut changed): (Option<Names>, _) = (None, Vec::new());
    let mut body = Vec::with_capacity(layer.body.len());
    for mut instr in std::mem::take(&mut layer.body) {
        if let Some(pads) = padding(&layer, &instr)
            && !all_finite(&layer, instr.args[1], files)
        {
            let names = names.get_or_insert_with(|| Names::of(&layer));
            let x = instr.args[0];
            let padded = padded(&layer, x, pads)?;
            let stem = format!("{}.padded", layer.values[x].name);
            let name = names.fresh(&stem);
            let span = Span::default();
            let padded = Value { name, ty: padded, def: Def::Instr, range: None, storage: None, span };
            let padded = layer.values.push(padded);
            let pad = Pad { pads, mode: PadMode::Zeros, value: 0.0 };
            body.push(Instr { result: padded, op: pad.into(), args: vec![x], then: vec![], span });
            instr.args[0] = padded;
            layer.values[x].storage = None;
            changed.push(instr.result);
            if let Op::Conv2d(conv) = &mut instr.op {
                (conv.pads, conv.auto_pad, conv.band) = ([0; 4], AutoPad::NotSet, 0);
            }
        }
        body.push(instr);
    }
    layer.body = body;
    Ok((layer, changed))
}

/// The padding of an instruction: `None` if it is no convolution, has none, or has more than a `pad` may add.
fn padding(layer: &Layer, instr: &Instr) -> Option<[i64; 4]> {
    let Op::Conv2d(conv) = &instr.op else { return None };
    let window = conv.window(layer.ty(instr.args[0]), layer.ty(instr.args[1])).ok()?;
    let pads = [window.h.begin, window.w.begin, window.h.end, window.w.end];
    (pads != [0; 4] && pads.iter().all(|&pad| pad <= 1 << 30)).then_some(pads.map(|pad| pad as i64))
}

fn padded(layer: &Layer, x: ValueId, pads: [i64; 4]) -> Result<TensorType, LowerError> {
    let ty = layer.ty(x);
    let image = ty.as_image().expect("a convolution reads an image");
    let [top, left, bottom, right] = pads.map(|pad| pad as usize);
    let image = Image { h: image.h + top + bottom, w: image.w + left + right, ..image };
    TensorType::image(ty.elem, image, ty.layout).map_err(|_| too_large(&layer.values[x].name, &image.stored(ty.layout)))
}

/// Whether every number of a tensor is finite. A file that cannot be read counts as finite; packing the weights reports it.
fn all_finite(layer: &Layer, w: ValueId, files: &Files) -> bool {
    let finite = |numbers: &Values| numbers.all(f64::is_finite);
    match layer.constant(w) {
        None => false,
        Some(Source::Unbound) => true,
        Some(Source::Numbers(numbers)) => numbers.iter().all(|number| number.is_finite()),
        Some(Source::Computed(numbers)) => finite(numbers),
        // An angle may overflow.
        Some(Source::Generate(generator)) if !matches!(generator, Generator::Gabor { .. }) => true,
        Some(source) => values(source, layer.ty(w), files).map_or(true, |numbers| finite(&numbers)),
    }
}
