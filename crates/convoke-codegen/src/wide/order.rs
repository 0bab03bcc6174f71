//! AVX-512: lanes of two vectors in some order, which is itself a vector.
//!
//! Orders come from the constants of a function and stay in registers that nobody else wants, until the next loop begins or ends.

use convoke_ir::elem::Elem;
use iced_x86::Code;

use super::Emitter;
use super::asm::{Mask, Source};
use super::isa::{self, Length, Op};

impl Emitter<'_> {
    /// `to`: lane `order[i]` of `a`, then of `b`, in lane i. With `to == a` that vector is overwritten.
    pub(super) fn permute2(
        &mut self,
        (elem, length): (Elem, Length),
        to: usize,
        (a, b): (usize, Source),
        order: impl Iterator<Item = usize>,
    ) {
        let at = self.asm.lanes(elem, order);
        let load = self.isa.form(&isa::LOAD, elem, length);
        let known = self.order(at, load, length);
        if to == a {
            let order = known.unwrap_or_else(|| self.scratch());
            if known.is_none() {
                self.asm.vec2(load, (order, length), (Source::Pool(at), length), None, Mask::None);
            }
            return self.asm.vec3(Op::Permute2Table.forms(), elem, length, to, order, b);
        }
        let order = known.map_or(Source::Pool(at), Source::Register);
        self.asm.vec2(load, (to, length), (order, length), None, Mask::None);
        self.asm.vec3(Op::Permute2.forms(), elem, length, to, a, b);
    }

    /// The register that holds the order at this place among the constants, if there is one to spare.
    fn order(&mut self, at: usize, load: Code, length: Length) -> Option<usize> {
        let vectors = &mut self.vectors;
        let key = *self.orders.entry(at).or_insert_with(|| vectors.add());
        if vectors.register(key).is_none() {
            let register = vectors.spare()?;
            self.asm.vec2(load, (register, length), (Source::Pool(at), length), None, Mask::None);
            vectors.put(key, register);
        }
        vectors.register(key)
    }

    /// Lets go of all orders: what follows is reached from elsewhere too.
    pub(super) fn forget_orders(&mut self) {
        self.orders.drain().for_each(|(_, key)| self.vectors.leave(key));
    }
}
