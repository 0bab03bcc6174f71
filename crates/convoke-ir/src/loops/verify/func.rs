//! Checks of one function: names, scopes, types, and that every access is inside its buffer. Loops and calls are below.

mod calls;
mod for_loop;

use smallvec::SmallVec;

use super::super::{Access, Affine, Expr, Func, FuncId, FuncKind, Place, Program, SlotId, Stmt, ValId, VarId, VecType};
use super::address::{Linear, MAX};
use super::parallel::Touch;
use super::{Found, MAX_BYTES, MAX_STMTS, MAX_TABLE};
use crate::diagnostic::{Code, Diagnostic, shown};
use crate::shape::Shape;
use crate::span::Span;

/// How large loop bounds, steps and induction variables may be.
const MAX_COUNT: i64 = 1 << 48;
/// How many accesses of one program are compared to prove that iterations are independent, those of called codelets
/// counted at each call.
const MAX_TOUCHES: usize = 1 << 21;

/// Checks every function of a program.
pub(super) fn check_all(program: &Program, found: &mut Found) {
    let stmts: usize = program.funcs.iter().map(|(_, func)| count(&func.body, MAX_STMTS)).sum();
    if stmts > MAX_STMTS {
        let message = format!("the program has more than {MAX_STMTS} statements");
        return found.report(Diagnostic::new(Code::ProgramSize, program.span, message));
    }
    let mut shared = Shared { program, touches: Vec::new(), budget: MAX_TOUCHES };
    for (id, func) in program.funcs.iter() {
        let touches = if found.full() { Vec::new() } else { Check::func(&mut shared, id, func, found) };
        shared.touches.push(touches);
    }
}

/// How many statements there are, counted without recursion; stops a little above `most`.
fn count(body: &[Stmt], most: usize) -> usize {
    let (mut total, mut blocks) = (0, vec![body]);
    while let Some(block) = blocks.pop() {
        total += block.len();
        if total > most {
            break;
        }
        blocks.extend(block.iter().filter_map(|stmt| match stmt {
            Stmt::For(inner) => Some(inner.body.as_slice()),
            _ => None,
        }));
    }
    total
}

/// What the checks of a program's functions have in common.
struct Shared<'a> {
    program: &'a Program,
    /// What each codelet so far touches; nothing for kernels.
    touches: Vec<Vec<Touch>>,
    /// How many more accesses may be compared.
    budget: usize,
}

/// Whether a value or variable can be read.
#[derive(Clone)]
enum State<T> {
    /// Not defined so far.
    Unknown,
    /// Defined in a block that is open.
    Open(T),
    /// Defined in a block that is closed.
    Closed,
}

/// How a value is defined.
#[derive(Clone, Copy)]
struct Defined {
    reg: bool,
    /// Within the parallel loop.
    parallel: bool,
}

struct Check<'a, 'f> {
    shared: &'f mut Shared<'a>,
    id: FuncId,
    func: &'a Func,
    found: &'f mut Found,
    vals: Vec<State<Defined>>,
    vars: Vec<State<Linear>>,
    /// The number of iterations of each loop that has begun, in order.
    trips: Vec<u64>,
    /// The loops that are open.
    open: Vec<usize>,
    /// The open parallel loop.
    parallel: Option<usize>,
    /// How many open loops have no iteration: what stands in them never happens.
    empty: usize,
    /// What was accessed, for the proof of independence: in a codelet everything, in a kernel what its parallel loop does.
    touches: Vec<Touch>,
}

impl<'a, 'f> Check<'a, 'f> {
    /// Checks a function; gives what it touches if it is a codelet.
    fn func(shared: &'f mut Shared<'a>, id: FuncId, func: &'a Func, found: &'f mut Found) -> Vec<Touch> {
        let mut check = Check {
            shared,
            id,
            func,
            found,
            vals: vec![State::Unknown; func.vals.len()],
            vars: vec![State::Unknown; func.vars.len()],
            trips: Vec::new(),
            open: Vec::new(),
            parallel: None,
            empty: 0,
            touches: Vec::new(),
        };
        check.slots();
        check.names();
        check.parallel_place();
        check.block(&func.body);
        if func.kind == FuncKind::Codelet { check.touches } else { Vec::new() }
    }

