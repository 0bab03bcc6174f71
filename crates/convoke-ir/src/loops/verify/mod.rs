//! The verifier of loop IR. It holds for every program it accepts:
//!
//! | code | invariant |
//! |---|---|
//! | E0401 | names are letters, digits, `_` and `.`, at most 200 of them |
//! | E0402 | names are unique: buffers, functions; in a function buffers, variables and values |
//! | E0403 | a value or variable is defined before it is read, in the same block or one around it |
//! | E0404 | operands, results and buffers have types that go together |
//! | E0405 | a value is defined once; only registers are assigned, inside a `parallel` loop only its own |
//! | E0406 | only buffers that are not `in` are written |
//! | E0407 | a codelet is a leaf: no calls, no locals |
//! | E0408 | a call names an earlier codelet, a run a kernel |
//! | E0409 | arguments are as many as the parameters; those of a run have the parameter's elements and length |
//! | E0410 | an argument that is written shares no element with another argument |
//! | E0411 | scratch and prepared buffers are written before they are read; outputs and prepared buffers are written |
//! | E0412 | `prepare` reads constants and writes prepared buffers; `entry` writes outputs and scratch |
//! | E0413 | a `parallel` loop is the only loop of its kernel and its last statement, after constants alone; no two of its iterations touch one element that one of them writes |
//! | E0414 | marks have numbers that make sense |
//! | E0415 | lanes are a power of 2 up to 64, of at most 128 bytes; no more touch memory than the value has; a store's are apart |
//! | E0416 | loop bounds and induction variables stay within ±2^48, steps are positive |
//! | E0417 | every element that is read or written is inside its buffer |
//! | E0418 | sizes are within the limits below |
//! | E0419 | a constant's source can fill its type |
//! | E0420 | ids are of this program; parameters stand before locals |
//!
//! Addresses are proved by interval arithmetic over iteration numbers, in 128 bits: a variable is written as an affine
//! function of how often each loop around it has run, so that an induction variable costs no precision.

mod address;
mod func;
mod parallel;

use std::ops::Deref;

use rustc_hash::FxHashMap;

use super::{Access, BufferId, FuncKind, Program, Role, Run};
use crate::diagnostic::{Code, Diagnostic, shown};
use crate::layer::{MAX_NAME, is_name};
use crate::span::Span;

/// The most statements of a program.
pub const MAX_STMTS: usize = 1_000_000;
/// The most buffers, functions and runs of a program, and the most parameters and locals of a function.
pub const MAX_TABLE: usize = 100_000;
/// How deep loops may be nested.
pub const MAX_LOOPS: usize = 60;
/// The most bytes of a program's buffers, or of a function's locals, together.
pub const MAX_BYTES: u128 = 1 << 48;
/// How many mistakes are looked for.
const MAX_ERRORS: usize = 1000;

/// A program that [`verify`] accepted: every access is proved to be inside its buffer.
#[derive(Clone, Copy, Debug)]
pub struct Verified<'a>(&'a Program);

impl<'a> Verified<'a> {
    /// The program, for as long as it is borrowed.
    pub fn program(self) -> &'a Program {
        self.0
    }
}

impl Deref for Verified<'_> {
    type Target = Program;
    fn deref(&self) -> &Program {
        self.0
    }
}

/// Checks a program; on failure gives every mistake found.
pub fn verify(program: &Program) -> Result<Verified<'_>, Vec<Diagnostic>> {
    let mut found = Found(Vec::new());
    check(program, &mut found);
    if found.0.is_empty() { Ok(Verified(program)) } else { Err(found.0) }
}

/// What was found so far.
struct Found(Vec<Diagnostic>);

impl Found {
    fn report(&mut self, diagnostic: Diagnostic) {
        self.0.push(diagnostic);
    }

    fn full(&self) -> bool {
        self.0.len() >= MAX_ERRORS
    }

    fn name(&mut self, what: &str, name: &str, span: Span) {
        if !is_name(name) {
            let message = format!("the {what} has the name `{}`", shown(name));
            let help = format!("names are 1 to {MAX_NAME} letters, digits, `_` and `.`");
            self.report(Diagnostic::new(Code::LoopName, span, message).help(help));
        }
    }

    /// Checks the names of one table: each allowed, none twice.
    fn names<'n>(&mut self, what: &str, names: impl Iterator<Item = (&'n str, Span)>) {
        let mut seen = FxHashMap::default();
        seen.reserve(names.size_hint().0);
        for (name, span) in names {
            self.name(what, name, span);
            if let Some(first) = seen.insert(name, span) {
                let message = format!("there are two {what}s of the name `{}`", shown(name));
                self.report(Diagnostic::new(Code::LoopDuplicate, span, message).related(first, "the first one"));
            }
        }
    }
}

