//! How far the kernels of a rewritten net are from those before, from the weights of both.
//!
//! A pass may write a convolution as a chain of others, or a chain as one. For a value y that both layers have, K is what its convolutions compose to in the
//! layer before and K′ in the layer after, each over the same source (`response.rs`). The certificate states ‖K′ − K‖_F / ‖K‖_F of each such value. For white
//! inputs that is the relative error of the outputs, in the mean. With A the norm that K or K′ has with each weight made positive, relative to ‖K‖:
//!
//! ```text
//!   exact        ‖K′ − K‖ = 0
//!   rounding     ‖K′ − K‖ ≤ u · (2 + 2·convolutions·max(A, 1)) · ‖K‖
//!   approximate  the sum over all values is no more than the stage allows
//! ```

use std::collections::HashSet;

use convoke_data::{DataError, Files};
use convoke_ir::layer::{Layer, Op};

use crate::certificate::{Change, Residual};
use crate::refused::{Check, Refused, Result, wrong};
use crate::response::Net;

/// How far two computations of a residual may differ.
const SAME: f64 = 1e-9;
/// The largest residual that rounding in `f64` makes of 0.
const NONE: f64 = 1e-15;

/// A residual, and what rounding may make of it.
struct Found {
    residual: Residual,
    rounding: f64,
}

/// The residuals of all values whose convolutions are others in the layer after, chains included, in the order of that layer. Constants are read from `files`.
///
/// # Errors
///
/// [`DataError`] for constants that cannot be read.
pub fn residuals(before: &Layer, after: &Layer, files: &Files) -> std::result::Result<Vec<Residual>, DataError> {
    Ok(all(before, after, files)?.into_iter().map(|found| found.residual).collect())
}

fn all(before: &Layer, after: &Layer, files: &Files) -> std::result::Result<Vec<Found>, DataError> {
    let (old, new) = (used(before), used(after));
    let mut found = Vec::new();
    for instr in after.body.iter().filter(|instr| matches!(instr.op, Op::Conv2d(_) | Op::Add(_))) {
        let name = &after.values[instr.result].name;
        let nets = [Net::of(before, name, |v| !new.contains(v)), Net::of(after, name, |v| !old.contains(v))];
        let [Some(was), Some(is)] = nets else { continue };
        let alike = was.source() == is.source() && was.rest() == is.rest();
        if alike && was.convolutions() + is.convolutions() > 2 {
            found.extend(residual(name, after.ty(instr.result).channels(), [&was, &is], files)?);
        }
    }
    let unit = |name: &str| {
        let value = after.values.iter().find(|(_, value)| value.name == name);
        value.map_or(0.0, |(_, value)| value.ty.elem.unit_roundoff())
    };
    found.iter_mut().for_each(|found| found.rounding *= unit(&found.residual.value));
    Ok(found)
}

/// The names of all values that results are computed from: what else there is a later pass drops.
fn used(layer: &Layer) -> HashSet<&str> {
    let mut used: HashSet<_> = layer.results.iter().copied().collect();
    for instr in layer.body.iter().rev() {
        if used.contains(&instr.result) {
            used.extend(instr.reads());
        }
    }
    used.into_iter().map(|id| layer.values[id].name.as_str()).collect()
}

/// The residual of one value; `None` where its convolutions compose to no kernel.
fn residual(
    name: &str,
    channels: Option<usize>,
    nets: [&Net<'_>; 2],
    files: &Files,
) -> std::result::Result<Option<Found>, DataError> {
    let [was, is] = nets;
    let (old, new) = (was.weights(files)?, is.weights(files)?);
    let (mut off, mut whole, mut most) = (0.0, 0.0, 0.0);
    for channel in 0..channels.unwrap_or(0) {
        let both = [was.response(channel, &old, |w| w), is.response(channel, &new, |w| w)];
        let [Some(was_here), Some(is_here)] = both else { return Ok(None) };
        let Some(difference) = is_here.plus(&was_here, -1.0) else { return Ok(None) };
        (off, whole) = (off + difference.square(), whole + was_here.square());
        let sizes = [was.response(channel, &old, f64::abs), is.response(channel, &new, f64::abs)];
        most += sizes.into_iter().flatten().map(|size| size.square()).fold(0.0, f64::max);
    }
    if !(off + whole + most).is_finite() {
        return Ok(None);
    }
    let relative = |square: f64| if square == 0.0 { 0.0 } else { (square / whole).sqrt() };
    let convolutions = was.convolutions() + is.convolutions();
    let residual = Residual { value: name.into(), frobenius: relative(off) };
    Ok(Some(Found { residual, rounding: 2.0 + 2.0 * convolutions as f64 * relative(most).max(1.0) }))
}

/// Checks the residuals that a stage states against the weights of both layers.
pub(crate) fn check(
    stage: &str,
    stated: &[Residual],
    change: Change,
    layers: [&Layer; 2],
    files: &Files,
) -> Result<Vec<Check>> {
    let found = all(layers[0], layers[1], files)
        .map_err(|source| Refused::Weights { stage: stage.into(), source: Box::new(source) })?;
    if stated.len() != found.len() {
        return wrong(stage, format!("it states {} residuals, {} kernels are others", stated.len(), found.len()));
    }
    let mut sum = 0.0;
    for (stated, Found { residual, rounding }) in stated.iter().zip(&found) {
        let (value, frobenius) = (&residual.value, residual.frobenius);
        let same = (stated.frobenius - frobenius).abs() <= SAME * frobenius + NONE;
        if stated.value != *value || !same {
            let says = format!("the certificate says {:e} of %{}", stated.frobenius, stated.value);
            return wrong(stage, format!("the new kernels of %{value} are off by {frobenius:e}, {says}"));
        }
        let allowed = match change {
            Change::Exact => 0.0,
            Change::Rounding => *rounding,
            Change::Approximate(all) => all - sum,
        };
        if frobenius.is_nan() || frobenius > allowed {
            return wrong(
                stage,
                format!("the new kernels of %{value} are off by {frobenius:e}, {allowed:e} is allowed"),
            );
        }
        sum += frobenius;
    }
    let says = |found: &Found| Check {
        of: format!("%{}", found.residual.value),
        says: format!("the kernels that its weights compose to are off by {:.1e}", found.residual.frobenius),
    };
    Ok(found.iter().map(says).collect())
}
