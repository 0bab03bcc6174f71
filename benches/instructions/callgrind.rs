//! Counts the instructions of one call in a process of its own, under valgrind's callgrind.

use std::process::Command;

/// The function whose calls are counted, as callgrind may call it.
pub(crate) const FUNCTION: &str = "*convoke_counted_call*";

/// Calls `work`. While this function is on the stack, callgrind counts.
pub(crate) fn counted(work: impl FnOnce()) {
    #[inline(never)]
    fn convoke_counted_call(work: &mut dyn FnMut()) {
        work();
    }
    let mut work = Some(work);
    convoke_counted_call(&mut || {
        if let Some(work) = work.take() {
            work();
        }
    });
}

/// Why nothing can be counted here.
pub(crate) fn missing() -> Option<&'static str> {
    if !cfg!(target_arch = "x86_64") {
        return Some("the counts are of x86-64 code");
    }
    if convoke::Machine::x86_64_v3().runs_on_host().is_err() {
        return Some("this CPU has no AVX2 with FMA");
    }
    match Command::new("valgrind").arg("--version").output() {
        Ok(output) if output.status.success() => None,
        _ => Some("valgrind is not installed"),
    }
}

/// Starts this program again under callgrind, with `variable` set to `value`, and gives the instructions it spent in `function`.
pub(crate) fn count(variable: &str, value: &str, function: &str) -> Result<u64, String> {
    let program = std::env::current_exe().map_err(|e| e.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no"])
        .arg(format!("--toggle-collect={function}"))
        .arg(program)
        .env(variable, value)
        .output()
        .map_err(|e| format!("valgrind cannot be started: {e}"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("valgrind ended with {}:\n{text}", output.status));
    }
    let collected = text.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse::<u64>().ok());
    collected.filter(|&n| n > 0).ok_or_else(|| format!("callgrind counted nothing in `{function}`:\n{text}"))
}
