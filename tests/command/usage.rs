//! Wrong command lines, and messages.

use std::fs;

use super::{BLUR, convoke, folder, text};
use convoke_cli::capture;

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
        (vec!["run", "x", "--threads", "0"], "at least 1"),
        (vec!["run", "x", "--max-memory", "4X"], "512M"),
        (vec!["run", "x", "--max-memory", "512MBBB"], "512M"),
        (vec!["run", "x", "--max-memory", "512iB"], "512M"),
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
    for args in [
        vec!["--help"],
        vec!["run", "--help"],
        vec!["compile", "--help"],
        vec!["opt", "--help"],
        vec!["reduce", "--help"],
    ] {
        let result = convoke(&args);
        assert_eq!((result.status, result.stderr.as_str()), (0, ""), "{args:?}");
        assert!(result.stdout.contains("Examples:"), "{args:?}: {}", result.stdout);
    }
    assert_eq!(convoke(&["--version"]).stdout, format!("convoke {}\n", env!("CARGO_PKG_VERSION")));
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
fn what_is_given_twice_or_cannot_be_read_is_wrong_usage() {
    let folder = folder();
    let input = text(&folder.path().join("blur.conv"));
    for (args, expected) in [
        (vec!["run", &input, "--seed", "1", "--seed", "2"], "cannot be used multiple times"),
        (vec!["run", &input, "--input", "x=a.npy", "--input", "%x=b.npy"], "`x` twice"),
        (vec!["run", &input, "--input", "x=-"], "not read from standard input"),
        (vec!["check", "-", "-"], "`-` is given twice"),
        (vec!["run", "-", "--machine", "-"], "`-` is given twice"),
        (vec!["opt", &input, "--passes", "select(algorithm=direct, algorithm=im2col)"], "`select` is given twice"),
        (vec!["explain", &input, "--passes", "select(algorithm=direct, algorithm=im2col)"], "`select` is given twice"),
        (vec!["run", &input, "--seed", "-1"], "expected a whole number from 0 to 18446744073709551615"),
        (vec!["bench", &input, "--seconds", "-1"], "between 0 and 3600"),
        (vec!["run", &input, "--threads", "-1"], "at least 1"),
        (vec!["run", &input, "--max-error", "-1e-3"], "not negative"),
    ] {
        let result = capture(&[&["convoke"], &args[..]].concat(), BLUR.as_bytes());
        assert_eq!(result.status, 2, "{args:?}: {}", result.stderr);
        assert!(result.stderr.contains(expected), "{args:?} should say {expected}: {}", result.stderr);
        assert_eq!(result.stdout, "", "{args:?}");
    }
}

#[test]
fn threads_beyond_the_limit_of_the_machine_are_refused() {
    let folder = folder();
    let input = text(&folder.path().join("blur.conv"));
    let most = convoke::max_threads();
    for threads in [most + 1, 100_000] {
        let result = convoke(&["run", &input, "--threads", &threads.to_string()]);
        let expected = format!("{threads} threads, the limit is {most}; ");
        assert_eq!(result.status, 1, "{}", result.stderr);
        assert!(result.stderr.contains(&expected) && result.stderr.contains("--max-threads"), "{}", result.stderr);
    }
}

#[test]
fn a_machine_is_read_from_standard_input() {
    let folder = folder();
    let input = text(&folder.path().join("blur.conv"));
    let machine = convoke(&["machine", "--cpu", "x86-64-v3"]).stdout;
    let args = ["convoke", "compile", &input, "--emit", "asm", "-o", "-", "--machine", "-"];
    let result = capture(&args, machine.as_bytes());
    assert_eq!((result.status, result.stderr.as_str()), (0, ""));
    assert_eq!(result.stdout, convoke(&["compile", &input, "--emit", "asm", "-o", "-", "--cpu", "x86-64-v3"]).stdout);
}

