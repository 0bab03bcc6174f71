//! `merge-branches`: make one convolution of parallel linear branches whose results are added.
//!
//! ```text
//! %a = conv2d %x, %w3 { pads = [1, 1, 1, 1] }
//! %b = conv2d %x, %w1
//! %s = add %a, %b                             ⟶    %y = conv2d %x, %w { pads = [1, 1, 1, 1] }
//! %y = add %s, %x
//! ```
//!
//! with `w = w3`, plus `w1` at its centre tap, plus 1 there where input and output channel are the same: RepVGG.
//!
//! Applies:    the summands of a tree of `add` that read one `%x` through a convolution, through a `batch_norm`, or
//!             directly, each perhaps with `bias`. The convolution with the most taps absorbs every other branch whose taps
//!             fall on its own (strides, dilations and pads decide) and whose groups divide into its groups. It does no
//!             more multiplications than before. The other branches stay summands.
//! Guarantee:  `Rounding`: equal over the reals; the new constants are summed in `f64` and rounded once. As a tap that was
//!             not there is now a weight of 0, an infinity or a NaN reaches every output whose window holds it.
//! Leaves:     unbound weights; branches that something else reads too; sums out of the element type's range; weights of
//!             more than 16 Mi elements.
//! Source:     Ding et al., RepVGG: Making VGG-style ConvNets Great Again, arXiv:2101.03697, §3.3.

use std::collections::HashMap;

use convoke_ir::attr::AutoPad;
use convoke_ir::layer::{Add, Axis, Bias, Conv2d, Def, Instr, Layer, Op, ValueId, Window};

use super::affine::Affine;
use super::edit::{self, Names};
use super::fold_batch_norm::in_range;
use crate::error::PassError;
use crate::guarantee::{Granted, Rounding};
use crate::note::Log;
use crate::pass::{Changed, Context, LayerPass};

/// See the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct MergeBranches;

impl LayerPass for MergeBranches {
    type Needs = Rounding;
    const NAME: &'static str = "merge-branches";
    const SUMMARY: &'static str = "make one convolution of parallel linear branches that are added";
    const IEEE: bool = false;

    fn run(
        &self,
        layer: &mut Layer,
        cx: &Context<'_>,
        _: Granted<Rounding>,
        _: &mut Log,
    ) -> Result<Changed, PassError> {
        let net = Net { definitions: layer.definitions(), single: layer.single_readers() };
        let mut names = Names::new(layer);
        let mut keep = vec![true; layer.body.len()];
        let mut merged: HashMap<usize, Vec<Instr>> = HashMap::new();
        for root in 0..layer.body.len() {
            if !is_sum(layer, root) || net.inside_sum(layer, root) {
                continue;
            }
            let tree = net.tree(layer, root);
            if let Some(instrs) = merge(layer, &net, root, &tree, &mut keep, &mut names, cx)? {
                tree.adds.iter().for_each(|&at| keep[at] = false);
                merged.insert(root, instrs);
            }
        }
        Ok(edit::replace(layer, &keep, merged).into())
    }
}

/// Whether an instruction adds operands of equal shape.
fn is_sum(layer: &Layer, at: usize) -> bool {
    let instr = &layer.body[at];
    matches!(instr.op, Op::Add(_)) && instr.args.iter().all(|&id| layer.ty(id) == layer.ty(instr.result))
}

/// Who defines and who alone reads each value.
struct Net {
    definitions: Vec<Option<usize>>,
    single: Vec<Option<usize>>,
}

/// A tree of `add`.
struct Tree {
    /// Its instructions, the root's included.
    adds: Vec<usize>,
    /// What they add.
    summands: Vec<ValueId>,
}

/// A summand that is linear in `x`, channel by channel or by a convolution.
struct Branch {
    /// The value it reads.
    x: ValueId,
    /// Its place among the summands.
    summand: usize,
    /// The convolution and its weights; `None` for the identity.
    conv: Option<(Conv2d, ValueId)>,
    /// The ops applied to the result of the convolution, or to `x`.
    after: Vec<(Op, Vec<ValueId>)>,
    /// The instructions that are gone when it is merged.
    places: Vec<usize>,
}

