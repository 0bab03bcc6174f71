//! `depth-first`: fuse kernels that follow each other, iteration by iteration, so that the data between them stays in a cache.
//!
//! ```text
//! scratch %t: f32[4096]                                 kernel @a.b(in %x, out %y) {
//! kernel @a(in %x, out %t) {                              local %t: f32[512]
//!   for %i in 0..8 parallel { … store %t[512*%i + …] }    for %i in 0..8 parallel {
//! }                                              ⟶         … store %t[…]
//! kernel @b(in %t, out %y) {                               … load %t[…]
//!   for %i in 0..8 parallel { … load %t[512*%i + …] }     }
//! }                                                     }
//! run @a(%x, %t)                                        run @a.b(%x, %y)
//! run @b(%t, %y)
//! ```
//! Applies:  to two runs whose kernels are parallel loops of n iterations each. Every buffer that both touch, and one of them writes, must divide into n
//!           equal slices such that iteration i touches slice i alone: then no iteration of the second kernel reads data that another iteration of
//!           the first wrote. A scratch buffer that no other run touches becomes a local buffer of one slice. The fused kernel may be fused again.
//! Leaves:   kernels that share no scratch buffer, or are given a buffer twice; slices larger than half the second-level cache.
//! Guarantee: `Exact`; the operations are the same, and those on one element are in the same order.

use convoke_ir::arena::Arena;
use convoke_ir::loops::{
    Access, Affine, Buffer, BufferId, For, Func, Program, Role, Run, Slot, SlotId, Stmt, ValId, VarId,
};
use rustc_hash::{FxHashMap, FxHashSet};

use super::util::renumber::Renumber;
use super::util::{block, compact, prune};
use crate::error::PassError;
use crate::pass::{Changed, Context, LoopPass};

/// See the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct DepthFirst;

impl LoopPass for DepthFirst {
    const NAME: &'static str = "depth-first";
    const SUMMARY: &'static str = "fuse kernels iteration by iteration, so that the data between them stays in a cache";

    fn run(&self, program: &mut Program, cx: &Context<'_>) -> Result<Changed, PassError> {
        let cache = cx.machine.second_level();
        // From the last run to the first: a run whose result has one reader finds that reader already fused with its own successors. `entry` holds the
        // runs so far in reverse, and whether each is a fused one.
        let mut entry: Vec<(Run, bool)> = Vec::new();
        for run in std::mem::take(&mut program.entry).into_iter().rev() {
            match entry.last().and_then(|(after, _)| join(program, &run, after, cache / 2)) {
                Some(both) => *entry.last_mut().expect("looked at above") = (both, true),
                None => entry.push((run, false)),
            }
        }
        entry.reverse();
        let joined: Vec<usize> = (0..entry.len()).filter(|&at| entry[at].1).collect();
        program.entry = entry.into_iter().map(|(run, _)| run).collect();
        for &at in &joined {
            make_local(program, at);
        }
        if !joined.is_empty() {
            prune::prune(program);
        }
        Ok((!joined.is_empty()).into())
    }
}

/// A kernel of constants and one parallel loop without inductions, run with each buffer once.
struct Kernel<'a> {
    func: &'a Func,
    args: &'a [BufferId],
    constants: &'a [Stmt],
    parallel: &'a For,
}

impl<'a> Kernel<'a> {
    fn of(program: &'a Program, run: &'a Run) -> Option<Kernel<'a>> {
        let func = &program.funcs[run.func];
        if (1..run.args.len()).any(|i| run.args[..i].contains(&run.args[i])) {
            return None;
        }
        match func.body.split_last()? {
            (Stmt::For(parallel), constants)
                if parallel.marks.parallel
                    && (parallel.begin, parallel.step) == (0, 1)
                    && parallel.inductions.is_empty() =>
            {
                Some(Kernel { func, args: &run.args, constants, parallel })
            }
            _ => None,
        }
    }

    /// The parameter that an argument is given for.
    fn slot(&self, buffer: BufferId) -> Option<SlotId> {
        Some(SlotId::new(self.args.iter().position(|&arg| arg == buffer)?))
    }

    fn writes(&self, buffer: BufferId) -> bool {
        self.slot(buffer).is_some_and(|slot| self.func.slots[slot].access.writes())
    }

    /// The elements of a slice, if the buffer divides into equal slices such that iteration i touches slice i alone.
    fn slice(&self, program: &Program, buffer: BufferId) -> Option<usize> {
        let slot = self.slot(buffer)?;
        let (len, trips) = (self.func.slots[slot].len, self.parallel.trips() as usize);
        let slice = len / trips.max(1);
        let sliced = len == slice * trips && {
            let ranges = FxHashMap::default();
            Slices { program, slot, slice: slice as i64, parallel: self.parallel.var }.hold(&self.parallel.body, ranges)
        };
        sliced.then_some(slice)
    }
}