    fn error(&mut self, code: Code, span: Span, message: impl Into<String>) {
        self.found.report(Diagnostic::new(code, span, message));
    }

    fn slots(&mut self) {
        let func = self.func;
        if func.slots.len() > MAX_TABLE {
            let message =
                format!("`@{}` has {} buffers, the limit is {MAX_TABLE}", shown(&func.name), func.slots.len());
            return self.error(Code::ProgramSize, func.span, message);
        }
        self.found.names("buffer", func.slots.iter().map(|(_, s)| (s.name.as_str(), s.span)));
        let (mut locals, mut bytes) = (false, 0u128);
        for (_, slot) in func.slots.iter() {
            let name = shown(&slot.name);
            if !(1..=Shape::MAX_ELEMENTS).contains(&slot.len) {
                let message =
                    format!("`%{name}` has {} elements, between 1 and {} are allowed", slot.len, Shape::MAX_ELEMENTS);
                self.error(Code::ProgramSize, slot.span, message);
            }
            if slot.access != Access::Local {
                if locals {
                    self.error(Code::Table, slot.span, format!("parameter `%{name}` stands behind a local buffer"));
                }
                continue;
            }
            locals = true;
            bytes += slot.len as u128 * slot.elem.bytes() as u128;
            if func.kind == FuncKind::Codelet {
                let message = format!("codelet `@{}` has a local buffer `%{name}`", shown(&func.name));
                let diagnostic = Diagnostic::new(Code::Codelet, slot.span, message);
                self.found.report(diagnostic.help("make it a parameter, and a local buffer of the kernel that calls"));
            }
        }
        if bytes > MAX_BYTES {
            let message = format!("the local buffers have {bytes} bytes together, the limit is {MAX_BYTES}");
            self.error(Code::ProgramSize, func.span, message);
        }
    }

    /// Names of variables and values that statements define; entries nothing mentions are not written.
    fn names(&mut self) {
        let func = self.func;
        let (mut vars, mut vals) = (Vec::new(), Vec::new());
        let mut blocks = vec![func.body.as_slice()];
        while let Some(block) = blocks.pop() {
            for stmt in block {
                match stmt {
                    Stmt::Let(val, _, span) | Stmt::Reg(val, _, span) => {
                        vals.extend(func.vals.get(*val).map(|v| (v.name.as_str(), *span)));
                    }
                    Stmt::For(inner) => {
                        let defined = std::iter::once(inner.var).chain(inner.inductions.iter().map(|i| i.var));
                        vars.extend(defined.filter_map(|v| func.vars.get(v)).map(|v| (v.name.as_str(), inner.span)));
                        blocks.push(&inner.body);
                    }
                    _ => {}
                }
            }
        }
        self.found.names("variable", vars.into_iter());
        self.found.names("value", vals.into_iter());
    }

    /// A parallel loop is the last statement of a kernel; before it stand constants alone.
    fn parallel_place(&mut self) {
        let func = self.func;
        let mut blocks = vec![(func.body.as_slice(), true)];
        while let Some((block, outermost)) = blocks.pop() {
            for (i, stmt) in block.iter().enumerate() {
                let Stmt::For(inner) = stmt else { continue };
                blocks.push((&inner.body, false));
                if !inner.marks.parallel {
                    continue;
                }
                let constants = block[..i].iter().all(|s| matches!(s, Stmt::Let(_, Expr::Const(_), _)));
                let reason = if func.kind == FuncKind::Codelet {
                    "a codelet has no `parallel` loop"
                } else if !outermost {
                    "only the outermost loop of a kernel may be `parallel`"
                } else if i + 1 != block.len() || !constants {
                    "a `parallel` loop is the last statement of its kernel, after constants alone"
                } else {
                    continue;
                };
                let diagnostic = Diagnostic::new(Code::Parallel, inner.span, reason);
                self.found.report(diagnostic.help("split the kernel in two, or leave the mark out"));
            }
        }
    }

