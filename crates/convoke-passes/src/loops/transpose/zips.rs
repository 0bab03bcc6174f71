//! The steps of a network as statements.

use convoke_ir::loops::{Expr, Func, Stmt, Val, ValId, VecType};
use convoke_ir::span::Span;

use crate::loops::util::network::{Step, Zip};

/// Writes the steps of a network as statements.
pub(super) struct Zips<'f> {
    pub(super) func: &'f mut Func,
    pub(super) ty: VecType,
    pub(super) out: Vec<Stmt>,
    /// What the steps gave.
    pub(super) rows: Vec<ValId>,
    /// The zero that rows beyond those of loads are, once there is one. Of stores nobody minds what they are.
    pub(super) zero: Option<Option<ValId>>,
}

impl Zips<'_> {
    pub(super) fn define(&mut self, expr: Expr) -> ValId {
        self.define_as(self.ty, expr)
    }

    fn define_as(&mut self, ty: VecType, expr: Expr) -> ValId {
        let val = self.func.vals.push(Val { name: "0".into(), ty });
        self.out.push(Stmt::Let(val, expr, Span::default()));
        val
    }

    /// One of so many parts of a vector.
    pub(super) fn part(&mut self, part: usize, of: usize, val: ValId) -> ValId {
        let ty = VecType { lanes: self.ty.lanes / of as u8, ..self.ty };
        self.define_as(ty, Expr::Part(part as u8, val))
    }

    pub(super) fn step(&mut self, step: Step, input: impl FnOnce(&mut Self, usize) -> ValId) {
        let val = match step {
            Step::Input(row) => input(self, row),
            Step::Zip(zip) => {
                let expr = self.zip(zip);
                self.define(expr)
            }
        };
        self.rows.push(val);
    }

    pub(super) fn zip(&mut self, Zip { half, a, b }: Zip) -> Expr {
        let a = a.map(|row| self.rows[row]);
        let b = b.map(|row| self.rows[row]);
        let other = a.or(b).expect("one of a zip's rows is not padding");
        Expr::Zip(half, a.unwrap_or_else(|| self.padding(other)), b.unwrap_or_else(|| self.padding(other)))
    }

    fn padding(&mut self, other: ValId) -> ValId {
        match self.zero {
            None => other,
            Some(Some(zero)) => zero,
            Some(None) => {
                let zero = self.define(Expr::Const(0.0));
                self.zero = Some(Some(zero));
                zero
            }
        }
    }
}
