//! The promise about rounding errors: a run whose error is more than allowed is told, ranges of inputs limit the choice, a lost product is found.

use std::fs;
use std::path::PathBuf;

use convoke::check::{Comparison, Reference};
use convoke::ir::layer::Range;
use convoke::{Compiler, InputRange, Layer, Plan, Subnormals};
use convoke_cli::{Captured, capture};
use convoke_data as data;
use ndarray::ArrayD;
use serde_json::Value;
use tempfile::TempDir;

/// A ground of 0.5 with one pixel of 1e6.
struct Outlier {
    folder: TempDir,
}

impl Outlier {
    fn new() -> Outlier {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let layer = "layer @outlier(%x: f32[1, 8, 16, 16]) -> f32[1, 16, 16, 16] {
  %w = const f32[16, 8, 3, 3] = normal(seed = 5, std = 1.0)
  %y = conv2d %x, %w { pads = [1, 1, 1, 1] }
  return %y
}
";
        fs::write(folder.path().join("outlier.conv"), layer).expect("a file can be written there");
        let mut x = ArrayD::from_elem(vec![1, 8, 16, 16], 0.5);
        x[[0, 3, 6, 9]] = 1e6;
        data::npy::write(&folder.path().join("x.npy"), x.view(), convoke::Elem::F32)
            .expect("a file can be written there");
        Outlier { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `convoke run --check` on the data of the folder.
    fn run(&self, more: &[&str]) -> Captured {
        let [file, input] = [self.path("outlier.conv"), self.path("x.npy")].map(|p| p.display().to_string());
        let input = format!("x={input}");
        let mut args = vec!["convoke", "run", &file, "--check", "--input", &input, "--no-times"];
        args.extend(more);
        capture(&args, &[])
    }
}

#[test]
fn a_run_whose_error_is_more_than_allowed_is_no_plain_ok() {
    let outlier = Outlier::new();
    let guarded = outlier.run(&["--algorithm", "winograd(4x4)"]);
    assert!(guarded.stdout.contains("check     ok: "), "{}", guarded.stdout);
    let default = outlier.run(&["--algorithm", "winograd(4x4)", "--guard", "0"]);
    assert_eq!(default.status, 0, "{}", default.stderr);
    assert!(default.stdout.contains("check     OVER: "), "{}", default.stdout);
    assert!(default.stdout.contains("--algorithm direct"), "what to do is named: {}", default.stdout);

    let output = format!("y={}", outlier.path("y.npy").display());
    let limited =
        outlier.run(&["--algorithm", "winograd(4x4)", "--guard", "0", "--max-error", "1e-6", "--output", &output]);
    assert_eq!(limited.status, 1, "{}", limited.stdout);
    assert!(limited.stdout.contains("check     FAILED: "), "{}", limited.stdout);
    assert!(limited.stderr.contains("larger than it may be"), "{}", limited.stderr);
    assert!(!outlier.path("y.npy").exists(), "no output is written");

    for fine in [&["--algorithm", "direct"][..], &["--input-range", "0.5,1e6"]] {
        let fine = outlier.run(fine);
        assert_eq!(fine.status, 0, "{}", fine.stderr);
        assert!(fine.stdout.contains("check     ok: "), "{}", fine.stdout);
    }
    let json: Value =
        serde_json::from_str(&outlier.run(&["--algorithm", "winograd(4x4)", "--guard", "0", "--json"]).stdout)
            .expect("JSON");
    let check = &json["check"];
    assert_eq!((&check["ok"], &check["verdict"]), (&Value::from(true), &Value::from("over")), "{check}");
    assert!(check["of_allowed"]["largest"].as_f64() > Some(100.0), "{check}");
    // As large as the error of such tiles is: nothing is lost.
    assert!(check["of_expected"]["largest"].as_f64() < Some(32.0), "{check}");
}

#[test]
fn data_outside_of_the_range_declared_are_refused_or_noted() {
    let outlier = Outlier::new();
    let larger = outlier.run(&["--input-range", "0.5,100"]);
    assert_eq!(larger.status, 1, "{}", larger.stdout);
    assert!(larger.stderr.contains("`%x` has an element of magnitude 1e6, its range ends at 1e2"), "{}", larger.stderr);
    let alone = outlier.run(&["--input-range", "100"]);
    assert_eq!(alone.status, 1, "{}", alone.stdout);
    let smaller = outlier.run(&["--input-range", "1,1e6"]);
    assert_eq!(smaller.status, 0, "{}", smaller.stderr);
    assert!(smaller.stderr.contains("2047 elements of %x are smaller than 1e0"), "{}", smaller.stderr);
}

/// For each convolution, the algorithm chosen and its range.
fn chosen(layer: &str, more: &[&str]) -> Vec<(String, Option<[f64; 2]>)> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("layer.conv");
    fs::write(&file, layer).expect("a file can be written there");
    let file = file.display().to_string();
    let mut args = vec!["convoke", "explain", &file, "--cpu", "x86-64-v3", "-O0", "--json", "--no-times"];
    args.extend(more);
    let found = capture(&args, &[]);
    assert_eq!(found.status, 0, "{}", found.stderr);
    let json: Value = serde_json::from_str(&found.stdout).expect("JSON");
    let one = |conv: &Value| {
        let number = |name: &str| conv["range"][name].as_f64();
        let range = number("least").zip(number("most")).map(|(least, most)| [least, most]);
        (conv["chosen"].as_str().expect("a name").to_owned(), range)
    };
    json["convolutions"].as_array().expect("a list").iter().map(one).collect()
}

