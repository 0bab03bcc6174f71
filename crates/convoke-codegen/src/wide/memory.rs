//! Loads and stores of values, part by part. A load or store of `n` lanes touches exactly those `n` elements.

use convoke_ir::loops::Expr::Load;
use convoke_ir::loops::{Place, Stmt, ValId};

use super::emitter::Emitter;
use super::flat::{Address, Flat, Node};
use super::prefetch::Ahead;
use crate::x86::{Mem, Source, moves_whole};

impl<'a> Emitter<'a> {
    /// Says which lane counts the function's partial loads and stores have.
    pub(super) fn want_masks(&mut self, flat: &Flat<'a>) {
        for node in &flat.nodes {
            if let Node::Op(
                Stmt::Store(place, val, _)
                | Stmt::Let(val, Load(place), _)
                | Stmt::Reg(val, Load(place), _)
                | Stmt::Set(val, Load(place), _),
                _,
            ) = node
            {
                // Halves pass through the stack where they are not whole vectors.
                if place.stride != 0 && self.halves(place).is_some() {
                    continue;
                }
                let (parts, bytes) = (self.keys.parts(*val), self.elem(*val).bytes());
                for lanes in (0..parts.count).map(|part| parts.active(part, place.lanes)) {
                    let partial = matches!(place.stride, 0 | 1) && !moves_whole(lanes * bytes)
                        || place.stride == 0 && lanes < parts.lanes;
                    if lanes > 0 && partial {
                        self.asm.want_mask(lanes);
                    }
                }
            }
        }
    }

    /// A part of a load.
    pub(super) fn load_part(&mut self, to: usize, val: ValId, part: usize, place: &Place, address: &Address) {
        let (shape, parts) = (self.shape(val), self.keys.parts(val));
        let bytes = shape.elem.bytes();
        let lanes = parts.active(part, place.lanes);
        if lanes == 0 {
            return self.asm.set_lanes(shape, to, 0.0);
        }
        if self.halves(place).is_some() {
            return self.load_halves(to, val, part, (place, address));
        }
        if place.stride == 0 {
            let from = self.mem(address, 0);
            return self.asm.broadcast(shape, to, (parts.lanes, lanes), from);
        }
        let first = self.first(val, part, place);
        let from = self.mem(address, first);
        if place.stride == 1 || lanes == 1 {
            return self.asm.load_lanes(shape.elem, to, lanes, from);
        }
        if place.stride == 2 && self.load_every_second(shape, to, parts, lanes, from) {
            return;
        }
        // Lane by lane through the stack.
        let exchange = self.frame.exchange();
        if lanes < parts.lanes {
            self.asm.set_lanes(shape, to, 0.0);
            self.asm.store_shape(shape, exchange, to);
        }
        for lane in 0..lanes {
            let from = self.lane(from, (place, address, first), lane);
            self.asm.copy_element(shape.elem, exchange.plus((lane * bytes) as i32), from);
        }
        self.asm.load_shape(shape, to, Source::Memory(exchange));
    }

    /// Bytes from a value's first lane in memory to the first of a part.
    pub(super) fn first(&self, val: ValId, part: usize, place: &Place) -> i64 {
        (part * self.keys.parts(val).lanes) as i64 * place.stride * self.stored_bytes(place)
    }

    /// Bytes of an element in memory.
    fn stored_bytes(&self, place: &Place) -> i64 {
        self.func.slots[place.slot].elem.bytes() as i64
    }

    /// A lane beside `near`, which is its address `first` bytes further: by its displacement, or evaluated anew if that does not reach.
    pub(super) fn lane(&mut self, near: Mem, (place, address, first): (&Place, &Address, i64), lane: usize) -> Mem {
        let bytes = lane as i64 * place.stride * self.stored_bytes(place);
        if Mem::reaches(bytes) { near.plus(bytes as i32) } else { self.mem(address, first + bytes) }
    }

    /// A store, part by part.
    pub(super) fn store(&mut self, val: ValId, place: &Place, address: &Address) {
        let (shape, parts) = (self.shape(val), self.keys.parts(val));
        let bytes = shape.elem.bytes();
        for part in 0..parts.count {
            let lanes = parts.active(part, place.lanes);
            if lanes == 0 {
                continue;
            }
            let from = self.part_operand(val, part);
            if self.halves(place).is_some() {
                self.store_halves(from, val, part, (place, address));
                self.vectors.unlock_all();
                self.general.unlock_all();
                continue;
            }
            let first = self.first(val, part, place);
            let to = self.mem(address, first);
            if place.stride == 1 || lanes == 1 {
                self.asm.store_lanes(shape.elem, to, lanes, from);
            } else {
                let exchange = self.frame.exchange();
                self.asm.store_shape(shape, exchange, from);
                for lane in 0..lanes {
                    let to = self.lane(to, (place, address, first), lane);
                    self.asm.copy_element(shape.elem, to, exchange.plus((lane * bytes) as i32));
                }
            }
            self.vectors.unlock_all();
            self.general.unlock_all();
        }
    }

    /// Asks for the lines that the node at hand is to ask for.
    pub(super) fn prefetch(&mut self, address: Option<&Address>) {
        let lines = self.ahead.remove(&(self.position as usize - 1)).unwrap_or_default();
        for (Ahead { at, into }, address) in lines.into_iter().zip(address.into_iter().cycle()) {
            let at = self.mem(address, at);
            self.asm.prefetch(at, into);
            self.general.unlock_all();
        }
    }
}
