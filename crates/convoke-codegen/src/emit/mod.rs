//! Loop IR functions as Cranelift IR.
//!
//! # Calling convention
//!
//! The platform's C convention, on x86-64 that of System V; all pointers to data:
//!
//! - A codelet takes one pointer for each parameter, to the element where its view begins.
//! - A kernel takes `(slots, local, begin, end)`: a table with one pointer for each parameter; memory for its locals,
//!   laid out as [`locals`] says, for this thread alone; and the range of iterations of its parallel loop
//!   to run, counted from 0, not empty. A kernel without a parallel loop ignores the range.
//!
//! What no later stage does is done here: vectors of any width become parts of 128 bits ([`vector`]), and addresses are shared
//! and hoisted ([`address`]). Statements keep their order.

mod address;
mod half;
mod memory;
mod vector;

use convoke_ir::loops::{
    Access, Affine, Call, Expr, For, Func, FuncId, FuncKind, Place, Program, SlotId, Stmt, ValId, VarId, VecType, View,
};
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{
    AbiParam, ExtFuncData, ExternalName, Function, InstBuilder, MemFlagsData, Signature, Type, UserExternalName,
    UserFuncName, Value, types,
};
use cranelift_codegen::isa::CallConv;
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext, Variable};

use self::address::Stems;
use self::memory::Address;
use self::vector::{Operand, Parts};
use crate::error::CodegenError;
use crate::target::Target;

/// The most instructions a function may have, about. One costs 1 to 3 µs to compile and some 6 bytes.
pub const MAX_INSTRUCTIONS: usize = 400_000;

/// Functions with more than this many instructions compile without optimisation, whose time grows faster than the function.
const MAX_OPTIMISED: usize = 2_000;

/// Boundary of every buffer that convoke lays out: a cache line.
pub(crate) const ALIGN: usize = 64;

/// Where each local of a kernel begins, in bytes, and how many there are in all. The order of [`Func::slots`]; parameters have no place.
pub(crate) fn locals(func: &Func) -> (Vec<Option<usize>>, usize) {
    let mut end = 0;
    let offsets = func
        .slots
        .iter()
        .map(|(_, slot)| {
            (slot.access == Access::Local).then(|| {
                let begin = end;
                end += (slot.len * slot.elem.bytes()).next_multiple_of(ALIGN);
                begin
            })
        })
        .collect();
    (offsets, end)
}

/// The loop of a kernel that may be split among threads: the only statement but for constants.
pub(crate) fn parallel_loop(func: &Func) -> Option<&For> {
    let constant = |stmt: &Stmt| matches!(stmt, Stmt::Let(_, Expr::Const(_), _));
    match func.body.split_last()? {
        (Stmt::For(last), rest) if last.marks.parallel && rest.iter().all(constant) => Some(last),
        _ => None,
    }
}

/// How many instructions `body` becomes, about.
fn instructions(func: &Func, body: &[Stmt]) -> usize {
    let parts = |val: ValId| Parts::of(func.vals[val].ty).count;
    body.iter()
        .map(|stmt| match stmt {
            Stmt::Let(val, expr, _) | Stmt::Reg(val, expr, _) | Stmt::Set(val, expr, _) => {
                let lanes = usize::from(func.vals[*val].ty.lanes);
                match expr {
                    Expr::Load(place) if func.slots[place.slot].elem.is_storage() => {
                        lanes + half::INSTRUCTIONS * parts(*val)
                    }
                    Expr::Load(place) if !(0..=1).contains(&place.stride) => 2 * lanes,
                    Expr::Convert(_) => 3 * lanes,
                    Expr::Reduce(_, source) => parts(*source) + 8,
                    Expr::Unary(..) | Expr::Zip(..) | Expr::Pick(..) => 4 * parts(*val),
                    _ => 2 * parts(*val),
                }
            }
            Stmt::Store(place, val, _) if func.slots[place.slot].elem.is_storage() => {
                usize::from(func.vals[*val].ty.lanes) + half::INSTRUCTIONS * parts(*val)
            }
            Stmt::Store(place, val, _) if place.stride != 1 => 2 * usize::from(func.vals[*val].ty.lanes),
            Stmt::Store(_, val, _) => 2 * parts(*val),
            Stmt::For(inner) => 6 + 2 * inner.inductions.len() + instructions(func, &inner.body),
            Stmt::Call(call) => 1 + 3 * call.views().count(),
        })
        .fold(0, usize::saturating_add)
}

