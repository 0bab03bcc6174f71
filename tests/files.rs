//! Data files at the command: what they may hold, what is no file, and the one memory limit.

use std::fs;
use std::path::Path;
use std::time::Duration;

use convoke::Elem;
use convoke::{Layout, TensorType};
use convoke_cli::{Captured, capture};
use convoke_data::{image, npy};
use ndarray::{ArrayD, IxDyn};
use tempfile::TempDir;

/// A layer that gives its input back, of so many channels, and one whose weights are in a file.
fn layers(channels: usize) -> String {
    let ty = format!("f32[1, {channels}, 2, 2]");
    format!(
        "layer @same(%x: {ty}) -> {ty} {{
  %w = const f32[{channels}, 1, 1, 1] = ones
  %y = conv2d %x, %w {{ group = {channels} }}
  return %y
}}
layer @read(%x: {ty}) -> {ty} {{
  %w = const f32[{channels}] = file(\"w.npy\")
  %y = bias %x, %w
  return %y
}}
"
    )
}

fn folder(channels: usize) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("l.conv"), layers(channels)).expect("written");
    folder
}

/// The answer to a command line that names files of `folder` by `@`. It must come: what hangs is found after two minutes.
fn answer(folder: &Path, command: &str) -> Captured {
    let folder = folder.to_str().expect("the temporary folder has a UTF-8 name");
    let command = format!("convoke {command}").replace('@', &format!("{folder}/"));
    let (sender, receiver) = std::sync::mpsc::channel();
    let line = command.clone();
    std::thread::spawn(move || {
        let args: Vec<&str> = line.split(' ').collect();
        // The test may have given up.
        let _ = sender.send(capture(&args, &[]));
    });
    receiver.recv_timeout(Duration::from_secs(120)).unwrap_or_else(|_| panic!("`{command}` hangs"))
}

fn refused(folder: &Path, command: &str, expected: &str) {
    let result = answer(folder, command);
    assert_eq!((result.status, &*result.stdout), (1, ""), "`{command}`: {}", result.stderr);
    assert!(result.stderr.contains(expected), "`{command}` should say {expected}: {}", result.stderr);
}

#[cfg(unix)]
#[test]
fn pipes_devices_and_folders_are_refused_wherever_a_file_is_read() {
    let folder = folder(1);
    let at = |name: &str| folder.path().join(name);
    for pipe in ["pipe", "w.npy", "x.npz", "x.png"] {
        let made = std::process::Command::new("mkfifo").arg(at(pipe)).status().expect("mkfifo is there");
        assert!(made.success());
    }
    fs::create_dir(at("x.safetensors")).expect("made");
    std::os::unix::fs::symlink("/dev/zero", at("zero.npy")).expect("linked");
    for (command, what) in [
        ("run @l.conv --layer read", "a named pipe"),
        ("compile @l.conv --layer read -o @l.o", "a named pipe"),
        ("run @l.conv --layer same --input x=@x.npz", "a named pipe"),
        ("run @l.conv --layer same --input x=@x.png", "a named pipe"),
        ("run @l.conv --layer same --input x=@zero.npy", "a device"),
        ("run @l.conv --layer same --input x=@x.safetensors", "a folder"),
        ("run @l.conv --layer same --machine @pipe", "a named pipe"),
        ("run @l.conv --layer same --machine /dev/zero", "a device"),
        ("run @pipe", "a named pipe"),
        ("check /dev/zero", "a device"),
        ("opt @", "a folder"),
        ("algorithms --verify @pipe", "a named pipe"),
    ] {
        refused(folder.path(), command, &format!("it is {what}, not a regular file"));
    }
}

/// As a shell gives them for `<(…)`.
#[cfg(unix)]
#[test]
fn streams_that_the_process_was_given_are_read() {
    use std::io::Write;
    use std::os::fd::AsRawFd;

    let given = |text: &str| {
        let (reader, mut writer) = std::io::pipe().expect("a pipe");
        writer.write_all(text.as_bytes()).expect("less than a pipe holds");
        (format!("/dev/fd/{}", reader.as_raw_fd()), reader)
    };
    let (folder, machine) = (folder(1), convoke::Machine::named("x86-64-v3").expect("a machine").to_toml());
    let ((text, _text), (machine, _machine)) = (given(&layers(1)), given(&machine));
    let result = answer(folder.path(), &format!("opt {text} --layer same --stage layer --machine {machine}"));
    assert_eq!((result.status, &*result.stderr), (0, ""));
    assert!(result.stdout.contains("layer @same"), "{}", result.stdout);
}