/// A net of three convolutions, of which the first two read magnitudes of its input.
fn net(range: &str) -> String {
    format!(
        "layer @net(%x: f32[1, 64, 56, 56]{range}) -> (f32[1, 64, 56, 56], f32[1, 64, 28, 28], f32[1, 64, 56, 56]) {{
  %w = const f32[64, 64, 3, 3] = normal(seed = 1, std = 0.05)
  %a = conv2d %x, %w {{ pads = [1, 1, 1, 1] }}
  %p = relu %x
  %q = max_pool %p {{ kernel_shape = [2, 2], strides = [2, 2] }}
  %b = conv2d %q, %w {{ pads = [1, 1, 1, 1] }}
  %c = conv2d %a, %w {{ pads = [1, 1, 1, 1] }}
  return %a, %b, %c
}}
"
    )
}

#[test]
fn a_range_limits_the_choice_where_magnitudes_are_those_of_the_input() {
    let fast =
        |found: &[(String, Option<[f64; 2]>)]| found.iter().map(|(a, _)| a.starts_with("winograd")).collect::<Vec<_>>();
    let free = chosen(&net(""), &[]);
    assert_eq!(fast(&free), [true; 3], "{free:?}");
    assert!(free.iter().all(|(_, range)| range.is_none()), "{free:?}");
    for declared in [chosen(&net(" in [0.001, 2]"), &[]), chosen(&net(""), &["--input-range", "0.001,2"])] {
        assert_eq!(fast(&declared), [false, false, true], "{declared:?}");
        let ranges: Vec<_> = declared.iter().map(|(_, range)| *range).collect();
        assert_eq!(ranges, [Some([0.001, 2.0]), Some([0.001, 2.0]), None]);
    }
    // Inputs that differ by little leave the choice as it is, and a limit from above says nothing of how they differ.
    assert_eq!(fast(&chosen(&net(" in [1, 1.5]"), &[])), [true; 3]);
    assert_eq!(fast(&chosen(&net(""), &["--input-range", "2"])), [true; 3]);
    // A range in the text comes first.
    assert_eq!(chosen(&net(" in [1, 1.5]"), &["--input-range", "0.001,2"])[0].1, Some([1.0, 1.5]));
}

#[test]
fn a_picture_declares_its_own_range() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("blur.conv");
    let text = "layer @blur(%x: f32[1, 1, 64, 64]) -> f32[1, 1, 64, 64] {
  %w = const f32[1, 1, 31, 31] = gaussian(sigma = 5.0)
  %y = conv2d %x, %w { pads = [15, 15, 15, 15] }
  return %y
}
";
    fs::write(&file, text).expect("a file can be written there");
    let picture = folder.path().join("x.png");
    let layer = convoke::Module::read(&file).and_then(|module| module.layer(None)).expect("a layer");
    let x = ArrayD::from_shape_fn(vec![1, 1, 64, 64], |at| if at[2] < 32 { 1.0 / 255.0 } else { 1.0 });
    data::image::write(&picture, layer.inputs()[0].1, &x).expect("a file can be written there");
    let (file, input) = (file.display().to_string(), format!("x={}", picture.display()));
    let run = |more: &[&str]| {
        let mut args = vec!["convoke", "run", &file, "--input", &input, "--check", "--no-times", "--json"];
        args.extend(more);
        let found = capture(&args, &[]);
        assert_eq!(found.status, 0, "{}{}", found.stdout, found.stderr);
        let json: Value = serde_json::from_str(&found.stdout).expect("JSON");
        (json["chosen"][0]["algorithm"].as_str().expect("a name").to_owned(), json["check"]["verdict"].clone())
    };
    let (algorithm, verdict) = run(&[]);
    assert!(!algorithm.starts_with("fft"), "{algorithm} mixes dark and bright pixels");
    assert_eq!(verdict, "ok");
}

