//! `vectorise`: put the iterations of a loop into the lanes of vectors.
//!
//! ```text
//! for %j in 0..9 vector(4) {                   for %j in 0..8 step 4 {
//!   %0 = load f32 %a[2*%i]                       %0 = load f32x4 %a[2*%i] broadcast
//!   %1 = load f32 %x[3*%j]                       %1 = load f32x4 %x[3*%j] stride 3
//!   %2 = mul %0, %1                       ⟶      %2 = mul %0, %1
//!   store %y[%j], %2                             store %y[%j], %2
//! }                                            }
//!                                              … the ninth iteration; a remainder of r > 1 iterations becomes vectors with r active lanes
//!
//! for %j in 0..8 vector(4) {                   %1 = reg f32x4 0.0
//!   %0 = load f32 %x[%j]                       for %j in 0..8 step 4 {
//!   %r <- add %r, %0                      ⟶      %0 = load f32x4 %x[%j]
//! }                                              %1 <- add %1, %0
//!                                              }
//!                                              %2 = reduce add %1
//!                                              %r <- add %r, %2
//! ```
//! Applies:  to loops marked `vector`: the mark asserts that iterations are independent. Inner loops are vectorised with their outer one. A
//!           register from outside the loop may be a reduction over the iterations: `add`, `fma`, `max` or `min`.
//! Leaves:   loops with calls, inductions, vectors, stores to one address, or other assignments to registers from outside; parallel loops
//!           with a remainder. They stay scalar and lose the mark.
//! Guarantee: `Exact`, in another order of summation for reductions.

use convoke_ir::loops::{Affine, BinOp, Expr, For, Func, Marks, Place, Program, Stmt, Val, ValId, VarId, VecType};
use convoke_ir::span::Span;
use rustc_hash::{FxHashMap, FxHashSet};

use super::util::{block, duplicate};
use crate::error::PassError;
use crate::pass::{Changed, Context, LoopPass};

/// See the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct Vectorise;

impl LoopPass for Vectorise {
    const NAME: &'static str = "vectorise";
    const SUMMARY: &'static str = "turn iterations of loops marked `vector` into lanes";

    fn run(&self, program: &mut Program, cx: &Context<'_>) -> Result<Changed, PassError> {
        super::each(program, cx, run)
    }
}

/// Vectorises every loop marked `vector`.
fn run(func: &mut Func) -> bool {
    let mut changed = false;
    block::rewrite_loops(func, &mut |func, mut scalar| {
        let Some(lanes) = scalar.marks.vector.take() else { return vec![Stmt::For(scalar)] };
        changed = true;
        // A parallel loop is the last statement of its kernel, so no remainder can follow it.
        let whole = !scalar.marks.parallel || scalar.trips().is_multiple_of(u64::from(lanes.max(1)));
        let able = whole && lanes > 1 && VecType::LANES.contains(&lanes);
        match Reductions::of(func, &scalar, lanes).filter(|_| able) {
            Some(reductions) => vectorise(func, scalar, lanes, reductions),
            None => vec![Stmt::For(scalar)],
        }
    });
    changed
}

/// The registers from outside that a loop reduces into, in the order of their first assignment.
struct Reductions(Vec<(ValId, BinOp)>);

impl Reductions {
    /// `None` if the loop cannot be vectorised.
    fn of(func: &Func, scalar: &For, lanes: u8) -> Option<Reductions> {
        let mut defined = FxHashSet::default();
        let mut found: Vec<(ValId, BinOp)> = Vec::new();
        let mut reads: FxHashMap<ValId, usize> = FxHashMap::default();
        let mut legal = scalar.inductions.is_empty();
        block::each(&scalar.body, &mut |stmt| {
            block::reads(stmt).into_iter().for_each(|val| *reads.entry(val).or_default() += 1);
            legal &= match stmt {
                Stmt::Let(val, expr, _) | Stmt::Reg(val, expr, _) => {
                    defined.insert(*val);
                    let ty = func.vals[*val].ty;
                    ty.lanes == 1 && VecType { lanes, ..ty }.exists() && !matches!(expr, Expr::Reduce(..))
                }
                Stmt::Set(reg, _, _) if defined.contains(reg) => true,
                Stmt::Set(reg, expr, _) => match reduction(*reg, expr) {
                    Some(op) => {
                        *reads.entry(*reg).or_default() -= 1;
                        match found.iter().find(|(other, _)| other == reg) {
                            Some((_, other)) => *other == op,
                            None => {
                                found.push((*reg, op));
                                let ty = func.vals[*reg].ty;
                                ty.lanes == 1 && VecType { lanes, ..ty }.exists()
                            }
                        }
                    }
                    None => false,
                },
                Stmt::Store(place, val, _) => place.at.coefficient(scalar.var) != 0 && func.vals[*val].ty.lanes == 1,
                Stmt::For(inner) => inner.inductions.is_empty(),
                Stmt::Call(_) => false,
            };
        });
        // A partial result may only be read by its own reduction.
        legal &= found.iter().all(|(reg, _)| reads.get(reg).is_none_or(|&n| n == 0));
        legal.then_some(Reductions(found))
    }
}

/// The operation of `%r <- op %r, …`, if that is what it is.
fn reduction(reg: ValId, expr: &Expr) -> Option<BinOp> {
    match *expr {
        Expr::Binary(op @ (BinOp::Add | BinOp::Max | BinOp::Min), a, b) if (a == reg) != (b == reg) => Some(op),
        Expr::Fma(a, b, c) if c == reg && a != reg && b != reg => Some(BinOp::Add),
        _ => None,
    }
}

