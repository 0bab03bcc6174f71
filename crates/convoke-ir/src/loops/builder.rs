//! Builds loop IR in Rust: functions statement by statement, with loops as closures.
//!
//! The builder gives names and types; the verifier decides what is right.

use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher};

use rustc_hash::{FxHashMap, FxHasher};

use super::{
    Access, Affine, BinOp, Buffer, BufferId, Call, Expr, For, Func, FuncId, FuncKind, Half, Marks, Pick, Place,
    Program, Role, Run, Slot, SlotId, Stmt, UnOp, Val, ValId, Var, VarId, VecType, View,
};
use crate::arena::Arena;
use crate::elem::Elem;
use crate::span::Span;
use crate::types::TensorType;

/// Builds a [`Func`].
///
/// ```
/// use convoke_ir::{elem::Elem, loops::*};
///
/// let mut f = FuncBuilder::codelet("scale");
/// let x = f.input("x", Elem::F32, 64);
/// let y = f.output("y", Elem::F32, 64);
/// f.for_("i", 0..64, Marks { vector: Some(4), ..Marks::default() }, |f, i| {
///     let v = f.load(x, i);
///     let two = f.number(Elem::F32, 2.0);
///     let v = f.binary(BinOp::Mul, v, two);
///     f.store(y, i, v);
/// });
/// let func = f.finish();
/// assert_eq!(func.slots.len(), 2);
/// ```
#[derive(Debug)]
pub struct FuncBuilder {
    func: Func,
    /// Open blocks, innermost last.
    blocks: Vec<Vec<Stmt>>,
}

impl FuncBuilder {
    /// A function called by kernels.
    pub fn codelet(name: impl Into<String>) -> FuncBuilder {
        FuncBuilder::new(name.into(), FuncKind::Codelet)
    }

    /// A function run by a program.
    pub fn kernel(name: impl Into<String>) -> FuncBuilder {
        FuncBuilder::new(name.into(), FuncKind::Kernel)
    }

    fn new(name: String, kind: FuncKind) -> FuncBuilder {
        let (slots, vars, vals) = (Arena::new(), Arena::new(), Arena::new());
        let func = Func { name, kind, slots, vars, vals, body: Vec::new(), span: Span::default() };
        FuncBuilder { func, blocks: vec![Vec::new()] }
    }

    fn slot(&mut self, name: &str, elem: Elem, len: usize, access: Access) -> SlotId {
        self.func.slots.push(Slot { name: name.into(), elem, len, access, span: Span::default() })
    }

    /// A parameter that is read.
    pub fn input(&mut self, name: &str, elem: Elem, len: usize) -> SlotId {
        self.slot(name, elem, len, Access::In)
    }

    /// A parameter that is written.
    pub fn output(&mut self, name: &str, elem: Elem, len: usize) -> SlotId {
        self.slot(name, elem, len, Access::Out)
    }

    /// A parameter that is read and written.
    pub fn inout(&mut self, name: &str, elem: Elem, len: usize) -> SlotId {
        self.slot(name, elem, len, Access::InOut)
    }

    /// Memory of the kernel's own. Declared after the parameters.
    pub fn local(&mut self, name: &str, elem: Elem, len: usize) -> SlotId {
        self.slot(name, elem, len, Access::Local)
    }

    /// The element type of a buffer, as it is stored.
    pub fn elem(&self, slot: SlotId) -> Elem {
        self.func.slots[slot].elem
    }

    fn push(&mut self, stmt: Stmt) {
        self.blocks.last_mut().expect("the function's own block stays open").push(stmt);
    }

    fn val(&mut self, ty: VecType) -> ValId {
        let name = self.func.vals.len().to_string();
        self.func.vals.push(Val { name, ty })
    }

    /// The type of a value.
    pub fn ty(&self, val: ValId) -> VecType {
        self.func.vals[val].ty
    }

    /// `%v = expr` of type `ty`.
    pub fn define(&mut self, ty: VecType, expr: Expr) -> ValId {
        let val = self.val(ty);
        self.push(Stmt::Let(val, expr, Span::default()));
        val
    }

    /// `%r = reg expr` of type `ty`.
    pub fn reg(&mut self, ty: VecType, first: Expr) -> ValId {
        let val = self.val(ty);
        self.push(Stmt::Reg(val, first, Span::default()));
        val
    }

    /// `%r <- expr`.
    pub fn set(&mut self, reg: ValId, expr: Expr) {
        self.push(Stmt::Set(reg, expr, Span::default()));
    }

    /// A scalar constant.
    pub fn number(&mut self, elem: Elem, number: f64) -> ValId {
        self.constant(VecType::scalar(elem), number)
    }

