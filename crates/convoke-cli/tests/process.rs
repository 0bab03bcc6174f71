//! The command as a process: signals, limits of the system, and files left behind.
#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

/// An output of 1 MiB.
const LARGE: &str = "layer @large(%x: f32[1, 4, 256, 256]) -> f32[1, 4, 256, 256] {
  %w = const f32[4, 4, 3, 3] = normal(seed = 1)
  %y = conv2d %x, %w { pads = [1, 1, 1, 1] }
  return %y
}
";

fn convoke() -> Command {
    Command::new(env!("CARGO_BIN_EXE_convoke"))
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("large.conv"), LARGE).expect("written");
    folder
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("the folder is there");
    entries.map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn standard_output_that_is_full_is_told() {
    let folder = folder();
    for args in [&["--help"][..], &["run", "--help"], &["--version"], &["passes"], &["opt", "large.conv"]] {
        let full = File::options().write(true).open("/dev/full").expect("it can be opened");
        let output = convoke().args(args).current_dir(folder.path()).stdout(full).output().expect("it runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {stderr}");
        assert!(stderr.contains("cannot write to standard output"), "{args:?}: {stderr}");
    }
}

/// A file of more than a block ends the process by a signal. It must leave nothing, neither under a temporary name nor in part.
#[test]
fn a_process_that_is_killed_leaves_nothing() {
    let folder = folder();
    for args in ["run large.conv --output y=y.npy", "opt large.conv --stage loops -o out.conv"] {
        let shell = format!("ulimit -c 0; ulimit -f 1; exec {} {args}", env!("CARGO_BIN_EXE_convoke"));
        let output = Command::new("sh").args(["-c", &shell]).current_dir(folder.path()).output().expect("it runs");
        assert!(!output.status.success(), "{args}: the limit on sizes of files did not act");
        assert_eq!(names(folder.path()), ["large.conv"], "{args}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Threads are counted while the process runs, which can miss some but makes none up.
#[test]
fn the_environment_starts_no_threads() {
    let folder = folder();
    for args in [&["check", "large.conv"][..], &["run", "large.conv", "--threads", "2"]] {
        let mut command = convoke();
        command.args(args).current_dir(folder.path()).env("RAYON_NUM_THREADS", "5000");
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
        let tasks = format!("/proc/{}/task", child.id());
        let mut most = 0;
        let status = loop {
            most = most.max(fs::read_dir(&tasks).map_or(0, Iterator::count));
            if most > 1000 {
                child.kill().expect("it is ours");
            }
            if let Some(status) = child.try_wait().expect("it is ours") {
                break status;
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        };
        assert!(most < 1000 && status.success(), "{args:?}: {most} threads, {status}");
    }
}

/// A linker that does not end, and a signal: the folder that was made for it is removed.
#[test]
fn a_signal_leaves_no_temporary_folder() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::ExitStatusExt;

    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("temporary")).expect("a folder");
    fs::write(at("cc"), format!("#!/bin/sh\necho $$ > {}\nexec sleep 600\n", at("started").display()))
        .expect("written");
    fs::set_permissions(at("cc"), fs::Permissions::from_mode(0o755)).expect("it is ours");
    let path = std::env::join_paths([folder.path(), Path::new("/usr/bin"), Path::new("/bin")]).expect("no colons");
    let kill = |signal: &str, pid: &str| {
        assert!(Command::new("kill").args([signal, pid.trim()]).status().expect("it runs").success());
    };
    for (signal, number) in [("-TERM", 15), ("-INT", 2)] {
        let mut command = convoke();
        command.args(["compile", "large.conv", "--emit", "sharedlib", "-o", "large.so"]).current_dir(folder.path());
        let mut child = command.env("PATH", &path).env("TMPDIR", at("temporary")).spawn().expect("it starts");
        // The number is there when its line is.
        let linker = loop {
            match fs::read_to_string(at("started")) {
                Ok(pid) if pid.ends_with('\n') => break pid,
                _ => assert!(child.try_wait().expect("it is ours").is_none(), "it ended without its linker"),
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        };
        assert_eq!(names(&at("temporary")).len(), 1);
        kill(signal, &child.id().to_string());
        let status = child.wait().expect("it is ours");
        kill("-KILL", &linker);
        fs::remove_file(at("started")).expect("it is there");
        assert_eq!(status.signal(), Some(number), "{status}");
        assert_eq!(names(&at("temporary")), Vec::<String>::new());
        assert!(!at("large.so").exists());
    }
}

/// A net that fails the check with an option of it; a smaller one fails in the same way.
#[test]
fn a_failing_check_is_reduced() {
    let folder = folder();
    let reduce = |more: &[&str]| {
        convoke().args(["reduce", "large.conv"]).args(more).current_dir(folder.path()).output().expect("it runs")
    };
    let output = reduce(&["--max-error", "1e-12", "-o", "small.conv"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stderr.contains("the failure to keep: "), "{stderr}");
    let small = fs::read_to_string(folder.path().join("small.conv")).expect("it was written");
    let expected = "layer @large(%x: f32[1, 1, 1, 1]) -> f32[1, 1, 1, 1] {
  %w = const f32[1, 1, 1, 1] = zeros
  %y = conv2d %x, %w
  return %y
}
";
    assert_eq!(small, expected, "{stderr}");
    let output = reduce(&[]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && stderr.contains("`convoke check` ended with status 0"), "{stderr}");
}

/// A signal ends the program that is running too, and leaves no folder.
#[test]
fn a_signal_ends_what_reduce_runs() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("temporary")).expect("a folder");
    let mut command = convoke();
    command.args(["reduce", "large.conv", "--command", "echo $$ > started; exec sleep 600 # {}"]);
    let mut child = command.current_dir(folder.path()).env("TMPDIR", at("temporary")).spawn().expect("it starts");
    // The number is there when its line is.
    let running = loop {
        match fs::read_to_string(at("started")) {
            Ok(pid) if pid.ends_with('\n') => break pid,
            _ => assert!(child.try_wait().expect("it is ours").is_none(), "it ended without its program"),
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    };
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().expect("it runs").success());
    assert!(!child.wait().expect("it is ours").success());
    let gone = || {
        let state = fs::read_to_string(format!("/proc/{}/stat", running.trim())).unwrap_or_default();
        state.is_empty() || state.contains(") Z ")
    };
    let soon = (0..1000).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(5));
        gone()
    });
    assert!(soon, "the program is still there");
    assert_eq!(names(&at("temporary")), Vec::<String>::new());
}