fn vectorise(func: &mut Func, scalar: For, width: u8, reductions: Reductions) -> Vec<Stmt> {
    let trips = scalar.trips() as i64;
    let rest = trips % i64::from(width);
    let (full, split_at) = (trips - rest, scalar.begin + (trips - rest) * scalar.step);
    let mut before = Vec::new();
    let mut after = Vec::new();
    let mut vectors = FxHashMap::default();
    if full > 0 {
        for &(reg, op) in &reductions.0 {
            let ty = VecType { lanes: width, ..func.vals[reg].ty };
            let first = match op {
                BinOp::Add => Expr::Const(0.0),
                // The maximum and minimum of copies of one number are that number.
                _ => Expr::Splat(reg),
            };
            let partial = numbered(func, ty);
            before.push(Stmt::Reg(partial, first, Span::default()));
            vectors.insert(reg, partial);
            let whole = numbered(func, VecType::scalar(ty.elem));
            after.push(Stmt::Let(whole, Expr::Reduce(op, partial), Span::default()));
            after.push(Stmt::Set(reg, Expr::Binary(op, reg, whole), Span::default()));
        }
    }

    let mut widen =
        Widen { func, var: scalar.var, step: scalar.step, width, active: width, vectors, splats: Vec::new() };
    let body = if full > 0 { widen.block(&scalar.body) } else { Vec::new() };
    let partial = rest > 1 && reductions.0.is_empty();
    widen.active = rest as u8;
    let tail = if partial { widen.block(&scalar.body) } else { Vec::new() };
    let splats = std::mem::take(&mut widen.splats);
    let body = if scalar.marks.parallel {
        // Only constants may stand before a parallel loop.
        splats.into_iter().chain(body).collect()
    } else {
        before.extend(splats);
        body
    };

    let begin = scalar.begin;
    let at = |value: i64| FxHashMap::from_iter([(scalar.var, Affine::from(value))]);
    let mut out = before;
    if full == i64::from(width) {
        out.extend(duplicate::block(func, &body, at(begin)));
    } else if full > 0 {
        let step = scalar.step * i64::from(width);
        let marks = scalar.marks.clone();
        out.push(Stmt::For(For { end: split_at, step, marks, inductions: vec![], body, ..scalar }));
    }
    out.extend(after);
    if partial {
        out.extend(duplicate::block(func, &tail, at(split_at)));
    } else if rest == 1 {
        out.extend(duplicate::block(func, &scalar.body, at(split_at)));
    } else if rest > 1 {
        let var = func.vars.push(func.vars[scalar.var].clone());
        let body = duplicate::block(func, &scalar.body, FxHashMap::from_iter([(scalar.var, var.into())]));
        let marks = Marks { unroll: scalar.marks.unroll, ..Marks::default() };
        out.push(Stmt::For(For { var, begin: split_at, marks, inductions: vec![], body, ..scalar }));
    }
    out
}

fn numbered(func: &mut Func, ty: VecType) -> ValId {
    func.vals.push(Val { name: "0".into(), ty })
}

/// Rewrites scalar statements so that each value holds `width` iterations.
struct Widen<'a> {
    func: &'a mut Func,
    var: VarId,
    step: i64,
    width: u8,
    /// Lanes that access memory.
    active: u8,
    /// For each scalar value or register its vector.
    vectors: FxHashMap<ValId, ValId>,
    /// Definitions of vectors of values from outside.
    splats: Vec<Stmt>,
}

impl Widen<'_> {
    fn block(&mut self, stmts: &[Stmt]) -> Vec<Stmt> {
        stmts.iter().map(|stmt| self.stmt(stmt)).collect()
    }

    fn stmt(&mut self, stmt: &Stmt) -> Stmt {
        match stmt {
            Stmt::Let(val, expr, span) => {
                let expr = self.expr(expr);
                Stmt::Let(self.define(*val), expr, *span)
            }
            Stmt::Reg(val, expr, span) => {
                let expr = self.expr(expr);
                Stmt::Reg(self.define(*val), expr, *span)
            }
            Stmt::Set(reg, expr, span) => {
                let expr = self.expr(expr);
                Stmt::Set(self.vector(*reg), expr, *span)
            }
            Stmt::Store(place, val, span) => Stmt::Store(self.place(place), self.vector(*val), *span),
            Stmt::For(inner) => Stmt::For(For {
                marks: inner.marks.clone(),
                inductions: vec![],
                body: self.block(&inner.body),
                ..*inner
            }),
            // `Reductions::of` refuses calls.
            Stmt::Call(call) => Stmt::Call(call.clone()),
        }
    }

    fn expr(&mut self, expr: &Expr) -> Expr {
        match expr {
            Expr::Load(place) => Expr::Load(self.place(place)),
            Expr::Splat(val) => Expr::Copy(self.vector(*val)),
            other => {
                let mut expr = other.clone();
                expr.reads_mut().into_iter().for_each(|val| *val = self.vector(*val));
                expr
            }
        }
    }

    fn place(&self, place: &Place) -> Place {
        let stride = place.at.coefficient(self.var) * self.step;
        let lanes = if stride == 0 { self.width } else { self.active };
        Place { slot: place.slot, at: place.at.clone(), stride, lanes }
    }

    fn wide(&mut self, scalar: ValId) -> ValId {
        let mut val = self.func.vals[scalar].clone();
        val.ty.lanes = self.width;
        self.func.vals.push(val)
    }

    fn define(&mut self, scalar: ValId) -> ValId {
        let vector = self.wide(scalar);
        self.vectors.insert(scalar, vector);
        vector
    }

    fn vector(&mut self, scalar: ValId) -> ValId {
        if let Some(&vector) = self.vectors.get(&scalar) {
            return vector;
        }
        let vector = self.define(scalar);
        self.splats.push(Stmt::Let(vector, Expr::Splat(scalar), Span::default()));
        vector
    }
}