    fn block(&mut self, block: &'a [Stmt]) {
        let mut defined = Vec::new();
        for stmt in block {
            if self.found.full() {
                return;
            }
            match stmt {
                Stmt::Let(val, expr, span) | Stmt::Reg(val, expr, span) => {
                    self.expr(*val, expr, *span);
                    self.define(*val, matches!(stmt, Stmt::Reg(..)), *span);
                    defined.push(*val);
                }
                Stmt::Set(val, expr, span) => {
                    self.expr(*val, expr, *span);
                    self.set(*val, *span);
                }
                Stmt::Store(place, val, span) => self.store(place, *val, *span),
                Stmt::For(inner) => self.for_loop(inner),
                Stmt::Call(call) => self.call(call),
            }
        }
        for val in defined {
            if let Some(state) = self.vals.get_mut(val.index()) {
                *state = State::Closed;
            }
        }
    }

    fn val_name(&self, val: ValId) -> String {
        self.func.vals.get(val).map_or("?".into(), |v| shown(&v.name))
    }

    fn var_name(&self, var: VarId) -> String {
        self.func.vars.get(var).map_or("?".into(), |v| shown(&v.name))
    }

    fn define(&mut self, val: ValId, reg: bool, span: Span) {
        let defined = Defined { reg, parallel: self.parallel.is_some() };
        match self.vals.get_mut(val.index()) {
            None => self.error(Code::Table, span, format!("value {} is not of this function", val.index())),
            Some(state @ State::Unknown) => *state = State::Open(defined),
            Some(_) => {
                let message = format!("`%{}` is defined twice", self.val_name(val));
                self.error(Code::Register, span, message);
            }
        }
    }

    fn set(&mut self, val: ValId, span: Span) {
        let Some(ty) = self.read(val, span) else { return };
        let (name, parallel) = (self.val_name(val), self.parallel.is_some());
        let Some(State::Open(defined)) = self.vals.get(val.index()) else { return };
        let message = if !defined.reg {
            format!("`%{name}` is a value and cannot be assigned")
        } else if parallel && !defined.parallel {
            format!("register `%{name}` is assigned by iterations of a `parallel` loop that share it")
        } else {
            return;
        };
        let diagnostic = Diagnostic::new(Code::Register, span, message);
        self.found.report(diagnostic.help(format!("define it with `%{name} = reg {ty} …` where it is needed")));
    }

    /// The type of a value, if it can be read here.
    fn read(&mut self, val: ValId, span: Span) -> Option<VecType> {
        let message = match self.vals.get(val.index()) {
            Some(State::Open(_)) => return Some(self.func.vals[val].ty),
            None => format!("value {} is not of this function", val.index()),
            Some(State::Unknown) => format!("`%{}` is read before it is defined", self.val_name(val)),
            Some(State::Closed) => format!("`%{}` is not visible here: its block is closed", self.val_name(val)),
        };
        let code = if self.vals.len() > val.index() { Code::Scope } else { Code::Table };
        self.error(code, span, message);
        None
    }

