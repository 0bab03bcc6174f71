//! The command as a process and in process: files in and out, exit statuses, wrong usage.

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
fn wrong_usage_is_status_2_with_the_nearest_name() {
    for (args, expected) in [
        (vec![], "Usage"),
        (vec!["ru"], "run"),
        (vec!["compil", "x"], "compile"),
        (vec!["run", "--chek", "x"], "--check"),
        (vec!["compile", "x", "-o", "y", "--emit", "ob"], "obj"),
        (vec!["run", "x", "--algorithm", "direkt"], "direct"),
        (vec!["run", "x", "--cpu", "x86-64-v33"], "x86-64-v3"),
        (vec!["compile", "x", "-o", "y", "--target", "aarch64"], "aarch64"),
        (vec!["run", "x", "--max-error", "-1"], "not negative"),
        (vec!["run", "x", "--max-error", "nan"], "not negative"),
        (vec!["bench", "x", "--seconds", "1e30"], "between 0 and 3600"),
        (vec!["run", "x", "--input-range", "0,1"], "both positive"),
        (vec!["check", "x", "--input-range", "2,1"], "both positive"),
        (vec!["explain", "x", "--input-range", "wide"], "expected a number"),
        (vec!["run", "x", "-O4"], "0..=3"),
        (vec!["run", "x", "--threads", "0"], "1..=1024"),
        (vec!["run", "x", "--max-memory", "4X"], "512M"),
        (vec!["run", "x", "--input", "x"], "NAME=FILE"),
        (vec!["opt", "x", "--stage", "loop"], "loops"),
    ] {
        let result = convoke(&args);
        assert_eq!(result.status, 2, "{args:?}: {}", result.stderr);
        assert!(result.stderr.contains(expected), "{args:?} should name {expected}: {}", result.stderr);
        assert_eq!(result.stdout, "", "{args:?}");
    }
}

