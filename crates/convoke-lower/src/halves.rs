//! Half types: `f16` and `bf16` are stored, and `f32` is computed.
//!
//! ```text
//!   layer in f16 ──[`widened`]──► layer in f32 ──lowering──► program in f32 ──[`store`]──► buffers of the layer's values in f16
//! ```
//!
//! A load from a buffer of halves gives `f32`, and a store takes `f32`, so a kernel has the same body for both. Lowering sees `f32` alone;
//! afterwards the buffers of the layer's values get their own types, and each function a version for the types it is called with. Buffers
//! that lowering adds, such as packed weights and images with a halo, stay `f32`.
//!
//! A product that broadcasts single numbers of its input would convert each of them again for every tile of channels. Such an input is
//! converted to `f32` as a whole first. A value between two ops that is only read in this way is stored as `f32` from the start.

use std::collections::{HashMap, HashSet};

use convoke_ir::arena::Arena;
use convoke_ir::elem::Elem;
use convoke_ir::layer::{Clip, Def, Instr, Layer, Names, Op, Value, ValueId};
use convoke_ir::loops::{Access, Buffer, BufferId, Func, FuncId, Program, Role, Run, Slot, SlotId, Stmt};
use convoke_ir::span::Span;
use convoke_ir::types::TensorType;

/// A layer with every value in the type that computes it.
pub struct Widened {
    /// The layer.
    pub layer: Layer,
    /// The values stored in that type too.
    kept_wide: HashSet<ValueId>,
}

/// The layer in the types that compute it; `None` if no value is of a half type. `in_place` says which convolutions broadcast single numbers
/// of their input, unpacked.
pub fn widened(layer: &Layer, in_place: impl Fn(&Layer, &Instr) -> bool) -> Option<Widened> {
    let any = layer.values.iter().any(|(_, value)| value.ty.elem.is_storage());
    any.then(|| {
        let mut wide = layer.clone();
        for id in wide.values.ids().collect::<Vec<_>>() {
            let elem = &mut wide.values[id].ty.elem;
            *elem = elem.compute();
        }
        let broadcast = |instr: &Instr| broadcast(layer, instr, &in_place);
        let kept_wide = kept_wide(layer, broadcast);
        let (mut names, mut copies) = (Names::of(&wide), HashMap::new());
        for mut instr in std::mem::take(&mut wide.body) {
            if let Some(x) = broadcast(&instr).filter(|x| !kept_wide.contains(x)) {
                instr.args[0] = *copies.entry(x).or_insert_with(|| {
                    let (name, ty) = (names.fresh(&format!("{}.wide", layer.values[x].name)), wide.ty(x).clone());
                    let span = Span::default();
                    let value = Value { name, ty, def: Def::Instr, range: None, storage: None, span };
                    let result = wide.values.push(value);
                    // A clip without bounds is a copy, in one pass over memory.
                    wide.body.push(Instr { result, op: Clip::default().into(), args: vec![x], then: vec![], span });
                    result
                });
            }
            wide.body.push(instr);
        }
        Widened { layer: wide, kept_wide }
    })
}

/// The input of an instruction that broadcasts single numbers of it, if it is of a half type.
fn broadcast(layer: &Layer, instr: &Instr, in_place: &impl Fn(&Layer, &Instr) -> bool) -> Option<ValueId> {
    let &x = instr.args.first()?;
    let reads_so = match instr.op {
        Op::MatMul(_) => true,
        Op::Conv2d(_) => in_place(layer, instr),
        _ => false,
    };
    (reads_so && layer.ty(x).elem.is_storage()).then_some(x)
}

/// The values between ops that are only read by broadcasting single numbers.
fn kept_wide(layer: &Layer, broadcast: impl Fn(&Instr) -> Option<ValueId>) -> HashSet<ValueId> {
    let mut kept: HashSet<ValueId> = layer.body.iter().filter_map(&broadcast).collect();
    kept.retain(|&id| layer.values[id].def == Def::Instr && !layer.results.contains(&id));
    for instr in &layer.body {
        let own = broadcast(instr);
        let others = instr.reads().enumerate().filter(|&(i, id)| i > 0 || own != Some(id));
        others.for_each(|(_, id)| {
            kept.remove(&id);
        });
        // A reshaped value is the same memory.
        if matches!(instr.op, Op::Reshape(_)) {
            kept.remove(&instr.result);
        }
    }
    kept
}

/// Gives the buffers of values their types in `layer`, and the functions parameters of these types.
pub fn store(program: &mut Program, layer: &Layer, wide: &Widened, buffers: &HashMap<ValueId, BufferId>) {
    for (&id, &buffer) in buffers {
        if let Some(value) = layer.values.get(id).filter(|_| !wide.kept_wide.contains(&id)) {
            program.buffers[buffer].ty.elem = value.ty.elem;
        }
    }
    let outputs = program.buffers.iter().filter(|(_, buffer)| buffer.role == Role::Output).map(|(id, _)| id);
    for (output, &id) in outputs.collect::<Vec<_>>().into_iter().zip(&layer.results) {
        program.buffers[output].ty.elem = layer.ty(id).elem;
    }
    apart(program);
    let mut typed = Typed { from: std::mem::take(&mut program.funcs), to: Arena::new(), known: HashMap::new() };
    let (prepare, entry) = (std::mem::take(&mut program.prepare), std::mem::take(&mut program.entry));
    let [prepare, entry] = [prepare, entry].map(|runs| {
        let run = |run: Run| {
            let elems = run.args.iter().map(|&arg| program.buffers[arg].ty.elem).collect();
            Run { func: typed.func(run.func, elems), ..run }
        };
        runs.into_iter().map(run).collect()
    });
    (program.prepare, program.entry, program.funcs) = (prepare, entry, typed.to);
}