impl Net {
    /// Whether an instruction of a sum is itself a summand of a larger one.
    fn inside_sum(&self, layer: &Layer, at: usize) -> bool {
        let instr = &layer.body[at];
        instr.then.is_empty()
            && self.single[instr.result.index()].is_some_and(|reader| self.sums(layer, reader, instr.result))
    }

    /// Whether `reader` adds `id` as an operand of its op.
    fn sums(&self, layer: &Layer, reader: usize, id: ValueId) -> bool {
        is_sum(layer, reader) && layer.body[reader].args.contains(&id)
    }

    fn tree(&self, layer: &Layer, root: usize) -> Tree {
        let mut tree = Tree { adds: vec![root], summands: Vec::new() };
        // The operands still to look at, the leftmost on top.
        let mut stack: Vec<ValueId> = layer.body[root].args.iter().rev().copied().collect();
        while let Some(id) = stack.pop() {
            match self.definitions[id.index()].filter(|&at| is_sum(layer, at) && self.inside_sum(layer, at)) {
                Some(at) => {
                    tree.adds.push(at);
                    stack.extend(layer.body[at].args.iter().rev());
                }
                None => tree.summands.push(id),
            }
        }
        tree
    }

    /// The instruction that defines `id`, if it is read once.
    fn inner<'a>(&self, layer: &'a Layer, id: ValueId) -> Option<(usize, &'a Instr)> {
        let at = self.definitions[id.index()].filter(|_| self.single[id.index()].is_some())?;
        Some((at, &layer.body[at]))
    }

    /// The branch that ends in summand number `summand`, through its convolution if it has one and else down to the first
    /// value that `is_input` knows.
    fn branch(&self, layer: &Layer, id: ValueId, summand: usize, is_input: &dyn Fn(ValueId) -> bool) -> Option<Branch> {
        let mut branch = Branch { x: id, summand, conv: None, after: Vec::new(), places: Vec::new() };
        while !is_input(branch.x) {
            let (at, instr) = self.inner(layer, branch.x)?;
            let steps = instr.then.iter().map(|step| (step.op.clone(), step.args.clone())).rev();
            let own = (instr.op.clone(), instr.args[1..].to_vec());
            let taken: Vec<_> = match &instr.op {
                Op::Conv2d(_) => steps.collect(),
                _ => steps.chain([own]).collect(),
            };
            let ty = layer.ty(if matches!(instr.op, Op::Conv2d(_)) { instr.result } else { instr.args[0] });
            if !taken.iter().all(|(op, others)| Affine::takes(layer, ty, op, others)) {
                return None;
            }
            branch.after.extend(taken);
            branch.places.push(at);
            branch.x = instr.args[0];
            if let Op::Conv2d(conv) = &instr.op {
                let w = instr.args[1];
                let fits = edit::is_bound(layer, w) && layer.ty(w).elements() <= edit::MAX_ELEMENTS;
                branch.conv = fits.then(|| (conv.clone(), w));
                branch.conv.as_ref()?;
                break;
            }
        }
        // Collected from the sum inwards.
        branch.after.reverse();
        Some(branch)
    }
}

/// A convolution with every number derived.
struct Kernel {
    window: Window,
    /// Output channels, input channels for each, groups.
    k: usize,
    c: usize,
    group: usize,
}

impl Kernel {
    fn new(layer: &Layer, x: ValueId, conv: &Conv2d, w: ValueId) -> Option<Kernel> {
        let window = conv.window(layer.ty(x), layer.ty(w)).ok()?;
        let &[k, c, ..] = layer.ty(w).shape.dims() else { return None };
        Some(Kernel { window, k, c, group: conv.group as usize })
    }