#[test]
fn pictures_with_alpha_go_in_and_out() {
    for channels in [2, 4] {
        let folder = folder(channels);
        let path = folder.path().join("x.png");
        let ty = TensorType::new(Elem::F32, [1, channels, 2, 2], Layout::Nchw).expect("a type");
        let numbers = (0..4 * channels).map(|i| i as f64 / 15.0).collect();
        let picture = ArrayD::from_shape_vec(IxDyn(ty.shape.dims()), numbers).expect("as many");
        image::write(&path, &ty, &picture).expect("written");
        let result = answer(folder.path(), "run @l.conv --layer same --input x=@x.png --output y=@y.png");
        assert_eq!((result.status, &*result.stderr), (0, ""));
        assert_eq!(fs::read(folder.path().join("y.png")).expect("written"), fs::read(&path).expect("there"));
    }
}

#[test]
fn outputs_without_numbers_have_no_range() {
    let folder = folder(1);
    let run = |numbers: [f64; 4], options: &str| {
        let array = ArrayD::from_shape_vec(IxDyn(&[1, 1, 2, 2]), numbers.to_vec()).expect("four");
        npy::write(&folder.path().join("x.npy"), array.view(), Elem::F32).expect("written");
        answer(folder.path(), &format!("run @l.conv --layer same --no-times --input x=@x.npy{options}"))
    };
    let line = |numbers| run(numbers, "").stdout.lines().find(|line| line.starts_with("output")).map(str::to_owned);
    let of = |numbers| line(numbers).expect("a line for each output").split_once("], ").expect("a type").1.to_owned();
    assert_eq!(of([f64::NAN; 4]), "all NaN");
    assert_eq!(of([f64::NAN, 1.0, 2.0, 3.0]), "1 NaN, the others from 1.0000 to 3.0000, mean 2.0000");
    assert_eq!(of([0.0, 1.0, 2.0, 3.0]), "from 0.0000 to 3.0000, mean 1.5000");
    let json: serde_json::Value = serde_json::from_str(&run([f64::NAN; 4], " --json").stdout).expect("JSON");
    let output = &json["outputs"][0];
    assert_eq!((output["nan"].as_u64(), output["min"].is_null()), (Some(4), true), "{output}");
    // A picture of them says what became of them.
    let result = run([f64::NAN, -1.0, 2.0, 0.5], " --output y=@y.png");
    let notes = "note: 2 of 4 values were outside [0, 1] and were clipped\nnote: 1 of 4 values were NaN and became 0\n";
    assert_eq!((result.status, &*result.stderr), (0, notes));
}

#[test]
fn an_input_from_a_file_of_several_arrays_is_the_one_of_its_name() {
    let folder = folder(1);
    let array = |value: f32| ArrayD::from_elem(IxDyn(&[1, 1, 2, 2]), f64::from(value));
    let write = |name: &str, arrays: [&str; 2]| {
        let (one, two) = (array(1.0), array(2.0));
        let arrays = [(arrays[0], one.view()), (arrays[1], two.view())];
        convoke_data::npz::write(&folder.path().join(name), &arrays, Elem::F32).expect("written");
    };
    write("x.npz", ["w", "x"]);
    let result = answer(folder.path(), "run @l.conv --layer same --no-times --input x=@x.npz");
    assert!(result.stdout.contains("from 2.0000 to 2.0000"), "{}{}", result.stdout, result.stderr);
    write("z.npz", ["w", "z"]);
    refused(folder.path(), "run @l.conv --layer same --input x=@z.npz", "has no array \"x\"; it has \"w\", \"z\"");
}

/// 512 numbers take 2 KiB as they are given, and more in the interpreter, which has the same limit.
#[test]
fn one_memory_limit_holds_for_whoever_takes_memory() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let text = "layer @l(%x: f32[1, 1, 16, 16]) -> f32[1, 1, 16, 16] {
  %w = const f32[1, 1, 3, 3] = box
  %y = conv2d %x, %w { pads = [1, 1, 1, 1] }
  return %y
}
";
    fs::write(folder.path().join("l.conv"), text).expect("written");
    let ok = |command: &str| {
        let result = answer(folder.path(), command);
        assert_eq!((result.status, &*result.stderr), (0, ""), "{command}");
    };
    for command in ["run @l.conv --check", "check @l.conv", "run @l.conv --backend interp"] {
        ok(&format!("{command} --max-memory 64G"));
        refused(folder.path(), &format!("{command} --max-memory 3K"), "`--max-memory`");
    }
    ok("run @l.conv --max-memory 16K");
    for command in ["run @l.conv", "bench @l.conv --seconds 0", "run @l.conv --algorithm im2col(explicit)"] {
        refused(folder.path(), &format!("{command} --max-memory 2060"), "`--max-memory`");
    }
    refused(folder.path(), "run @l.conv --algorithm im2col(explicit) --max-memory 8K", "`--max-memory`");
    ok("analyze @l.conv");
    refused(folder.path(), "analyze @l.conv --max-memory 64", "needs 72 bytes, the memory budget is 64 bytes");
    // A patch matrix of more than a GiB is for the limit to refuse, not for the choice of an algorithm.
    let large = text.replace("16, 16", "8192, 8192");
    fs::write(folder.path().join("large.conv"), large).expect("written");
    ok("opt @large.conv --stage layer --algorithm im2col(explicit)");
}
