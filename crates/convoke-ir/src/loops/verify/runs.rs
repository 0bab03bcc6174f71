//! Checks of the two lists of runs: arguments fit, roles allow what is done with buffers, and nothing is read before it is written.

use rustc_hash::FxHashMap;

use super::found::Found;
use crate::diagnostic::{Code, Diagnostic, shown};
use crate::loops::{Access, Buffer, BufferId, Func, FuncKind, Program, Role, Run, Slot};
use crate::span::Span;

/// Checks both lists of runs, in order.
pub(super) fn check_all(program: &Program, found: &mut Found) {
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

/// Checks one run, and marks the buffers that it writes.
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
    // For each buffer that is an argument, whether it is written.
    let mut seen: FxHashMap<BufferId, bool> = FxHashMap::default();
    for (param, &arg) in params.iter().zip(&run.args) {
        let Some(buffer) = program.buffers.get(arg) else {
            let message = format!("buffer {} is not of this program", arg.index());
            found.report(Diagnostic::new(Code::Table, run.span, message));
            continue;
        };
        let arg_name = shown(&buffer.name);
        fits(func, param, buffer, run.span, found);
        let (reads, writes) = (matches!(param.access, Access::In | Access::InOut), param.access.writes());
        if let Some(before) = seen.insert(arg, writes)
            && (before || writes)
        {
            let message = format!("`%{arg_name}` is given twice to `@{name}`, which writes it");
            found.report(Diagnostic::new(Code::Alias, run.span, message).help("use two buffers"));
            seen.insert(arg, true);
        }
        may_access(list, buffer, &name, run.span, (reads, writes, written[arg.index()]), found);
    }
    for (param, arg) in params.iter().zip(&run.args) {
        if param.access.writes() && arg.index() < written.len() {
            written[arg.index()] = true;
        }
    }
}

/// Whether kernel `@func` may do with a buffer what it does: its role allows it in this list, and what is read was written before.
fn may_access(
    list: &str,
    buffer: &Buffer,
    func: &str,
    span: Span,
    (reads, writes, written): (bool, bool, bool),
    found: &mut Found,
) {
    let allowed = match (list, &buffer.role) {
        ("prepare", Role::Const(_)) => !writes,
        ("prepare", role) => *role == Role::Prepared,
        (_, Role::Input | Role::Const(_) | Role::Prepared) => !writes,
        (_, Role::Output | Role::Scratch) => true,
    };
    if !allowed {
        let verb = if writes { "written" } else { "read" };
        let message = format!("`{} %{}` cannot be {verb} in `{list}`", buffer.role.keyword(), shown(&buffer.name));
        found.report(Diagnostic::new(Code::Role, span, message).related(buffer.span, "declared here"));
    } else if reads && !written {
        let message = format!("`%{}` is read by `@{func}` before any run has written it", shown(&buffer.name));
        found.report(Diagnostic::new(Code::Unwritten, span, message).related(buffer.span, "declared here"));
    }
}

/// Whether a buffer has the elements and the length of the parameter it is given for.
fn fits(func: &Func, param: &Slot, buffer: &Buffer, span: Span, found: &mut Found) {
    if (buffer.ty.elem, buffer.ty.elements()) != (param.elem, param.len) {
        let message = format!(
            "parameter `%{}` of `@{}` is `{}[{}]`, `%{}` is `{}[{}]`",
            shown(&param.name),
            shown(&func.name),
            param.elem,
            param.len,
            shown(&buffer.name),
            buffer.ty.elem,
            buffer.ty.elements()
        );
        found.report(
            Diagnostic::new(Code::Argument, span, message)
                .related(param.span, "the parameter")
                .related(buffer.span, "the buffer"),
        );
    }
}
