//! The command on whole nets: pictures at the door, arrays to check against, profiles, names that a model gives.

use std::fs;
use std::path::Path;

use convoke::{Elem, Layout, TensorType};
use convoke_data::{image, npz};
use ndarray::{ArrayD, IxDyn};
use serde_json::Value;

use super::{convoke, folder, text};

/// A net whose values have the names that PyTorch's exporter gives.
const NET: &str = r#"layer @net(%"image:0": f32[1, 3, 4, 4]) -> f32[1, 2, 4, 4] {
  %w = const f32[2, 3, 1, 1] = [[[[1]], [[1]], [[1]]], [[[0]], [[0]], [[2]]]]
  %"/conv/Conv_output_0" = conv2d %"image:0", %w
  %"/act/Relu" = relu %"/conv/Conv_output_0"
  return %"/act/Relu"
}
"#;

fn array(dims: &[usize], number: impl Fn(usize) -> f64) -> ArrayD<f64> {
    ArrayD::from_shape_vec(IxDyn(dims), (0..dims.iter().product()).map(number).collect()).expect("as many")
}

fn written(folder: &Path, name: &str, arrays: &[(&str, &ArrayD<f64>)]) -> String {
    let file = folder.join(name);
    let arrays: Vec<_> = arrays.iter().map(|(name, array)| (*name, array.view())).collect();
    npz::write(&file, &arrays, Elem::F32).expect("written");
    text(&file)
}

fn net(folder: &Path) -> String {
    let file = folder.join("net.conv");
    fs::write(&file, NET).expect("written");
    text(&file)
}

#[test]
fn names_in_quotes_are_read_back() {
    let folder = folder();
    let file = net(folder.path());
    let printed = convoke(&["opt", &file, "--passes", "drop-dead"]);
    assert_eq!((printed.status, printed.stdout.as_str()), (0, NET), "{}", printed.stderr);
    // Through all stages: loop IR and native code have buffers of these names.
    let checked = convoke(&["check", &file]);
    assert_eq!(checked.status, 0, "{}{}", checked.stdout, checked.stderr);
    let header = convoke(&["compile", &file, "--emit", "header", "-o", "-"]);
    assert!(header.stdout.contains("const float *image_0_0, float *convoke__act_Relu_1"), "{}", header.stdout);
    let wrong = convoke(&["run", &file, "--input", "image=x.npy"]);
    assert!(wrong.stderr.contains("has no input `image`; it has `image:0`"), "{}", wrong.stderr);
}

#[test]
fn a_net_is_checked_against_arrays_and_the_first_value_that_is_off_is_named() {
    let folder = folder();
    let file = net(folder.path());
    let x = array(&[1, 3, 4, 4], |i| i as f64 / 16.0 - 1.0);
    let conv = array(&[1, 2, 4, 4], |i| {
        let at = |c: usize| x[[0, c, i % 16 / 4, i % 4]];
        if i < 16 { at(0) + at(1) + at(2) } else { 2.0 * at(2) }
    });
    let inputs = written(folder.path(), "in.npz", &[("image:0", &x)]);
    let relu = conv.mapv(|v| v.max(0.0));
    let right = written(folder.path(), "right.npz", &[("/act/Relu", &relu)]);
    let result = convoke(&["check", &file, "--input", &inputs, "--against", &right]);
    assert_eq!(result.status, 0, "{}{}", result.stdout, result.stderr);
    assert!(result.stdout.contains("%/act/Relu  ok"), "{}", result.stdout);

    let wrong = relu.mapv(|v| 1.5 * v);
    let outputs_alone = written(folder.path(), "alone.npz", &[("/act/Relu", &wrong)]);
    let result = convoke(&["check", &file, "--input", &inputs, "--against", &outputs_alone]);
    assert_eq!((result.status, result.stderr.as_str()), (1, "error: 1 output is off\n"));
    assert!(result.stdout.contains("hold no inner values"), "{}", result.stdout);
    let inner = written(folder.path(), "inner.npz", &[("/act/Relu", &wrong), ("/conv/Conv_output_0", &conv)]);
    let result = convoke(&["check", &file, "--input", &inputs, "--against", &inner, "--json"]);
    let found: Value = serde_json::from_str(&result.stdout).expect("JSON");
    assert_eq!(found["sets"][0]["first_off"], "/act/Relu");
    assert_eq!(found["sets"][0]["values"][0]["ok"], true);
    let result = convoke(&["check", &file, "--input", &inputs, "--against", &inner]);
    assert!(result.stdout.contains("%/act/Relu is the first value that is off, by 3.33e-1"), "{}", result.stdout);

    for (args, message) in [
        (vec!["--against", &right], "has no array for input `%image:0`"),
        (vec!["--input", &right, "--against", &right], "right.npz has no array of the name of an input"),
        (vec!["--input", &inputs, "--against", &inputs], "in.npz has none of the outputs `/act/Relu`"),
        (vec!["--within", "1e-3"], "--against"),
    ] {
        let result = convoke(&[vec!["check", &file], args].concat());
        assert!(result.status != 0 && result.stderr.contains(message), "{}", result.stderr);
    }
}

