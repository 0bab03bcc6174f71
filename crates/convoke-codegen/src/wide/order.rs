//! Permutations of the lanes of two vectors. The order of the lanes is itself a vector.
//!
//! Orders are constants of the function. They stay in free registers until the next loop begins or ends.

use super::emitter::Emitter;
use crate::x86::{Shape, Source};

impl Emitter<'_> {
    /// `to`: lane `order[i]` of `a`, then of `b`, in lane i. With `to == a` that vector is overwritten.
    pub(super) fn permute2(
        &mut self,
        shape: Shape,
        to: usize,
        (a, b): (usize, Source),
        order: impl Iterator<Item = usize>,
    ) {
        let at = self.asm.lanes(shape.elem, order);
        let known = self.order(at, shape);
        if to == a {
            let order = known.unwrap_or_else(|| self.asm.scratch());
            if known.is_none() {
                self.asm.load_shape(shape, order, Source::Pool(at));
            }
            return self.asm.permute_over_first(shape, a, order, b);
        }
        let order = known.map_or(Source::Pool(at), Source::Register);
        self.asm.load_shape(shape, to, order);
        self.asm.permute_over_order(shape, to, a, b);
    }

    /// The register that holds the order at this place among the constants, if there is one to spare.
    fn order(&mut self, at: usize, shape: Shape) -> Option<usize> {
        let vectors = &mut self.vectors;
        let key = *self.orders.entry(at).or_insert_with(|| vectors.add());
        if vectors.register(key).is_none() {
            let register = vectors.spare()?;
            self.asm.load_shape(shape, register, Source::Pool(at));
            vectors.put(key, register);
        }
        vectors.register(key)
    }

    /// Lets go of all orders: what follows is reached from elsewhere too.
    pub(super) fn forget_orders(&mut self) {
        self.orders.drain().for_each(|(_, key)| self.vectors.leave(key));
    }
}
