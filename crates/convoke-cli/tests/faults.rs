//! Faults of the system: no memory, no executable memory, processes that end while they write, processes that write at once.
#![cfg(target_os = "linux")]

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

/// Weights of 4 MiB: files that take a while to write.
const LAYER: &str = "layer @l(%x: f32[1, 256, 8, 8]) -> f32[1, 512, 8, 8] {
  %w = const f32[512, 256, 3, 3] = normal(seed = 1, std = 0.05)
  %y = conv2d %x, %w { pads = [1, 1, 1, 1] }
  return %y
}
";
/// The command.
const CONVOKE: &str = env!("CARGO_BIN_EXE_convoke");

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("l.conv"), LAYER).expect("written");
    folder
}

fn started(folder: &Path, args: &str) -> Child {
    let mut command = Command::new(CONVOKE);
    command.args(args.split(' ')).current_dir(folder).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("it starts")
}

fn ended(child: Child) -> Output {
    child.wait_with_output().expect("it ends")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Address space for the program, and not for the memory of a layer.
#[test]
fn want_of_memory_is_told() {
    let folder = folder();
    let layer = LAYER.replace("8, 8]", "640, 640]");
    fs::write(folder.path().join("l.conv"), layer).expect("written");
    let shell = format!("ulimit -c 0; ulimit -v 600000; exec {CONVOKE} run l.conv --max-memory 16G");
    let output = Command::new("sh").args(["-c", &shell]).current_dir(folder.path()).output().expect("it runs");
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("which the system does not give"), "{}", stderr(&output));
}

/// Linux refuses memory that becomes executable to a process that has said so (`PR_SET_MDWE`), from version 6.3 on.
#[test]
fn want_of_executable_memory_is_told() {
    const START: &str = "import ctypes, os, sys
if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0) != 0: sys.exit(77)
os.execv(sys.argv[1], sys.argv[1:])";
    let folder = folder();
    let command =
        Command::new("python3").args(["-c", START, CONVOKE, "run", "l.conv"]).current_dir(folder.path()).output();
    let Ok(output) = command else {
        eprintln!("WARNING: there is no python3; NO RUN WITHOUT EXECUTABLE MEMORY IS TESTED");
        return;
    };
    if output.status.code() == Some(77) {
        eprintln!("WARNING: this kernel cannot deny executable memory; NO RUN WITHOUT IT IS TESTED");
        return;
    }
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("no executable memory"), "{}", stderr(&output));
}

/// A process that is killed leaves no part of a file under its final name.
#[test]
fn what_is_killed_while_it_writes_leaves_whole_files() {
    let folder = folder();
    let whole = |args: &str, name: &str| {
        let output = ended(started(folder.path(), args));
        assert!(output.status.success(), "{}", stderr(&output));
        let path = folder.path().join(name);
        let bytes = fs::read(&path).expect("it was written");
        fs::remove_file(path).expect("it can be removed");
        bytes
    };
    let args = "compile l.conv -o l.o";
    let right = whole(args, "l.o");
    for wait in (0..60).map(|i| Duration::from_millis(5 * i)) {
        let mut child = started(folder.path(), args);
        thread::sleep(wait);
        child.kill().expect("it can be killed");
        ended(child);
        let path = folder.path().join("l.o");
        if let Ok(found) = fs::read(&path) {
            assert!(found == right, "killed after {wait:?}: {} bytes of {}", found.len(), right.len());
            fs::remove_file(path).expect("it can be removed");
        }
    }
}

/// Processes that share a cache give the same results while others are killed.
#[test]
fn processes_share_a_cache() {
    let folder = folder();
    let run = "run l.conv --cache kept --output y=y.npy --no-times";
    let run = |i: usize| run.replace("y.npy", &format!("y{i}.npy"));
    let output = ended(started(folder.path(), "run l.conv --output y=y.npy --no-times"));
    assert!(output.status.success(), "{}", stderr(&output));
    let right = fs::read(folder.path().join("y.npy")).expect("it was written");
    for round in 0..4 {
        let children: Vec<Child> = (0..4).map(|i| started(folder.path(), &run(i))).collect();
        let mut killed = started(folder.path(), &run(9));
        thread::sleep(Duration::from_millis(20 * round));
        killed.kill().expect("it can be killed");
        ended(killed);
        for (i, child) in children.into_iter().enumerate() {
            let output = ended(child);
            assert!(output.status.success(), "{}", stderr(&output));
            assert!(fs::read(folder.path().join(format!("y{i}.npy"))).expect("it was written") == right, "run {i}");
        }
    }
}