    /// The kernel that gives back `channels` channels of an image of the window's.
    fn identity(target: &Kernel) -> Option<Kernel> {
        let one = |axis: Axis| {
            let kept = Axis { kernel: 1, stride: 1, dilation: 1, begin: 0, end: 0, output: axis.input, ..axis };
            (axis.stride == 1 && axis.output == axis.input).then_some(kept)
        };
        let window = Window { h: one(target.window.h)?, w: one(target.window.w)? };
        (target.c * target.group == target.k).then_some(Kernel { window, k: target.k, c: 1, group: target.k })
    }

    fn taps(&self) -> usize {
        self.window.h.kernel * self.window.w.kernel
    }

    /// The tap of `target` on which this kernel's first falls, if every tap falls on one and every group inside one.
    fn place_in(&self, target: &Kernel) -> Option<[usize; 2]> {
        let axis = |own: Axis, of: Axis| {
            let (from, to) = (-(own.begin as i64), -(of.begin as i64));
            let offset = from - to;
            let fits = own.stride == of.stride
                && (own.kernel == 1 || own.dilation == of.dilation)
                && offset >= 0
                && offset % of.dilation as i64 == 0;
            let first = (offset / of.dilation as i64) as usize;
            (fits && first + own.kernel <= of.kernel).then_some(first)
        };
        let groups = self.k == target.k && self.group.is_multiple_of(target.group);
        Some([axis(self.window.h, target.window.h)?, axis(self.window.w, target.window.w)?]).filter(|_| groups)
    }

    /// Adds this kernel's weights, `gain` applied, to those of `target`, first tap on first.
    fn add_to(
        &self,
        target: &Kernel,
        sum: &mut [f64],
        first: [usize; 2],
        gain: &[f64],
        weights: impl Fn(usize) -> f64,
    ) {
        let [[r, s], [tr, ts]] = [&self.window, &target.window].map(|w| [w.h.kernel, w.w.kernel]);
        for (k, gain) in gain.iter().enumerate() {
            // The channel of the whole input where a group begins.
            let begin = |kernel: &Kernel| k / (kernel.k / kernel.group) * kernel.c;
            let shift = begin(self) - begin(target);
            for c in 0..self.c {
                for i in 0..r * s {
                    let (row, column) = (i / s + first[0], i % s + first[1]);
                    let at = ((k * target.c + shift + c) * tr + row) * ts + column;
                    sum[at] += gain * weights((k * self.c + c) * r * s + i);
                }
            }
        }
    }
}

/// The instructions that replace the sum at `root`, if any of its summands can be merged.
fn merge(
    layer: &mut Layer,
    net: &Net,
    root: usize,
    tree: &Tree,
    keep: &mut [bool],
    names: &mut Names,
    cx: &Context<'_>,
) -> Result<Option<Vec<Instr>>, PassError> {
    let ty = layer.ty(layer.body[root].result).clone();
    // By the value they read; convolutions first, then what reads the same value without one.
    let mut by_input: HashMap<ValueId, Vec<Branch>> = HashMap::new();
    let mut order = Vec::new();
    let mut plain = Vec::new();
    for (summand, &id) in tree.summands.iter().enumerate() {
        match net.branch(layer, id, summand, &|_| false).filter(|b| b.conv.is_some()) {
            Some(branch) => {
                order.push(branch.x);
                by_input.entry(branch.x).or_default().push(branch);
            }
            None => plain.push((summand, id)),
        }
    }
    for (summand, id) in plain {
        let is_input = |id| by_input.contains_key(&id);
        if let Some(branch) = net.branch(layer, id, summand, &is_input).filter(|b| b.conv.is_none()) {
            by_input.entry(branch.x).or_default().push(branch);
        }
    }

    let mut left: Vec<Option<ValueId>> = tree.summands.iter().copied().map(Some).collect();
    let mut instrs: Vec<Instr> = Vec::new();
    for x in order {
        // A value stands in `order` once for each of its convolutions.
        let Some(branches) = by_input.remove(&x) else { continue };
        let Some(sum) = sum(layer, x, &branches, cx)? else { continue };
        let w_ty = layer.ty(sum.weights_of).clone();
        let stem = format!("{}.merged", layer.values[sum.weights_of].name);
        let weights = names.constant(layer, &stem, w_ty, sum.weights);
        let mut result = names.value(layer, "merged", ty.clone(), Def::Instr);
        instrs.push(edit::instr(result, sum.conv, vec![x, weights]));
        if sum.bias.iter().any(|&b| b != 0.0) {
            let bias = names.channels(layer, &format!("{stem}.bias"), ty.elem, sum.bias);
            let conv = result;
            result = names.value(layer, "merged", ty.clone(), Def::Instr);
            instrs.push(edit::instr(result, Bias {}, vec![conv, bias]));
        }
        for &i in &sum.taken {
            left[branches[i].summand] = None;
            branches[i].places.iter().for_each(|&at| keep[at] = false);
        }
        left.push(Some(result));
    }
    if instrs.is_empty() {
        return Ok(None);
    }
    let mut rest = left.into_iter().flatten();
    let mut total = rest.next().expect("at least the merged branches");
    for summand in rest {
        let result = names.value(layer, "sum", ty.clone(), Def::Instr);
        instrs.push(edit::instr(result, Add {}, vec![total, summand]));
        total = result;
    }
    let last = instrs.last_mut().expect("looked at above");
    last.result = layer.body[root].result;
    last.then = layer.body[root].then.clone();
    Ok(Some(instrs))
}