#[test]
fn help_is_on_standard_output_and_shows_examples() {
    for args in [vec!["--help"], vec!["run", "--help"], vec!["compile", "--help"], vec!["opt", "--help"]] {
        let result = convoke(&args);
        assert_eq!((result.status, result.stderr.as_str()), (0, ""), "{args:?}");
        assert!(result.stdout.contains("Examples:"), "{args:?}: {}", result.stdout);
    }
    assert_eq!(convoke(&["--version"]).stdout, format!("convoke {}\n", env!("CARGO_PKG_VERSION")));
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
fn an_argument_cannot_drive_the_terminal() {
    let result = convoke(&["run", "no\u{1b}[2Jsuch\u{202e}.conv"]);
    assert_eq!(result.status, 1);
    assert!(!result.stderr.contains(['\u{1b}', '\u{202e}']), "{:?}", result.stderr);
    let result = convoke(&["\u{1b}[2J"]);
    assert_eq!(result.status, 2);
    assert!(!result.stderr.contains('\u{1b}'), "{:?}", result.stderr);
}

#[test]
fn outputs_that_cannot_be_are_status_1_and_leave_nothing() {
    let folder = folder();
    let input = text(&folder.path().join("blur.conv"));
    let missing = text(&folder.path().join("none/blur.o"));
    let array = format!("y={}", text(&folder.path().join("none/y.npy")));
    let over = format!("y={input}");
    let mut commands = vec![
        vec!["compile", &input, "-o", &missing],
        vec!["compile", &input, "-o", &input],
        vec!["opt", &input, "-o", &input],
        vec!["opt", &input, "-o", &missing],
        vec!["run", &input, "--output", &array],
        vec!["run", &input, "--output", &over],
    ];
    if Path::new("/dev/full").exists() {
        commands.push(vec!["compile", &input, "-o", "/dev/full"]);
        commands.push(vec!["opt", &input, "-o", "/dev/full"]);
    }
    for args in commands {
        let result = convoke(&args);
        assert_eq!(result.status, 1, "{args:?}: {}", result.stderr);
        assert!(result.stderr.starts_with("error: "), "{args:?}: {}", result.stderr);
        assert_eq!(names(folder.path()), ["blur.conv"], "{args:?}");
        assert_eq!(fs::read_to_string(&input).expect("still there"), BLUR, "{args:?}");
    }
}

#[cfg(unix)]
#[test]
fn a_link_to_the_input_is_the_input() {
    let folder = folder();
    let (input, link) = (text(&folder.path().join("blur.conv")), text(&folder.path().join("link")));
    std::os::unix::fs::symlink(&input, &link).expect("a link can be made");
    let result = convoke(&["opt", &input, "-o", &link]);
    assert_eq!(result.status, 1, "{}", result.stderr);
    assert_eq!(fs::read_to_string(&input).expect("still there"), BLUR);
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
fn arrays_go_in_and_out() {
    let folder = folder();
    let at = |name: &str| text(&folder.path().join(name));
    let (y, z) = (at("y.npy"), at("z.npy"));
    let result = convoke(&["run", &at("blur.conv"), "--output", &format!("y={y}"), "--seed", "3"]);
    assert_eq!(result.status, 0, "{}", result.stderr);
    let result =
        convoke(&["run", &at("blur.conv"), "--input", &format!("%x={y}"), "--output", &format!("y={z}"), "--check"]);
    assert_eq!(result.status, 0, "{}", result.stderr);
    assert_ne!(fs::read(&y).expect("written"), fs::read(&z).expect("written"));
    // The interpreter gives the same, up to rounding; its file has the same header.
    let by_interpreter =
        convoke(&["run", &at("blur.conv"), "--backend", "interp", "--output", &format!("y={z}"), "--seed", "3"]);
    assert_eq!(by_interpreter.status, 0, "{}", by_interpreter.stderr);
    assert_eq!(fs::read(&y).expect("written")[..80], fs::read(&z).expect("written")[..80]);
}

#[test]
fn images_go_in_and_out() {
    let folder = folder();
    let at = |name: &str| text(&folder.path().join(name));
    let result = convoke(&["run", &at("blur.conv"), "--output", &format!("y={}", at("y.png"))]);
    assert_eq!(result.status, 0, "{}", result.stderr);
    let result = convoke(&["run", &at("blur.conv"), "--input", &format!("x={}", at("y.png")), "--check"]);
    assert_eq!(result.status, 0, "{}", result.stderr);
    fs::write(at("large.conv"), BLUR.replace("8, 8", "9, 9")).expect("written");
    let result = convoke(&["run", &at("large.conv"), "--input", &format!("x={}", at("y.png"))]);
    assert_eq!(result.status, 1, "an image of another size is refused");
    assert!(result.stderr.contains("y.png"), "{}", result.stderr);
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

#[test]
fn compiling_twice_gives_the_same_bytes() {
    let folder = folder();
    let at = |name: &str| text(&folder.path().join(name));
    for emit in ["obj", "asm", "clif", "loops", "header"] {
        for name in ["a", "b"] {
            let result = convoke(&["compile", &at("blur.conv"), "--emit", emit, "-o", &at(name)]);
            assert_eq!(result.status, 0, "{emit}: {}", result.stderr);
        }
        let (a, b) = (fs::read(at("a")).expect("written"), fs::read(at("b")).expect("written"));
        assert!(!a.is_empty() && a == b, "{emit}");
    }
}

#[test]
fn rewritten_weights_go_to_a_file_beside_the_text() {
    let folder = folder();
    let at = |name: &str| text(&folder.path().join(name));
    let net = "layer @l(%x: f32[1, 8, 4, 4]) -> f32[1, 8, 4, 4] {
  %w = const f32[8, 8, 3, 3] = normal(seed = 1)
  %s = const f32[8] = uniform(seed = 2, low = 1.0, high = 2.0)
  %0 = conv2d %x, %w { pads = [1, 1, 1, 1] }
  %1 = batch_norm %0, %s, %s, %s, %s
  return %1
}
";
    fs::write(at("net.conv"), net).expect("written");
    let result = convoke(&["opt", &at("net.conv"), "-o", &at("out.conv")]);
    assert_eq!(result.status, 0, "{}", result.stderr);
    assert!(names(folder.path()).contains(&"out.f32.safetensors".to_owned()), "{:?}", names(folder.path()));
    let result = convoke(&["check", &at("out.conv")]);
    assert_eq!(result.status, 0, "{}", result.stderr);
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
    let x = convoke::data::random(
        &convoke::TensorType::new(convoke::Elem::F32, [1, 1, 8, 8], convoke::Layout::Nchw).expect("a type"),
        5,
        &convoke::Files::none(),
    )
    .expect("a small tensor");
    let x: Vec<String> = x.iter().map(|v| format!("{v:e}")).collect();
    let program = format!(
        "#include <stdio.h>\n#include <stdlib.h>\n#include \"blur.h\"\nint main(void) {{\n  \
         static const float x[64] = {{ {} }};\n  static float y[64];\n  \
         void *w = aligned_alloc(BLUR_WORKSPACE_ALIGN, BLUR_WORKSPACE_BYTES + BLUR_WORKSPACE_ALIGN);\n  \
         blur(x, y, w);\n  for (int i = 0; i < 64; i++) printf(\"%.9g\\n\", y[i]);\n  return 0;\n}}\n",
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
fn explain_writes_a_page() {
    let folder = folder();
    let (input, page) = (text(&folder.path().join("blur.conv")), text(&folder.path().join("blur.html")));
    let result = convoke(&["explain", &input, "--html", &page, "--no-times"]);
    assert_eq!((result.status, result.stderr.as_str()), (0, ""));
    let page = fs::read_to_string(page).expect("it was written");
    for part in [
        "<title>convoke: blur</title>",
        "<svg",
        "Chosen: <b>",
        "<b>Roofline.</b>",
        "<b>Error against time.</b>",
        "Where the predicted time goes",
        "What the layer takes, from pass to pass",
        "<th>after select",
        "<td class=\"came\">",
        "conv2d %x, %w",
        "-&gt; f32[1, 1, 8, 8]",
    ] {
        assert!(page.contains(part), "no {part} in\n{page}");
    }
    // Nothing is fetched.
    assert!(!page.contains("http") && !page.contains("<script"), "{page}");
    assert_eq!(convoke(&["explain", &input, "--html", &input]).status, 1);
    assert_eq!(fs::read_to_string(&input).expect("still there"), BLUR);
}

/// No output replaces a file that the layer reads, whatever option names it.
#[test]
fn files_that_are_read_are_not_written_over() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = |name: &str| text(&folder.path().join(name));
    let given = "layer @l(%x: f32[1, 1, 8, 8]) -> f32[1, 1, 8, 8] {
  %w = const f32[1, 1, 3, 3] = box
  %s = const f32[1] = [2]
  %z = const f32[1] = [0]
  %0 = conv2d %x, %w { pads = [1, 1, 1, 1] }
  %y = batch_norm %0, %s, %z, %z, %s
  return %y
}
";
    fs::write(at("given.conv"), given).expect("a file can be written there");
    // Folding the batch norm computes weights; they go to a file of their own, which the next text reads.
    assert_eq!(convoke(&["opt", &at("given.conv"), "-o", &at("w.conv"), "--passes", "fold-batch-norm"]).status, 0);
    let text_before = fs::read_to_string(at("w.conv")).expect("written");
    let side = at("w.f32.safetensors");
    if !Path::new(&side).exists() {
        return assert!(text_before.contains("= ["), "few numbers are in the text: {text_before}");
    }
    let before = fs::read(&side).expect("the weights");
    for args in [vec!["compile", &at("w.conv"), "-o", &side], vec!["opt", &at("w.conv"), "-o", &side]] {
        assert_eq!(convoke(&args).status, 1, "{args:?}");
        assert_eq!(fs::read(&side).expect("still there"), before, "{args:?}");
    }
    let machine = at("m.toml");
    fs::write(&machine, convoke(&["machine"]).stdout).expect("and that");
    assert_eq!(convoke(&["compile", &at("w.conv"), "--machine", &machine, "-o", &machine]).status, 1);
    assert!(fs::read_to_string(&machine).expect("still text").contains("vector_bits"));
}

/// Every candidate that can compute a convolution is told with the same keys, and timed if that is asked for.
#[test]
fn explain_tells_each_candidate_in_json() {
    let folder = folder();
    let input = text(&folder.path().join("blur.conv"));
    let result = convoke(&["explain", &input, "--json", "--measure", "--max-error", "1e-3", "--certified"]);
    assert_eq!((result.status, result.stderr.as_str()), (0, ""));
    let value: serde_json::Value = serde_json::from_str(&result.stdout).expect("JSON");
    let conv = &value["convolutions"][0];
    assert_eq!(conv["budget"]["limit"].as_f64(), Some(1e-3));
    assert_eq!((conv["budget"]["certified"].as_bool(), conv["budget"]["given"].as_bool()), (Some(true), Some(true)));
    assert!(conv["regret"].as_f64() >= Some(0.0) && conv["verdict"][0].is_string(), "{conv:#}");
    let candidates = conv["candidates"].as_array().expect("a list");
    let numbers = ["multiplications", "fewer", "bytes_moved", "scratch_bytes", "cycles", "predicted_seconds"];
    for candidate in candidates.iter().filter(|candidate| candidate["refused"].is_null()) {
        assert!(numbers.iter().all(|key| candidate[key].is_number()), "{candidate:#}");
        assert!(candidate["standing"].is_string() && candidate["allowed"].is_boolean(), "{candidate:#}");
        let cycles: f64 =
            candidate["terms"].as_array().expect("a list").iter().filter_map(|t| t["cycles"].as_f64()).sum();
        assert!(candidate["cycles"].as_f64().is_some_and(|all| (all - cycles).abs() <= 1e-9 * all), "{candidate:#}");
    }
    let chosen =
        candidates.iter().find(|candidate| candidate["algorithm"] == conv["chosen"]).expect("it is one of them");
    assert!(chosen["measured_seconds"].as_f64() > Some(0.0), "{chosen:#}");
    let measured = value["measured"].as_array().expect("a list");
    assert!(measured.iter().any(|m| m["algorithm"] == conv["chosen"] && m["seconds"] == chosen["measured_seconds"]));
}

#[test]
fn explain_shows_what_takes_turns_as_a_stage() {
    let folder = folder();
    let input = text(&folder.path().join("blur.conv"));
    let blur = "layer @blur(%x: f32[1, 1, 800, 1000]) -> f32[1, 1, 800, 1000] {
      %v = const f32[1, 1, 9, 1] = ones
      %w = const f32[1, 1, 1, 9] = ones
      %t = conv2d %x, %v { pads = [4, 0, 4, 0], algorithm = depthwise }
      %y = conv2d %t, %w { pads = [0, 4, 0, 4], algorithm = depthwise }
      return %y
    }";
    fs::write(&input, blur).expect("written");
    let explained = |more: &[&str]| {
        let result = convoke(&[&["explain", &input, "--json"], more].concat());
        assert_eq!((result.status, result.stderr.as_str()), (0, ""));
        let value: serde_json::Value = serde_json::from_str(&result.stdout).expect("JSON");
        value["waterfall"].as_array().expect("a list").clone()
    };
    let stages = explained(&["--cpu", "x86-64-v3"]);
    let names: Vec<_> = stages.iter().filter_map(|stage| stage["after"].as_str()).collect();
    assert_eq!(names, ["as given", "select", "bands"]);
    let [before, after] = [1, 2].map(|i| stages[i]["predicted_seconds"].as_f64().expect("predicted"));
    assert!(after < before, "{stages:#?}");
    // Measured, the stage before is compiled without bands, and this one with them.
    let measured = explained(&["--measure"]);
    assert!(measured.iter().all(|stage| stage["measured_seconds"].as_f64() > Some(0.0)), "{measured:#?}");
}

/// A 7x7 layer without weights.
const SEVEN: &str = "layer @seven(%x: f32[1, 8, 12, 12]) -> f32[1, 8, 12, 12] {
  %w = const f32[8, 8, 7, 7] = unbound
  %y = conv2d %x, %w { pads = [3, 3, 3, 3] }
  return %y
}
";

