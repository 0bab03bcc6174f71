//! Buffers of `f16` and `bf16`: loads that widen to `f32`, stores that round.
//!
//! Whole vectors go from and to memory as they lie. Partial and strided vectors pass through the stack, piece by piece in a general register.

use convoke_ir::elem::Elem;
use convoke_ir::loops::{Func, Place, ValId};

use super::bank::Kind;
use super::emitter::Emitter;
use super::flat::Address;
use crate::x86::Isa;

/// Bytes of a half.
const HALF: usize = 2;

/// Whether all that a function reads and writes can be done here: `f16` needs its instructions.
pub(crate) fn can(func: &Func, isa: &Isa) -> bool {
    func.slots.iter().all(|(_, slot)| isa.stores(slot.elem))
}

impl Emitter<'_> {
    /// The element type of a place as it is stored, if it is one of halves.
    pub(super) fn halves(&self, place: &Place) -> Option<Elem> {
        Some(self.func.slots[place.slot].elem).filter(|elem| elem.is_storage())
    }

    /// A part of a load with lanes.
    pub(super) fn load_halves(&mut self, to: usize, val: ValId, part: usize, (place, address): (&Place, &Address)) {
        let (shape, parts) = (self.shape(val), self.keys.parts(val));
        let (stored, lanes) = (self.func.slots[place.slot].elem, parts.active(part, place.lanes));
        let first = self.first(val, part, place);
        let from = self.mem(address, first);
        if place.stride == 0 || parts.lanes == 1 {
            return self.asm.broadcast_half(stored, shape, to, (parts.lanes, lanes), from);
        }
        if place.stride == 1 && lanes == parts.lanes && lanes >= 4 {
            return self.asm.load_halves(stored, shape, to, from);
        }
        let exchange = self.frame.exchange();
        self.asm.set_lanes(shape, to, 0.0);
        self.asm.store_shape(shape, exchange, to);
        if place.stride == 1 {
            self.asm.copy_bytes(exchange, from, lanes * HALF);
        } else {
            for lane in 0..lanes {
                let from = self.lane(from, (place, address, first), lane);
                self.asm.copy_bytes(exchange.plus((lane * HALF) as i32), from, HALF);
            }
        }
        self.asm.load_halves(stored, shape, to, exchange);
    }

    /// A part of a store with lanes, from a register.
    pub(super) fn store_halves(&mut self, from: usize, val: ValId, part: usize, (place, address): (&Place, &Address)) {
        let (shape, parts) = (self.shape(val), self.keys.parts(val));
        let (stored, lanes) = (self.func.slots[place.slot].elem, parts.active(part, place.lanes));
        let spare = self.take(Kind::Vector);
        let first = self.first(val, part, place);
        let to = self.mem(address, first);
        if place.stride == 1 && lanes == parts.lanes && lanes >= 4 {
            return self.asm.store_halves(stored, shape, to, from, spare);
        }
        let exchange = self.frame.exchange();
        self.asm.store_halves(stored, shape, exchange, from, spare);
        if place.stride == 1 {
            return self.asm.copy_bytes(to, exchange, lanes * HALF);
        }
        for lane in 0..lanes {
            let to = self.lane(to, (place, address, first), lane);
            self.asm.copy_bytes(to, exchange.plus((lane * HALF) as i32), HALF);
        }
    }
}
