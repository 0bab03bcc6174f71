//! Checks of one function, statement by statement.
//!
//! | file | checks |
//! |---|---|
//! | `declarations.rs` | buffers and names |
//! | `scope.rs` | values are defined before they are read, and only registers are assigned |
//! | `expr.rs` | types |
//! | `access.rs` | every access is inside its buffer |
//! | `for_loop.rs` | loops, and that parallel iterations are independent |
//! | `calls.rs` | calls |

mod access;
mod calls;
mod declarations;
mod expr;
mod for_loop;
mod scope;

use super::address::Linear;
use super::found::Found;
use super::limits::MAX_STMTS;
use super::parallel::Touch;
use crate::diagnostic::{Code, Diagnostic, shown};
use crate::loops::{Func, FuncId, FuncKind, Program, Stmt, ValId, VarId};
use crate::span::Span;

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
        check.parallel_loops();
        check.block(&func.body);
        if func.kind == FuncKind::Codelet { check.touches } else { Vec::new() }
    }

    fn error(&mut self, code: Code, span: Span, message: impl Into<String>) {
        self.found.report(Diagnostic::new(code, span, message));
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
}