    /// Whether an expression gives a value of the type that `target` has.
    fn expr(&mut self, target: ValId, expr: &Expr, span: Span) {
        // An unknown target is reported where it is defined.
        let Some(ty) = self.func.vals.get(target).map(|v| v.ty) else { return };
        self.exists(target, ty, span);
        let mut types: SmallVec<[(ValId, VecType); 3]> = SmallVec::new();
        for val in expr.reads() {
            match self.read(val, span) {
                Some(ty) if !types.contains(&(val, ty)) => types.push((val, ty)),
                Some(_) => {}
                None => return,
            }
        }
        let scalar = VecType::scalar(ty.elem);
        let expected = match expr {
            Expr::Const(number) => {
                if !ty.elem.holds(*number) {
                    self.error(Code::Number, span, ty.elem.cannot_hold(*number));
                }
                return;
            }
            Expr::Load(place) => return self.load(place, ty, span),
            Expr::Splat(_) => scalar,
            Expr::Unary(..) | Expr::Binary(..) | Expr::Fma(..) | Expr::Select(..) | Expr::Copy(_) => ty,
            Expr::Zip(..) => {
                if ty.lanes == 1 {
                    let message = format!("`zip` needs at least 2 lanes, `%{}` is `{ty}`", self.val_name(target));
                    self.error(Code::LoopType, span, message);
                }
                ty
            }
            Expr::Pick(pick, ..) => {
                if !pick.fits(ty.lanes) {
                    let message = format!("`pick {} by {}` is none of two `{ty}`", pick.from, pick.by);
                    let help = "of vectors of n lanes, at least 4: by 2 from 0 or 1, by 1 from 1 to n - 1";
                    self.found.report(Diagnostic::new(Code::Lanes, span, message).help(help));
                    return;
                }
                ty
            }
            Expr::Part(part, a) => {
                let of = self.func.vals[*a].ty.lanes;
                if ty.lanes <= 1 || ty.lanes >= of || *part >= of / ty.lanes {
                    let message = format!("part {part} of {} lanes is none of `%{}`", ty.lanes, self.val_name(*a));
                    let help = "parts have at least 2 lanes, less than all, and are counted from 0";
                    self.found.report(Diagnostic::new(Code::Lanes, span, message).help(help));
                    return;
                }
                VecType { elem: ty.elem, lanes: of }
            }
            Expr::Convert(a) => VecType { elem: self.func.vals[*a].ty.elem, lanes: ty.lanes },
            Expr::Reduce(op, a) => {
                if !op.reduces() {
                    let message = format!("`{}` depends on the order of its operands and cannot reduce", op.name());
                    self.error(Code::LoopType, span, message);
                }
                if ty.lanes != 1 {
                    let message = format!("`reduce` gives a scalar, `%{}` is `{ty}`", self.val_name(target));
                    self.error(Code::LoopType, span, message);
                }
                VecType { elem: ty.elem, lanes: self.func.vals[*a].ty.lanes }
            }
        };
        for (val, found) in types {
            if found != expected {
                let message = format!("`%{}` is `{found}`, expected `{expected}`", self.val_name(val));
                self.error(Code::LoopType, span, message);
            }
        }
    }

    /// Refuses a type that no value has.
    fn exists(&mut self, val: ValId, ty: VecType, span: Span) {
        if ty.exists() {
            return;
        }
        let name = self.val_name(val);
        let message = if ty.elem.is_storage() {
            let compute = ty.elem.compute();
            let message = format!("`%{name}` is `{ty}`; `{}` is stored and not computed with", ty.elem);
            let help = format!("a load from such a buffer gives `{compute}`, and a store to one takes it");
            return self.found.report(Diagnostic::new(Code::LoopType, span, message).help(help));
        } else if VecType::LANES.contains(&ty.lanes) {
            format!("`%{name}` is `{ty}`, which has more than {} bytes", VecType::MAX_BYTES)
        } else {
            format!("`%{name}` has {} lanes; there are 1, 2, 4 and so on to 64", ty.lanes)
        };
        self.error(Code::Lanes, span, message);
    }

    fn load(&mut self, place: &Place, ty: VecType, span: Span) {
        if self.place(place, ty, span) {
            self.access(place.slot, &place.at, (place.stride, u64::from(place.lanes)), false, span);
        }
    }

    fn store(&mut self, place: &Place, val: ValId, span: Span) {
        let Some(ty) = self.read(val, span) else { return };
        if !self.place(place, ty, span) {
            return;
        }
        let slot = &self.func.slots[place.slot];
        if !slot.access.writes() {
            let message = format!("`%{}` is only read: it is `in`", shown(&slot.name));
            self.found.report(Diagnostic::new(Code::Access, span, message).related(slot.span, "declared here"));
        }
        if place.stride == 0 {
            self.error(Code::Lanes, span, "a store cannot be `broadcast`: its lanes would write one element");
            return;
        }
        self.access(place.slot, &place.at, (place.stride, u64::from(place.lanes)), true, span);
    }

