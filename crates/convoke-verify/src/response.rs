//! The kernel that a net of convolutions and sums composes to, from its weights, in `f64`.
//!
//! An output channel o of a value is a sum over channels and offsets of the source, `y[o, p] = Σ_c,d K[o, c, d] · x[c, S·p + d]`. Going back from the value,
//!
//! ```text
//!   y = conv2d v, w { strides = s, dilations = e, pads = b }     K_v[c, s·d + e·r − b] += Σ_m K_y[m, d] · w[m, c, r],  S_v = s · S_y
//!   y = add u, v                                                 K_u += K_y,  K_v += K_y
//! ```
//!
//! A border of zeros between two convolutions differs from the values that the first would compute there. Where a convolution reads such a border along an
//! axis, all convolutions before it must have one tap, steps of one and no pads along that axis; else there is no such kernel.

use std::collections::HashMap;

use convoke_data::{DataError, Files, values};
use convoke_ir::layer::{Axis, Conv2d, Instr, Layer, Op, Step, ValueId};

/// The most numbers of what an output reads. What reads more, by steps of a million, is no kernel that a pass makes.
const MOST: usize = 1 << 26;

/// A value as a sum of convolutions over one source.
pub(crate) struct Net<'a> {
    layer: &'a Layer,
    /// From the value backwards.
    instrs: Vec<&'a Instr>,
    /// Steps of the value's own epilogue that are sums with values between.
    sums: usize,
    source: ValueId,
}

/// What an output reads of a value: `[channel, row, column]`, from the offset `low` on.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Response {
    low: [i64; 2],
    extents: [usize; 2],
    stride: [i64; 2],
    /// Whether zeros beyond the edges are read, along each axis.
    border: [bool; 2],
    numbers: Vec<f64>,
}

impl<'a> Net<'a> {
    /// The net of the value `name` over a source, where `between` says which values are part of it; `None` if it is not linear, or has several sources.
    pub(crate) fn of(layer: &'a Layer, name: &str, between: impl Fn(&str) -> bool) -> Option<Net<'a>> {
        let at = layer.body.iter().position(|instr| layer.values[instr.result].name == name)?;
        let is_between = |id: ValueId| between(&layer.values[id].name) && layer.constant(id).is_none();
        let own = &layer.body[at];
        let sums = own.then.iter().take_while(|step| is_sum(step) && is_between(step.args[0])).count();
        let (mut wanted, mut instrs, mut source) = (vec![own.result], Vec::new(), None);
        for instr in layer.body[..=at].iter().rev() {
            if !wanted.contains(&instr.result) {
                continue;
            }
            let steps = if instr.result == own.result { &instr.then[..sums] } else { &instr.then[..] };
            let reads: Vec<ValueId> = match &instr.op {
                Op::Conv2d(_) => {
                    layer.constant(instr.args[1])?;
                    vec![instr.args[0]]
                }
                Op::Add(_) if instr.args.iter().all(|&arg| layer.ty(arg) == layer.ty(instr.result)) => {
                    instr.args.clone()
                }
                _ => return None,
            };
            if !steps.iter().all(|step| is_sum(step) && is_between(step.args[0])) {
                return None;
            }
            for read in reads.into_iter().chain(steps.iter().map(|step| step.args[0])) {
                match is_between(read) {
                    true => wanted.push(read),
                    false if source.is_none_or(|known| known == read) => source = Some(read),
                    false => return None,
                }
            }
            instrs.push(instr);
        }
        Some(Net { layer, instrs, sums, source: source? })
    }

    /// The name of the source.
    pub(crate) fn source(&self) -> &str {
        &self.layer.values[self.source].name
    }

    /// The steps of the epilogue that come after.
    pub(crate) fn rest(&self) -> Vec<String> {
        let names = |step: &Step| step.args.iter().map(|&id| self.layer.values[id].name.clone()).collect::<Vec<_>>();
        self.instrs[0].then[self.sums..].iter().map(|step| format!("{:?} {:?}", step.op, names(step))).collect()
    }

    /// How many convolutions it has.
    pub(crate) fn convolutions(&self) -> usize {
        self.instrs.iter().filter(|instr| matches!(instr.op, Op::Conv2d(_))).count()
    }

    /// The numbers of all weights.
    pub(crate) fn weights(&self, files: &Files) -> Result<HashMap<ValueId, Vec<f64>>, DataError> {
        let of = |instr: &&Instr| instr.args.get(1).copied().filter(|_| matches!(instr.op, Op::Conv2d(_)));
        let read = |id: ValueId| {
            let source = self.layer.constant(id).expect("asked before");
            Ok((id, values(source, self.layer.ty(id), files)?.wide()))
        };
        self.instrs.iter().filter_map(of).map(read).collect()
    }

    /// What an output channel reads of the source, with each weight as `map` gives it; `None` where there is no such kernel.
    pub(crate) fn response(
        &self,
        channel: usize,
        weights: &HashMap<ValueId, Vec<f64>>,
        map: fn(f64) -> f64,
    ) -> Option<Response> {
        let channels = |id: ValueId| self.layer.ty(id).channels();
        let own = self.instrs[0].result;
        let mut first =
            Response { extents: [1; 2], stride: [1; 2], numbers: vec![0.0; channels(own)?], ..Response::default() };
        *first.numbers.get_mut(channel)? = 1.0;
        let mut known = HashMap::from([(own, first)]);
        for instr in &self.instrs {
            let response = known.remove(&instr.result)?;
            let steps = if instr.result == own { &instr.then[..self.sums] } else { &instr.then[..] };
            for step in steps {
                join(&mut known, step.args[0], response.clone())?;
            }
            match &instr.op {
                Op::Conv2d(op) => {
                    let (x, w) = (instr.args[0], instr.args[1]);
                    let before = response.before(op, self.layer, (x, w), weights[&w].as_slice(), map)?;
                    join(&mut known, x, before)?;
                }
                _ => instr.args.iter().try_for_each(|&arg| join(&mut known, arg, response.clone()))?,
            }
        }
        known.remove(&self.source)
    }
}

/// Adds what is read of a value on one way to what is read on others.
fn join(known: &mut HashMap<ValueId, Response>, id: ValueId, more: Response) -> Option<()> {
    let joined = match known.remove(&id) {
        Some(response) => response.plus(&more, 1.0)?,
        None => more,
    };
    known.insert(id, joined);
    Some(())
}

fn is_sum(step: &Step) -> bool {
    matches!(step.op, Op::Add(_))
}

impl Response {
    /// With another of the same strides, times `factor`.
    pub(crate) fn plus(&self, other: &Response, factor: f64) -> Option<Response> {
        let (area, other_area) = (self.extents[0] * self.extents[1], other.extents[0] * other.extents[1]);
        let channels = self.numbers.len() / area;
        if self.stride != other.stride || other.numbers.len() / other_area != channels {
            return None;
        }
        let low = [0, 1].map(|i| self.low[i].min(other.low[i]));
        let high = [0, 1].map(|i| (self.low[i] + self.extents[i] as i64).max(other.low[i] + other.extents[i] as i64));
        let extents = [0, 1].map(|i| high[i].abs_diff(low[i]) as usize);
        let border = [0, 1].map(|i| self.border[i] || other.border[i]);
        let mut sum = Response { low, extents, border, stride: self.stride, numbers: zeros(channels, extents)? };
        for (from, factor) in [(self, 1.0), (other, factor)] {
            for (at, &number) in from.numbers.iter().enumerate() {
                let (channel, row, column) = from.place(at);
                let to = sum.index(channel, row, column);
                sum.numbers[to] += factor * number;
            }
        }
        Some(sum)
    }

