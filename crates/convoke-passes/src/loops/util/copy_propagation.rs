//! Removal of copies: readers of a copy read the original, and a value that is only computed to be assigned to a register is computed into it.
//!
//! ```text
//! %0 = copy %r
//! %1 = fma %a, %b, %0          ⟶        %r <- fma %a, %b, %r
//! %r <- copy %1
//! ```
//! A copy of a register stays if it is read after the register's next assignment.

use convoke_ir::loops::{Expr, Func, Stmt, ValId};
use rustc_hash::{FxHashMap, FxHashSet};

use super::block;

/// Removes copies from a function, and says whether there were any to remove.
pub(in crate::loops) fn run(func: &mut Func) -> bool {
    // Most functions have no copies, and need no tables.
    let mut any = false;
    block::each(&func.body, &mut |stmt| any |= matches!(block::expr(stmt), Some(Expr::Copy(_))));
    if !any {
        return false;
    }
    let mut copies = Copies::default();
    copies.block(&func.body);
    let replaced: FxHashMap<ValId, ValId> =
        copies.of.iter().filter(|(copy, _)| !copies.kept.contains(copy)).map(|(&copy, from)| (copy, from.0)).collect();
    if !replaced.is_empty() {
        replace(&mut func.body, &replaced);
    }

    let mut uses: FxHashMap<ValId, usize> = FxHashMap::default();
    block::each(&func.body, &mut |stmt| {
        block::reads(stmt).into_iter().for_each(|val| *uses.entry(val).or_default() += 1);
    });
    let folded = assign_at_once(&mut func.body, &uses);
    !replaced.is_empty() || folded
}

#[derive(Default)]
struct Copies {
    /// For each copy the original, and how often that had been assigned if it is a register.
    of: FxHashMap<ValId, (ValId, u32)>,
    /// Copies of a register that are read after its next assignment.
    kept: FxHashSet<ValId>,
    versions: FxHashMap<ValId, u32>,
}

impl Copies {
    fn block(&mut self, stmts: &[Stmt]) {
        for stmt in stmts {
            for val in block::reads(stmt) {
                if let Some(&(from, version)) = self.of.get(&val)
                    && self.version(from) != version
                {
                    self.kept.insert(val);
                }
            }
            match stmt {
                Stmt::Let(copy, Expr::Copy(from), _) => {
                    let original = self.of.get(from).copied().unwrap_or((*from, self.version(*from)));
                    self.of.insert(*copy, original);
                }
                Stmt::Set(reg, ..) => self.assigned(*reg),
                Stmt::For(inner) => {
                    // From the second iteration on, the body's assignments have already happened.
                    block::each(&inner.body, &mut |stmt| {
                        if let Stmt::Set(reg, ..) = stmt {
                            self.assigned(*reg);
                        }
                    });
                    self.block(&inner.body);
                }
                _ => {}
            }
        }
    }

    fn version(&self, reg: ValId) -> u32 {
        self.versions.get(&reg).copied().unwrap_or(0)
    }

    fn assigned(&mut self, reg: ValId) {
        *self.versions.entry(reg).or_insert(0) += 1;
    }
}

fn replace(stmts: &mut Vec<Stmt>, by: &FxHashMap<ValId, ValId>) {
    stmts.retain(|stmt| !matches!(stmt, Stmt::Let(val, ..) if by.contains_key(val)));
    for stmt in stmts {
        for val in block::reads_mut(stmt) {
            *val = by.get(val).copied().unwrap_or(*val);
        }
        if let Stmt::For(inner) = stmt {
            replace(&mut inner.body, by);
        }
    }
}

/// Turns `%f = e; …; %r <- copy %f` into `%r <- e; …` where nothing between has to do with `%r`.
fn assign_at_once(stmts: &mut Vec<Stmt>, uses: &FxHashMap<ValId, usize>) -> bool {
    let mut defined: FxHashMap<ValId, usize> = FxHashMap::default();
    let mut touched: FxHashMap<ValId, usize> = FxHashMap::default();
    let mut gone = FxHashSet::default();
    let mut changed = false;
    for at in 0..stmts.len() {
        if let Stmt::Set(reg, Expr::Copy(from), _) = stmts[at]
            && uses.get(&from) == Some(&1)
            && let Some(&def) = defined.get(&from)
            && touched.get(&reg).is_none_or(|&last| last <= def)
            && let Stmt::Let(_, expr, span) = &stmts[def]
        {
            stmts[def] = Stmt::Set(reg, expr.clone(), *span);
            gone.insert(at);
            touched.insert(reg, at);
            continue;
        }
        match &mut stmts[at] {
            Stmt::Let(val, ..) => {
                defined.insert(*val, at);
            }
            Stmt::Reg(reg, ..) | Stmt::Set(reg, ..) => {
                touched.insert(*reg, at);
            }
            Stmt::For(inner) => {
                changed |= assign_at_once(&mut inner.body, uses);
                block::each(&inner.body, &mut |stmt| {
                    touched.extend(block::reads(stmt).into_iter().map(|val| (val, at)));
                    if let Stmt::Set(reg, ..) = stmt {
                        touched.insert(*reg, at);
                    }
                });
            }
            Stmt::Store(..) | Stmt::Call(_) => {}
        }
        touched.extend(block::reads(&stmts[at]).into_iter().map(|val| (val, at)));
    }
    let mut at = 0..;
    stmts.retain(|_| at.next().is_none_or(|at| !gone.contains(&at)));
    changed || !gone.is_empty()
}
