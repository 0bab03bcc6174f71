//! The library as a program uses it: arrays of different ranks and types in one run, weights of any type, options and errors as data.

use std::error::Error as _;

use convoke::{Compiler, Elem, Error, InputRange, Layer, Memory, Module, OptionError, max_threads};
use ndarray::{Array1, Array4, ArrayView4};

/// Two sums of their own: an image in `f32` with a bias from outside, and an image in `f64`.
const MIXED: &str =
    "layer @mixed(%x: f32[1, 4, 5, 5], %b: f32[4], %z: f64[1, 1, 3, 3]) -> (f32[1, 4, 5, 5], f64[1, 1, 3, 3]) {
  %y = bias %x, %b
  %w = const f64[1, 1, 1, 1] = [0.1]
  %s = conv2d %z, %w
  return %y, %s
}";

#[test]
fn one_run_has_arrays_of_different_ranks_and_types() -> Result<(), Error> {
    let compiled = Compiler::host().compile(&Layer::parse(MIXED)?)?;
    let (x, b) = (Array4::<f32>::ones([1, 4, 5, 5]), Array1::from_vec(vec![1.0_f32, 2.0, 3.0, 4.0]));
    let z = Array4::from_elem([1, 1, 3, 3], 1.0 + f64::EPSILON);
    let (mut y, mut s) = (Array4::<f32>::zeros([1, 4, 5, 5]), Array4::<f64>::zeros([1, 1, 3, 3]));
    compiled.run_into(&[&x, &b, &z.view()], &mut [&mut y, &mut s.view_mut()])?;
    assert_eq!((y[[0, 0, 2, 2]], y[[0, 3, 4, 4]], s[[0, 0, 1, 1]]), (2.0, 5.0, 0.1 * (1.0 + f64::EPSILON)));

    // One type cannot hold both outputs, and arrays in the wrong places are named with both types.
    let refused = compiled.run::<f32>(&[&x, &b, &z]).expect_err("the second output is f64");
    assert!(
        matches!(&refused, Error::Element { what: "output", name, found: Elem::F32, .. } if name == "s"),
        "{refused}"
    );
    let refused = compiled.run_into(&[&x, &z, &b], &mut [&mut y, &mut s]).expect_err("exchanged");
    assert!(
        matches!(&refused, Error::Element { what: "input", name, found: Elem::F64, .. } if name == "b"),
        "{refused}"
    );
    let refused = compiled.run_into(&[&x, &x, &z], &mut [&mut y, &mut s]).expect_err("four axes for one");
    assert!(matches!(&refused, Error::Array { found, .. } if found == &[1, 4, 5, 5]), "{refused}");
    Ok(())
}

#[test]
fn memory_on_cache_lines_is_run_in_place() -> Result<(), Error> {
    let layer = Layer::conv2d([1, 2, 6, 6], [3, 2, 1, 1]).weights(Array4::<f32>::ones([3, 2, 1, 1])).build()?;
    let compiled = Compiler::host().compile(&layer)?;
    let mut memory = Memory::<f32>::zeros(72).expect("288 bytes");
    memory.fill(2.0);
    let x = ArrayView4::from_shape([1, 2, 6, 6], &memory).expect("as many elements");
    assert!(compiled.run::<f32>(&[&x])?[0].iter().all(|&y| y == 4.0));
    Ok(())
}

#[test]
fn weights_are_arrays_of_any_element_type() -> Result<(), Error> {
    let third = Array4::from_elem([1, 1, 1, 1], 1.0_f64 / 3.0);
    let conv = || Layer::conv2d([1, 1, 1, 1], [1, 1, 1, 1]);
    // In `f32` they are rounded, whether given by value or by reference.
    let layers = [conv().weights(&third).build()?, conv().weights(third.mapv(|w| w as f32)).build()?];
    for layer in layers {
        let y = Compiler::host().compile(&layer)?.run::<f32>(&[&Array4::<f32>::ones([1, 1, 1, 1])])?;
        assert_eq!(y[0][[0, 0, 0, 0]], 1.0_f32 / 3.0);
    }
    // In `f64` no digit is lost.
    let layer = conv().elem(Elem::F64).weights(third).bias(Array1::from_elem(1, 1e-17)).build()?;
    let y = Compiler::host().compile(&layer)?.run::<f64>(&[&Array4::<f64>::ones([1, 1, 1, 1])])?;
    assert_eq!(y[0][[0, 0, 0, 0]], 1.0_f64 / 3.0 + 1e-17);
    Ok(())
}