    /// The sum of all squares.
    pub(crate) fn square(&self) -> f64 {
        self.numbers.iter().map(|v| v * v).sum()
    }

    /// Channel and offsets of a number.
    fn place(&self, at: usize) -> (usize, i64, i64) {
        let [rows, columns] = self.extents;
        (at / (rows * columns), (at / columns % rows) as i64 + self.low[0], (at % columns) as i64 + self.low[1])
    }

    fn index(&self, channel: usize, row: i64, column: i64) -> usize {
        let [rows, columns] = self.extents;
        (channel * rows + (row - self.low[0]) as usize) * columns + (column - self.low[1]) as usize
    }

    /// What is read of the operand of a convolution.
    fn before(
        &self,
        op: &Conv2d,
        layer: &Layer,
        (x, w): (ValueId, ValueId),
        weights: &[f64],
        map: fn(f64) -> f64,
    ) -> Option<Response> {
        let window = op.window(layer.ty(x), layer.ty(w)).ok()?;
        let axes = [window.h, window.w];
        if (0..2).any(|i| self.border[i] && !is_alone(&axes[i])) {
            return None;
        }
        let &[k, cg, rows, columns] = layer.ty(w).shape.dims() else { return None };
        let channels = layer.ty(x).channels()?;
        let mut to =
            Response { border: [0, 1].map(|i| self.border[i] || reads_beyond(&axes[i])), ..Response::default() };
        for (i, axis) in axes.iter().enumerate() {
            let stride = i64::try_from(axis.stride).ok()?;
            to.stride[i] = self.stride[i].checked_mul(stride)?;
            to.low[i] = self.low[i].checked_mul(stride)?.checked_sub(i64::try_from(axis.begin).ok()?)?;
            let steps = (self.extents[i] - 1).checked_mul(axis.stride)?;
            to.extents[i] = (axis.kernel - 1).checked_mul(axis.dilation)?.checked_add(steps)?.checked_add(1)?;
        }
        to.numbers = zeros(channels, to.extents)?;
        let per_group = k / (channels / cg);
        for (at, &number) in self.numbers.iter().enumerate().filter(|(_, number)| **number != 0.0) {
            let (m, row, column) = self.place(at);
            let [row, column] = [
                row * axes[0].stride as i64 - axes[0].begin as i64,
                column * axes[1].stride as i64 - axes[1].begin as i64,
            ];
            for (tap, &weight) in weights[m * cg * rows * columns..][..cg * rows * columns].iter().enumerate() {
                let (c, r, s) = (tap / (rows * columns), tap / columns % rows, tap % columns);
                let index = to.index(
                    m / per_group * cg + c,
                    row + (r * axes[0].dilation) as i64,
                    column + (s * axes[1].dilation) as i64,
                );
                to.numbers[index] += number * map(weight);
            }
        }
        Some(to)
    }
}

/// As many zeros; `None` for too many.
fn zeros(channels: usize, [rows, columns]: [usize; 2]) -> Option<Vec<f64>> {
    let count = channels.checked_mul(rows)?.checked_mul(columns)?;
    (count <= MOST).then(|| vec![0.0; count])
}

/// Whether an output is one input along this axis, that of its own number.
fn is_alone(axis: &Axis) -> bool {
    axis.kernel == 1 && axis.stride == 1 && axis.begin == 0 && axis.end == 0
}

/// Whether outputs along this axis read zeros beyond the edges.
fn reads_beyond(axis: &Axis) -> bool {
    let last = axis.output.saturating_sub(1) * axis.stride + (axis.kernel - 1) * axis.dilation;
    axis.begin > 0 || last >= axis.begin + axis.input
}