fn check(program: &Program, found: &mut Found) {
    found.name("program", &program.name, program.span);
    let tables = [
        ("buffers", program.buffers.len()),
        ("functions", program.funcs.len()),
        ("runs", program.prepare.len() + program.entry.len()),
    ];
    for (what, count) in tables {
        if count > MAX_TABLE {
            let message = format!("the program has {count} {what}, the limit is {MAX_TABLE}");
            found.report(Diagnostic::new(Code::ProgramSize, program.span, message));
            return;
        }
    }
    found.names("buffer", program.buffers.iter().map(|(_, b)| (b.name.as_str(), b.span)));
    found.names("function", program.funcs.iter().map(|(_, f)| (f.name.as_str(), f.span)));
    let bytes: u128 = program.buffers.iter().map(|(_, b)| b.ty.bytes() as u128).sum();
    if bytes > MAX_BYTES {
        let message = format!("the buffers have {bytes} bytes together, the limit is {MAX_BYTES}");
        found.report(Diagnostic::new(Code::ProgramSize, program.span, message));
    }
    for (_, buffer) in program.buffers.iter() {
        if let Role::Const(source) = &buffer.role
            && let Some(reason) = source.refuses(&buffer.ty)
        {
            let message = format!("constant `%{}`: {reason}", shown(&buffer.name));
            found.report(Diagnostic::new(Code::LoopConstant, buffer.span, message));
        }
    }
    func::check_all(program, found);
    runs(program, found);
}

/// Checks both lists of runs and which buffers they read and write, in order.
fn runs(program: &Program, found: &mut Found) {
    // Constants and inputs have their contents from the beginning.
    let mut written: Vec<bool> =
        program.buffers.iter().map(|(_, b)| matches!(b.role, Role::Input | Role::Const(_))).collect();
    for (list, runs) in [("prepare", &program.prepare), ("entry", &program.entry)] {
        for run in runs {
            if found.full() {
                return;
            }
            run_fits(program, run, list, &mut written, found);
        }
        for (id, buffer) in program.buffers.iter() {
            let needed = match list {
                "prepare" => buffer.role == Role::Prepared,
                _ => buffer.role == Role::Output,
            };
            if needed && !written[id.index()] {
                let what = buffer.role.keyword();
                let message = format!("`{what} %{}` is not written by any run of `{list}`", shown(&buffer.name));
                found.report(Diagnostic::new(Code::Unwritten, buffer.span, message));
            }
        }
    }
}

fn run_fits(program: &Program, run: &Run, list: &str, written: &mut [bool], found: &mut Found) {
    let Some(func) = program.funcs.get(run.func) else {
        let message = format!("function {} is not of this program", run.func.index());
        return found.report(Diagnostic::new(Code::Table, run.span, message));
    };
    let name = shown(&func.name);
    if func.kind != FuncKind::Kernel {
        let message = format!("`@{name}` is a codelet; a run takes a kernel");
        found.report(Diagnostic::new(Code::Callee, run.span, message).related(func.span, "declared here"));
        return;
    }
    let params: Vec<_> = func.slots.iter().map(|(_, s)| s).filter(|s| s.access != Access::Local).collect();
    if params.len() != run.args.len() {
        let message = format!("`@{name}` takes {} buffers, found {}", params.len(), run.args.len());
        return found.report(Diagnostic::new(Code::Argument, run.span, message).related(func.span, "declared here"));
    }
    // For each buffer, the first argument it is and whether any is written.
    let mut seen: FxHashMap<BufferId, bool> = FxHashMap::default();
    for (param, &arg) in params.iter().zip(&run.args) {
        let Some(buffer) = program.buffers.get(arg) else {
            let message = format!("buffer {} is not of this program", arg.index());
            found.report(Diagnostic::new(Code::Table, run.span, message));
            continue;
        };
        let (arg_name, param_name) = (shown(&buffer.name), shown(&param.name));
        if (buffer.ty.elem, buffer.ty.elements()) != (param.elem, param.len) {
            let message = format!(
                "parameter `%{param_name}` of `@{name}` is `{}[{}]`, `%{arg_name}` is `{}[{}]`",
                param.elem,
                param.len,
                buffer.ty.elem,
                buffer.ty.elements()
            );
            found.report(
                Diagnostic::new(Code::Argument, run.span, message)
                    .related(param.span, "the parameter")
                    .related(buffer.span, "the buffer"),
            );
        }
        let (reads, writes) = (matches!(param.access, Access::In | Access::InOut), param.access.writes());
        if let Some(before) = seen.insert(arg, writes)
            && (before || writes)
        {
            let message = format!("`%{arg_name}` is given twice to `@{name}`, which writes it");
            found.report(Diagnostic::new(Code::Alias, run.span, message).help("use two buffers"));
            seen.insert(arg, true);
        }
        let allowed = match (list, &buffer.role) {
            ("prepare", Role::Const(_)) => !writes,
            ("prepare", role) => *role == Role::Prepared,
            (_, Role::Input | Role::Const(_) | Role::Prepared) => !writes,
            (_, Role::Output | Role::Scratch) => true,
        };
        if !allowed {
            let verb = if writes { "written" } else { "read" };
            let message = format!("`{} %{arg_name}` cannot be {verb} in `{list}`", buffer.role.keyword());
            found.report(Diagnostic::new(Code::Role, run.span, message).related(buffer.span, "declared here"));
        } else if reads && !written[arg.index()] {
            let message = format!("`%{arg_name}` is read by `@{name}` before any run has written it");
            found.report(Diagnostic::new(Code::Unwritten, run.span, message).related(buffer.span, "declared here"));
        }
    }
    for (param, arg) in params.iter().zip(&run.args) {
        if param.access.writes() && arg.index() < written.len() {
            written[arg.index()] = true;
        }
    }
}