/// Refuses a function beyond [`MAX_INSTRUCTIONS`].
pub(crate) fn check_size(func: &Func) -> Result<(), CodegenError> {
    let found = instructions(func, &func.body);
    if found > MAX_INSTRUCTIONS {
        return Err(CodegenError::TooLarge { func: func.name.clone(), found, limit: MAX_INSTRUCTIONS });
    }
    Ok(())
}

/// Whether a function is to keep its order of instructions: it computes on vectors, or is too long for the optimiser.
pub(crate) fn keeps_order(func: &Func) -> bool {
    func.vals.iter().any(|(_, val)| val.ty.lanes > 1) || instructions(func, &func.body) > MAX_OPTIMISED
}

/// A function in Cranelift IR. `number` gives a callee's number in the module.
pub(crate) fn function(
    program: &Program,
    id: FuncId,
    target: &Target,
    number: &dyn Fn(FuncId) -> u32,
) -> Result<Function, CodegenError> {
    let func = &program.funcs[id];
    check_size(func)?;
    let isa = &target.ordered;
    let (pointer, call_conv) = (isa.pointer_type(), target.call_conv());
    let name = UserFuncName::user(0, number(id));
    let mut clif = Function::with_name_signature(name, signature(func, pointer, call_conv));
    let mut context = FunctionBuilderContext::new();
    let emitter = Emitter {
        program,
        func,
        target,
        number,
        b: FunctionBuilder::new(&mut clif, &mut context),
        pointer,
        call_conv,
        slots: Vec::new(),
        vars: vec![Index::Later; func.vars.len()],
        vals: vec![Binding::None; func.vals.len()],
        numbers: vec![false; func.vals.len()],
        stems: vec![Stems::new()],
        depth: 0,
    };
    emitter.emit();
    Ok(clif)
}

/// The signature of a function, as the module comment says.
pub(crate) fn signature(func: &Func, pointer: Type, call_conv: CallConv) -> Signature {
    let mut signature = Signature::new(call_conv);
    signature.params = match func.kind {
        FuncKind::Codelet => func.slots.iter().map(|_| AbiParam::new(pointer)).collect(),
        FuncKind::Kernel => [pointer, pointer, types::I64, types::I64].map(AbiParam::new).to_vec(),
    };
    signature
}

/// A loop variable.
#[derive(Clone)]
enum Index {
    /// Its loop is not open.
    Later,
    /// Its loop runs once: its value over the variables outside.
    Known(Affine),
    /// It lives in a register.
    Live { variable: Variable, depth: usize },
}

/// A value, by parts.
#[derive(Clone)]
enum Binding {
    None,
    Value(Vec<Value>),
    Register(Vec<Variable>),
}

/// One function on its way into Cranelift IR.
struct Emitter<'a, 'f> {
    program: &'a Program,
    func: &'a Func,
    target: &'a Target,
    number: &'a dyn Fn(FuncId) -> u32,
    b: FunctionBuilder<'f>,
    pointer: Type,
    call_conv: CallConv,
    /// Pointers to the slots.
    slots: Vec<Value>,
    vars: Vec<Index>,
    vals: Vec<Binding>,
    /// Which values are constants other than NaN.
    numbers: Vec<bool>,
    /// Stems of the open scopes, innermost last.
    stems: Vec<Stems>,
    /// Open loops.
    depth: usize,
}

