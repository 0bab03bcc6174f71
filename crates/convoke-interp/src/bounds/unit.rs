//! What of the analysis depends on the element type.

use convoke_ir::elem::Elem;

/// What depends on the element type.
#[derive(Clone, Copy)]
pub(super) struct Unit {
    /// The unit roundoff, with that of the interpreter's own `f64`.
    pub(super) roundoff: f64,
    /// The smallest subnormal number: at least what a product loses to gradual underflow.
    pub(super) tiny: f64,
    /// The smallest normal number.
    pub(super) normal: f64,
    /// The largest finite number.
    pub(super) largest: f64,
}

impl Unit {
    pub(super) fn of(elem: Elem) -> Unit {
        let roundoff = elem.unit_roundoff() + Elem::F64.unit_roundoff();
        let (tiny, normal, largest) = match elem {
            Elem::F32 => (f32::from_bits(1).into(), f32::MIN_POSITIVE.into(), f32::MAX.into()),
            Elem::F64 => (f64::from_bits(1), f64::MIN_POSITIVE, f64::MAX),
        };
        Unit { roundoff, tiny, normal, largest }
    }

    /// γ_n; infinite where the theory ends.
    pub(super) fn gamma(self, n: usize) -> f64 {
        let nu = n as f64 * self.roundoff;
        if nu < 1.0 { nu / (1.0 - nu) } else { f64::INFINITY }
    }
}
