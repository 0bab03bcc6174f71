//! `convoke reduce` with a command that says whether a net fails. `convoke check` as that command needs a process: see `process.rs` of `convoke-cli`.

use std::fs;
use std::path::Path;

use super::{convoke, names, text};

/// Two layers. In one, a weight from a file matters and most others do not.
const NET: &str = "layer @other(%x: f32[4]) -> f32[4] {
  %y = relu %x
  return %y
}

layer @net(%x: f32[1, 8, 16, 16], %unread: f32[4]) -> (f32[1, 8, 16, 16], f32[1, 8, 16, 16]) {
  %w = const f32[8, 8, 3, 3] = file(\"w.npy\")
  %v = const f32[8, 8, 3, 3] = normal(seed = 1, std = 0.1)
  %a = conv2d %x, %w { pads = [1, 1, 1, 1] } then relu
  %b = conv2d %a, %v { pads = [1, 1, 1, 1] }
  %c = hardswish %b
  %d = add %c, %x
  return %d, %a
}
";

fn folder() -> tempfile::TempDir {
    let folder = super::folder();
    fs::write(folder.path().join("net.conv"), NET).expect("written");
    let numbers = ndarray::ArrayD::from_elem(vec![8, 8, 3, 3], 0.25);
    let file = folder.path().join("w.npy");
    convoke_data::npy::write(&file, numbers.view(), convoke::Elem::F32).expect("written");
    folder
}

fn reduce(folder: &Path, more: &[&str]) -> convoke_cli::Captured {
    let file = text(&folder.join("net.conv"));
    convoke(&[&["reduce", &file], more].concat())
}

#[test]
fn a_command_says_what_fails() {
    let folder = folder();
    let expected = "layer @net(%x: f32[1, 1, 1, 1]) -> f32[1, 1, 1, 1] {\n  %c = hardswish %x\n  return %c\n}\n";
    for more in [
        &["--command", "grep hardswish {}", "--status", "0"][..],
        &["--command", "if grep hardswish {}; then exit 3; fi", "--status", "3"],
        &["--command", "! grep hardswish {}"],
        &["--command", "cat {}", "--status", "0", "--message", "= hardswish %"],
        &["--command", "grep hardswish {} && sleep 600", "--timeout", "0.3", "--status", "124"],
    ] {
        let result = reduce(folder.path(), more);
        assert_eq!((result.status, result.stdout.as_str()), (0, expected), "{more:?}: {}", result.stderr);
        assert!(result.stderr.contains("1 op, 1 result, 1 input and constant, 2 elements, of"), "{}", result.stderr);
    }
}

#[test]
fn one_layer_of_a_file_is_reduced() {
    let folder = folder();
    let result = reduce(folder.path(), &["--layer", "other", "--command", "grep layer {}", "--status", "0"]);
    let expected = "layer @other(%x: f32[1]) -> f32[1] {\n  return %x\n}\n";
    assert_eq!((result.status, result.stdout.as_str()), (0, expected), "{}", result.stderr);
}

/// Candidates find their weights from a folder of their own, and so does the result.
#[test]
fn weights_are_written_beside_the_result() {
    let folder = folder();
    let out = text(&folder.path().join("small.conv"));
    let kept = ["--command", "grep file {} && grep 'f32.8, 8, 3, 3.' {}", "--status", "0"];
    let result = reduce(folder.path(), &[&kept[..], &["-o", &out]].concat());
    assert_eq!((result.status, result.stdout.as_str()), (0, ""), "{}", result.stderr);
    let written = fs::read_to_string(&out).expect("it was written");
    assert!(written.contains("%w = const f32[8, 8, 3, 3] = file(\"w.npy\")"), "{written}");
    assert_eq!(names(folder.path()), ["blur.conv", "net.conv", "small.conv", "w.npy"]);
    let checked = convoke(&["opt", &out]);
    assert_eq!(checked.status, 0, "{}", checked.stderr);

    // Numbers that a step has cut are in no file yet.
    let kept = ["--command", "grep 'f32.8, 8, 3, [123].' {} && grep safetensors {}", "--status", "0"];
    let result = reduce(folder.path(), &[&kept[..], &["-o", &out]].concat());
    assert_eq!(result.status, 0, "{}", result.stderr);
    let written = fs::read_to_string(&out).expect("it was written");
    assert!(written.contains("f32[8, 8, 3, 1] = file(\"small.f32.safetensors\", \"net.w\")"), "{written}");
    assert_eq!(convoke(&["opt", &out]).status, 0);
}

#[test]
fn what_does_not_fail_is_refused() {
    let folder = folder();
    let out = text(&folder.path().join("small.conv"));
    let result = reduce(folder.path(), &["--command", "cat {}", "-o", &out]);
    assert_eq!((result.status, result.stdout.as_str()), (1, ""));
    assert!(
        result.stderr.contains("net.conv does not fail: `cat {}` ended with status 0, a failure has any status but 0;"),
        "{}",
        result.stderr
    );
    let result = reduce(folder.path(), &["--command", "cat {}; exit 2", "--status", "2", "--message", "winograd"]);
    assert!(
        result.stderr.contains("ended with status 2, a failure has status 2 and `winograd` in the output;"),
        "{}",
        result.stderr
    );
    let result = reduce(folder.path(), &["--command", "sleep 600; : {}", "--timeout", "0.1"]);
    assert!(
        result.stderr.contains("did not end within 0.1 s (status 124; --timeout sets the limit)"),
        "{}",
        result.stderr
    );
    let result = reduce(folder.path(), &["--command", "no_such_program {}"]);
    assert_eq!(result.status, 1, "{}", result.stderr);
    assert!(result.stderr.contains("`no_such_program {}` cannot be run (status 127): "), "{}", result.stderr);
    assert_eq!(names(folder.path()), ["blur.conv", "net.conv", "w.npy"]);
}

#[test]
fn what_reduce_cannot_take_is_told() {
    let folder = folder();
    for (more, status, says) in [
        (&["--command", "grep x"][..], 2, "write {} where the file of the net is to stand"),
        (
            &["--command", "grep x {}", "--max-error", "1"],
            2,
            "--max-error=1 is for `convoke check`, which --command replaces",
        ),
        (&["--command", "grep x {}", "--status", "256"], 2, "256 is not in 0..=255"),
        (&["--command", "grep x {}", "--timeout", "-1"], 2, "expected seconds between 0 and 3600"),
        (&["--command", "grep x {}", "--layer", "none"], 1, "has no layer `none`; it has `other`, `net`"),
        (&[], 1, "the file of this command is not known"),
    ] {
        let result = reduce(folder.path(), more);
        assert!(
            result.status == status && result.stderr.contains(says),
            "{more:?}: {} {}",
            result.status,
            result.stderr
        );
    }
    let file = text(&folder.path().join("net.conv"));
    let result = reduce(folder.path(), &["--command", "grep layer {}", "--status", "0", "-o", &file]);
    assert!(result.status == 1 && result.stderr.contains("is the input"), "{}", result.stderr);
    assert_eq!(fs::read_to_string(&file).expect("it is still there"), NET);
}
