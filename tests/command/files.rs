//! Files in and out: what is written, what never is, and that weights are found again.

use std::fs;
use std::path::Path;

use convoke::{Elem, Files, Layout, TensorType};
use convoke_data::{npz, read_tensor, safetensors};

use super::{BLUR, convoke, folder, names, text};

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

/// Whatever option names the output, and however it is spelt.
#[test]
fn no_option_writes_over_what_is_read() {
    let folder = folder();
    let at = |name: &str| text(&folder.path().join(name));
    fs::create_dir(at("sub")).expect("a folder");
    let weights = "layer @l(%x: f32[1, 1, 8, 8]) -> f32[1, 1, 6, 6] {
  %w = const f32[1, 1, 3, 3] = file(\"w.npy\")
  %y = conv2d %x, %w
  return %y
}
";
    fs::write(at("l.conv"), weights).expect("written");
    let w = "layer @w(%x: f32[1, 1, 3, 3]) -> f32[1, 1, 3, 3] {\n  %y = relu %x\n  return %y\n}\n";
    fs::write(at("w.conv"), w).expect("written");
    assert_eq!(convoke(&["run", &at("w.conv"), "--output", &format!("y={}", at("w.npy"))]).status, 0);
    fs::copy(at("w.npy"), at("x.png")).expect("copied");
    fs::write(at("m.toml"), convoke(&["machine"]).stdout).expect("written");
    let (l, m, spelt) = (at("l.conv"), at("m.toml"), at("sub/../w.npy"));
    let (over_w, over_text) = (format!("y={}", at("w.npy")), at("sub/../l.conv"));
    fs::hard_link(at("w.npy"), at("hard.npy")).expect("linked");
    let over_hard = format!("y={}", at("hard.npy"));
    let before: Vec<_> = names(folder.path());
    for args in [
        vec!["explain", &l, "--html", &spelt],
        vec!["explain", &l, "--html", &over_text],
        vec!["explain", &l, "--machine", &m, "--html", &m],
        vec!["opt", &l, "--machine", &m, "-o", &m],
        vec!["opt", &l, "-o", &spelt],
        vec!["compile", &l, "--emit", "loops", "-o", &spelt],
        vec!["run", &l, "--output", &over_w],
        vec!["run", &l, "--output", &over_hard],
        vec!["run", &w_as_input(&at("w.npy")), &at("w.conv"), "--output", &over_w],
    ] {
        let result = convoke(&args);
        assert_eq!(result.status, 1, "{args:?}: {}", result.stderr);
        assert!(result.stderr.contains("would be lost"), "{args:?}: {}", result.stderr);
        assert_eq!(names(folder.path()), before, "{args:?}");
    }
    assert_eq!(fs::read_to_string(&l).expect("still there"), weights);
}

fn w_as_input(file: &str) -> String {
    format!("--input=x={file}")
}

#[test]
fn two_outputs_are_two_files_and_are_written_together() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = |name: &str| text(&folder.path().join(name));
    let two = "layer @l(%x: f32[1, 5, 4, 4]) -> (f32[1, 5, 4, 4], f32[1, 5, 4, 4]) {
  %y = relu %x
  %z = sigmoid %x
  return %y, %z
}
";
    fs::write(at("l.conv"), two).expect("written");
    let run = |y: &str, z: &str| {
        let (y, z) = (format!("y={}", at(y)), format!("z={}", at(z)));
        convoke(&["run", &at("l.conv"), "--output", &y, "--output", &z])
    };
    let result = run("a.npy", "./a.npy");
    assert_eq!(result.status, 2, "{}", result.stderr);
    assert!(result.stderr.contains("one file"), "{}", result.stderr);
    // An image has 1 to 4 channels: the second output cannot be written, so the first is not.
    let result = run("a.npy", "z.png");
    assert_eq!(result.status, 1, "{}", result.stderr);
    assert_eq!(names(folder.path()), ["l.conv"]);
    assert_eq!(run("a.npy", "b.npy").status, 0);
    assert_eq!(names(folder.path()), ["a.npy", "b.npy", "l.conv"]);
}