    /// Whether buffer and lanes of an access fit the value's type.
    fn place(&mut self, place: &Place, ty: VecType, span: Span) -> bool {
        let Some(slot) = self.func.slots.get(place.slot) else {
            self.error(Code::Table, span, format!("buffer {} is not of this function", place.slot.index()));
            return false;
        };
        if slot.elem.compute() != ty.elem {
            let message = format!("`%{}` has elements `{}`, the value is `{ty}`", shown(&slot.name), slot.elem);
            self.found.report(Diagnostic::new(Code::LoopType, span, message).related(slot.span, "declared here"));
        }
        if place.lanes == 0 || place.lanes > ty.lanes {
            let message = format!("{} lanes touch memory, the value has {}", place.lanes, ty.lanes);
            self.error(Code::Lanes, span, message);
            return false;
        }
        true
    }

    /// The value of an address, if its variables are visible and its numbers small enough.
    fn linear(&mut self, affine: &Affine, span: Span) -> Option<Linear> {
        let mut sum = Some(Linear::constant(i128::from(affine.offset())));
        for &(var, by) in affine.terms() {
            let message = match self.vars.get(var.index()) {
                Some(State::Open(linear)) => {
                    sum = sum.and_then(|sum| sum.add(linear, i128::from(by)));
                    continue;
                }
                None => format!("variable {} is not of this function", var.index()),
                Some(State::Unknown) => format!("`%{}` is read before it is defined", self.var_name(var)),
                Some(State::Closed) => format!("`%{}` is not visible here: its loop is closed", self.var_name(var)),
            };
            let code = if self.vars.len() > var.index() { Code::Scope } else { Code::Table };
            self.error(code, span, message);
            return None;
        }
        if sum.is_none() {
            self.error(Code::Bounds, span, format!("the numbers of this address exceed {MAX}"));
        }
        sum
    }

    /// Proves that `count` elements from `at`, `stride` apart, are inside the buffer.
    fn access(
        &mut self,
        slot: SlotId,
        at: &Affine,
        (stride, count): (i64, u64),
        write: bool,
        span: Span,
    ) -> Option<Linear> {
        let linear = self.linear(at, span)?;
        if self.empty > 0 {
            return Some(linear);
        }
        let range = linear.range(&self.trips);
        // A part of no elements is held to lie where its first would.
        let reach = i128::from(stride) * i128::from(count.saturating_sub(1));
        let (low, high) = (range.start() + reach.min(0), range.end() + reach.max(0));
        let buffer = &self.func.slots[slot];
        if low < 0 || high >= buffer.len as i128 {
            let name = shown(&buffer.name);
            let verb = if write { "written" } else { "read" };
            let message = if low == high {
                format!("`%{name}` has {} elements, element {low} is {verb}", buffer.len)
            } else {
                format!("`%{name}` has {} elements, elements {low} to {high} are {verb}", buffer.len)
            };
            self.found.report(Diagnostic::new(Code::Bounds, span, message).related(buffer.span, "declared here"));
            return None;
        }
        if buffer.access != Access::Local && (self.func.kind == FuncKind::Codelet || self.parallel.is_some()) {
            let lanes = (count > 1).then_some((i128::from(stride), count));
            let mut touch = self.touch(slot, &linear, write);
            touch.terms.extend(lanes);
            self.touches.push(touch);
        }
        Some(linear)
    }

    fn touch(&self, slot: SlotId, at: &Linear, write: bool) -> Touch {
        let parallel = |t: &&(usize, i128)| Some(t.0) == self.parallel;
        let terms = at.terms.iter().filter(|t| !parallel(t)).map(|t| (t.1, self.trips[t.0])).collect();
        let parallel = at.terms.iter().find(parallel).map_or(0, |t| t.1);
        Touch { slot, write, parallel, offset: at.offset, terms }
    }
}
