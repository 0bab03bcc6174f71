//! Clean-up of a function's tables after a pass: entries in the order of definition, none unused, names unique.
//!
//! Values named by a number are numbered anew from 0; later ones of several with one name get `.1`, `.2`.

use std::fmt::Write;

use convoke_ir::arena::Arena;
use convoke_ir::layer::MAX_NAME;
use convoke_ir::loops::{Affine, Expr, Func, Stmt, Val, ValId, Var, VarId};
use rustc_hash::{FxHashMap, FxHashSet};

/// Rebuilds the tables of values and variables.
pub(crate) fn compact(func: &mut Func) {
    let mut names = Names { taken: FxHashSet::default(), next: FxHashMap::default(), number: 0 };
    for (_, slot) in func.slots.iter() {
        names.taken.insert(slot.name.clone());
    }
    let (vals, vars) = (vec![None; func.vals.len()], vec![None; func.vars.len()]);
    let mut to = Tables {
        names,
        old_vals: std::mem::take(&mut func.vals),
        old_vars: std::mem::take(&mut func.vars),
        vals: Arena::new(),
        vars: Arena::new(),
        new_val: vals,
        new_var: vars,
    };
    to.block(&mut func.body);
    (func.vals, func.vars) = (to.vals, to.vars);
}

/// The length to which a name is cut, so that a number fits behind it.
const MAX_STEM: usize = MAX_NAME - 20;

struct Names {
    taken: FxHashSet<String>,
    /// For each word, the number to try next.
    next: FxHashMap<String, usize>,
    number: usize,
}

impl Names {
    /// The next free number, written over `name`. Numbers below `number` are given away and are not among `taken`.
    fn number(&mut self, mut name: String) -> String {
        loop {
            name.clear();
            write!(name, "{}", self.number).expect("strings take everything");
            self.number += 1;
            if !self.taken.contains(&name) {
                return name;
            }
        }
    }

    /// Takes a word, unless it is taken.
    fn take(&mut self, name: &str) -> bool {
        let is_number = name.bytes().all(|b| b.is_ascii_digit()) && (name == "0" || !name.starts_with('0'));
        let given = is_number && name.parse().is_ok_and(|number: usize| number < self.number);
        !given && !self.taken.contains(name) && self.taken.insert(name.to_owned())
    }

    fn like(&mut self, name: &str) -> String {
        // Suffixes of passes and the number below must not make a name longer than names may be.
        let name = name.get(..MAX_STEM).unwrap_or(name);
        if self.take(name) {
            return name.to_owned();
        }
        let stem = match name.rsplit_once('.') {
            Some((stem, number)) if number.bytes().all(|b| b.is_ascii_digit()) => stem,
            _ => name,
        };
        let mut next = self.next.get(stem).copied().unwrap_or(1);
        loop {
            let name = format!("{stem}.{next}");
            next += 1;
            if self.take(&name) {
                self.next.insert(stem.to_owned(), next);
                return name;
            }
        }
    }
}

struct Tables {
    names: Names,
    old_vals: Arena<Val>,
    old_vars: Arena<Var>,
    vals: Arena<Val>,
    vars: Arena<Var>,
    /// The new id of each old value.
    new_val: Vec<Option<ValId>>,
    new_var: Vec<Option<VarId>>,
}

impl Tables {
    fn define(&mut self, old: &mut ValId) {
        let Val { name, ty } = &mut self.old_vals[*old];
        let numbered = name.bytes().all(|b| b.is_ascii_digit());
        let name = if numbered { self.names.number(std::mem::take(name)) } else { self.names.like(name) };
        let new = self.vals.push(Val { name, ty: *ty });
        self.new_val[old.index()] = Some(new);
        *old = new;
    }

    fn define_var(&mut self, old: &mut VarId) {
        let name = self.names.like(&self.old_vars[*old].name);
        let new = self.vars.push(Var { name });
        self.new_var[old.index()] = Some(new);
        *old = new;
    }

    // A use without a definition before it keeps its id, and the verifier reports it.
    fn read(&self, val: &mut ValId) {
        *val = self.new_val.get(val.index()).copied().flatten().unwrap_or(*val);
    }

    fn affine(&self, at: &mut Affine) {
        if !at.terms().is_empty() {
            *at = at.rename(|var| self.new_var.get(var.index()).copied().flatten().unwrap_or(var));
        }
    }

    fn expr(&self, expr: &mut Expr) {
        match expr {
            Expr::Load(place) => self.affine(&mut place.at),
            other => other.reads_mut().into_iter().for_each(|val| self.read(val)),
        }
    }

    fn block(&mut self, block: &mut [Stmt]) {
        for stmt in block {
            match stmt {
                Stmt::Let(val, expr, _) | Stmt::Reg(val, expr, _) => {
                    self.expr(expr);
                    self.define(val);
                }
                Stmt::Set(reg, expr, _) => {
                    self.expr(expr);
                    self.read(reg);
                }
                Stmt::Store(place, val, _) => {
                    self.affine(&mut place.at);
                    self.read(val);
                }
                Stmt::For(inner) => {
                    for induction in &mut inner.inductions {
                        self.affine(&mut induction.init);
                    }
                    self.define_var(&mut inner.var);
                    for induction in &mut inner.inductions {
                        self.define_var(&mut induction.var);
                    }
                    self.block(&mut inner.body);
                }
                Stmt::Call(call) => call.views_mut().for_each(|view| self.affine(&mut view.at)),
            }
        }
    }
}