/// Gives results that a separate kernel of the epilogue changes in place a wide buffer before it, so that they are rounded once.
///
/// ```text
///   run @conv(…, %y)                    run @conv(…, %y.wide)
///   run @elementwise(inout %y, …)  ⟶    run @elementwise(in %y.wide, …, out %y)
/// ```
fn apart(program: &mut Program) {
    for prepare in [true, false] {
        let mut runs = std::mem::take(if prepare { &mut program.prepare } else { &mut program.entry });
        let mut wide: HashMap<BufferId, BufferId> = HashMap::new();
        for at in 0..runs.len() {
            let Some(slot) = in_place(program, &runs[at]) else { continue };
            let buffer = runs[at].args[slot];
            let Buffer { name, ty, .. } = &program.buffers[buffer];
            let ty = TensorType { elem: ty.elem.compute(), ..ty.clone() };
            let taken = |name: &String| program.buffers.iter().any(|(_, other)| other.name == *name);
            let mut names = (0..).map(|i| format!("{name}.wide.{i}"));
            let name = names.find(|name| !taken(name)).expect("there is always a larger number");
            let new = *wide.entry(buffer).or_insert_with(|| {
                program.buffers.push(Buffer { name, ty, role: Role::Scratch, span: Span::default() })
            });
            // Earlier runs made the result, or are other parts of the epilogue, which keep their buffers.
            for run in &mut runs[..at] {
                let is_part = run.args.last() == Some(&buffer) && run.args.contains(&new);
                run.args.iter_mut().filter(|arg| !is_part && **arg == buffer).for_each(|arg| *arg = new);
            }
            runs[at].func = read_apart(program, runs[at].func, slot);
            runs[at].args[slot] = new;
            runs[at].args.push(buffer);
        }
        *(if prepare { &mut program.prepare } else { &mut program.entry }) = runs;
    }
}

/// The parameter of a run that is read and written, if its buffer is of a half type.
fn in_place(program: &Program, run: &Run) -> Option<usize> {
    let slots = program.funcs[run.func].slots.iter().zip(&run.args);
    slots
        .into_iter()
        .position(|((_, slot), &arg)| slot.access == Access::InOut && program.buffers[arg].ty.elem.is_storage())
}

/// The function with its inout parameter `slot` split into an input and an output; the output is the last parameter.
fn read_apart(program: &mut Program, func: FuncId, slot: usize) -> FuncId {
    let mut func = program.funcs[func].clone();
    let slot = SlotId::new(slot);
    func.slots[slot].access = Access::In;
    let Slot { name, elem, len, span, .. } = func.slots[slot].clone();
    let out = func.slots.push(Slot { name: format!("{name}.out"), elem, len, access: Access::Out, span });
    redirect(&mut func.body, slot, out);
    func.name = format!("{}.apart.{}", func.name, program.funcs.len());
    program.funcs.push(func)
}

/// Makes stores to `from` stores to `to`.
fn redirect(body: &mut [Stmt], from: SlotId, to: SlotId) {
    for stmt in body {
        match stmt {
            Stmt::Store(place, ..) if place.slot == from => place.slot = to,
            Stmt::For(inner) => redirect(&mut inner.body, from, to),
            _ => {}
        }
    }
}

/// Versions of functions by the types of their parameters.
struct Typed {
    from: Arena<Func>,
    to: Arena<Func>,
    /// The versions so far.
    known: HashMap<(FuncId, Vec<Elem>), FuncId>,
}

impl Typed {
    /// The version of a function for these types, after those of the functions it calls.
    fn func(&mut self, id: FuncId, elems: Vec<Elem>) -> FuncId {
        if let Some(&known) = self.known.get(&(id, elems.clone())) {
            return known;
        }
        let mut func = self.from[id].clone();
        let params: Vec<_> = func.slots.ids().zip(&elems).collect();
        for (slot, &elem) in params {
            func.slots[slot].elem = elem;
        }
        let slots = func.slots.iter().map(|(_, slot)| slot.elem).collect::<Vec<_>>();
        if self.known.keys().any(|(other, _)| *other == id) {
            let types: Vec<_> = elems.iter().map(|elem| elem.name()).collect();
            func.name = format!("{}.{}", func.name, types.join("."));
        }
        self.calls(&mut func.body, &slots);
        let typed = self.to.push(func);
        self.known.insert((id, elems), typed);
        typed
    }

    fn calls(&mut self, body: &mut [Stmt], slots: &[Elem]) {
        for stmt in body {
            match stmt {
                Stmt::For(inner) => self.calls(&mut inner.body, slots),
                Stmt::Call(call) => {
                    let elems = call.args.iter().map(|view| slots[view.slot.index()]).collect();
                    call.func = self.func(call.func, elems);
                }
                _ => {}
            }
        }
    }
}
