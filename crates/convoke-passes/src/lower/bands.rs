//! Chains of convolutions by bands of rows.
//!
//! ```text
//!   for each stretch of bands that are alike                 first, those inside, last
//!     %t = conv2d %x, …         over the rows of a band       as any layer is lowered, whatever its algorithms
//!     %y = conv2d %t, …
//!   each kernel of that ⟶ for %band in 0..count parallel { the kernel, its band of %x and %y, its slice of what is between }
//! ```
//!
//! So each convolution is still done for all bands before the next; `depth-first` then lets them take turns. Rows that two bands both need are
//! computed for each, in slices of their own.

use std::collections::HashMap;
use std::ops::Range;

use convoke_ir::arena::Id;
use convoke_ir::attr::AutoPad;
use convoke_ir::layer::{Axis, Def, Layer, Op, ValueId, verify};
use convoke_ir::loops::{Affine, Buffer, BufferId, For, Func, Program, Role, Run, Stmt, Var};
use convoke_ir::span::Span;
use convoke_ir::types::{Image, Layout, TensorType};

use super::tile::parallel;
use super::{LowerError, Lowering, too_large};
use crate::bands::{Band, bands, conv, rows};
use crate::loops::util::{block, compact::compact, prune::prune};

/// Runs that are to be repeated for each of some bands.
pub(super) struct Repeat {
    runs: Range<usize>,
    /// Those among them that pack weights, once for all bands.
    packing: Vec<usize>,
    /// The buffers that were made for a band.
    made: Range<usize>,
    count: usize,
    /// Where the first band of what the chain reads and gives begins, and elements from band to band.
    ends: [(BufferId, usize, usize); 2],
}

impl<'a> Lowering<'a> {
    /// Lowers the convolutions at these places of the body, which take turns.
    pub(super) fn chain(&mut self, chain: &[usize]) -> Result<(), LowerError> {
        let body = &self.layer.layer().body;
        let last = &body[*chain.last().expect("a chain has two convolutions or more")];
        let axis = |&at: &usize| conv(&body[at]).map(|op| self.window(&body[at], op).h);
        let axes: Vec<Axis> = chain.iter().filter_map(axis).collect();
        self.make_room(last.result);
        let Some(all) = bands(&axes, rows(last)) else {
            let value = self.name(last.result).to_owned();
            return Err(LowerError::Band { value, reason: "has a band whose rows are all computed from padding" });
        };
        all.iter().try_for_each(|band| self.band(chain, band))
    }

    fn band(&mut self, chain: &[usize], band: &Band) -> Result<(), LowerError> {
        let layer = self.layer.layer();
        let (first, last) = (&layer.body[chain[0]], &layer.body[chain[chain.len() - 1]]);
        let ends = [first.args[0], last.result];
        let of_band = of_band(layer, chain, &band.axes);
        // Derived pads may be more than the language lets one write.
        let Ok(verified) = verify(&of_band) else {
            let value = self.name(last.result).to_owned();
            return Err(LowerError::Band { value, reason: "has more padding than can be written" });
        };
        let grids = ends.map(|id| (id, self.placed(id).grid));
        let mut own = Lowering::new(verified, self.machine, std::mem::take(&mut self.program));
        own.buffers = self.buffers.clone();
        own.grids = HashMap::from(grids);
        own.in_band = band.count > 1;
        (own.known, own.packed) = (self.known.clone(), std::mem::take(&mut self.packed));
        let packed = own.packed.runs.len();
        let counts = |program: &Program| (program.entry.len(), program.buffers.len());
        let before = counts(own.program.program());
        let lowered = own.transpose_between();
        let lowered = lowered.and_then(|()| of_band.body.iter().try_for_each(|instr| own.instr(instr)));
        let after = counts(own.program.program());
        (self.program, self.packed) = (own.program, own.packed);
        lowered?;
        let at = |i: usize| {
            let row = grids[i].1.h;
            (self.buffers[&ends[i]], band.first[i] * row, band.step[i] * row)
        };
        let (runs, made) = (before.0..after.0, before.1..after.1);
        let packing = self.packed.runs[packed..].to_vec();
        self.repeats.push(Repeat { runs, packing, made, count: band.count, ends: [at(0), at(1)] });
        Ok(())
    }
}