#[test]
fn explain_tells_what_the_layer_takes_from_pass_to_pass() {
    let folder = folder();
    let input = text(&folder.path().join("seven.conv"));
    fs::write(&input, SEVEN).expect("written");
    let passes = ["--structural", "--passes", "stack-small-kernels(activation=relu)"];
    let args = ["explain", &input, "--cpu", "x86-64-v3"];
    let result = convoke(&[&args[..], &passes, &["--json"]].concat());
    assert_eq!((result.status, result.stderr.as_str()), (0, ""));
    let value: serde_json::Value = serde_json::from_str(&result.stdout).expect("JSON");
    let stages = value["waterfall"].as_array().expect("a list");
    let names: Vec<_> = stages.iter().filter_map(|stage| stage["after"].as_str()).collect();
    assert_eq!(names, ["as given", "stack-small-kernels", "fuse-epilogue", "select"]);
    // 49 C² and 27 C², for each of 12 × 12 pixels.
    for (stage, taps) in stages.iter().zip([49, 27, 27]) {
        assert_eq!(stage["parameters"].as_u64(), Some(taps * 64), "{stage:#}");
        assert_eq!(stage["multiplications"].as_u64(), Some(taps * 64 * 144), "{stage:#}");
        assert!(stage["predicted_seconds"].as_f64() > Some(0.0) && stage["measured_seconds"].is_null(), "{stage:#}");
    }
    assert!(stages[1]["notes"][0].as_str().is_some_and(|note| note.contains("3 times 3x3")), "{stages:#?}");
    let result = convoke(&[&args[..], &passes].concat());
    assert!(result.stdout.contains("what the layer takes, from pass to pass"), "{}", result.stdout);
    // Not without the grant, and not what there is not.
    assert!(convoke(&[&args[..], &passes[1..]].concat()).stdout.contains("--structural"));
    assert_eq!(convoke(&[&args[..], &["--passes", "stack"]].concat()).status, 2);
    // Without values the weights are timed all the same.
    let result = convoke(&[&["explain", &input, "--measure", "--json"], &passes[..]].concat());
    let value: serde_json::Value = serde_json::from_str(&result.stdout).expect("JSON");
    let stages = value["waterfall"].as_array().expect("a list");
    assert!(stages.iter().all(|stage| stage["measured_seconds"].as_f64() > Some(0.0)), "{stages:#?}");
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