/// A convolution that stands for several branches.
struct Sum {
    conv: Conv2d,
    /// The constant whose type the weights have.
    weights_of: ValueId,
    weights: Vec<f64>,
    bias: Vec<f64>,
    /// The branches it stands for.
    taken: Vec<usize>,
}

/// Sums the branches over `x` that can be summed; `None` if there are fewer than two.
fn sum(layer: &Layer, x: ValueId, branches: &[Branch], cx: &Context<'_>) -> Result<Option<Sum>, PassError> {
    if branches.len() < 2 {
        return Ok(None);
    }
    let kernel = |branch: &Branch| branch.conv.as_ref().and_then(|(conv, w)| Kernel::new(layer, x, conv, *w));
    // The most taps, then the most channels for each output; of equals, the first.
    let widest = branches.iter().enumerate().filter_map(|(i, b)| Some((kernel(b)?, i)));
    let widest = widest.max_by_key(|(kernel, i)| (kernel.taps(), kernel.c, std::cmp::Reverse(*i)));
    let Some((target, widest)) = widest else { return Ok(None) };
    let Some((conv, weights_of)) = &branches[widest].conv else { return Ok(None) };

    let mut weights = vec![0.0; layer.ty(*weights_of).elements()];
    let mut bias = vec![0.0; target.k];
    let mut taken = Vec::new();
    for (i, branch) in branches.iter().enumerate() {
        let own = if branch.conv.is_some() { kernel(branch) } else { Kernel::identity(&target) };
        let Some(own) = own else { continue };
        let Some(first) = own.place_in(&target) else { continue };
        let mut affine = Affine::identity(target.k);
        for (op, others) in &branch.after {
            affine.then(layer, op, others, cx, MergeBranches::NAME)?;
        }
        match &branch.conv {
            Some((_, w)) => {
                let Some(numbers) = edit::numbers(layer, *w, cx, MergeBranches::NAME)? else { continue };
                own.add_to(&target, &mut weights, first, &affine.gain, |i| numbers[i]);
            }
            None => own.add_to(&target, &mut weights, first, &affine.gain, |_| 1.0),
        }
        bias.iter_mut().zip(affine.shift).for_each(|(sum, b)| *sum += b);
        taken.push(i);
    }
    let elem = layer.ty(x).elem;
    if taken.len() < 2 || !in_range(&weights, elem) || !in_range(&bias, elem) {
        return Ok(None);
    }
    let Window { h, w } = target.window;
    let pads = [h.begin, w.begin, h.end, w.end].map(|p| p as i64);
    let conv = Conv2d { pads, auto_pad: AutoPad::NotSet, band: 0, ..conv.clone() };
    Ok(Some(Sum { conv, weights_of: *weights_of, weights, bias, taken }))
}
