//! Arithmetic: one part of one expression into one register.

use convoke_ir::loops::{BinOp, Expr, Stmt, ValId};

use super::bank::Kind;
use super::emitter::Emitter;
use super::flat::{Address, Flat, Node};
use super::fold;
use crate::x86::Source;

impl<'a> Emitter<'a> {
    /// A part of `expr`, which defines or sets `val`.
    pub(super) fn part(&mut self, flat: &Flat<'a>, val: ValId, part: usize, expr: &Expr, address: Option<&Address>) {
        let shape = self.shape(val);
        match *expr {
            Expr::Const(number) => {
                let to = self.result(val, part);
                self.asm.set_lanes(shape, to, number);
                self.hold(val, part, to);
            }
            Expr::Load(ref place) => {
                let to = self.result(val, part);
                let address = address.expect("a load has an address");
                self.load_part(to, val, part, place, address);
                self.hold(val, part, to);
            }
            Expr::Splat(x) => {
                let from = self.part_operand(x, 0);
                let to = self.take(Kind::Vector);
                if self.keys.parts(val).lanes == 1 {
                    self.move_register(Kind::Vector, to, from);
                } else {
                    self.asm.splat(shape, to, from);
                }
                self.hold(val, part, to);
            }
            Expr::Copy(x) => {
                let from = self.part_operand(x, part);
                let to = self.take(Kind::Vector);
                self.move_register(Kind::Vector, to, from);
                self.hold(val, part, to);
            }
            Expr::Unary(op, x) => {
                let from = self.part_operand(x, part);
                let to = self.take(Kind::Vector);
                self.asm.unary(op, shape, to, from);
                self.hold(val, part, to);
            }
            Expr::Binary(op, x, y) => self.binary_part(flat, val, part, (op, x, y)),
            Expr::Fma(x, y, z) => self.fma(flat, val, part, [x, y, z]),
            Expr::Select(c, x, y) => {
                let (c, x) = (self.part_operand(c, part), self.part_operand(x, part));
                let y = self.part_operand(y, part);
                let to = self.take(Kind::Vector);
                self.move_register(Kind::Vector, to, y);
                self.asm.select(shape, to, [c, x]);
                self.hold(val, part, to);
            }
            Expr::Part(index, x) => self.lanes_of(val, part, usize::from(index), x),
            Expr::Convert(_) | Expr::Reduce(..) | Expr::Zip(..) | Expr::Pick(..) => {
                unreachable!("these are not done part by part")
            }
        }
    }

    /// The register for a result that reads nothing: the one the value has if it is assigned again.
    fn result(&mut self, val: ValId, part: usize) -> usize {
        match self.vectors.register(self.keys.part(val, part)) {
            Some(register) => {
                self.vectors.lock(register);
                register
            }
            None => self.take(Kind::Vector),
        }
    }

    /// The register for a result of one instruction whose operands are locked: the value's own if it is assigned again, one that an operand
    /// leaves, or a free one.
    fn result_of(&mut self, val: ValId, part: usize, operands: &[ValId]) -> usize {
        if let Some(register) = self.vectors.register(self.keys.part(val, part)) {
            self.vectors.lock(register);
            return register;
        }
        for &operand in operands {
            if self.folded[operand.index()].is_none() && self.dies(operand, part) {
                let key = self.keys.part(operand, part);
                if let Some(register) = self.vectors.register(key) {
                    return register;
                }
            }
        }
        self.take(Kind::Vector)
    }

    /// An operand as the last of an instruction: memory if its load was folded.
    fn last(&mut self, flat: &Flat<'a>, val: ValId, part: usize) -> Source {
        let Some(load) = self.folded[val.index()] else { return Source::Register(self.part_operand(val, part)) };
        let Node::Op(Stmt::Let(_, expr, _), Some(address)) = &flat.nodes[load] else {
            unreachable!("only loads fold");
        };
        match fold::kind(self.func, val, expr, self.isa) {
            Some(fold::Kind::Broadcast) => Source::Broadcast(self.mem(address, 0)),
            _ => Source::Memory(self.mem(address, (part * self.isa.vector_bytes) as i64)),
        }
    }

    fn binary_part(&mut self, flat: &Flat<'a>, val: ValId, part: usize, (op, x, y): (BinOp, ValId, ValId)) {
        let shape = self.shape(val);
        if matches!(op, BinOp::Min | BinOp::Max) {
            // A constant goes first, so that a NaN in the other comes through.
            let (first, second) = if self.numbers[y.index()] { (y, x) } else { (x, y) };
            let both = [self.part_operand(first, part), self.part_operand(second, part)];
            let to = self.take(Kind::Vector);
            self.asm.extremum(op, shape, to, both, self.numbers[first.index()]);
            return self.hold(val, part, to);
        }
        if matches!(op, BinOp::Less | BinOp::LessEqual) {
            let both = [x, y].map(|val| self.part_operand(val, part));
            let to = self.take(Kind::Vector);
            self.asm.compare(op, shape, to, both);
            return self.hold(val, part, to);
        }
        let commutes = matches!(op, BinOp::Add | BinOp::Mul);
        let (first, last) = if commutes && self.folded[x.index()].is_some() { (y, x) } else { (x, y) };
        let a = self.part_operand(first, part);
        let b = self.last(flat, last, part);
        let to = self.result_of(val, part, &[first, last]);
        self.asm.binary(op, shape, to, a, b);
        self.hold(val, part, to);
    }

    /// `x · y + z`.
    fn fma(&mut self, flat: &Flat<'a>, val: ValId, part: usize, [x, y, z]: [ValId; 3]) {
        let shape = self.shape(val);
        // The factor that may be memory goes last.
        let (x, y) = if self.folded[x.index()].is_some() { (y, x) } else { (x, y) };
        let sum = self.part_operand(z, part);
        let a = self.part_operand(x, part);
        let b = self.last(flat, y, part);
        let in_place = val == z || (self.dies(z, part) && z != x && z != y);
        let first_dies = val != x && self.dies(x, part) && x != y && x != z;
        let to = match b {
            _ if in_place => sum,
            Source::Register(b) if first_dies => {
                self.asm.multiply_add_over_factor(shape, a, b, sum);
                return self.hold(val, part, a);
            }
            _ => {
                let to = self.take(Kind::Vector);
                self.move_register(Kind::Vector, to, sum);
                to
            }
        };
        self.asm.multiply_add(shape, to, a, b);
        self.hold(val, part, to);
    }
}
