//! The ONNX project's reference cases: every `tests/reference/*.conv`, made by `make.py` beside them.
//!
//! The reference computes in single precision, so that it is a native run like any other: its result must be within
//! the error bound of the interpreter's, which puts the bound itself to the test too.

use std::path::Path;

use convoke_data::{Files, read_tensor};
use convoke_interp::{error_bounds, run_layer};
use convoke_ir::elem::{Elem, Subnormals};
use convoke_ir::{layer, text};

#[test]
fn every_reference_case_agrees() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference");
    let files = Files::at(&folder);
    let mut cases = 0;
    for entry in folder.read_dir().expect("the folder of cases") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|e| e != "conv") {
            continue;
        }
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let source = std::fs::read_to_string(&path).expect("text");
        let module = text::parse(&source).unwrap_or_else(|errors| panic!("{name}: {errors:#?}"));
        let [layer] = &module.layers[..] else { panic!("{name}: one layer in each file") };
        let verified = layer::verify(layer).unwrap_or_else(|errors| panic!("{name}: {errors:#?}"));
        let numbers = |array: &str, id| {
            let read = read_tensor(&path.with_extension("npz"), Some(array), layer.ty(id), &files);
            read.unwrap_or_else(|error| panic!("{name}: {error}")).array
        };
        let inputs = [numbers("v0", layer.params[0])];
        let expected = numbers("result", layer.results[0]);
        let found = run_layer(verified, &inputs, &files).unwrap_or_else(|error| panic!("{name}: {error}"));
        let bounded =
            error_bounds(verified, &inputs, &files, Subnormals::Keep).unwrap_or_else(|error| panic!("{name}: {error}"));
        let same = |a: f64, b: f64| a == b || (a.is_nan() && b.is_nan());
        assert!(bounded[0].value.iter().zip(&found[0]).all(|(&a, &b)| same(a, b)), "{name}");
        for (i, expected) in expected.iter().enumerate() {
            let at = |array: &ndarray::ArrayD<f64>| array.as_slice().expect("in order")[i];
            let (found, bound, scale) = (at(&found[0]), at(&bounded[0].bound), at(&bounded[0].scale));
            if !expected.is_finite() {
                assert!(same(Elem::F32.round(found), *expected), "{name}: element {i} is {found}, expected {expected}");
                continue;
            }
            // The results were rounded once more when they were stored.
            let bound = bound + f64::from(f32::EPSILON) * expected.abs();
            assert!((found - expected).abs() <= bound, "{name}: element {i} is {found}, expected {expected} ± {bound}");
            // Cases that end in `-special` have poles, where a bound says nothing.
            let special = name.ends_with("-special");
            assert!(special || bound <= 3e-5 * (scale + 0.01), "{name}: element {i} has the useless bound {bound}");
        }
        cases += 1;
    }
    assert!(cases >= 170, "only {cases} cases were found");
}
