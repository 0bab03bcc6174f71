//! Printing of loop IR.

use std::fmt::{self, Display, Formatter};

use super::print_layer::{number, write_source};
use crate::layer::Percent;
use crate::loops::{
    Access, Affine, Expr, For, Func, FuncKind, Place, Program, Role, Run, Stmt, ValId, VarId, VecType, View,
};

/// Prints the program, with a line end behind the brace.
impl Display for Program {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "program @{} {{", self.name)?;
        for (_, buffer) in self.buffers.iter() {
            write!(f, "  {} {}: {}", buffer.role.keyword(), Percent(&buffer.name), buffer.ty)?;
            if let Role::Const(source) = &buffer.role {
                f.write_str(" = ")?;
                write_source(f, source, &buffer.ty)?;
            }
            f.write_str("\n")?;
        }
        for (_, func) in self.funcs.iter() {
            f.write_str("\n")?;
            FuncText { func, program: self, indent: 1 }.fmt(f)?;
        }
        f.write_str("\n")?;
        if !self.prepare.is_empty() {
            self.write_runs(f, "prepare", &self.prepare)?;
        }
        self.write_runs(f, "entry", &self.entry)?;
        f.write_str("}\n")
    }
}

impl Program {
    fn write_runs(&self, f: &mut Formatter<'_>, name: &str, runs: &[Run]) -> fmt::Result {
        writeln!(f, "  {name} {{")?;
        for run in runs {
            write!(f, "    run @{}(", self.funcs[run.func].name)?;
            for (i, &arg) in run.args.iter().enumerate() {
                write!(f, "{}{}", if i == 0 { "" } else { ", " }, Percent(&self.buffers[arg].name))?;
            }
            f.write_str(")\n")?;
        }
        f.write_str("  }\n")
    }

    /// A function of this program as text: `Func` alone does not know the names of what it calls.
    pub fn func_text(&self, func: &Func) -> String {
        FuncText { func, program: self, indent: 0 }.to_string()
    }
}

struct FuncText<'a> {
    func: &'a Func,
    program: &'a Program,
    indent: usize,
}

impl Display for FuncText<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let func = self.func;
        let keyword = match func.kind {
            FuncKind::Kernel => "kernel",
            FuncKind::Codelet => "codelet",
        };
        write!(f, "{:1$}{keyword} @{2}(", "", 2 * self.indent, func.name)?;
        let params = func.slots.iter().filter(|(_, slot)| slot.access != Access::Local);
        for (i, (_, slot)) in params.enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            write!(f, "{comma}{} {}: {}[{}]", slot.access.keyword(), Percent(&slot.name), slot.elem, slot.len)?;
        }
        f.write_str(") {\n")?;
        for (_, slot) in func.slots.iter().filter(|(_, slot)| slot.access == Access::Local) {
            writeln!(f, "{:3$}local {}: {}[{4}]", "", Percent(&slot.name), slot.elem, 2 * self.indent + 2, slot.len)?;
        }
        self.write_block(f, &func.body, self.indent + 1)?;
        writeln!(f, "{:1$}}}", "", 2 * self.indent)
    }
}

