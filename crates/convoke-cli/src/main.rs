//! The `convoke` command: the process around [`convoke_cli::main_with`].

#![forbid(unsafe_code)]

use std::io::{BufWriter, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    // The status of a process that panicked is 101, which the contract of the command keeps for our own mistakes.
    std::panic::set_hook(Box::new(|panic| {
        let report = format!(
            "convoke: {panic}\n\nThis is a bug in convoke {}. Please report it with the command line and the input file.\n",
            env!("CARGO_PKG_VERSION")
        );
        // Standard error may be gone; a second panic would hide the first.
        let _ = std::io::stderr().write_all(report.as_bytes());
    }));
    #[cfg(unix)]
    convoke_cli::before_temporary(watch_signals);
    let plain = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
    let terminal = std::io::stderr().is_terminal();
    let mut stdout = BufWriter::new(std::io::stdout().lock());
    let (cache, program) = (cache(), std::env::current_exe().ok());
    let mut io = convoke_cli::Io {
        stdin: &mut std::io::stdin().lock(),
        stdout: &mut stdout,
        stderr: &mut std::io::stderr(),
        color: terminal && !plain,
        progress: terminal,
        cache: cache.as_deref(),
        program: program.as_deref(),
    };
    let status = convoke_cli::main_with(std::env::args_os(), &mut io);
    // The rest in the buffer of a broken pipe must not be written again on drop, nor reported.
    let (_, _rest) = stdout.into_parts();
    ExitCode::from(status)
}

/// Cleans up before a signal ends the process.
#[cfg(unix)]
fn watch_signals() {
    use signal_hook::consts::{SIGINT, SIGTERM};
    use signal_hook::low_level::emulate_default_handler;

    // Without this the process ends as it would anyway.
    let Ok(mut signals) = signal_hook::iterator::Signals::new([SIGINT, SIGTERM]) else { return };
    std::thread::spawn(move || {
        for signal in signals.forever() {
            convoke_cli::clean_up();
            let _ = emulate_default_handler(signal);
        }
    });
}

/// The folder of this user's caches: `$CONVOKE_CACHE_DIR`, else a folder in `$XDG_CACHE_HOME`, else the system's.
fn cache() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = || variable("HOME");
    let platform = || match std::env::consts::OS {
        "windows" => variable("LOCALAPPDATA"),
        "macos" => home().map(|home| home.join("Library/Caches")),
        _ => home().map(|home| home.join(".cache")),
    };
    // The variable must be absolute to count, says the XDG Base Directory Specification.
    let xdg = || variable("XDG_CACHE_HOME").filter(|path| path.is_absolute());
    variable("CONVOKE_CACHE_DIR").or_else(|| Some(xdg().or_else(platform)?.join("convoke")))
}