#[test]
fn a_folder_that_is_missing_is_named() {
    let folder = folder();
    let (input, missing) = (text(&folder.path().join("blur.conv")), text(&folder.path().join("none")));
    let output = format!("{missing}/out.html");
    for args in [vec!["explain", &input, "--html", &output], vec!["opt", &input, "-o", &output]] {
        let result = convoke(&args);
        assert_eq!(result.status, 1, "{}", result.stderr);
        let expected = format!("there is no folder {missing}; make it first");
        assert!(result.stderr.contains(&expected) && !result.stderr.contains(".convoke"), "{}", result.stderr);
    }
}

/// A net whose weights are in files of every kind, in a folder below that of its text.
fn net_of_files(folder: &Path) -> String {
    let at = |name: &str| text(&folder.join(name));
    fs::create_dir(at("in")).expect("a folder");
    let small = "layer @l(%x: f32[1, 8, 3, 3]) -> f32[1, 8, 3, 3] {\n  %y = relu %x\n  return %y\n}\n";
    fs::write(at("in/w.conv"), small).expect("written");
    let made = convoke(&["run", &at("in/w.conv"), "--output", &format!("y={}", at("in/w.npy"))]);
    assert_eq!(made.status, 0, "{}", made.stderr);
    let ty = TensorType::new(Elem::F32, [1, 8, 3, 3], Layout::Nchw).expect("a type");
    let w = read_tensor(Path::new(&at("in/w.npy")), None, &ty, &Files::none()).expect("read").array;
    npz::write(Path::new(&at("in/w.npz")), &[("a", w.view())], Elem::F32).expect("written");
    safetensors::write(Path::new(&at("in/w.safetensors")), &[("a", w.view())], Elem::F32).expect("written");
    let net = "layer @net(%x: f32[1, 8, 9, 9]) -> f32[1, 3, 7, 7] {
  %a = const f32[1, 8, 3, 3] = file(\"w.npy\")
  %b = const f32[1, 8, 3, 3] = file(\"w.npz\", \"a\")
  %c = const f32[1, 8, 3, 3] = file(\"./w.safetensors\", \"a\")
  %0 = conv2d %x, %a
  %1 = conv2d %x, %b
  %2 = conv2d %x, %c
  %y = concat %0, %1, %2 { axis = 1 }
  return %y
}
";
    fs::write(at("in/net.conv"), net).expect("written");
    at("in/net.conv")
}

#[test]
fn weights_are_found_from_the_folder_of_an_output() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = |name: &str| text(&folder.path().join(name));
    let net = net_of_files(folder.path());
    fs::create_dir_all(at("other/deep")).expect("a folder");
    // A stranger of the same name must not be read.
    fs::copy(at("in/net.conv"), at("other/w.npy")).expect("copied");
    let result_of = |file: &str| {
        let output = at("y.npy");
        let result = convoke(&["run", file, "--layer", "net", "--output", &format!("y={output}")]);
        assert_eq!(result.status, 0, "{file}: {}", result.stderr);
        fs::read(output).expect("written")
    };
    let expected = result_of(&net);
    for out in ["in/out.conv", "out.conv", "other/out.conv", "other/deep/out.conv"] {
        let result = convoke(&["opt", &net, "-o", &at(out)]);
        assert_eq!((result.status, result.stderr.as_str()), (0, ""), "{out}");
        assert!(result_of(&at(out)) == expected, "{out} gives other numbers");
        let written = fs::read_to_string(at(out)).expect("written");
        assert_eq!(written.contains("safetensors\", \"net.a\""), out.starts_with("other"), "{written}");
    }
    let loops = at("other/out.loops");
    let result = convoke(&["compile", &net, "--emit", "loops", "-o", &loops]);
    assert_eq!((result.status, result.stderr.as_str()), (0, ""));
    assert!(fs::read_to_string(&loops).expect("written").contains("file(\"out.f32.safetensors\", \"net.a\")"));
    // Standard output is the working folder, which these files are not in: they are named in full, and never those of another file.
    let result = convoke(&["opt", &net]);
    assert_eq!(result.status, 0, "{}", result.stderr);
    let whole = folder.path().canonicalize().expect("there").join("in/w.npy");
    assert!(result.stdout.contains(&format!("file(\"{}\")", text(&whole))), "{}", result.stdout);
    assert!(result.stderr.starts_with("note: the text reads files outside"), "{}", result.stderr);
}
