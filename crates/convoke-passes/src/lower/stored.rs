//! Buffers as they are stored: `f16` and `bf16`.
//!
//! ```text
//!   layer with f16 ──widened──► the same in f32 ──lower──► program in f32 ──stored──► inputs, outputs, constants and values between in f16
//! ```
//!
//! A load from a buffer of halves gives `f32`, and a store takes it, so that a kernel is the same whatever its buffers hold: lowering writes it for
//! the type computed in, and afterwards the buffers of the layer's values get their own type, and functions a parameter of it for each of these.
//! What lowering makes beside values, such as packed weights and images with a halo, stays in the type computed in.

use std::collections::HashMap;

use convoke_ir::arena::Arena;
use convoke_ir::elem::Elem;
use convoke_ir::layer::{Layer, ValueId};
use convoke_ir::loops::{Access, Buffer, BufferId, Func, FuncId, Program, Role, Run, Slot, SlotId, Stmt};
use convoke_ir::span::Span;
use convoke_ir::types::TensorType;

use crate::loops::util::block;

fn is_stored(layer: &Layer) -> bool {
    layer.values.iter().any(|(_, value)| value.ty.elem.is_storage())
}

/// The layer with every value in the type computed in; `None` if that is the layer itself.
pub(super) fn widened(layer: &Layer) -> Option<Layer> {
    is_stored(layer).then(|| {
        let mut wide = layer.clone();
        for id in wide.values.ids().collect::<Vec<_>>() {
            let elem = &mut wide.values[id].ty.elem;
            *elem = elem.compute();
        }
        wide
    })
}

/// Gives the buffers of values their types in `layer`, and the functions that run on them parameters of these.
pub(super) fn store(program: &mut Program, layer: &Layer, buffers: &HashMap<ValueId, BufferId>) {
    if !is_stored(layer) {
        return;
    }
    for (&id, &buffer) in buffers {
        program.buffers[buffer].ty.elem = layer.ty(id).elem;
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

/// Gives results that an epilogue changes in place, after they were stored, memory of their own until then: they are rounded once.
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
            let (name, ty) = (format!("{name}.wide"), TensorType { elem: ty.elem.compute(), ..ty.clone() });
            let new = *wide.entry(buffer).or_insert_with(|| {
                program.buffers.push(Buffer { name, ty, role: Role::Scratch, span: Span::default() })
            });
            // What stands before made the result; another part of the epilogue may be among it.
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

/// The parameter of a run that is read and written, if its buffer holds what is stored alone.
fn in_place(program: &Program, run: &Run) -> Option<usize> {
    let slots = program.funcs[run.func].slots.iter().zip(&run.args);
    slots
        .into_iter()
        .position(|((_, slot), &arg)| slot.access == Access::InOut && program.buffers[arg].ty.elem.is_storage())
}

/// The function with a parameter that is read and written apart into one that is read, and one that is written, its last.
fn read_apart(program: &mut Program, func: FuncId, slot: usize) -> FuncId {
    let mut func = program.funcs[func].clone();
    let slot = SlotId::new(slot);
    func.slots[slot].access = Access::In;
    let Slot { name, elem, len, span, .. } = func.slots[slot].clone();
    let out = func.slots.push(Slot { name: format!("{name}.out"), elem, len, access: Access::Out, span });
    block::each_mut(&mut func.body, &mut |stmt| {
        if let Stmt::Store(place, ..) = stmt
            && place.slot == slot
        {
            place.slot = out;
        }
    });
    func.name = format!("{}.apart.{}", func.name, program.funcs.len());
    program.funcs.push(func)
}

/// Functions with parameters of other types.
struct Typed {
    from: Arena<Func>,
    to: Arena<Func>,
    /// By the types of their parameters.
    known: HashMap<(FuncId, Vec<Elem>), FuncId>,
}

impl Typed {
    /// The function with parameters of these types; those that it calls stand before it.
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
        if elems.iter().any(|elem| elem.is_storage()) && self.known.keys().any(|(other, _)| *other == id) {
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
