//! The values of a net against arrays that were computed elsewhere, of which neither is exact.

use std::collections::HashMap;

use convoke_ir::layer::ValueId;
use ndarray::ArrayD;

use crate::compiler::Compiler;
use crate::error::Error;
use crate::layer::Layer;

/// The distance of an array from the one expected.
#[derive(Clone, Debug, PartialEq)]
pub struct Distance {
    /// The largest |y − expected| of the elements that are finite in both.
    pub max_error: f64,
    /// The index of the element with this error; of one that is finite in only one array, if there is such.
    pub at: Vec<usize>,
    /// The root mean square of the errors, relative to that of the elements expected.
    pub relative: f64,
    /// The largest |expected|.
    pub scale: f64,
    /// The number of elements that are NaN or infinite where the other array has something else.
    pub unlike: usize,
}

impl Distance {
    /// The largest error of one element, in multiples of the limit on the root mean square. It is relative to the largest element.
    pub const SINGLE: f64 = 10.0;

    /// The distance of `found` from `expected`, which have one shape.
    pub fn of(found: &ArrayD<f64>, expected: &ArrayD<f64>) -> Distance {
        let mut distance = Distance { max_error: 0.0, at: Vec::new(), relative: 0.0, scale: 0.0, unlike: 0 };
        let (mut errors, mut squares) = (0.0, 0.0);
        for ((at, &y), &r) in found.indexed_iter().zip(expected) {
            if y == r || (y.is_nan() && r.is_nan()) {
                squares += if r.is_finite() { r * r } else { 0.0 };
                distance.scale = distance.scale.max(if r.is_finite() { r.abs() } else { 0.0 });
                continue;
            }
            if !(y - r).is_finite() {
                distance.unlike += 1;
                distance.at = ndarray::Dimension::slice(&at).to_vec();
                continue;
            }
            let error = (y - r).abs();
            (errors, squares) = (errors + error * error, squares + r * r);
            distance.scale = distance.scale.max(r.abs());
            if error > distance.max_error {
                distance.max_error = error;
                if distance.unlike == 0 {
                    distance.at = ndarray::Dimension::slice(&at).to_vec();
                }
            }
        }
        distance.relative = if errors == 0.0 { 0.0 } else { (errors / squares).sqrt() };
        distance
    }

    /// Whether the root mean square of the errors is at most `limit`, no single error is above [`Distance::SINGLE`] times that, and what is not finite
    /// agrees.
    pub fn is_within(&self, limit: f64) -> bool {
        self.unlike == 0 && self.relative <= limit && self.max_error <= Distance::SINGLE * limit * self.scale
    }
}

/// A value of a net, compared.
#[derive(Clone, Debug, PartialEq)]
pub struct ValueCheck {
    /// The value, without `%`.
    pub name: String,
    /// Its distance from what is expected.
    pub distance: Distance,
}

/// Arrays by the name of the value that they are expected of.
pub type Expected = HashMap<String, ArrayD<f64>>;

impl Layer {
    /// The values that instructions compute and outputs hold, by name, in the order in which they are computed.
    fn computed(&self) -> impl Iterator<Item = (ValueId, &str)> {
        self.ir().body.iter().map(|instr| (instr.result, self.ir().values[instr.result].name.as_str()))
    }

    /// The same layer with every value of `expected` as an output, in the order in which they are computed.
    fn returning(&self, expected: &Expected) -> Result<Layer, Error> {
        let mut ir = self.ir().clone();
        let computed: Vec<ValueId> =
            self.computed().filter(|(_, name)| expected.contains_key(*name)).map(|(id, _)| id).collect();
        let others = ir.results.iter().copied().filter(|id| !computed.contains(id)).collect::<Vec<_>>();
        ir.results = computed.into_iter().chain(others).collect();
        self.rewritten(ir)
    }
}

/// Compiles a layer, runs it, and compares the outputs that `expected` has.
///
/// # Errors
///
/// Those of [`Compiler::compile`] and of a run; [`Error::Array`] for an array of another shape than its value.
pub fn outputs_against(
    compiler: &Compiler,
    layer: &Layer,
    inputs: &[ArrayD<f64>],
    expected: &Expected,
) -> Result<Vec<ValueCheck>, Error> {
    let compiled = compiler.compile(layer)?;
    let found = compiled.run_rounded(inputs)?;
    let mut checks = Vec::new();
    for ((name, ty), found) in compiled.outputs().iter().zip(&found) {
        let Some(expected) = expected.get(name) else { continue };
        if found.shape() != expected.shape() {
            let (expected, found) = (Box::new(ty.clone()), expected.shape().to_vec());
            return Err(Error::Array { what: "output", name: name.clone(), expected, found });
        }
        checks.push(ValueCheck { name: name.clone(), distance: Distance::of(found, expected) });
    }
    Ok(checks)
}

/// As [`outputs_against`], for every value that `expected` has, inner ones too, in the order in which they are computed. The layer is compiled with
/// these as outputs, so that no pass removes them.
///
/// # Errors
///
/// As [`outputs_against`].
pub fn values_against(
    compiler: &Compiler,
    layer: &Layer,
    inputs: &[ArrayD<f64>],
    expected: &Expected,
) -> Result<Vec<ValueCheck>, Error> {
    outputs_against(compiler, &layer.returning(expected)?, inputs, expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(x: &[f64]) -> ArrayD<f64> {
        ArrayD::from_shape_vec(vec![x.len()], x.to_vec()).expect("as many as it has")
    }

    #[test]
    fn distances_are_relative_and_say_where() {
        let expected = array(&[3.0, -4.0, 0.0, f64::NAN]);
        let same = Distance::of(&expected, &expected);
        assert_eq!((same.relative, same.scale, same.unlike, same.is_within(0.0)), (0.0, 4.0, 0, true));
        let near = Distance::of(&array(&[3.0, -4.0, 0.05, f64::NAN]), &expected);
        assert_eq!((near.relative, near.at.as_slice()), (0.01, &[2][..]));
        assert!(near.is_within(0.01) && !near.is_within(0.009));
        // The mean is small enough; one element is not.
        assert!(!Distance { relative: 1e-3, ..near }.is_within(1.2e-3));
        let lost = Distance::of(&array(&[3.0, f64::INFINITY, 0.05, f64::NAN]), &expected);
        assert_eq!((lost.unlike, lost.at.as_slice(), lost.is_within(1.0)), (1, &[1][..], false));
    }

    #[test]
    fn the_first_value_that_is_off_is_found() {
        let layer =
            Layer::parse("layer @net(%x: f32[2]) -> f32[2] { %a = relu %x %b = add %a, %x %y = mul %b, %b return %y }");
        let layer = layer.expect("a valid layer");
        let expected = [("y", [3.0, 0.0]), ("b", [1.5, 0.0]), ("a", [1.0, 0.0])];
        let expected = expected.map(|(name, x)| (name.to_owned(), array(&x))).into_iter().collect();
        let (compiler, inputs) = (Compiler::host(), [array(&[1.0, 0.0])]);
        let outputs = outputs_against(&compiler, &layer, &inputs, &expected).expect("run");
        assert_eq!(outputs.iter().map(|check| check.name.as_str()).collect::<Vec<_>>(), ["y"]);
        let values = values_against(&compiler, &layer, &inputs, &expected).expect("run");
        let off = values.iter().map(|check| (check.name.as_str(), check.distance.is_within(1e-6)));
        assert_eq!(off.collect::<Vec<_>>(), [("a", true), ("b", false), ("y", false)]);
    }
}