/// A layer of the convolutions of a chain over the rows of a band.
fn of_band(layer: &Layer, chain: &[usize], axes: &[Axis]) -> Layer {
    let mut own = layer.clone();
    own.body = chain.iter().map(|&at| layer.body[at].clone()).collect();
    let set_rows = |own: &mut Layer, id: ValueId, h: usize| {
        let ty = own.ty(id).clone();
        let image = Image { h, ..ty.as_image().expect("convolutions read and give images") };
        own.values[id].ty = TensorType::image(ty.elem, image, ty.layout).expect("fewer rows than a valid type has");
    };
    let x = own.body[0].args[0];
    set_rows(&mut own, x, axes[0].input);
    own.values[x].def = Def::Param;
    own.params = vec![x];
    // What others make is there by now.
    let made: Vec<ValueId> = own.body.iter().map(|instr| instr.result).collect();
    let read: Vec<ValueId> = own.body.iter().flat_map(|instr| instr.reads().skip(1)).collect();
    for id in read.into_iter().filter(|id| !made.contains(id)) {
        if own.constant(id).is_none() && !own.params.contains(&id) {
            own.values[id].def = Def::Param;
            own.params.push(id);
        }
    }
    for (i, axis) in axes.iter().enumerate() {
        let instr = &layer.body[chain[i]];
        if let Op::Conv2d(conv) = &mut own.body[i].op {
            let window = conv.window(layer.ty(instr.args[0]), layer.ty(instr.args[1])).expect("the layer is verified");
            conv.pads = [axis.begin, window.w.begin, axis.end, window.w.end].map(|pad| pad as i64);
            (conv.auto_pad, conv.band) = (AutoPad::NotSet, 0);
        }
        set_rows(&mut own, instr.result, axis.output);
        own.results = vec![instr.result];
    }
    own
}

/// Repeats the runs of bands, after those that pack their weights.
pub(super) fn repeat(program: &mut Program, repeats: &[Repeat]) -> Result<(), LowerError> {
    for repeat in repeats {
        let packed: Vec<BufferId> =
            repeat.packing.iter().filter_map(|&at| program.entry[at].args.last().copied()).collect();
        let packing_first = repeat.packing.iter().copied();
        let packing_first = packing_first.chain(repeat.runs.clone().filter(|at| !repeat.packing.contains(at)));
        let runs: Vec<Run> = packing_first.map(|at| program.entry[at].clone()).collect();
        program.entry.splice(repeat.runs.clone(), runs);
        let made: HashMap<BufferId, usize> = repeat
            .made
            .clone()
            .map(Id::new)
            .filter(|&id| program.buffers[id].role == Role::Scratch && !packed.contains(&id))
            .map(|id| (id, program.buffers[id].ty.elements()))
            .collect();
        for (&buffer, &len) in &made {
            let Buffer { name, ty, .. } = &mut program.buffers[buffer];
            let all = len.checked_mul(repeat.count).and_then(|all| TensorType::new(ty.elem, [all], Layout::Nchw).ok());
            *ty = all.ok_or_else(|| too_large(name, &[repeat.count, len]))?;
        }
        for at in repeat.runs.clone().skip(repeat.packing.len()) {
            let Run { func, args, .. } = &program.entry[at];
            let places = args.iter().map(|arg| {
                let end = repeat.ends.iter().find(|(buffer, ..)| buffer == arg);
                let (first, step) =
                    end.map_or((0, made.get(arg).copied().unwrap_or(0)), |&(_, first, step)| (first, step));
                (program.buffers[*arg].ty.elements(), first, step)
            });
            let mut func = repeated(&program.funcs[*func], &places.collect::<Vec<_>>(), repeat.count);
            func.name = format!("{}.bands.{at}", func.name);
            program.entry[at].func = program.funcs.push(func);
        }
    }
    if !repeats.is_empty() {
        prune(program);
    }
    Ok(())
}

/// A kernel for `count` bands: for each parameter, the elements of the whole buffer, where the first band begins, and elements from band to band.
fn repeated(func: &Func, places: &[(usize, usize, usize)], count: usize) -> Func {
    let mut func = func.clone();
    let band = (count > 1).then(|| func.vars.push(Var { name: "band".into() }));
    for (slot, &(len, ..)) in func.slots.ids().zip(places).collect::<Vec<_>>() {
        func.slots[slot].len = len;
    }
    block::each_mut(&mut func.body, &mut |stmt| {
        let shift = |slot: usize, at: &mut Affine| {
            if let Some(&(_, first, step)) = places.get(slot) {
                let bands = band.map_or_else(Affine::default, |band| Affine::from(band) * step);
                *at = std::mem::take(at) + bands + first;
            }
        };
        if let Some(place) = block::place_mut(stmt) {
            shift(place.slot.index(), &mut place.at);
        }
        match stmt {
            Stmt::Call(call) => call.views_mut().for_each(|view| shift(view.slot.index(), &mut view.at)),
            Stmt::For(inner) => inner.marks.parallel &= count == 1,
            _ => {}
        }
    });
    if let Some(var) = band {
        let (marks, body) = (parallel(), std::mem::take(&mut func.body));
        let (begin, end, span) = (0, count as i64, Span::default());
        func.body = vec![Stmt::For(For { var, begin, end, step: 1, marks, inductions: vec![], body, span })];
        compact(&mut func);
    }
    func
}
