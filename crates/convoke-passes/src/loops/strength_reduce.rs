//! `strength-reduce`: turn addresses into inductions, so that each becomes a register plus a constant.
//!
//! ```text
//! for %i in 0..14 {                            for %i in 0..14 with %p = 0 by 64 {
//!   for %k in 0..256 {                           for %k in 0..256 with %q = %p by 8 {
//!     %0 = load f32x4 %b[64*%i + 8*%k]    ⟶        %0 = load f32x4 %b[%q]
//!     %1 = load f32x4 %b[64*%i + 8*%k + 4]         %1 = load f32x4 %b[%q + 4]
//! }                                            }
//! ```
//! Applies:  to the address of every load and store. Addresses that differ by a constant share an induction, also among
//!           buffers. The first value of an induction is an address too, of the loop outside.
//! Leaves:   a single variable times 1; variables of parallel loops, whose iterations do not follow one another; the
//!           arguments of calls; what would take more than [`MAX_INDUCTIONS`] in one loop.
//! Guarantee: `Exact`; every address has the value it had.

use std::collections::HashMap;

use convoke_ir::loops::{Affine, For, Func, Induction, Program, Stmt, Var, VarId};

use super::util::block;
use crate::error::PassError;
use crate::pass::{Changed, Context, LoopPass};

/// The pass.
#[derive(Clone, Copy, Debug, Default)]
pub struct StrengthReduce;

impl LoopPass for StrengthReduce {
    const NAME: &'static str = "strength-reduce";
    const SUMMARY: &'static str = "turn addresses into inductions of their loops";

    fn run(&self, program: &mut Program, _: &Context<'_>) -> Result<Changed, PassError> {
        Ok(super::each(program, run))
    }
}

/// The most inductions of one loop. More would not all have a register beside the buffers' addresses, on any of the machines.
pub const MAX_INDUCTIONS: usize = 8;

/// Reduces the addresses in every loop.
fn run(func: &mut Func) -> bool {
    let mut body = std::mem::take(&mut func.body);
    let mut pass = Reduce { func, open: Vec::new(), changed: false };
    pass.block(&mut body);
    let changed = pass.changed;
    func.body = body;
    changed
}

struct Reduce<'a> {
    func: &'a mut Func,
    /// The loops around this point, innermost last.
    open: Vec<Open>,
    changed: bool,
}

/// A loop whose body is being looked at.
struct Open {
    var: VarId,
    begin: i64,
    step: i64,
    parallel: bool,
    inductions: Vec<Induction>,
    /// For each variable part of an address, the induction that stands for it.
    known: HashMap<Vec<(VarId, i64)>, VarId>,
}

impl Open {
    fn new(of: &mut For) -> Open {
        let inductions = std::mem::take(&mut of.inductions);
        let parallel = of.marks.parallel;
        Open { var: of.var, begin: of.begin, step: of.step, parallel, inductions, known: HashMap::new() }
    }

    /// What an iteration adds to a variable of this loop.
    fn pace(&self, var: VarId) -> Option<i64> {
        if var == self.var {
            return Some(self.step);
        }
        self.inductions.iter().find(|ind| ind.var == var).map(|ind| ind.by)
    }

    /// The value of a variable of this loop in its first iteration.
    fn first(&self, var: VarId) -> Affine {
        let induction = self.inductions.iter().find(|ind| ind.var == var);
        induction.map_or(Affine::constant(self.begin), |ind| ind.init.clone())
    }
}

impl Reduce<'_> {
    fn block(&mut self, stmts: &mut [Stmt]) {
        for stmt in stmts {
            if let Stmt::For(inner) = stmt {
                self.open.push(Open::new(inner));
                self.block(&mut inner.body);
                inner.inductions = self.open.pop().expect("pushed above").inductions;
            } else if let Some(place) = block::place_mut(stmt) {
                let reduced = self.reduce(&place.at);
                self.changed |= reduced != place.at;
                place.at = reduced;
            }
        }
    }

    /// The same address as an induction plus a constant, where that can be.
    fn reduce(&mut self, at: &Affine) -> Affine {
        if matches!(at.terms(), [] | [(_, 1)]) {
            return at.clone();
        }
        let changing = |open: &Open| !open.parallel && at.terms().iter().any(|(var, _)| open.pace(*var).is_some());
        // An address of parallel loops only is computed once, on the way into the first loop that is not parallel.
        let home = self.open.iter().rposition(changing).or_else(|| self.open.iter().position(|open| !open.parallel));
        let Some(home) = home else { return at.clone() };
        if let Some(&var) = self.open[home].known.get(at.terms()) {
            return Affine::from(var) + at.offset();
        }
        if self.open[home].inductions.len() >= MAX_INDUCTIONS {
            return at.clone();
        }
        let open = &self.open[home];
        let (mut init, mut by) = (Affine::constant(0), 0);
        for &(var, factor) in at.terms() {
            match open.pace(var) {
                Some(pace) => {
                    init = init + open.first(var) * factor;
                    by += pace * factor;
                }
                None => init = init + Affine::from(var) * factor,
            }
        }
        // In the loop outside it is an address like any other.
        let inner = self.open.split_off(home);
        let init = self.reduce(&init);
        self.open.extend(inner);
        let var = self.func.vars.push(Var { name: "p".into() });
        let open = &mut self.open[home];
        open.inductions.push(Induction { var, init, by });
        open.known.insert(at.terms().to_vec(), var);
        Affine::from(var) + at.offset()
    }
}
