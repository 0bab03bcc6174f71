//! The command in process: what it prints, and with which exit status. `certificates` holds certificates and their code, `files` holds its outputs, `nets` what is for whole nets, `reduce` nets that fail, `usage` wrong command lines and their messages.

mod certificates;
mod explain;
mod external_data;
mod files;
mod ieee;
mod names;
mod nets;
mod objects;
#[cfg(unix)]
mod reduce;
mod usage;
mod weights_beside;

use std::fs;
use std::path::Path;

use convoke_cli::{Captured, capture};
use tempfile::TempDir;

const BLUR: &str = "layer @blur(%x: f32[1, 1, 8, 8]) -> f32[1, 1, 8, 8] {
  %w = const f32[1, 1, 3, 3] = box
  %y = conv2d %x, %w { pads = [1, 1, 1, 1] }
  return %y
}
";

/// A folder with `blur.conv` in it.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("blur.conv"), BLUR).expect("a file can be written there");
    folder
}

fn convoke(args: &[&str]) -> Captured {
    let mut all = vec!["convoke"];
    all.extend(args);
    capture(&all, &[])
}

fn text(path: &Path) -> String {
    path.to_str().expect("the temporary folder has a UTF-8 name").to_owned()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .expect("the folder is there")
        .map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn docs_say_what_an_op_means() {
    let result = convoke(&["docs", "conv2d"]);
    assert_eq!(result.status, 0, "{}", result.stderr);
    assert!(result.stdout.starts_with("conv2d %x, %w { pads, auto_pad, strides"), "{}", result.stdout);
    let all = convoke(&["docs"]).stdout;
    for op in convoke::ir::layer::OPS {
        assert!(all.lines().any(|l| l.split(' ').next() == Some(op.name)), "{} is missing", op.name);
    }
    assert_eq!(convoke(&["docs", "conv2"]).status, 2);
}

#[test]
fn standard_input_and_output_are_a_dash() {
    let result = capture(&["convoke", "opt", "-"], BLUR.as_bytes());
    assert_eq!(result.status, 0, "{}", result.stderr);
    assert!(result.stdout.contains("algorithm = "), "{}", result.stdout);
    let again = capture(&["convoke", "opt", "-"], result.stdout.as_bytes());
    assert_eq!(again.stdout, result.stdout, "what was printed is read back, and has nothing left to do");
    let result = capture(&["convoke", "opt", "-"], b"layer @l(");
    assert_eq!(result.status, 1);
    assert!(result.stderr.contains("<stdin>:1:"), "{}", result.stderr);
}

#[test]
fn json_is_json_wherever_a_table_is_printed() {
    let folder = folder();
    let input = text(&folder.path().join("blur.conv"));
    for args in [
        vec!["run", &input, "--json", "--check"],
        vec!["check", &input, "--json"],
        vec!["explain", &input, "--json"],
        vec!["analyze", &input, "--json"],
        vec!["explain", &input, "--json", "--measure"],
        vec!["bench", &input, "--json", "--seconds", "0"],
        vec!["passes", "--json"],
        vec!["targets", "--json"],
        vec!["machine", "--json"],
        vec!["machine", "--json", "--list"],
        vec!["docs", "--json"],
    ] {
        let result = convoke(&args);
        assert_eq!(result.status, 0, "{args:?}: {}", result.stderr);
        let parsed: Result<serde_json::Value, _> = serde_json::from_str(&result.stdout);
        assert!(parsed.is_ok(), "{args:?}: {}", result.stdout);
    }
}

#[test]
fn bench_measures_a_rate_below_the_peak() {
    let folder = folder();
    let input = text(&folder.path().join("blur.conv"));
    let result = convoke(&["bench", &input, "--json", "--seconds", "0"]);
    let value: serde_json::Value = serde_json::from_str(&result.stdout).expect("JSON");
    let layer = &value["layers"][0];
    let (rate, peak) = (layer["gflops"].as_f64(), layer["peak_gflops"].as_f64());
    assert!(rate > Some(0.0) && rate < peak, "{rate:?} of {peak:?}");
}

#[test]
fn a_machine_description_is_read_back() {
    let folder = folder();
    let at = |name: &str| text(&folder.path().join(name));
    fs::write(at("m.toml"), convoke(&["machine", "--cpu", "x86-64-v3"]).stdout).expect("written");
    let by_file = convoke(&["compile", &at("blur.conv"), "--emit", "asm", "-o", "-", "--machine", &at("m.toml")]);
    let by_name = convoke(&["compile", &at("blur.conv"), "--emit", "asm", "-o", "-", "--cpu", "x86-64-v3"]);
    assert_eq!((by_file.status, &by_file.stdout), (0, &by_name.stdout), "{}", by_file.stderr);
    fs::write(at("bad.toml"), "name = 1").expect("written");
    let result = convoke(&["run", &at("blur.conv"), "--machine", &at("bad.toml")]);
    assert_eq!(result.status, 1, "{}", result.stderr);
    assert!(result.stderr.contains("bad.toml"), "{}", result.stderr);
}

#[test]
fn code_for_another_cpu_is_refused_before_it_runs() {
    let folder = folder();
    let input = text(&folder.path().join("blur.conv"));
    let other = if cfg!(target_arch = "aarch64") { "x86-64" } else { "aarch64" };
    for command in ["run", "check", "bench"] {
        let result = convoke(&[command, &input, "--cpu", other]);
        assert_eq!(result.status, 1, "{command}: {}", result.stderr);
        assert!(result.stderr.contains(other), "{command}: {}", result.stderr);
    }
}

/// Values of `y.npy` as the file has them: 64 `f32` behind the header.
#[cfg(target_os = "linux")]
fn numbers(file: &str) -> Vec<f32> {
    let bytes = fs::read(file).expect("written");
    let data = &bytes[bytes.len() - 64 * 4..];
    data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}

#[cfg(target_os = "linux")]
#[test]
fn a_c_program_calls_the_object_through_its_header() {
    let folder = folder();
    let at = |name: &str| text(&folder.path().join(name));
    for (emit, name) in
        [("obj", "blur.o"), ("header", "blur.h"), ("staticlib", "libblur.a"), ("sharedlib", "libblur.so")]
    {
        let result = convoke(&["compile", &at("blur.conv"), "--emit", emit, "-o", &at(name)]);
        assert_eq!(result.status, 0, "{emit}: {}", result.stderr);
    }
    let result = convoke(&["run", &at("blur.conv"), "--output", &format!("y={}", at("y.npy")), "--seed", "5"]);
    assert_eq!(result.status, 0, "{}", result.stderr);
    let x = convoke_data::random(
        &convoke::TensorType::new(convoke::Elem::F32, [1, 1, 8, 8], convoke::Layout::Nchw).expect("a type"),
        5,
        &convoke::Files::none(),
    )
    .expect("a small tensor");
    let x: Vec<String> = x.iter().map(|v| format!("{v:e}")).collect();
    let program = format!(
        "#include <stdio.h>\n#include <stdlib.h>\n#include \"blur.h\"\nint main(void) {{\n  \
         static const float x[64] = {{ {} }};\n  static float y[64];\n  \
         void *w = aligned_alloc(CONVOKE_BLUR_WORKSPACE_ALIGN,\n    CONVOKE_BLUR_WORKSPACE_BYTES + CONVOKE_BLUR_WORKSPACE_ALIGN);\n  \
         convoke_blur(x, y, w);\n  for (int i = 0; i < 64; i++) printf(\"%.9g\\n\", y[i]);\n  return 0;\n}}\n",
        x.join(", ")
    );
    fs::write(at("main.c"), program).expect("written");
    for library in ["blur.o", "libblur.a", "libblur.so"] {
        // The linker that Rust itself needs.
        let built = std::process::Command::new("cc")
            .args(["-std=c11", "-Wall", "-Werror", "-o", "main", "main.c", library])
            .current_dir(folder.path())
            .output()
            .expect("a C compiler");
        assert!(built.status.success(), "{library}: {}", String::from_utf8_lossy(&built.stderr));
        let run =
            std::process::Command::new(at("main")).env("LD_LIBRARY_PATH", folder.path()).output().expect("it runs");
        let printed = String::from_utf8_lossy(&run.stdout).into_owned();
        let found: Vec<f32> = printed.lines().map(|l| l.parse().expect("a number")).collect();
        assert_eq!(found, numbers(&at("y.npy")), "{library}");
    }
}

#[test]
fn algorithms_are_listed_printed_and_proved() {
    let list = convoke(&["algorithms"]);
    assert_eq!(list.status, 0);
    let laderman = list.stdout.lines().find(|line| line.starts_with("laderman ")).unwrap_or_default();
    assert_eq!(laderman.split_whitespace().skip(1).take(2).collect::<Vec<_>>(), ["<3,3,3>", "23"]);
    let json: serde_json::Value = serde_json::from_str(&convoke(&["algorithms", "--json"]).stdout).expect("JSON");
    assert!(json.as_array().is_some_and(|all| all.len() > 10));

    let printed = convoke(&["algorithms", "strassen"]).stdout;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("mine.toml");
    fs::write(&path, &printed).expect("a file can be written there");
    let proved = convoke(&["algorithms", "--verify", &text(&path)]);
    assert!(proved.status == 0 && proved.stdout.starts_with("proved"), "{}{}", proved.stdout, proved.stderr);

    assert!(proved.stdout.contains("7, the definition takes 8: 1.14x as many"), "{}", proved.stdout);

    let rounded = convoke(&["algorithms", "fft-8"]).stdout;
    fs::write(&path, &rounded).expect("and again");
    let proved = convoke(&["algorithms", "--verify", &text(&path)]);
    assert!(proved.stdout.contains("as it must be to within"), "{}{}", proved.stdout, proved.stderr);

    fs::write(&path, printed.replacen("1 0 0 1", "1 0 0 2", 1)).expect("and again");
    let wrong = convoke(&["algorithms", "--verify", &text(&path)]);
    assert_eq!((wrong.status, wrong.stdout.as_str()), (1, ""));
    assert!(wrong.stderr.contains("a[3]*b[0] in y[0] is 1, it must be 0"), "{}", wrong.stderr);
    assert_eq!(convoke(&["algorithms", "strasen"]).status, 2);
}

#[test]
fn plots_are_vectors_or_pixels_by_their_names() {
    let folder = folder();
    let input = text(&folder.path().join("blur.conv"));
    let plot = |name: &str| {
        let path = text(&folder.path().join(name));
        (convoke(&["analyze", &input, "--plot", &path]), path)
    };
    let (result, path) = plot("k.svg");
    assert_eq!((result.status, result.stderr.as_str()), (0, ""));
    assert!(fs::read_to_string(path).expect("written").starts_with("<svg"));
    let (result, path) = plot("k.png");
    assert_eq!((result.status, result.stderr.as_str()), (0, ""));
    let bytes = fs::read(path).expect("written");
    assert_eq!(&bytes[..8], b"\x89PNG\r\n\x1a\n");
    // Three panels at twice their size.
    assert_eq!(bytes[16..24], [2280u32.to_be_bytes(), 680u32.to_be_bytes()].concat());
    for name in ["k.jpg", "k"] {
        let (result, path) = plot(name);
        assert_eq!(result.status, 2);
        assert!(result.stderr.contains("--plot draws .svg and .png"), "{}", result.stderr);
        assert!(!Path::new(&path).exists());
    }
}

/// Transforms spread an infinity over their tiles. A check says over how many outputs; plain sums spread nothing.
#[test]
fn an_infinite_error_is_no_success() {
    let folder = folder();
    let at = |name: &str| text(&folder.path().join(name));
    let mut x = ndarray::ArrayD::zeros(ndarray::IxDyn(&[1, 1, 8, 8]));
    x[[0, 0, 3, 3]] = f64::INFINITY;
    convoke_data::npy::write(Path::new(&at("x.npy")), x.view(), convoke::Elem::F32).expect("written");
    let (blur, input) = (at("blur.conv"), format!("x={}", at("x.npy")));
    for (algorithm, expected) in [("direct", "check     ok"), ("winograd(4x4)", "check     OVER")] {
        let result = convoke(&["run", &blur, "--input", &input, "--check", "--algorithm", algorithm]);
        assert_eq!(result.status, 0, "{algorithm}: {}{}", result.stdout, result.stderr);
        assert!(result.stdout.contains(expected), "{algorithm}: {}", result.stdout);
        assert!(!result.stdout.contains("error inf"), "{algorithm}: {}", result.stdout);
        assert_eq!(result.stdout.contains("outputs are infinite or NaN"), algorithm != "direct", "{}", result.stdout);
    }
}