/// Names and quotations of files of every kind: what a terminal acts on is escaped, and a message stays short.
#[test]
fn what_files_hold_cannot_drive_the_terminal() {
    let folder = folder();
    let at = |name: &str| text(&folder.path().join(name));
    let evil = format!("\u{1b}[2J\u{202e}{}", "a".repeat(100_000));
    let toml = convoke(&["machine", "--cpu", "x86-64-v3"]).stdout;
    let named = toml.replacen("x86-64-v3", "\\u001b[2J\\u202e", 1);
    fs::write(at("named.toml"), &named).expect("written");
    fs::write(at("range.toml"), named.replacen("vector_bits = 256", "vector_bits = 3", 1)).expect("written");
    fs::write(at("key.toml"), format!("name = \"{evil}\"\nx = 1\n")).expect("written");
    fs::write(at("line.toml"), format!("name = {evil}\n")).expect("written");
    let algorithm = convoke(&["algorithms", "strassen"]).stdout;
    let algorithm_named = algorithm.replacen("name = \"strassen\"", "name = \"\\u001b[2J\\u202e\"", 1);
    fs::write(at("named.algorithm"), &algorithm_named).expect("written");
    fs::write(at("line.algorithm"), format!("name = {evil}\n")).expect("written");
    let header = format!(
        "{{\"{}\":{{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}}}",
        "\\u001b\u{202e}a".repeat(9000)
    );
    let tensors = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 4]].concat();
    fs::write(at("x.safetensors"), tensors).expect("written");
    let npy = format!("{{'descr': '{evil}', 'fortran_order': False, 'shape': (1,), }}\n");
    let npy = [b"\x93NUMPY\x02\x00".as_slice(), &(npy.len() as u32).to_le_bytes(), npy.as_bytes()].concat();
    fs::write(at("x.npy"), npy).expect("written");
    fs::write(at("path.conv"), BLUR.replace("= box", &format!("= file(\"{}.npy\")", "\\u{1b}\\u{202e}b".repeat(9000))))
        .expect("written");
    let blur = at("blur.conv");
    let [tensors, npy] = ["x=x.safetensors", "x=x.npy"].map(|input| format!("x={}", at(&input[2..])));
    for args in [
        vec!["run", &blur, "--machine", &at("range.toml")],
        vec!["run", &blur, "--machine", &at("key.toml")],
        vec!["run", &blur, "--machine", &at("line.toml")],
        vec!["run", &blur, "--machine", &at("named.toml")],
        vec!["explain", &blur, "--machine", &at("named.toml")],
        vec!["algorithms", "--verify", &at("named.algorithm")],
        vec!["algorithms", "--verify", &at("line.algorithm")],
        vec!["algorithms", &evil],
        vec!["run", &blur, "--input", &tensors],
        vec!["run", &blur, "--input", &npy],
        vec!["run", &at("path.conv")],
        vec!["run", &blur, "--layer", &evil],
        vec!["run", &blur, "--input", &format!("{evil}=x.npy")],
        vec!["run", &blur, &format!("--{evil}")],
        vec!["opt", &blur, "--passes", &evil],
    ] {
        let result = convoke(&args);
        let shown: Vec<String> = args.iter().map(|arg| arg.chars().take(40).collect()).collect();
        for output in [&result.stdout, &result.stderr] {
            assert!(!output.contains(['\u{1b}', '\u{202e}']), "{shown:?}: {output:.500}");
        }
        assert!(result.stderr.len() < 4096, "{shown:?}: {} bytes", result.stderr.len());
        assert!(!result.stderr.contains(&"a".repeat(300)), "{shown:?}: {:.500}", result.stderr);
    }
}

#[test]
fn many_mistakes_make_a_short_message() {
    let line = format!("  %y = {} %x // {}\n", "nothing".repeat(15), "b".repeat(140));
    let text = format!("layer @l(%x: f32[1]) -> f32[1] {{\n{}  return %x\n}}\n", line.repeat(500));
    let result = capture(&["convoke", "opt", "-"], text.as_bytes());
    assert_eq!(result.status, 1);
    assert!(result.stderr.len() < 4096 && result.stderr.contains(" more\n"), "{} bytes", result.stderr.len());
}

#[test]
fn a_text_without_a_layer_has_a_place() {
    for text in ["", "\n", "// nothing\n"] {
        let result = capture(&["convoke", "opt", "-"], text.as_bytes());
        assert_eq!(result.status, 1);
        assert!(result.stderr.starts_with("error: <stdin>:1:1: there is no layer"), "{}", result.stderr);
    }
}

#[test]
fn endings_of_files_may_be_capitals() {
    let folder = folder();
    let at = |name: &str| text(&folder.path().join(name));
    let blur = at("blur.conv");
    for ending in ["PNG", "NPY"] {
        let file = at(&format!("y.{ending}"));
        let result = convoke(&["run", &blur, "--output", &format!("y={file}")]);
        assert_eq!(result.status, 0, "{}", result.stderr);
        let result = convoke(&["run", &blur, "--input", &format!("x={file}")]);
        assert_eq!(result.status, 0, "{}", result.stderr);
    }
    assert!(fs::read(at("y.PNG")).expect("written").starts_with(b"\x89PNG"));
}

/// No algorithm is more accurate than the element type: a limit below its plain sum is told, and no check passes against it.
#[test]
fn a_limit_that_cannot_be_kept_is_told() {
    let folder = folder();
    let at = |name: &str| text(&folder.path().join(name));
    let (blur, out) = (at("blur.conv"), at("out.o"));
    let y = format!("y={}", at("y.npy"));
    for (args, status) in [
        (vec!["run", &blur, "--output", &y], 0),
        (vec!["run", &blur, "--check"], 1),
        (vec!["run", &blur, "--check", "--json"], 1),
        (vec!["explain", &blur], 0),
        (vec!["compile", &blur, "-o", &out], 0),
        (vec!["check", &blur], 1),
    ] {
        for certified in [&[][..], &["--certified"]] {
            let result = convoke(&[&args[..], &["--max-error", "1e-12"], certified].concat());
            assert_eq!(result.status, status, "{args:?}: {}", result.stderr);
            assert!(result.stderr.contains("note: %y does not keep --max-error 1e-12"), "{args:?}: {}", result.stderr);
            assert!(!result.stdout.contains("check     ok"), "{args:?}: {}", result.stdout);
        }
        // 0 asks for plain sums, which are to be had; so is what they keep.
        for limit in ["0", "-0.0", "1e-6"] {
            let result = convoke(&[&args[..], &["--max-error", limit]].concat());
            assert_eq!((result.status, result.stderr.as_str()), (0, ""), "{args:?}");
        }
    }
}

#[test]
fn a_symbol_prefix_begins_like_a_name_of_c() {
    for wrong in ["--symbol-prefix=9a", "--symbol-prefix=a-b", "--symbol-prefix=_a", "--symbol-prefix=\u{e9}"] {
        let result = convoke(&["compile", "-", "-o", "-", wrong]);
        assert_eq!(result.status, 2, "{wrong}: {}", result.stderr);
        assert!(result.stderr.contains("letters, digits and `_`"), "{wrong}: {}", result.stderr);
    }
}
