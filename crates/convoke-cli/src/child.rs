//! Other programs, with a limit on their time. What they write goes to files, so that no reader waits for a process that they left behind.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The status of a program that was ended at its limit, as that of `timeout`.
pub(crate) const TIMED_OUT: i32 = 124;
/// The status of a program that a signal ends is this and the number of the signal, as in a shell.
#[cfg(unix)]
const SIGNALLED: i32 = 128;
/// The most bytes of each output that are read.
const MAX_OUTPUT: u64 = 16 << 20;
/// The longest time between two looks at a program.
const LONGEST_WAIT: Duration = Duration::from_millis(10);

/// The program that is running; 0 if none is. Locked while one starts, so that none runs unknown.
static RUNNING: Mutex<u32> = Mutex::new(0);

/// A program that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs a program until it ends or `limit` has passed. Its output goes to files in `folder` meanwhile.
pub(crate) fn run(command: &mut Command, folder: &Path, limit: Duration) -> io::Result<Ended> {
    let files = ["stdout", "stderr"].map(|name| folder.join(name));
    command.stdin(Stdio::null()).stdout(File::create(&files[0])?).stderr(File::create(&files[1])?);
    // A group of its own can be ended with all that it has started.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(command, 0);
    let mut running = running();
    let mut child = command.spawn()?;
    *running = child.id();
    drop(running);
    let status = wait(&mut child, limit);
    *self::running() = 0;
    let [stdout, stderr] = files.map(|file| read(&file));
    Ok(Ended { status: status?.map_or(TIMED_OUT, number), stdout: stdout?, stderr: stderr? })
}

fn running() -> MutexGuard<'static, u32> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends the program that is running, with all that it has started. No other starts after it: this process ends.
pub(crate) fn stop() {
    let running = running();
    stop_group(*running);
    std::mem::forget(running);
}

fn wait(child: &mut Child, limit: Duration) -> io::Result<Option<ExitStatus>> {
    let (start, mut pause) = (Instant::now(), Duration::from_millis(1));
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if start.elapsed() >= limit {
            stop_group(child.id());
            // It may have ended meanwhile.
            let _ = child.kill();
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_WAIT);
    }
}

#[cfg(unix)]
fn stop_group(id: u32) {
    use rustix::process::{Pid, Signal, kill_process_group};

    if let Some(id) = i32::try_from(id).ok().and_then(Pid::from_raw) {
        // It may have ended meanwhile.
        let _ = kill_process_group(id, Signal::KILL);
    }
}

#[cfg(not(unix))]
fn stop_group(_: u32) {}

#[cfg(unix)]
fn number(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;

    status.code().unwrap_or_else(|| SIGNALLED + status.signal().unwrap_or(0))
}

#[cfg(not(unix))]
fn number(status: ExitStatus) -> i32 {
    status.code().unwrap_or(TIMED_OUT)
}

fn read(file: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(file)?.take(MAX_OUTPUT).read_to_end(&mut bytes)?;
    fs::remove_file(file)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn shell(line: &str, limit: Duration) -> Ended {
        let folder = tempfile::tempdir().expect("a temporary folder");
        run(Command::new("sh").args(["-c", line]), folder.path(), limit).expect("it runs")
    }

    #[test]
    fn statuses_are_those_of_a_shell() {
        let long = Duration::from_secs(60);
        for (line, status) in [("exit 0", 0), ("exit 7", 7), ("kill -KILL $$", 137), ("kill -SEGV $$", 139)] {
            assert_eq!(shell(line, long).status, status, "{line}");
        }
        let ended = shell("echo out; echo err >&2", long);
        assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("out\n", "err\n"));
    }

    /// The shell waits for a program that it has started, which holds its output open.
    #[test]
    fn what_a_program_started_ends_with_it() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("pid");
        let ended = shell(&format!("sleep 600 & echo $! > '{}'; wait", file.display()), Duration::from_millis(300));
        assert_eq!(ended.status, TIMED_OUT);
        let pid = fs::read_to_string(&file).expect("the shell came so far");
        // A process that was ended and has no parent may take a moment to go.
        let gone = || {
            let state = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
            state.is_empty() || state.contains(") Z ")
        };
        assert!(
            (0..500).any(|_| gone() || {
                std::thread::sleep(LONGEST_WAIT);
                false
            }),
            "{pid} is still there"
        );
    }
}