    /// A constant, the same in every lane.
    pub fn constant(&mut self, ty: VecType, number: f64) -> ValId {
        self.define(ty, Expr::Const(number))
    }

    /// One element.
    pub fn load(&mut self, slot: SlotId, at: impl Into<Affine>) -> ValId {
        let ty = VecType::scalar(self.elem(slot).compute());
        self.define(ty, Expr::Load(Place { slot, at: at.into(), stride: 1, lanes: 1 }))
    }

    /// `lanes` elements in a row.
    pub fn load_vector(&mut self, slot: SlotId, at: impl Into<Affine>, lanes: u8) -> ValId {
        let ty = VecType { elem: self.elem(slot).compute(), lanes };
        self.define(ty, Expr::Load(Place { slot, at: at.into(), stride: 1, lanes }))
    }

    /// `op(a)`.
    pub fn unary(&mut self, op: UnOp, a: ValId) -> ValId {
        self.define(self.ty(a), Expr::Unary(op, a))
    }

    /// `op(a, b)`.
    pub fn binary(&mut self, op: BinOp, a: ValId, b: ValId) -> ValId {
        self.define(self.ty(a), Expr::Binary(op, a, b))
    }

    /// `a · b + c`.
    pub fn fma(&mut self, a: ValId, b: ValId, c: ValId) -> ValId {
        self.define(self.ty(c), Expr::Fma(a, b, c))
    }

    /// `a` where `c` is not 0, else `b`.
    pub fn select(&mut self, c: ValId, a: ValId, b: ValId) -> ValId {
        self.define(self.ty(b), Expr::Select(c, a, b))
    }

    /// `zip half a, b`.
    pub fn zip(&mut self, half: Half, a: ValId, b: ValId) -> ValId {
        self.define(self.ty(a), Expr::Zip(half, a, b))
    }

    /// `pick from by step a, b`.
    pub fn pick(&mut self, pick: Pick, a: ValId, b: ValId) -> ValId {
        self.define(self.ty(a), Expr::Pick(pick, a, b))
    }

    /// `part index a`, of so many lanes.
    pub fn part(&mut self, index: u8, lanes: u8, a: ValId) -> ValId {
        self.define(VecType { lanes, ..self.ty(a) }, Expr::Part(index, a))
    }

    /// Stores all lanes of a value in a row.
    pub fn store(&mut self, slot: SlotId, at: impl Into<Affine>, val: ValId) {
        let lanes = self.ty(val).lanes;
        self.push(Stmt::Store(Place { slot, at: at.into(), stride: 1, lanes }, val, Span::default()));
    }

    /// Stores a value to any place.
    pub fn store_to(&mut self, place: Place, val: ValId) {
        self.push(Stmt::Store(place, val, Span::default()));
    }

    /// A loop over `range` in steps of 1. The closure gets the loop variable.
    pub fn for_(
        &mut self,
        name: &str,
        range: std::ops::Range<usize>,
        marks: Marks,
        body: impl FnOnce(&mut FuncBuilder, VarId),
    ) {
        self.for_step(name, range, 1, marks, body);
    }

    /// A loop over `range` in steps of `step`.
    pub fn for_step(
        &mut self,
        name: &str,
        range: std::ops::Range<usize>,
        step: usize,
        marks: Marks,
        body: impl FnOnce(&mut FuncBuilder, VarId),
    ) {
        // Names are unique in the function, so that text reads without scopes in mind.
        let count = self.func.vars.iter().filter(|(_, v)| v.name.split('.').next() == Some(name)).count();
        let name = if count == 0 { name.to_owned() } else { format!("{name}.{count}") };
        let var = self.func.vars.push(Var { name });
        self.blocks.push(Vec::new());
        body(self, var);
        let body = self.blocks.pop().expect("pushed above");
        let (begin, end, step) = (range.start as i64, range.end as i64, step as i64);
        self.push(Stmt::For(For { var, begin, end, step, marks, inductions: vec![], body, span: Span::default() }));
    }

    /// A call of a codelet.
    pub fn call(&mut self, func: FuncId, args: impl IntoIterator<Item = (SlotId, Affine)>) {
        let args = args.into_iter().map(|(slot, at)| View { slot, at }).collect();
        self.push(Stmt::Call(Call { func, args, when: None, span: Span::default() }));
    }

    /// A call that is done only where element `when` is not 0.
    pub fn call_if(
        &mut self,
        func: FuncId,
        args: impl IntoIterator<Item = (SlotId, Affine)>,
        (slot, at): (SlotId, Affine),
    ) {
        let args = args.into_iter().map(|(slot, at)| View { slot, at }).collect();
        self.push(Stmt::Call(Call { func, args, when: Some(View { slot, at }), span: Span::default() }));
    }

