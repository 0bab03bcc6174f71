//! Chains of convolutions as loops, strip by strip.
//!
//! ```text
//!   for each kind of strips that are alike                   first, those inside, last
//!     %t = conv2d %x, …         over the rows of a strip      as any layer is lowered, whatever its plans
//!     %y = conv2d %t, …
//!   each of these kernels ⟶ for %strip in 0..count parallel { the kernel, its rows of %x and %y, its slice of %t }
//! ```
//!
//! Each convolution is still done for all strips before the next one begins; the pass `depth-first` then lets them alternate. Rows that two
//! strips need are computed for each of them, in separate slices.

use std::collections::HashMap;
use std::ops::Range;

use convoke_ir::arena::Arena;
use convoke_ir::attr::AutoPad;
use convoke_ir::layer::{Axis, Def, Instr, Layer, Op, Order, ValueId, verify};
use convoke_ir::loops::{BufferId, Program};
use convoke_ir::span::Span;
use convoke_ir::types::{Image, TensorType};
use convoke_lower::{LowerError, Lowering};

use super::{Strip, conv, rows, strips};
use crate::algorithms::lower as lower_conv;
use crate::lower::window;
use crate::storage;

/// Runs of a program that are to be repeated for each of some strips.
#[derive(Clone, Debug)]
pub struct Repeat {
    /// The runs of `entry`.
    pub runs: Range<usize>,
    /// Those among them that pack weights, once for all strips.
    pub packing: Vec<usize>,
    /// The buffers that were made for a strip.
    pub made: Range<usize>,
    /// How many strips there are.
    pub count: usize,
    /// For the input and the result of the chain: the buffer, the element where the first strip begins, and elements from strip to strip.
    pub ends: [(BufferId, usize, usize); 2],
}

/// Lowers the convolutions at these places of the body, first to last of a chain. Says which runs are to be repeated.
///
/// # Errors
///
/// A strip that cannot be computed by itself.
pub fn lower(lowering: &mut Lowering<'_>, chain: &[usize]) -> Result<Vec<Repeat>, LowerError> {
    let body = &lowering.layer.layer().body;
    let last = &body[*chain.last().expect("a chain has two convolutions or more")];
    let axes: Vec<Axis> = chain.iter().map(|&at| window(lowering, &body[at]).h).collect();
    lowering.make_room(last.result);
    let Some(all) = strips(&axes, rows(last)) else {
        let value = lowering.name(last.result).to_owned();
        return Err(LowerError::Band { value, reason: "has a strip whose rows are all computed from padding" });
    };
    all.iter().map(|strip| one_kind(lowering, chain, strip)).collect()
}

/// The strips of a kind.
fn one_kind(lowering: &mut Lowering<'_>, chain: &[usize], strip: &Strip) -> Result<Repeat, LowerError> {
    let layer = lowering.layer.layer();
    let (first, last) = (&layer.body[chain[0]], &layer.body[chain[chain.len() - 1]]);
    let ends = [first.args[0], last.result];
    let Copied { mut layer, from } = of_strip(layer, chain, &strip.axes);
    storage::assign(&mut layer, lowering.machine);
    // Derived pads may be more than the language lets one write.
    let Ok(verified) = verify(&layer) else {
        let value = lowering.name(last.result).to_owned();
        return Err(LowerError::Band { value, reason: "has more padding than can be written" });
    };
    let strides = ends.map(|id| lowering.view(id).strides);
    let mut own = Lowering::new(verified, lowering.machine, std::mem::take(&mut lowering.program));
    for (new, old) in layer.values.ids().zip(&from) {
        if let Some(&buffer) = lowering.buffers.get(old) {
            own.buffers.insert(new, buffer);
        }
    }
    own.strides = HashMap::from([(layer.params[0], strides[0]), (layer.results[0], strides[1])]);
    own.in_strip = strip.count > 1;
    (own.known, own.packed) = (lowering.known.of_values(&from), std::mem::take(&mut lowering.packed));
    let packed = own.packed.runs.len();
    let counts = |program: &Program| (program.entry.len(), program.buffers.len());
    let before = counts(own.program.program());
    let lowered = layer.body.iter().try_for_each(|instr| lower_conv(&mut own, instr));
    let after = counts(own.program.program());
    (lowering.program, lowering.packed) = (own.program, own.packed);
    lowered?;
    let at = |i: usize| {
        let row = strides[i].h;
        (lowering.buffers[&ends[i]], strip.first[i] * row, strip.step[i] * row)
    };
    let (runs, made) = (before.0..after.0, before.1..after.1);
    let packing = lowering.packed.runs[packed..].to_vec();
    Ok(Repeat { runs, packing, made, count: strip.count, ends: [at(0), at(1)] })
}

/// A layer, and the values of another one that its values stand for.
struct Copied {
    layer: Layer,
    from: Vec<ValueId>,
}

impl Copied {
    /// What stands for a value.
    fn value(&mut self, of: &Layer, id: ValueId) -> ValueId {
        let known = self.from.iter().position(|&from| from == id).map(ValueId::new);
        known.unwrap_or_else(|| {
            self.from.push(id);
            self.layer.values.push(of.values[id].clone())
        })
    }

    /// Gives an image `h` rows.
    fn set_rows(&mut self, id: ValueId, h: usize) {
        let ty = &self.layer.values[id].ty;
        let image = Image { h, ..ty.as_image().expect("convolutions read and give images") };
        let ty = TensorType::image(ty.elem, image, ty.layout).expect("fewer rows than a valid type has");
        self.layer.values[id].ty = ty;
    }
}

/// A layer of the convolutions of a chain over the rows of a strip. Values that the chain reads beside constants are parameters, the image first;
/// the value of its last convolution is the result.
fn of_strip(layer: &Layer, chain: &[usize], axes: &[Axis]) -> Copied {
    let empty = Layer { name: layer.name.clone(), values: Arena::new(), span: Span::default(), ..Layer::default() };
    let mut own = Copied { layer: empty, from: Vec::new() };
    let x = own.value(layer, layer.body[chain[0]].args[0]);
    own.set_rows(x, axes[0].input);
    let mut made = vec![];
    for (&at, axis) in chain.iter().zip(axes) {
        let instr = &layer.body[at];
        let mut copy = Instr { span: Span::default(), ..instr.clone() };
        copy.reads_mut().for_each(|id| *id = own.value(layer, *id));
        copy.result = own.value(layer, instr.result);
        own.set_rows(copy.result, axis.output);
        made.push(copy.result);
        // Blocks of channels have the halo of whole images; columns are as long as any strip needs.
        let value = &mut own.layer.values[copy.result];
        value.storage = value.storage.filter(|storage| storage.order == Order::Columns);
        if let (Op::Conv2d(op), Some(whole)) = (&mut copy.op, conv(instr)) {
            let window = whole.window(layer.ty(instr.args[0]), layer.ty(instr.args[1])).expect("the layer is verified");
            op.pads = [axis.begin, window.w.begin, axis.end, window.w.end].map(|pad| pad as i64);
            (op.auto_pad, op.band) = (AutoPad::NotSet, 0);
        }
        own.layer.results = vec![copy.result];
        own.layer.body.push(copy);
    }
    // What others make is there by now.
    for id in own.layer.values.ids().collect::<Vec<_>>() {
        if own.layer.constant(id).is_none() && !made.contains(&id) {
            own.layer.values[id].def = Def::Param;
            own.layer.params.push(id);
        }
    }
    own
}
