//! Checks of what a function declares: its buffers, and the names of all that it defines.

use super::Check;
use crate::diagnostic::{Code, Diagnostic, shown};
use crate::loops::verify::limits::{MAX_BYTES, MAX_TABLE};
use crate::loops::{Access, FuncKind, Stmt};
use crate::shape::Shape;

impl Check<'_, '_> {
    pub(super) fn slots(&mut self) {
        let func = self.func;
        if func.slots.len() > MAX_TABLE {
            let message =
                format!("`@{}` has {} buffers, the limit is {MAX_TABLE}", shown(&func.name), func.slots.len());
            return self.error(Code::ProgramSize, func.span, message);
        }
        self.found.names("buffer", func.slots.iter().map(|(_, s)| (s.name.as_str(), s.span)));
        let (mut locals, mut bytes) = (false, 0u128);
        for (_, slot) in func.slots.iter() {
            let name = shown(&slot.name);
            if !(1..=Shape::MAX_ELEMENTS).contains(&slot.len) {
                let message =
                    format!("`%{name}` has {} elements, between 1 and {} are allowed", slot.len, Shape::MAX_ELEMENTS);
                self.error(Code::ProgramSize, slot.span, message);
            }
            if slot.access != Access::Local {
                if locals {
                    self.error(Code::Table, slot.span, format!("parameter `%{name}` stands behind a local buffer"));
                }
                continue;
            }
            locals = true;
            bytes += slot.len as u128 * slot.elem.bytes() as u128;
            if func.kind == FuncKind::Codelet {
                let message = format!("codelet `@{}` has a local buffer `%{name}`", shown(&func.name));
                let diagnostic = Diagnostic::new(Code::Codelet, slot.span, message);
                self.found.report(diagnostic.help("make it a parameter, and a local buffer of the kernel that calls"));
            }
        }
        if bytes > MAX_BYTES {
            let message = format!("the local buffers have {bytes} bytes together, the limit is {MAX_BYTES}");
            self.error(Code::ProgramSize, func.span, message);
        }
    }

    /// Names of variables and values that statements define; entries nothing mentions are not written.
    pub(super) fn names(&mut self) {
        let func = self.func;
        let (mut vars, mut vals) = (Vec::new(), Vec::new());
        let mut blocks = vec![func.body.as_slice()];
        while let Some(block) = blocks.pop() {
            for stmt in block {
                match stmt {
                    Stmt::Let(val, _, span) | Stmt::Reg(val, _, span) => {
                        vals.extend(func.vals.get(*val).map(|v| (v.name.as_str(), *span)));
                    }
                    Stmt::For(inner) => {
                        let defined = std::iter::once(inner.var).chain(inner.inductions.iter().map(|i| i.var));
                        vars.extend(defined.filter_map(|v| func.vars.get(v)).map(|v| (v.name.as_str(), inner.span)));
                        blocks.push(&inner.body);
                    }
                    _ => {}
                }
            }
        }
        self.found.names("variable", vars.into_iter());
        self.found.names("value", vals.into_iter());
    }
}