/// The claim that every access to a slot stays inside the slice of its iteration.
struct Slices<'a> {
    program: &'a Program,
    slot: SlotId,
    slice: i64,
    parallel: VarId,
}

impl Slices<'_> {
    /// `ranges` has the first and last value of the variables of the loops around.
    fn hold(&self, stmts: &[Stmt], ranges: FxHashMap<VarId, (i64, i64)>) -> bool {
        stmts.iter().all(|stmt| match stmt {
            Stmt::For(inner) => {
                let mut ranges = ranges.clone();
                ranges.insert(inner.var, (inner.begin, inner.last()));
                inner.inductions.is_empty() && (inner.trips() == 0 || self.hold(&inner.body, ranges))
            }
            Stmt::Call(call) => {
                let params = self.program.funcs[call.func].slots.iter().map(|(_, param)| param.len as i64);
                call.views()
                    .zip(params.chain([1]))
                    .all(|(view, len)| view.slot != self.slot || self.holds(&view.at, (0, len - 1), &ranges))
            }
            other => block::place(other).is_none_or(|place| {
                let reach = place.stride * (i64::from(place.lanes) - 1);
                place.slot != self.slot || self.holds(&place.at, (reach.min(0), reach.max(0)), &ranges)
            }),
        })
    }

    fn holds(&self, at: &Affine, (before, after): (i64, i64), ranges: &FxHashMap<VarId, (i64, i64)>) -> bool {
        let rest = at.substitute(self.parallel, &Affine::default());
        let (low, high) = rest.range(|var| ranges.get(&var).copied().unwrap_or((i64::MIN, i64::MAX)));
        let inside = 0 <= low + i128::from(before) && high + i128::from(after) < i128::from(self.slice);
        at.coefficient(self.parallel) == self.slice && inside
    }
}

/// The two runs as one, if that is allowed and their slices take at most `room` bytes.
fn join(program: &mut Program, first: &Run, second: &Run, room: usize) -> Option<Run> {
    let (a, b) = (Kernel::of(program, first)?, Kernel::of(program, second)?);
    if a.parallel.trips() != b.parallel.trips() || a.parallel.trips() < 2 {
        return None;
    }
    let shared = a.args.iter().copied().filter(|&arg| b.slot(arg).is_some() && (a.writes(arg) || b.writes(arg)));
    let (mut bytes, mut between) = (0, false);
    for buffer in shared {
        let slice = a.slice(program, buffer).filter(|&slice| b.slice(program, buffer) == Some(slice))?;
        let Buffer { ty, role, .. } = &program.buffers[buffer];
        between |= *role == Role::Scratch;
        bytes += slice * ty.elem.bytes();
    }
    if !between || bytes > room {
        return None;
    }
    let (func, args) = joined(program, &a, &b);
    let func = program.funcs.push(func);
    Some(Run { func, args, span: first.span })
}

/// The kernel each iteration of which is one of `a` followed by one of `b`, and its arguments.
fn joined(program: &Program, a: &Kernel<'_>, b: &Kernel<'_>) -> (Func, Vec<BufferId>) {
    let mut args = a.args.to_vec();
    args.extend(b.args.iter().filter(|arg| a.slot(**arg).is_none()));
    let mut slots: Arena<Slot> = Arena::new();
    for &arg in &args {
        let own = |kernel: &Kernel<'_>| kernel.slot(arg).map(|slot| kernel.func.slots[slot].clone());
        let (of_a, of_b) = (own(a), own(b));
        let access = match (of_a.as_ref().map(|s| s.access), of_b.as_ref().map(|s| s.access)) {
            (Some(Access::In), Some(Access::Out)) => Access::InOut,
            (Some(Access::In), Some(other)) => other,
            (Some(access), _) | (None, Some(access)) => access,
            (None, None) => unreachable!("an argument is one of either kernel"),
        };
        let slot = of_a.or(of_b).expect("an argument is one of either kernel");
        slots.push(Slot { access, ..slot });
    }
    let mut moved: [Vec<SlotId>; 2] = Default::default();
    for (kernel, moved) in [a, b].into_iter().zip(&mut moved) {
        for (id, slot) in kernel.func.slots.iter() {
            moved.push(match kernel.args.get(id.index()) {
                Some(arg) => SlotId::new(args.iter().position(|other| other == arg).expect("all are listed")),
                None => slots.push(slot.clone()),
            });
        }
    }
    let mut func = Func { name: fresh(program, a.func), slots, ..a.func.clone() };
    name_slots(&mut func);
    let [of_a, of_b] = moved;
    let (vals, vars) = (func.vals.len(), func.vars.len());
    for (_, val) in b.func.vals.iter() {
        func.vals.push(val.clone());
    }
    for (_, var) in b.func.vars.iter() {
        func.vars.push(var.clone());
    }
    let for_a = Renumber { slot: |slot: SlotId| of_a[slot.index()], val: |val| val, var: |var| var };
    let for_b = Renumber {
        slot: |slot: SlotId| of_b[slot.index()],
        val: |val| ValId::new(val.index() + vals),
        var: |var: VarId| if var == b.parallel.var { a.parallel.var } else { VarId::new(var.index() + vars) },
    };
    let parts = |kernel: &Kernel<'_>| (kernel.constants.to_vec(), kernel.parallel.body.clone());
    let ((mut first, mut first_body), (mut second, mut second_body)) = (parts(a), parts(b));
    for_a.block(&mut first);
    for_a.block(&mut first_body);
    for_b.block(&mut second);
    for_b.block(&mut second_body);
    first_body.append(&mut second_body);
    let parallel = For { body: first_body, ..a.parallel.clone() };
    func.body = first.into_iter().chain(second).chain([Stmt::For(parallel)]).collect();
    compact::compact(&mut func);
    (func, args)
}