#[test]
fn a_model_is_checked_against_onnx_data_sets() {
    let case = concat!(env!("CARGO_MANIFEST_DIR"), "/onnx/cases/node/test_conv_with_strides_and_asymmetric_padding");
    let model = format!("{case}/model.onnx");
    let weights = format!("{case}/test_data_set_0/input_1.pb");
    for args in [vec![], vec!["--input".into(), format!("W={weights}")]] {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let result = convoke(&[vec!["check", &model, "--against", case], args].concat());
        assert_eq!(result.status, 0, "{}{}", result.stdout, result.stderr);
        let right = result.stdout.lines().filter(|line| line.starts_with("%y ") && line.contains(" ok "));
        assert_eq!(right.count(), 1, "{}", result.stdout);
    }
    // Outputs that are one value have the names of the model all the same.
    let case = concat!(env!("CARGO_MANIFEST_DIR"), "/onnx/cases/own/outputs_of_identity");
    let result = convoke(&["check", &format!("{case}/model.onnx"), "--against", case]);
    let words = |line: &str| line.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    let rows: Vec<_> = result.stdout.lines().filter(|line| line.starts_with('%')).map(words).collect();
    assert_eq!(rows, ["%out/a:0 ok", "%relu ok", "%out/b:0 ok"], "{}", result.stderr);
    // Numbers are names too, an output may be an input, and what is missing is said.
    for (case, expected) in [("numbers_as_names", ["%12 ok", "%2 ok"]), ("output_of_input", ["%y ok", "%x ok"])] {
        let case = format!("{}/onnx/cases/own/{case}", env!("CARGO_MANIFEST_DIR"));
        let result = convoke(&["check", &format!("{case}/model.onnx"), "--against", &case]);
        let rows: Vec<_> = result.stdout.lines().filter(|line| line.starts_with('%')).map(words).collect();
        assert_eq!((rows, result.stderr.as_str()), (expected.map(str::to_owned).to_vec(), ""));
    }
    let none = convoke(&["check", &model, "--against", env!("CARGO_MANIFEST_DIR")]);
    assert!(none.stderr.contains("has no `output_0.pb`"), "{}", none.stderr);
}

#[test]
fn a_picture_is_fitted_and_normalised_by_the_net() {
    let folder = folder();
    let file = net(folder.path());
    let photo = folder.path().join("photo.png");
    let ty = TensorType::new(Elem::F32, [1, 3, 8, 8], Layout::Nchw).expect("a type");
    // Each square of four pixels has one colour.
    let colour = |i: usize| ((i % 64 / 16 * 4 + i % 8 / 2 + 3 * (i / 64)) % 6) as f64 / 5.0;
    image::write(&photo, &ty, &array(&[1, 3, 8, 8], colour)).expect("written");
    let (input, output) = (format!("image:0={}", text(&photo)), folder.path().join("y.npy"));
    let run = |more: &[&str]| {
        let output = format!("/act/Relu={}", text(&output));
        convoke(&[&["run", &file, "--input", &input, "--output", &output, "--check"], more].concat())
    };
    let result = run(&["--resize", "--normalise", "0.5,0.25"]);
    assert_eq!(result.status, 0, "{}{}", result.stdout, result.stderr);
    let ty = TensorType::new(Elem::F32, [1, 2, 4, 4], Layout::Nchw).expect("a type");
    let y = convoke_data::read_tensor(&output, None, &ty, &convoke_data::Files::none()).expect("written").array;
    for (at, y) in y.indexed_iter() {
        let (row, column) = (at[2], at[3]);
        let x = |c: usize| (((row * 4 + column + 3 * c) % 6) as f64 / 5.0 - 0.5) / 0.25;
        let expected: f64 = if at[1] == 0 { x(0) + x(1) + x(2) } else { 2.0 * x(2) };
        assert!((y - expected.max(0.0)).abs() < 1e-5, "{at:?}: {y}, {expected}");
    }

    let unfit = run(&[]);
    assert!(unfit.stderr.contains("8 rows of 8 pixels") && unfit.stderr.contains("--resize"), "{}", unfit.stderr);
    let channels = run(&["--resize", "--normalise", "0,0,1,1"]);
    assert!(channels.stderr.contains("2 means and deviations are given for 3 channels"), "{}", channels.stderr);
    let zero = run(&["--normalise", "0.5,0"]);
    assert!(zero.status == 2 && zero.stderr.contains("MEAN,DEVIATION"), "{}", zero.stderr);
    let no_picture = convoke(&["run", &file, "--resize"]);
    assert!(no_picture.status == 2 && no_picture.stderr.contains(".png"), "{}", no_picture.stderr);
}