fn compared(layer: &Layer, compiler: &Compiler, spoil: impl Fn(&mut ArrayD<f64>, &ArrayD<f64>)) -> Comparison {
    let inputs = vec![data::random(layer.inputs()[0].1, 0, layer.files()).expect("a small tensor")];
    let mut outputs = compiler.compile(layer).and_then(|c| c.run_rounded(&inputs)).expect("it runs");
    spoil(&mut outputs[0], &inputs[0]);
    let reference =
        Reference::new(layer, inputs, Subnormals::default()).and_then(|r| r.by(compiler, layer)).expect("it runs");
    reference.compare(&outputs)
}

/// Leaves out one product of a sum of 576, a tenth as large as others may be.
fn lose(y: &mut ArrayD<f64>, x: &ArrayD<f64>) {
    let off = |c: &usize| (x[[0, *c, 5, 5]].abs() - 0.1).abs();
    let channel = (0..64).min_by(|a, b| off(a).total_cmp(&off(b))).expect("there are channels");
    y[[0, 3, 5, 5]] -= 0.001 * x[[0, channel, 5, 5]];
}

/// Winograd's bound does not find it.
#[test]
fn a_lost_product_is_found() {
    let text = "layer @l(%x: f32[1, 64, 12, 12]) -> f32[1, 8, 12, 12] {
  %w = const f32[8, 64, 3, 3] = 0.001
  %y = conv2d %x, %w { pads = [1, 1, 1, 1] }
  return %y
}
";
    let module = convoke::Module::from_bytes("text", text.as_bytes(), convoke::Files::none()).expect("a layer");
    let layer = module.layer(None).expect("a layer");
    for algorithm in ["direct", "winograd(2x2)", "winograd(6x6)", "fft(16x16)", "strassen(1)"] {
        let compiler = Compiler::host().with_algorithm(algorithm.parse::<Plan>().expect("a name"));
        let right = compared(&layer, &compiler, |_, _| {});
        assert!(right.passes() && right.is_expected() && right.is_allowed(), "{algorithm}: {right:?}");
        let wrong = compared(&layer, &compiler, lose);
        assert!(!wrong.is_expected(), "{algorithm}: {wrong:?}");
    }
    let winograd = Compiler::host().with_algorithm("winograd(6x6)".parse::<Plan>().expect("a name"));
    let wrong = compared(&layer, &winograd, lose);
    assert!(wrong.passes(), "it is within its bound, so that nothing else finds it: {wrong:?}");
}

#[test]
fn the_library_takes_ranges_too() {
    let text = net("");
    let module = convoke::Module::from_bytes("text", text.as_bytes(), convoke::Files::none()).expect("a layer");
    let layer = module.layer(None).expect("a layer");
    let range = Range::new(1e-3, 1.0).expect("a range");
    let by_compiler = Compiler::for_machine(convoke::Machine::x86_64_v3()).with_input_range(InputRange::Within(range));
    let by_layer = Compiler::for_machine(convoke::Machine::x86_64_v3());
    let [first, second] = [by_compiler.select(&layer), by_layer.select(&layer.with_range("x", range))];
    let algorithms = |layer: Result<Layer, convoke::Error>| layer.expect("it can be chosen").ir().to_string();
    let first = algorithms(first);
    assert_eq!(first, algorithms(second));
    assert!(first.contains("%x: f32[1, 64, 56, 56] in [0.001, 1]"), "{first}");
    assert_eq!(layer.with_range("x", range).ranges(), [Some(range)]);
}