/// A name that no function has: the stem of that of `func` with a number.
fn fresh(program: &Program, func: &Func) -> String {
    let taken: FxHashSet<&str> = program.funcs.iter().map(|(_, func)| func.name.as_str()).collect();
    let stem = func.name.split('.').next().unwrap_or_default();
    let mut names = (1..).map(|i| format!("{stem}.fused.{i}"));
    names.find(|name| !taken.contains(name.as_str())).expect("there is always a larger number")
}

/// Gives slots that came from different kernels different names.
fn name_slots(func: &mut Func) {
    let mut taken: FxHashSet<String> = FxHashSet::default();
    for id in func.slots.ids().collect::<Vec<_>>() {
        let name = &mut func.slots[id].name;
        let stem = name.split('.').next().unwrap_or_default().to_owned();
        let mut i = 0;
        while !taken.insert(name.clone()) {
            i += 1;
            *name = format!("{stem}.{i}");
        }
    }
}

/// Makes a scratch buffer that only the run at `at` touches, slice by slice, a local buffer of its kernel.
fn make_local(program: &mut Program, at: usize) {
    let run = program.entry[at].clone();
    let others = program.entry.iter().enumerate().filter(|(i, _)| *i != at).map(|(_, run)| run);
    let elsewhere: FxHashSet<BufferId> = others.chain(&program.prepare).flat_map(|run| run.args.clone()).collect();
    let Some(kernel) = Kernel::of(program, &run) else { return };
    let local = |&(_, &arg): &(usize, &BufferId)| {
        let own = program.buffers[arg].role == Role::Scratch && !elsewhere.contains(&arg);
        own && kernel.slice(program, arg).is_some()
    };
    let own: Vec<usize> = run.args.iter().enumerate().filter(local).map(|(i, _)| i).collect();
    let (trips, parallel) = (kernel.parallel.trips() as usize, kernel.parallel.var);

    let func = &mut program.funcs[run.func];
    let (mut kept, mut locals, mut moved) = (Vec::new(), Vec::new(), vec![None; func.slots.len()]);
    for (id, slot) in func.slots.iter() {
        if own.contains(&id.index()) {
            locals.push((id, Slot { access: Access::Local, len: slot.len / trips, ..slot.clone() }));
        } else {
            kept.push((id, slot.clone()));
        }
    }
    let mut slots = Arena::new();
    for (id, slot) in kept.into_iter().chain(locals) {
        moved[id.index()] = Some(slots.push(slot));
    }
    let within = |slot: SlotId, at: &mut Affine| {
        if own.contains(&slot.index()) {
            *at = at.substitute(parallel, &Affine::default());
        }
    };
    block::each_mut(&mut func.body, &mut |stmt| {
        if let Some(place) = block::place_mut(stmt) {
            within(place.slot, &mut place.at);
        } else if let Stmt::Call(call) = stmt {
            call.views_mut().for_each(|view| within(view.slot, &mut view.at));
        }
    });
    let slot = |slot: SlotId| moved[slot.index()].expect("each slot is kept or local");
    Renumber { slot, val: |val| val, var: |var| var }.block(&mut func.body);
    func.slots = slots;
    program.entry[at].args =
        run.args.iter().enumerate().filter(|(i, _)| !own.contains(i)).map(|(_, arg)| *arg).collect();
}
