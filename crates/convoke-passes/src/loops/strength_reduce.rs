//! `strength-reduce`: turn addresses into inductions, so that each becomes a register plus a constant.
//!
//! ```text
//! for %i in 0..14 {                            for %i in 0..14 with %p = 0 by 64 {
//!   for %k in 0..256 {                           for %k in 0..256 with %q = %p by 8 {
//!     %0 = load f32x4 %b[64*%i + 8*%k]    ⟶        %0 = load f32x4 %b[%q]
//!     %1 = load f32x4 %b[64*%i + 8*%k + 4]         %1 = load f32x4 %b[%q + 4]
//! }                                            }
//! ```
//! Applies:  to the address of every load and store. Addresses that differ by a constant share an induction, also across buffers. The first value of
//!           an induction is an address of the outer loop, and is reduced there.
//! Leaves:   addresses that are one variable times 1; variables of parallel loops, whose iterations have no order; the arguments of calls; addresses
//!           beyond [`MAX_INDUCTIONS`] inductions of one loop.
//! Guarantee: `Exact`; every address has the value it had.

use convoke_ir::loops::{Affine, For, Func, Induction, Program, Stmt, Var, VarId};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::util::block;
use crate::error::PassError;
use crate::pass::{Changed, Context, LoopPass};

/// See the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct StrengthReduce;

impl LoopPass for StrengthReduce {
    const NAME: &'static str = "strength-reduce";
    const SUMMARY: &'static str = "turn addresses into inductions of their loops";

    fn run(&self, program: &mut Program, cx: &Context<'_>) -> Result<Changed, PassError> {
        super::each(program, cx, run)
    }
}

/// The most inductions of one loop: on every machine, these and the addresses of buffers fit the registers.
pub const MAX_INDUCTIONS: usize = 8;

/// The largest magnitude of an induction: half of what the verifier allows. Only addresses whose constant part cancels large variable parts
/// come near it.
const MAX_INDUCTION: i128 = 1 << 47;

/// Reduces the addresses in every loop.
fn run(func: &mut Func) -> bool {
    let mut body = std::mem::take(&mut func.body);
    let mut pass = Reduce { func, open: Vec::new(), ranges: FxHashMap::default(), changed: false };
    pass.block(&mut body);
    let changed = pass.changed;
    func.body = body;
    changed
}

struct Reduce<'a> {
    func: &'a mut Func,
    /// The loops around this point, innermost last.
    open: Vec<Open>,
    /// The smallest and largest value of every variable so far.
    ranges: FxHashMap<VarId, (i64, i64)>,
    changed: bool,
}

/// A loop around the current point.
struct Open {
    var: VarId,
    begin: i64,
    step: i64,
    trips: u64,
    parallel: bool,
    inductions: Vec<Induction>,
    /// For each variable part of an address, the induction that stands for it.
    known: FxHashMap<SmallVec<[(VarId, i64); 2]>, VarId>,
}

impl Open {
    fn new(of: &mut For) -> Open {
        let inductions = std::mem::take(&mut of.inductions);
        let (trips, parallel) = (of.trips(), of.marks.parallel);
        Open { var: of.var, begin: of.begin, step: of.step, trips, parallel, inductions, known: FxHashMap::default() }
    }

    /// The increment of a variable of this loop in each iteration.
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
                self.ranges.insert(inner.var, (inner.begin, inner.last()));
                for induction in &inner.inductions {
                    // A value beyond 64 bits is beyond the limit, and so is any address with it.
                    let clamp = |n: i128| i64::try_from(n).unwrap_or(if n < 0 { i64::MIN } else { i64::MAX });
                    let (low, high) = self.range(&induction.init, induction.by, inner.trips());
                    self.ranges.insert(induction.var, (clamp(low), clamp(high)));
                }
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

    /// The smallest and largest value of an induction.
    fn range(&self, init: &Affine, by: i64, trips: u64) -> (i128, i128) {
        let (low, high) = init.range(|var| self.ranges.get(&var).copied().unwrap_or((i64::MIN, i64::MAX)));
        let reach = i128::from(by).saturating_mul(i128::from(trips.saturating_sub(1)));
        (low.saturating_add(reach.min(0)), high.saturating_add(reach.max(0)))
    }

    /// The address as an induction plus a constant, if possible.
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
        let Some((init, by)) = self.first_and_pace(home, at) else { return at.clone() };
        let (low, high) = self.range(&init, by, self.open[home].trips);
        // The first value is an address of the outer loop.
        let inner = self.open.split_off(home);
        let init = self.reduce(&init);
        self.open.extend(inner);
        let var = self.func.vars.push(Var { name: "p".into() });
        self.ranges.insert(var, (low as i64, high as i64));
        let open = &mut self.open[home];
        open.inductions.push(Induction { var, init, by });
        open.known.insert(at.terms().into(), var);
        Affine::from(var) + at.offset()
    }

    /// The value of an address without its constant part in the first iteration of a loop, and its increment; `None` if either is too large
    /// for an induction.
    fn first_and_pace(&self, home: usize, at: &Affine) -> Option<(Affine, i64)> {
        let open = &self.open[home];
        let fits = |n: i64| (-MAX_INDUCTION..=MAX_INDUCTION).contains(&i128::from(n));
        let (mut init, mut by) = (Affine::constant(0), 0_i64);
        for &(var, factor) in at.terms() {
            let mut first = Affine::from(var);
            if let Some(pace) = open.pace(var) {
                by = by.checked_add(pace.checked_mul(factor)?)?;
                first = open.first(var);
            }
            // Each product is checked alone, so that none wraps around.
            let mut numbers = first.terms().iter().map(|term| term.1).chain([first.offset()]);
            if !numbers.all(|n| n.checked_mul(factor).is_some_and(fits)) {
                return None;
            }
            init = init + first * factor;
        }
        let (low, high) = self.range(&init, by, open.trips);
        (low >= -MAX_INDUCTION && high <= MAX_INDUCTION).then_some((init, by))
    }
}