#[test]
fn options_out_of_range_are_refused_and_not_moved() -> Result<(), Error> {
    let layer = Layer::conv2d([1, 1, 4, 4], [1, 1, 3, 3]).weights(convoke::Generator::Zeros {}).build()?;
    let host = Compiler::host;
    let nan = f64::NAN;
    for (compiler, refused) in [
        (host().with_level(4), "level is 4; levels are 0 to 3"),
        (host().with_max_error(-1e-9), "-0.000000001"),
        (host().with_max_error(nan), "NaN"),
        (host().with_max_output_error(0.0), "outputs is 0"),
        (host().with_max_output_error(nan), "NaN"),
        (host().with_max_output_error(1e-5).with_certified(true), "leave out --certified"),
        (host().with_tolerance(-1.0), "-1"),
        (host().with_guard(Compiler::MAX_GUARD + 1), "1048577"),
        (host().with_input_range(InputRange::UpTo(f64::INFINITY)), "inf"),
        (host().with_threads(0), "0 threads"),
    ] {
        let errors = [
            compiler.compile(&layer).map(drop).expect_err(refused),
            compiler.select(&layer).map(drop).expect_err(refused),
            compiler.fits(&layer).expect_err(refused),
            convoke::explain::explain(&compiler, &layer).map(drop).expect_err(refused),
        ];
        for error in errors {
            assert!(matches!(error, Error::Option(_)) && error.to_string().contains(refused), "{refused}: {error}");
        }
    }
    assert_eq!(host().with_level(9).validate(), Err(OptionError::Level { found: 9, most: 3 }));
    let most = max_threads();
    let error = host().with_threads(most + 1).compile(&layer).expect_err("more threads than there may be");
    assert!(matches!(error, Error::Codegen(_)) && error.to_string().contains(&most.to_string()), "{error}");
    // The largest values of each are options like others.
    host().with_level(3).with_max_error(f64::INFINITY).with_guard(Compiler::MAX_GUARD).compile(&layer)?;
    host().with_level(0).with_max_error(0.0).with_tolerance(0.0).with_guard(0).compile(&layer)?;
    Ok(())
}

#[test]
fn errors_hold_data_and_say_each_thing_once() {
    let text = b"layer @a(%x: f32[1]) -> f32[1] {\n  return %x\n}\nlayer @b(%x: f32[1]) -> f32[1] {\n  return %x\n}";
    let module = Module::from_bytes("two.conv", text, convoke::Files::none()).expect("two layers");
    let several = module.layer(None).expect_err("two layers");
    assert!(matches!(&several, Error::SeveralLayers { layers, .. } if layers == &["a", "b"]), "{several}");
    let unknown = module.layer(Some("c")).expect_err("no such layer");
    assert!(matches!(&unknown, Error::UnknownLayer { layer, .. } if layer == "c"), "{unknown}");

    let folder = tempfile::tempdir().expect("a folder for the test");
    let missing = Module::read(&folder.path().join("missing.conv")).expect_err("no such file");
    let mut chain = vec![missing.to_string()];
    let mut below = missing.source();
    while let Some(error) = below {
        chain.push(error.to_string());
        below = error.source();
    }
    assert!(chain.len() >= 2, "{chain:?}");
    assert_eq!(missing.render(false).matches(&chain[1]).count(), 1, "{}", missing.render(false));
}
