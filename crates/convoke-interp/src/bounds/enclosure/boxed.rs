//! Tensors with an interval and an error for each element.

use std::sync::Arc;

use convoke_ir::elem::{Elem, Subnormals};

use crate::Result;
use crate::bounds::tracked::{Tracked, each, each2};
use crate::bounds::unit::Unit;

/// A tensor with intervals.
#[derive(Clone)]
pub(super) struct Boxed {
    pub(super) lower: Arc<Vec<f64>>,
    pub(super) upper: Arc<Vec<f64>>,
    /// Its value is the number itself where the interval is one, else the largest magnitude.
    pub(super) tracked: Tracked,
}

impl Boxed {
    pub(super) fn exact(value: Arc<Vec<f64>>) -> Result<Boxed> {
        Ok(Boxed { lower: value.clone(), upper: value.clone(), tracked: Tracked::exact(value)? })
    }

    pub(super) fn of(lower: Vec<f64>, upper: Vec<f64>) -> Result<Boxed> {
        let magnitude = each2(&lower, &upper, magnitude)?;
        let least = Some(Arc::new(each2(&lower, &upper, least)?));
        let tracked = Tracked { least, ..Tracked::exact(Arc::new(magnitude))? };
        Ok(Boxed { lower: Arc::new(lower), upper: Arc::new(upper), tracked })
    }

    /// Whether every element is one number.
    pub(super) fn is_known(&self) -> bool {
        self.lower == self.upper
    }

    /// The tensor as a native operation reads it: what may be subnormal may be read as 0.
    pub(super) fn read(&self, unit: Unit) -> Result<Boxed> {
        if unit.subnormals == Subnormals::Keep {
            return Ok(self.clone());
        }
        let ends = self.lower.iter().zip(self.upper.iter()).zip(self.tracked.error.iter());
        let error: Vec<f64> = ends
            .map(|((&lower, &upper), &e)| match lower == upper {
                true => unit.read(lower, e),
                false if least(lower, upper) - e < unit.normal => unit.normal + e,
                false => e,
            })
            .collect();
        Ok(Boxed { tracked: Tracked { error: Arc::new(error), ..self.tracked.clone() }, ..self.clone() })
    }

    /// The tensor as it is stored: half types round it. `None` where a number may be too large for them.
    pub(super) fn stored(self, elem: Elem) -> Result<Option<Boxed>> {
        if !elem.is_storage() {
            return Ok(Some(self));
        }
        let [lower, upper] = [&self.lower, &self.upper].map(|ends| each(ends, |x| elem.round(x)));
        let (lower, upper) = (lower?, upper?);
        let wide = each2(&self.tracked.value, &self.tracked.error, |x, e| x.abs() + e)?;
        if wide.iter().any(|&m| m > elem.largest()) {
            return Ok(None);
        }
        // Both are rounded, at most by half a unit each.
        let error = each2(&self.tracked.error, &wide, |e, m| e + 2.0 * elem.unit_roundoff() * m + elem.smallest())?;
        let scale = each2(&self.tracked.scale, &wide, f64::max)?;
        let boxed = Boxed::of(lower, upper)?;
        let tracked =
            Tracked { error: Arc::new(error), scale: Arc::new(scale), depth: self.tracked.depth, ..boxed.tracked };
        Ok(Some(Boxed { tracked, ..boxed }))
    }
}

/// The largest magnitude between two numbers, with its sign where they are one.
pub(super) fn magnitude(lower: f64, upper: f64) -> f64 {
    if lower == upper { lower } else { lower.abs().max(upper.abs()) }
}

/// The least magnitude between two numbers.
pub(super) fn least(lower: f64, upper: f64) -> f64 {
    if lower <= 0.0 && upper >= 0.0 { 0.0 } else { lower.abs().min(upper.abs()) }
}
