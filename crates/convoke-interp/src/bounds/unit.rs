//! Constants of the analysis that depend on the element type.

use convoke_ir::elem::{Elem, Subnormals};

/// The constants of an element type.
#[derive(Clone, Copy)]
pub(super) struct Unit {
    /// The unit roundoff, with that of the interpreter's own `f64`.
    pub(super) roundoff: f64,
    /// A bound on what an operation loses to underflow: the smallest subnormal number, or the smallest normal one if subnormal numbers are flushed.
    pub(super) lost: f64,
    /// The treatment of subnormal numbers.
    pub(super) subnormals: Subnormals,
    /// The smallest normal number.
    pub(super) normal: f64,
    /// The largest finite number.
    pub(super) largest: f64,
}

impl Unit {
    pub(super) fn of(elem: Elem, subnormals: Subnormals) -> Unit {
        let roundoff = elem.unit_roundoff() + Elem::F64.unit_roundoff();
        let normal = elem.smallest_normal();
        let lost = if subnormals == Subnormals::Flush { normal } else { elem.smallest() };
        Unit { roundoff, lost, subnormals, normal, largest: elem.largest() }
    }

    /// A bound on the distance of `value` from the number that a native operation reads, if the number in memory is within `error` of it. An
    /// operation that flushes reads a subnormal number as zero.
    pub(super) fn read(self, value: f64, error: f64) -> f64 {
        let flushed = self.subnormals == Subnormals::Flush && value.abs() - error < self.normal;
        if flushed { error.max(value.abs().min(self.normal + error)) } else { error }
    }

    /// γ_n; infinite where the theory ends.
    pub(super) fn gamma(self, n: usize) -> f64 {
        let nu = n as f64 * self.roundoff;
        if nu < 1.0 { nu / (1.0 - nu) } else { f64::INFINITY }
    }
}