impl<'a> Emitter<'a, '_> {
    fn emit(mut self) {
        let entry = self.b.create_block();
        self.b.append_block_params_for_function_params(entry);
        self.b.switch_to_block(entry);
        self.b.seal_block(entry);
        let params = self.b.block_params(entry).to_vec();
        let func = self.func;
        match func.kind {
            FuncKind::Codelet => {
                self.slots = params;
                self.block(&func.body, None);
            }
            FuncKind::Kernel => {
                let [table, local, begin, end] = params[..] else { unreachable!("the signature has four parameters") };
                self.kernel_slots(table, local);
                self.block(&func.body, Some((begin, end)));
            }
        }
        self.b.ins().return_(&[]);
        self.b.finalize(self.target.ordered.frontend_config());
    }

    fn kernel_slots(&mut self, table: Value, local: Value) {
        let flags = MemFlagsData::trusted().with_readonly().with_can_move();
        let bytes = self.pointer.bytes() as i32;
        let mut next = 0;
        for offset in locals(self.func).0 {
            let slot = match offset {
                None => {
                    let slot = self.b.ins().load(self.pointer, flags, table, next * bytes);
                    next += 1;
                    slot
                }
                Some(0) => local,
                Some(offset) => self.b.ins().iadd_imm_s(local, offset as i64),
            };
            self.slots.push(slot);
        }
    }

    /// Statements; `range` is that of the parallel loop, if this is a kernel's own block.
    fn block(&mut self, body: &'a [Stmt], range: Option<(Value, Value)>) {
        let split = range.and_then(|range| Some((parallel_loop(self.func)?, range)));
        for stmt in body {
            match stmt {
                Stmt::Let(val, expr, _) => {
                    let parts = self.expr(*val, expr);
                    self.vals[val.index()] = Binding::Value(parts);
                    self.numbers[val.index()] = match expr {
                        Expr::Const(number) => !number.is_nan(),
                        Expr::Splat(from) | Expr::Copy(from) => self.numbers[from.index()],
                        _ => false,
                    };
                }
                Stmt::Reg(val, expr, _) => {
                    let parts = self.expr(*val, expr);
                    let ty = Parts::of(self.func.vals[*val].ty).ty;
                    let registers = parts.into_iter().map(|part| {
                        let register = self.b.declare_var(ty);
                        self.b.def_var(register, part);
                        register
                    });
                    self.vals[val.index()] = Binding::Register(registers.collect());
                    self.numbers[val.index()] = false;
                }
                Stmt::Set(val, expr, _) => {
                    let parts = self.expr(*val, expr);
                    if let Binding::Register(registers) = &self.vals[val.index()] {
                        registers.iter().zip(parts).for_each(|(&register, part)| self.b.def_var(register, part));
                    }
                }
                Stmt::Store(place, val, _) => {
                    let parts = Parts::of(self.func.vals[*val].ty);
                    let at = self.place(place);
                    let values = self.read(*val);
                    memory::store(&mut self.b, parts, at, usize::from(place.lanes), &values);
                }
                Stmt::For(inner) => match split {
                    Some((parallel, range)) if std::ptr::eq(parallel, inner) => self.counted(inner, Some(range)),
                    _ => self.repeat(inner),
                },
                Stmt::Call(call) => self.call(call),
            }
        }
    }

    fn repeat(&mut self, inner: &'a For) {
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
    fn counted(&mut self, inner: &'a For, range: Option<(Value, Value)>) {
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
        self.depth += 1;
        self.block(&inner.body, None);
        self.depth -= 1;
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
    fn index(&mut self, var: VarId) -> Value {
        match self.vars[var.index()] {
            Index::Live { variable, .. } => self.b.use_var(variable),
            // The verifier lets no variable be read outside its loop, and known ones were replaced.
            Index::Known(_) | Index::Later => self.b.ins().iconst(types::I64, 0),
        }
    }

    fn place(&mut self, place: &Place) -> Address {
        let (base, offset) = self.address(place.slot, &place.at);
        let slot = &self.func.slots[place.slot];
        Address {
            base,
            offset,
            stride: place.stride.wrapping_mul(slot.elem.bytes() as i64),
            flags: self.flags(place.slot),
            elem: slot.elem,
        }
    }

    /// The verifier proved every access to be inside its buffer, so none traps. Buffers need no alignment.
    fn flags(&self, slot: SlotId) -> MemFlagsData {
        let flags = MemFlagsData::new().with_notrap();
        match self.func.slots[slot].access {
            Access::In => flags.with_readonly().with_can_move(),
            _ => flags,
        }
    }

    fn read(&mut self, val: ValId) -> Vec<Value> {
        match &self.vals[val.index()] {
            Binding::Value(parts) => parts.clone(),
            Binding::Register(registers) => registers.iter().map(|&register| self.b.use_var(register)).collect(),
            Binding::None => unreachable!("the verifier lets no value be read before it is defined"),
        }
    }

    /// The parts of `expr`, which defines or sets `val`.
    fn expr(&mut self, val: ValId, expr: &Expr) -> Vec<Value> {
        let parts = Parts::of(self.func.vals[val].ty);
        match *expr {
            Expr::Const(number) => vec![vector::constant(&mut self.b, parts, number); parts.count],
            Expr::Load(ref place) => {
                let at = self.place(place);
                memory::load(&mut self.b, parts, at, usize::from(place.lanes))
            }
            Expr::Splat(x) => {
                let x = self.read(x)[0];
                vec![vector::splat(&mut self.b, parts, x); parts.count]
            }
            Expr::Unary(op, x) => {
                let x = self.read(x);
                x.into_iter().map(|x| vector::unary(&mut self.b, self.target, parts, op, x)).collect()
            }
            Expr::Binary(op, x, y) => {
                let (x_number, y_number) = (self.numbers[x.index()], self.numbers[y.index()]);
                let (x, y) = (self.read(x), self.read(y));
                x.into_iter()
                    .zip(y)
                    .map(|(x, y)| {
                        let x = Operand { value: x, number: x_number };
                        let y = Operand { value: y, number: y_number };
                        vector::binary(&mut self.b, self.target, parts, op, x, y)
                    })
                    .collect()
            }
            Expr::Fma(x, y, z) => {
                let (x, y, z) = (self.read(x), self.read(y), self.read(z));
                let terms = x.into_iter().zip(y).zip(z);
                terms
                    .map(|((x, y), z)| {
                        if self.target.fma {
                            self.b.ins().fma(x, y, z)
                        } else {
                            let product = self.b.ins().fmul(x, y);
                            self.b.ins().fadd(product, z)
                        }
                    })
                    .collect()
            }
            Expr::Convert(x) => {
                let from = Parts::of(self.func.vals[x].ty);
                let x = self.read(x);
                vector::convert(&mut self.b, from, parts, &x)
            }
            Expr::Reduce(op, x) => {
                let from = Parts::of(self.func.vals[x].ty);
                let x = self.read(x);
                vec![vector::reduce(&mut self.b, self.target, from, op, &x)]
            }
            Expr::Zip(half, x, y) => {
                let (x, y) = (self.read(x), self.read(y));
                vector::zip(&mut self.b, parts, half, &x, &y)
            }
            Expr::Pick(pick, x, y) => {
                let (x, y) = (self.read(x), self.read(y));
                vector::pick(&mut self.b, parts, pick, &[x, y].concat())
            }
            Expr::Part(part, x) => {
                let x = self.read(x);
                vector::part(&mut self.b, parts, part.into(), &x)
            }
            Expr::Copy(x) => self.read(x),
        }
    }

    /// A call; with an element that decides, in a block of its own that is jumped over where the element is 0.
    fn call(&mut self, call: &Call) {
        // Addresses are computed before the branch, where all that follows sees them.
        let args: Vec<Value> = call
            .args
            .iter()
            .map(|view| {
                let (base, offset) = self.address(view.slot, &view.at);
                if offset == 0 { base } else { self.b.ins().iadd_imm_s(base, offset) }
            })
            .collect();
        let signature = signature(&self.program.funcs[call.func], self.pointer, self.call_conv);
        let signature = self.b.import_signature(signature);
        let name = UserExternalName::new(0, (self.number)(call.func));
        let name = ExternalName::user(self.b.func.declare_imported_user_function(name));
        let callee = self.b.import_function(ExtFuncData { name, signature, colocated: true, patchable: false });
        let Some(when) = &call.when else {
            self.b.ins().call(callee, &args);
            return;
        };
        let decides = self.is_not_zero(when);
        let (then, after) = (self.b.create_block(), self.b.create_block());
        self.b.ins().brif(decides, then, &[], after, &[]);
        self.b.switch_to_block(then);
        self.b.seal_block(then);
        self.b.ins().call(callee, &args);
        self.b.ins().jump(after, &[]);
        self.b.switch_to_block(after);
        self.b.seal_block(after);
    }

    /// Whether an element is not 0. A NaN is not.
    fn is_not_zero(&mut self, View { slot, at }: &View) -> Value {
        let at = self.place(&Place { slot: *slot, at: at.clone(), stride: 1, lanes: 1 });
        let parts = Parts::of(VecType::scalar(self.func.slots[*slot].elem.compute()));
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
