//! Cross compilers and the runners of their programs.

use std::path::Path;
use std::process::{Command, Output};

/// Set where every tool must be there: a missing one is then a failure.
pub(crate) const ALL: &str = "CONVOKE_ALL_TARGETS";

/// The tools of a target.
pub(crate) struct Toolchain {
    /// The triple that the command knows.
    pub(crate) triple: &'static str,
    /// The C compiler, with its arguments.
    compiler: &'static [&'static str],
    /// The command before the program's name; nothing where the system starts it by itself.
    runner: Option<&'static str>,
    /// The architecture that programs without a runner need.
    arch: &'static str,
    /// Whether numbers in memory begin with their most significant byte.
    pub(crate) big_endian: bool,
}

const CPU: Toolchain = Toolchain { triple: "", compiler: &[], runner: None, arch: "x86_64", big_endian: false };

/// Every target whose programs can be run.
pub(crate) const TOOLCHAINS: [Toolchain; 6] = [
    Toolchain { triple: "x86_64-unknown-linux-gnu", compiler: &["cc"], ..CPU },
    Toolchain { triple: "x86_64-unknown-linux-musl", compiler: &["musl-gcc", "-static"], ..CPU },
    Toolchain { triple: "x86_64-pc-windows-gnu", compiler: &["x86_64-w64-mingw32-gcc"], runner: Some("wine"), ..CPU },
    Toolchain {
        triple: "aarch64-unknown-linux-gnu",
        compiler: &["aarch64-linux-gnu-gcc", "-static"],
        runner: Some("qemu-aarch64"),
        ..CPU
    },
    Toolchain {
        triple: "riscv64gc-unknown-linux-gnu",
        compiler: &["riscv64-linux-gnu-gcc", "-static"],
        runner: Some("qemu-riscv64"),
        ..CPU
    },
    Toolchain {
        triple: "s390x-unknown-linux-gnu",
        compiler: &["s390x-linux-gnu-gcc", "-static"],
        runner: Some("qemu-s390x"),
        big_endian: true,
        ..CPU
    },
];

/// The toolchain of a target, or `None`, with a loud note, where a tool of it is missing.
pub(crate) fn toolchain(triple: &str) -> Option<&'static Toolchain> {
    let all = TOOLCHAINS.iter().find(|tools| tools.triple == triple).expect("a target of the list");
    let missing = all.missing();
    if missing.is_empty() {
        return Some(all);
    }
    let note = format!("no program for {triple} is run: this system has no {}", missing.join(" and no "));
    assert!(std::env::var_os(ALL).is_none(), "{note}, and {ALL} is set");
    eprintln!("SKIPPED: {note}; with {ALL} set this is a failure");
    None
}

impl Toolchain {
    fn missing(&self) -> Vec<&'static str> {
        let tools = self.compiler.first().into_iter().chain(self.runner.as_ref());
        let there = |tool: &&str| Command::new(tool).arg("--version").output().is_ok();
        let mut missing: Vec<&str> = tools.copied().filter(|tool| !there(tool)).collect();
        if self.is_windows() && std::env::consts::ARCH != self.arch || self.runner.is_none() && !native(self.arch) {
            missing.push("x86-64 CPU under Linux");
        }
        missing
    }

    pub(crate) fn is_windows(&self) -> bool {
        self.triple.contains("windows")
    }

    /// Compiles and links the files of a folder that these arguments name, as `main.exe`.
    pub(crate) fn link(&self, folder: &Path, args: &[String]) {
        let (compiler, flags) = self.compiler.split_first().expect("a compiler");
        let built = Command::new(compiler)
            .args(["-std=c11", "-O1", "-Wall", "-Wextra", "-Werror", "-o", "main.exe"])
            .args(flags)
            .args(args)
            .arg("-lm")
            .current_dir(folder)
            .output()
            .expect("it was there a moment ago");
        assert!(built.status.success(), "{}: {}", self.triple, String::from_utf8_lossy(&built.stderr));
    }

    /// Runs `main.exe` of a folder, in that folder.
    pub(crate) fn run(&self, folder: &Path) -> Output {
        let program = folder.join("main.exe");
        let mut command = match self.runner {
            None => Command::new(program),
            Some(runner) => {
                let mut command = Command::new(runner);
                command.arg(program);
                command
            }
        };
        command.current_dir(folder);
        let wine = [("WINEPREFIX", folder.join("wine").into_os_string()), ("WINEDEBUG", "-all".into())];
        let output = command.envs(wine.clone()).output().expect("it was there a moment ago");
        if self.is_windows() {
            // The server of this folder ends before the folder is removed.
            let _ = Command::new("wineserver").arg("-k").envs(wine).output();
        }
        output
    }
}

fn native(arch: &str) -> bool {
    std::env::consts::ARCH == arch && std::env::consts::OS == "linux"
}
