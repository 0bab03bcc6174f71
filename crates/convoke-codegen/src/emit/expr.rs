//! Values: expressions by parts, and the places they are loaded from.

use convoke_ir::loops::{Access, Expr, Place, SlotId, ValId};
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Value};

use super::memory::{self, Address};
use super::vector::{self, Operand, Parts};
use super::{Binding, Emitter};

impl Emitter<'_, '_> {
    /// Where a place is, after a check of sanitised code that it is inside its buffer.
    pub(super) fn place(&mut self, place: &Place, write: bool) -> Address {
        let (base, offset) = self.address(place.slot, &place.at);
        self.check(place.slot, (base, offset), (place.stride, place.lanes.into()), write);
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
            // Past a check no load may move.
            Access::In if self.checks.is_none() => flags.with_readonly().with_can_move(),
            _ => flags,
        }
    }

    pub(super) fn read(&mut self, val: ValId) -> Vec<Value> {
        match &self.vals[val.index()] {
            Binding::Value(parts) => parts.clone(),
            Binding::Register(registers) => registers.iter().map(|&register| self.b.use_var(register)).collect(),
            Binding::None => unreachable!("the verifier lets no value be read before it is defined"),
        }
    }

    /// The parts of `expr`, which defines or sets `val`.
    pub(super) fn expr(&mut self, val: ValId, expr: &Expr) -> Vec<Value> {
        let parts = Parts::of(self.func.vals[val].ty, self.target);
        match *expr {
            Expr::Const(number) => vec![vector::constant(&mut self.b, parts, number); parts.count],
            Expr::Load(ref place) => {
                let at = self.place(place, false);
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
            Expr::Select(c, x, y) => {
                let (c, x, y) = (self.read(c), self.read(x), self.read(y));
                let terms = c.into_iter().zip(x).zip(y);
                terms.map(|((c, x), y)| vector::choose(&mut self.b, parts, c, x, y)).collect()
            }
            Expr::Convert(x) => {
                let from = Parts::of(self.func.vals[x].ty, self.target);
                let x = self.read(x);
                vector::convert(&mut self.b, from, parts, &x)
            }
            Expr::Reduce(op, x) => {
                let from = Parts::of(self.func.vals[x].ty, self.target);
                let x = self.read(x);
                vec![vector::reduce(&mut self.b, self.target, from, op, (&x, self.reduces_by))]
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
}