#[test]
fn a_net_of_bytes_takes_the_bytes_of_a_picture() {
    let folder = folder();
    let photo = folder.path().join("photo.png");
    let ty = TensorType::new(Elem::F32, [1, 3, 4, 5], Layout::Nchw).expect("a type");
    let byte = |i: usize| ((i * 7) % 256) as f64;
    image::write(&photo, &ty, &array(&[1, 3, 4, 5], |i| byte(i) / 255.0)).expect("written");
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/onnx/cases/own/bytes/model.onnx");
    let output = folder.path().join("y.npy");
    let output_of = format!("y={}", text(&output));
    let input = format!("image={}", text(&photo));
    let result = convoke(&["run", model, "--input", &input, "--output", &output_of]);
    assert_eq!(result.status, 0, "{}", result.stderr);
    let y = convoke_data::read_tensor(&output, None, &ty, &convoke_data::Files::none()).expect("written").array;
    assert!(y.iter().enumerate().all(|(i, &y)| (y - byte(i)).abs() < 1e-3), "{y}");
    let normalised = convoke(&["run", model, "--input", &input, "--normalise", "0.5,0.5"]);
    assert!(normalised.stderr.contains("from 0 to 255 as they are"), "{}", normalised.stderr);
    let fractions = folder.path().join("x.npy");
    convoke_data::npy::write(&fractions, array(&[1, 3, 4, 5], |i| i as f64 / 2.0).view(), Elem::F32).expect("written");
    let refused = convoke(&["run", model, "--input", &format!("image={}", text(&fractions))]);
    assert!(refused.stderr.contains("has an element 0.5; in the model it is of whole numbers from 0 to 255"));
    // Without a file they are whole too.
    assert_eq!(convoke(&["run", model, "--output", &output_of]).status, 0);
    let y = convoke_data::read_tensor(&output, None, &ty, &convoke_data::Files::none()).expect("written").array;
    assert!(y.iter().all(|y| y.fract() == 0.0 && *y >= 0.0), "{y}");
}

#[test]
fn what_is_not_compared_is_said() {
    let folder = folder();
    let file = net(folder.path());
    let x = array(&[1, 3, 4, 4], |i| i as f64);
    let inputs = written(folder.path(), "in.npz", &[("image:0", &x)]);
    let conv = array(&[1, 2, 4, 4], |i| {
        let at = |c: usize| x[[0, c, i % 16 / 4, i % 4]];
        if i < 16 { at(0) + at(1) + at(2) } else { 2.0 * at(2) }
    });
    let arrays = written(folder.path(), "out.npz", &[("/act/Relu", &conv), ("elsewhere", &x)]);
    let result = convoke(&["check", &file, "--input", &inputs, "--against", &arrays]);
    assert_eq!(
        (result.status, result.stderr.as_str()),
        (0, "note: arrays that are for no value of the net: `elsewhere`\n")
    );
}

#[test]
fn a_profile_has_a_time_for_each_kernel() {
    let folder = folder();
    let file = net(folder.path());
    for command in ["run", "bench"] {
        let mut args = vec![command, &file, "--profile"];
        if command == "bench" {
            args.extend(["--seconds", "0.1"]);
        }
        let printed = convoke(&args);
        assert_eq!(printed.status, 0, "{}", printed.stderr);
        assert!(printed.stdout.contains("%/act/Relu"), "{}", printed.stdout);
        args.push("--json");
        let found: Value = serde_json::from_str(&convoke(&args).stdout).expect("JSON");
        let profile = if command == "run" { &found["profile"] } else { &found["layers"][0]["profile"] };
        let kernels = profile["kernels"].as_array().expect("kernels");
        let sum: f64 = kernels.iter().map(|kernel| kernel["seconds"].as_f64().expect("a time")).sum();
        assert!(!kernels.is_empty() && sum > 0.0, "{profile}");
        assert_eq!(kernels.last().expect("not empty")["value"], "/act/Relu");
    }
}

#[test]
fn a_net_is_kept_and_loaded_by_the_next_command() {
    let folder = folder();
    let file = net(folder.path());
    let cache = text(&folder.path().join("cache"));
    let run = |json: bool| {
        let result =
            convoke(&[&["run", &file, "--cache", &cache, "--check"], &["--json"][..usize::from(json)]].concat());
        assert_eq!(result.status, 0, "{}", result.stderr);
        result.stdout
    };
    let first = run(false);
    assert!(first.contains("\ncompile "), "{first}");
    if cfg!(target_arch = "x86_64") {
        let second = run(false);
        assert!(second.contains("\nloaded ") && !second.contains("\ncompile "), "{second}");
        let second: Value = serde_json::from_str(&run(true)).expect("JSON");
        assert_eq!(second["loaded"], true);
    }
    // A file where the folder should be.
    let result = convoke(&["run", &file, "--cache", &file]);
    assert_eq!(result.status, 0, "{}", result.stderr);
    assert!(result.stderr.starts_with("note: the code is not kept: "), "{}", result.stderr);
}
