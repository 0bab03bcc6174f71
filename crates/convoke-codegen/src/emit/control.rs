//! Loops and calls.

use convoke_ir::loops::{Affine, Call, For, Place, VarId, VecType, View};
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{ExtFuncData, ExternalName, InstBuilder, UserExternalName, Value, types};
use cranelift_frontend::Variable;

use super::memory;
use super::vector::{self, Parts};
use super::{Emitter, Index, Stems, signature};

impl<'a> Emitter<'a, '_> {
    pub(super) fn repeat(&mut self, inner: &'a For) {
        match inner.trips() {
            0 => {}
            1 => {
                self.vars[inner.var.index()] = Index::Known(Affine::constant(inner.begin));
                for induction in &inner.inductions {
                    self.vars[induction.var.index()] = Index::Known(self.known(&induction.init));
                }
                self.block(&inner.body, None);
                self.close(inner);
            }
            _ => self.counted(inner, None),
        }
    }

    /// `at` without variables of known value, so that no chain of them is left to follow.
    fn known(&self, at: &Affine) -> Affine {
        at.terms().iter().fold(at.clone(), |at, &(var, _)| match &self.vars[var.index()] {
            Index::Known(value) => at.substitute(var, value),
            _ => at,
        })
    }

    /// A loop that runs at least once, with the test at its end. `range` replaces the iterations to run.
    pub(super) fn counted(&mut self, inner: &'a For, range: Option<(Value, Value)>) {
        self.hoist(&inner.body);
        let total = (inner.trips() as i64).wrapping_mul(inner.step);
        let (first, last) = match range {
            None => {
                let first = self.b.ins().iconst(types::I64, inner.begin);
                (first, Bound::Constant(inner.begin.wrapping_add(total)))
            }
            Some((begin, end)) => {
                let [first, last] = [begin, end].map(|i| {
                    let i = self.times(i, inner.step);
                    self.b.ins().iadd_imm_s(i, inner.begin)
                });
                (first, Bound::Value(last))
            }
        };
        let variable = self.open(inner.var, first);
        let mut steps = vec![(variable, inner.step)];
        for induction in &inner.inductions {
            let mut value = self.affine(&induction.init);
            if let Some((begin, _)) = range {
                let done = self.times(begin, induction.by);
                value = self.b.ins().iadd(value, done);
            }
            steps.push((self.open(induction.var, value), induction.by));
        }

        let (header, exit) = (self.b.create_block(), self.b.create_block());
        self.b.ins().jump(header, &[]);
        self.b.switch_to_block(header);
        self.stems.push(Stems::new());
        self.open_scope();
        self.depth += 1;
        self.block(&inner.body, None);
        self.depth -= 1;
        self.close_scope();
        self.stems.pop();
        for &(variable, by) in steps.iter().rev() {
            let value = self.b.use_var(variable);
            let next = self.b.ins().iadd_imm_s(value, by);
            self.b.def_var(variable, next);
        }
        let next = self.b.use_var(variable);
        // Both ends are whole numbers of steps from the start, so "not equal" is "less".
        let more = match last {
            Bound::Constant(last) => self.b.ins().icmp_imm_s(IntCC::NotEqual, next, last),
            Bound::Value(last) => self.b.ins().icmp(IntCC::NotEqual, next, last),
        };
        self.b.ins().brif(more, header, &[], exit, &[]);
        self.b.seal_block(header);
        self.b.switch_to_block(exit);
        self.b.seal_block(exit);
        self.close(inner);
    }

    /// Forgets the variables of a loop: the copies that unrolling makes of a loop share them.
    fn close(&mut self, inner: &For) {
        self.vars[inner.var.index()] = Index::Later;
        for induction in &inner.inductions {
            self.vars[induction.var.index()] = Index::Later;
        }
    }

    /// Puts a loop variable into a register.
    fn open(&mut self, var: VarId, first: Value) -> Variable {
        let variable = self.b.declare_var(types::I64);
        self.b.def_var(variable, first);
        self.vars[var.index()] = Index::Live { variable, depth: self.depth };
        variable
    }

    /// The value of a live loop variable.
    pub(super) fn index(&mut self, var: VarId) -> Value {
        match self.vars[var.index()] {
            Index::Live { variable, .. } => self.b.use_var(variable),
            // The verifier lets no variable be read outside its loop, and known ones were replaced.
            Index::Known(_) | Index::Later => self.b.ins().iconst(types::I64, 0),
        }
    }

    /// A call; with an element that decides, in a block of its own that is jumped over where the element is 0.
    pub(super) fn call(&mut self, call: &Call) {
        // Addresses are computed before the branch, where all that follows sees them.
        let callee = &self.program.funcs[call.func];
        let mut args: Vec<Value> = Vec::new();
        for (view, (_, param)) in call.args.iter().zip(callee.slots.iter()) {
            let (base, offset) = self.address(view.slot, &view.at);
            self.check(view.slot, (base, offset), (1, param.len), param.access.writes());
            args.push(if offset == 0 { base } else { self.b.ins().iadd_imm_s(base, offset) });
        }
        args.extend(self.report());
        let signature = signature(callee, self.target);
        let signature = self.b.import_signature(signature);
        let name = UserExternalName::new(0, (self.number)(call.func));
        let name = ExternalName::user(self.b.func.declare_imported_user_function(name));
        let callee = self.b.import_function(ExtFuncData { name, signature, colocated: true, patchable: false });
        let Some(when) = &call.when else {
            self.b.ins().call(callee, &args);
            return self.check_callee();
        };
        let decides = self.is_not_zero(when);
        let (then, after) = (self.b.create_block(), self.b.create_block());
        self.b.ins().brif(decides, then, &[], after, &[]);
        self.b.switch_to_block(then);
        self.b.seal_block(then);
        self.b.ins().call(callee, &args);
        self.check_callee();
        self.b.ins().jump(after, &[]);
        self.b.switch_to_block(after);
        self.b.seal_block(after);
    }

    /// Whether an element is not 0. A NaN is not.
    fn is_not_zero(&mut self, View { slot, at }: &View) -> Value {
        let at = self.place(&Place { slot: *slot, at: at.clone(), stride: 1, lanes: 1 }, false);
        let parts = Parts::of(VecType::scalar(self.func.slots[*slot].elem.compute()), self.target);
        let element = memory::load(&mut self.b, parts, at, 1)[0];
        let zero = vector::constant(&mut self.b, parts, 0.0);
        self.b.ins().fcmp(FloatCC::NotEqual, element, zero)
    }
}

/// Where a loop ends.
enum Bound {
    Constant(i64),
    Value(Value),
}
