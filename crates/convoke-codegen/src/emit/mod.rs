//! Loop IR functions as Cranelift IR, called as [`convention`](crate::convention) says.
//!
//! What no later stage does is done here: vectors of any width become parts of 128 bits ([`vector`]), and addresses are shared
//! and hoisted ([`address`]). Statements keep their order.

mod address;
mod check;
mod control;
mod expr;
mod half;
mod memory;
mod size;
mod vector;

use std::collections::HashMap;

use convoke_ir::loops::{Affine, Expr, Func, FuncId, FuncKind, Program, SlotId, Stmt, VarId};
use cranelift_codegen::ir::{
    AbiParam, Function, InstBuilder, MemFlagsData, Signature, Type, UserFuncName, Value, types,
};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext, Variable};

use self::check::Checks;
use self::vector::Parts;
use crate::convention::{locals, parallel_loop};
use crate::sanitize::Site;
use crate::target::Target;
use crate::wide;

pub(crate) use self::size::{check_size, keeps_order};

/// A function in Cranelift IR, and its checks if it is sanitised. `number` gives a callee's number in the module.
pub(crate) fn function(
    program: &Program,
    id: FuncId,
    target: &Target,
    number: &dyn Fn(FuncId) -> u32,
) -> (Function, Vec<Site>) {
    let func = &program.funcs[id];
    let name = UserFuncName::user(0, number(id));
    let mut clif = Function::with_name_signature(name, signature(func, target));
    let mut context = FunctionBuilderContext::new();
    let emitter = Emitter {
        program,
        func,
        target,
        number,
        b: FunctionBuilder::new(&mut clif, &mut context),
        pointer: target.ordered.pointer_type(),
        reduces_by: target.wide.filter(|isa| target.sanitize && wide::can(func, isa)).map(|isa| isa.vector_bytes),
        checks: None,
        slots: Vec::new(),
        vars: vec![Index::Later; func.vars.len()],
        vals: vec![Binding::None; func.vals.len()],
        numbers: vec![false; func.vals.len()],
        stems: vec![Stems::new()],
        depth: 0,
    };
    let sites = emitter.emit(id);
    (clif, sites)
}

/// The signature of a function. Codelets of sanitised code take the report too.
pub(crate) fn signature(func: &Func, target: &Target) -> Signature {
    let mut signature = Signature::new(target.call_conv());
    let pointer = target.ordered.pointer_type();
    signature.params = match func.kind {
        FuncKind::Codelet => vec![AbiParam::new(pointer); func.slots.len() + usize::from(target.sanitize)],
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

/// Stems computed in one scope, by slot and terms; see [`address`].
type Stems = HashMap<(SlotId, Vec<(VarId, i64)>), Value>;

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
    /// Bytes of the vectors that the wide emitter reduces by, whose order of sums this code keeps.
    reduces_by: Option<usize>,
    checks: Option<Checks>,
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
    fn emit(mut self, id: FuncId) -> Vec<Site> {
        let entry = self.b.create_block();
        self.b.append_block_params_for_function_params(entry);
        self.b.switch_to_block(entry);
        self.b.seal_block(entry);
        let params = self.b.block_params(entry).to_vec();
        let func = self.func;
        if self.target.sanitize {
            self.begin_checks(id, &params);
        }
        match func.kind {
            FuncKind::Codelet => {
                self.slots = params[..func.slots.len()].to_vec();
                self.block(&func.body, None);
            }
            FuncKind::Kernel => {
                let [table, local, begin, end] = params[..] else { unreachable!("the signature has four parameters") };
                self.kernel_slots(table, local);
                self.block(&func.body, Some((begin, end)));
            }
        }
        self.b.ins().return_(&[]);
        self.end_checks();
        self.b.finalize(self.target.ordered.frontend_config());
        self.checks.map_or_else(Vec::new, |checks| checks.sites)
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
                    let ty = Parts::of(self.func.vals[*val].ty, self.target).ty;
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
                    let parts = Parts::of(self.func.vals[*val].ty, self.target);
                    let at = self.place(place, true);
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
}