impl FuncText<'_> {
    fn write_block(&self, f: &mut Formatter<'_>, block: &[Stmt], indent: usize) -> fmt::Result {
        for stmt in block {
            write!(f, "{:1$}", "", 2 * indent)?;
            match stmt {
                Stmt::Let(val, expr, _) => self.write_assignment(f, *val, " = ", expr)?,
                Stmt::Reg(val, expr, _) => self.write_assignment(f, *val, " = reg ", expr)?,
                Stmt::Set(val, expr, _) => self.write_assignment(f, *val, " <- ", expr)?,
                Stmt::Store(place, val, _) => {
                    f.write_str("store ")?;
                    self.write_place(f, place)?;
                    write!(f, ", {}", self.val(*val))?;
                    write_access(f, place, self.func.vals[*val].ty.lanes)?;
                }
                Stmt::Call(call) => {
                    write!(f, "call @{}(", self.program.funcs[call.func].name)?;
                    for (i, view) in call.args.iter().enumerate() {
                        f.write_str(if i == 0 { "" } else { ", " })?;
                        self.write_view(f, view)?;
                    }
                    f.write_str(")")?;
                    if let Some(view) = &call.when {
                        f.write_str(" if ")?;
                        self.write_view(f, view)?;
                    }
                }
                Stmt::For(inner) => {
                    self.write_head(f, inner)?;
                    f.write_str(" {\n")?;
                    self.write_block(f, &inner.body, indent + 1)?;
                    write!(f, "{:1$}}}", "", 2 * indent)?;
                }
            }
            f.write_str("\n")?;
        }
        Ok(())
    }

    fn write_view(&self, f: &mut Formatter<'_>, view: &View) -> fmt::Result {
        write!(f, "{}[", Percent(&self.func.slots[view.slot].name))?;
        self.write_affine(f, &view.at)?;
        f.write_str("]")
    }

    fn val(&self, val: ValId) -> impl Display + '_ {
        Percent(&self.func.vals[val].name)
    }

    fn var(&self, var: VarId) -> impl Display + '_ {
        Percent(&self.func.vars[var].name)
    }

    fn write_head(&self, f: &mut Formatter<'_>, head: &For) -> fmt::Result {
        write!(f, "for {} in {}..{}", self.var(head.var), head.begin, head.end)?;
        if head.step != 1 {
            write!(f, " step {}", head.step)?;
        }
        if head.marks.parallel {
            f.write_str(" parallel")?;
        }
        if let Some(n) = head.marks.tile {
            write!(f, " tile({n})")?;
        }
        if let Some(n) = head.marks.vector {
            write!(f, " vector({n})")?;
        }
        match head.marks.unroll {
            None => {}
            Some(0) => f.write_str(" unroll")?,
            Some(n) => write!(f, " unroll({n})")?,
        }
        for (i, induction) in head.inductions.iter().enumerate() {
            write!(f, "{}{} = ", if i == 0 { " with " } else { ", " }, self.var(induction.var))?;
            self.write_affine(f, &induction.init)?;
            write!(f, " by {}", induction.by)?;
        }
        Ok(())
    }

    /// The type is written where the operands do not determine it, or where it is another one.
    fn write_assignment(&self, f: &mut Formatter<'_>, val: ValId, sign: &str, expr: &Expr) -> fmt::Result {
        let ty = self.func.vals[val].ty;
        let of = |val: &ValId| self.func.vals[*val].ty;
        write!(f, "{}{sign}", self.val(val))?;
        let word = |f: &mut Formatter<'_>, name: &str, operand: VecType| match operand == ty {
            true => write!(f, "{name} "),
            false => write!(f, "{name} {ty} "),
        };
        match expr {
            Expr::Const(n) => write!(f, "{ty} {}", number(*n)),
            Expr::Load(place) => {
                write!(f, "load {ty} ")?;
                self.write_place(f, place)?;
                write_access(f, place, ty.lanes)
            }
            Expr::Splat(a) => write!(f, "splat {ty} {}", self.val(*a)),
            Expr::Convert(a) => write!(f, "convert {ty} {}", self.val(*a)),
            Expr::Copy(a) => write!(f, "{}", self.val(*a)),
            Expr::Reduce(op, a) => write!(f, "reduce {} {}", op.name(), self.val(*a)),
            Expr::Part(part, a) => write!(f, "part {part} {ty} {}", self.val(*a)),
            Expr::Zip(half, a, b) => {
                write!(f, "zip {} ", half.name())?;
                if of(a) != ty {
                    write!(f, "{ty} ")?;
                }
                write!(f, "{}, {}", self.val(*a), self.val(*b))
            }
            Expr::Pick(pick, a, b) => {
                write!(f, "pick {} by {} ", pick.from, pick.by)?;
                if of(a) != ty {
                    write!(f, "{ty} ")?;
                }
                write!(f, "{}, {}", self.val(*a), self.val(*b))
            }
            Expr::Unary(op, a) => {
                word(f, op.name(), of(a))?;
                write!(f, "{}", self.val(*a))
            }
            Expr::Binary(op, a, b) => {
                word(f, op.name(), of(a))?;
                write!(f, "{}, {}", self.val(*a), self.val(*b))
            }
            Expr::Fma(a, b, c) | Expr::Select(a, b, c) => {
                word(f, if matches!(expr, Expr::Fma(..)) { "fma" } else { "select" }, of(c))?;
                write!(f, "{}, {}, {}", self.val(*a), self.val(*b), self.val(*c))
            }
        }
    }

    fn write_place(&self, f: &mut Formatter<'_>, place: &Place) -> fmt::Result {
        write!(f, "{}[", Percent(&self.func.slots[place.slot].name))?;
        self.write_affine(f, &place.at)?;
        f.write_str("]")
    }

    fn write_affine(&self, f: &mut Formatter<'_>, affine: &Affine) -> fmt::Result {
        let mut first = true;
        for &(var, by) in affine.terms() {
            f.write_str(match (first, by < 0) {
                (true, true) => "-",
                (true, false) => "",
                (false, true) => " - ",
                (false, false) => " + ",
            })?;
            first = false;
            match by.unsigned_abs() {
                1 => write!(f, "{}", self.var(var))?,
                n => write!(f, "{n}*{}", self.var(var))?,
            }
        }
        match (first, affine.offset()) {
            (true, offset) => write!(f, "{offset}"),
            (false, 0) => Ok(()),
            (false, offset) if offset < 0 => write!(f, " - {}", offset.unsigned_abs()),
            (false, offset) => write!(f, " + {offset}"),
        }
    }
}

fn write_access(f: &mut Formatter<'_>, place: &Place, lanes: u8) -> fmt::Result {
    match place.stride {
        1 => {}
        0 => f.write_str(" broadcast")?,
        n => write!(f, " stride {n}")?,
    }
    if place.lanes != lanes { write!(f, " lanes {}", place.lanes) } else { Ok(()) }
}