    /// The function.
    pub fn finish(mut self) -> Func {
        self.func.body = self.blocks.pop().expect("the function's own block");
        self.func
    }
}

/// Builds a [`Program`].
#[derive(Debug, Default)]
pub struct ProgramBuilder {
    program: Program,
    buffers: Names,
    funcs: Names,
    /// The functions of each fingerprint.
    alike: FxHashMap<u64, Vec<FuncId>>,
}

impl ProgramBuilder {
    /// An empty program of this name.
    pub fn new(name: impl Into<String>) -> ProgramBuilder {
        ProgramBuilder { program: Program { name: name.into(), ..Program::default() }, ..ProgramBuilder::default() }
    }

    /// Memory of the program. The name gets a number behind it where it is taken.
    pub fn buffer(&mut self, name: &str, ty: TensorType, role: Role) -> BufferId {
        let name = self.buffers.fresh(name);
        self.program.buffers.push(Buffer { name, ty, role, span: Span::default() })
    }

    /// The type of a buffer.
    pub fn ty(&self, buffer: BufferId) -> &TensorType {
        &self.program.buffers[buffer].ty
    }

    /// The outputs declared so far, in order.
    pub fn outputs(&self) -> Vec<BufferId> {
        self.program.buffers.iter().filter(|(_, b)| b.role == Role::Output).map(|(id, _)| id).collect()
    }

    /// A kernel or codelet. One that is there already, under any name, is found again rather than added.
    pub fn func(&mut self, mut func: Func) -> FuncId {
        let same = |other: &Func| {
            (other.kind, &other.slots, &other.vars, &other.vals, &other.body)
                == (func.kind, &func.slots, &func.vars, &func.vals, &func.body)
        };
        let alike = self.alike.entry(fingerprint(&func)).or_default();
        if let Some(&id) = alike.iter().find(|&&id| same(&self.program.funcs[id])) {
            return id;
        }
        func.name = self.funcs.fresh(&func.name);
        let id = self.program.funcs.push(func);
        alike.push(id);
        id
    }

    /// Runs a kernel at compile time.
    pub fn prepare(&mut self, func: FuncId, args: &[BufferId]) {
        self.program.prepare.push(Run { func, args: args.to_vec(), span: Span::default() });
    }

    /// Runs a kernel in each run.
    pub fn run(&mut self, func: FuncId, args: &[BufferId]) {
        self.program.entry.push(Run { func, args: args.to_vec(), span: Span::default() });
    }

    /// Does at compile time what would be done in each run: the runs from number `run` on, with the scratch buffers from number
    /// `buffer` on.
    pub fn prepare_from(&mut self, run: usize, buffer: usize) {
        let runs = self.program.entry.drain(run..);
        self.program.prepare.extend(runs);
        for id in self.program.buffers.ids().skip(buffer).collect::<Vec<_>>() {
            let role = &mut self.program.buffers[id].role;
            if *role == Role::Scratch {
                *role = Role::Prepared;
            }
        }
    }

    /// What there is so far.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// The program.
    pub fn finish(self) -> Program {
        self.program
    }
}

/// A number that equal functions have in common, and others hardly ever: of their sizes, loops and addresses.
fn fingerprint(func: &Func) -> u64 {
    let mut hash = FxHasher::default();
    (func.kind == FuncKind::Kernel, func.vars.len(), func.vals.len()).hash(&mut hash);
    func.slots.iter().for_each(|(_, slot)| slot.len.hash(&mut hash));
    of_block(&func.body, &mut hash);
    hash.finish()
}

fn of_block(body: &[Stmt], hash: &mut FxHasher) {
    for stmt in body {
        match stmt {
            Stmt::Let(_, Expr::Load(place), _) | Stmt::Store(place, ..) => place.hash(hash),
            Stmt::Let(..) | Stmt::Reg(..) | Stmt::Set(..) => {}
            Stmt::For(inner) => {
                (inner.begin, inner.end, inner.step).hash(hash);
                of_block(&inner.body, hash);
            }
            Stmt::Call(call) => {
                call.func.hash(hash);
                call.args.iter().for_each(|view| (view.slot, &view.at).hash(hash));
            }
        }
    }
}

/// Names given so far.
#[derive(Debug, Default)]
struct Names {
    taken: HashSet<String>,
    /// For each stem, the number to try next.
    next: HashMap<String, usize>,
}

impl Names {
    /// `stem` itself, or with a number behind it.
    fn fresh(&mut self, stem: &str) -> String {
        let mut name = stem.to_owned();
        let next = self.next.entry(stem.to_owned()).or_insert(1);
        while !self.taken.insert(name.clone()) {
            name = format!("{stem}.{next}");
            *next += 1;
        }
        name
    }
}
