//! A tensor with its error bound, its scale and its depth, and arithmetic on arrays of them.

use std::sync::Arc;

use super::unit::Unit;
use crate::{Result, filled};

/// A tensor with what is known of its native value.
#[derive(Clone)]
pub(super) struct Tracked {
    pub(super) value: Arc<Vec<f64>>,
    pub(super) error: Arc<Vec<f64>>,
    pub(super) scale: Arc<Vec<f64>>,
    pub(super) depth: usize,
    /// Root mean squares of the error: to expect, allowed.
    pub(super) typical: [Arc<Vec<f64>>; 2],
    /// Whether an infinite error says that a native run may give anything, even where the value is not finite.
    pub(super) spoilt: bool,
    /// The bound of the tensor in memory, if it is less than the bound for an op that reads it (`stored.rs`).
    pub(super) near: Option<Arc<Vec<f64>>>,
    /// The least magnitudes, where the value is the largest magnitude of many that it may have (`enclosure`).
    pub(super) least: Option<Arc<Vec<f64>>>,
}

impl Tracked {
    pub(super) fn exact(value: Arc<Vec<f64>>) -> Result<Tracked> {
        let error = Arc::new(filled(value.len(), 0.0)?);
        let (scale, typical) = (Arc::new(each(&value, f64::abs)?), [error.clone(), error.clone()]);
        Ok(Tracked { scale, value, error, depth: 0, typical, spoilt: false, near: None, least: None })
    }

    /// The tensor as a native operation reads it, see [`Unit::read`].
    pub(super) fn read(&self, unit: Unit) -> Result<Tracked> {
        let read = |errors: &Arc<Vec<f64>>| {
            let same = self.value.iter().zip(errors.iter()).all(|(&x, &e)| unit.read(x, e) == e);
            Ok(if same { errors.clone() } else { Arc::new(each2(&self.value, errors, |x, e| unit.read(x, e))?) })
        };
        let [expected, allowed] = &self.typical;
        Ok(Tracked { error: read(&self.error)?, typical: [read(expected)?, read(allowed)?], ..self.clone() })
    }

    /// M: what the terms that were summed come to, native errors included.
    pub(super) fn magnitude(&self) -> Result<Vec<f64>> {
        let terms = if self.depth > 0 { &self.scale } else { &self.value };
        each2(terms, &self.error, |x, e| x.abs() + e)
    }
}

pub(super) fn each(x: &[f64], f: impl Fn(f64) -> f64) -> Result<Vec<f64>> {
    let mut y = filled(x.len(), 0.0)?;
    y.iter_mut().zip(x).for_each(|(y, &x)| *y = f(x));
    Ok(y)
}

pub(super) fn each2(a: &[f64], b: &[f64], f: impl Fn(f64, f64) -> f64) -> Result<Vec<f64>> {
    let mut y = filled(a.len(), 0.0)?;
    y.iter_mut().zip(a.iter().zip(b)).for_each(|(y, (&a, &b))| *y = f(a, b));
    Ok(y)
}
