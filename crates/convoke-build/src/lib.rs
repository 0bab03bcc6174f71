//! Nets that are compiled when a program is built, by its build script.
//!
//! ```toml
//! [build-dependencies]
//! convoke-build = { path = "…/convoke/crates/convoke-build" }
//!
//! [profile.dev.build-override]
//! opt-level = 2       # else convoke, as part of the build script, is compiled without optimisation
//! ```
//!
//! ```no_run
//! // build.rs
//! fn main() -> Result<(), convoke_build::Error> {
//!     convoke_build::Build::new("blur.conv").compile("blur")
//! }
//! ```
//!
//! ```ignore
//! // main.rs
//! mod blur {
//!     include!(concat!(env!("OUT_DIR"), "/blur.rs"));
//! }
//! let mut blur = blur::Blur::new().expect("code for this CPU");
//! blur.run(&image, &mut blurred);     // arrays whose lengths are those of the layer
//! ```
//!
//! The program needs nothing of convoke: the code is in a static library that cargo links, with a type for each layer in `OUT_DIR`. Its methods check nothing at
//! run time that its types say already.

#![forbid(unsafe_code)]

use std::env;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use convoke::objects::{Export, Nets, static_library};
/// Options of ONNX models.
pub use convoke::onnx;
use convoke::onnx::Options;
use convoke::{Compiler, Machine, Module, Target, UnknownMachine, UnknownTarget};

/// The CPUs of x86-64 that code is written for, unless [`Build::cpus`] says others.
const X86_64: [&str; 3] = ["x86-64", "x86-64-v3", "x86-64-v4"];

/// Why a net was not built.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The net cannot be read or compiled.
    #[error("{}", shown(.0))]
    Net(#[from] convoke::Error),
    /// A CPU that there is not.
    #[error(transparent)]
    Cpu(#[from] UnknownMachine),
    /// A target that no code can be written for.
    #[error(transparent)]
    Target(#[from] UnknownTarget),
    /// A CPU of another architecture than the target's.
    #[error("the target is {target}, the CPU `{cpu}` is {arch}")]
    Arch {
        /// The CPU.
        cpu: String,
        /// Its architecture.
        arch: String,
        /// The architecture of the target.
        target: String,
    },
    /// A name that is none of a library and of a file.
    #[error("`{0}` is no name of a library: it has letters, digits and `_` only")]
    Name(String),
    /// Not in a build script.
    #[error("the variable {0} is not set: this is for build scripts, which cargo runs")]
    NoScript(&'static str),
    /// A file that cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
}

/// As [`Display`](fmt::Display): a build script that ends with an error prints its `Debug`.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Mistakes of a text each in its place.
fn shown(error: &convoke::Error) -> String {
    error.render(false)
}

/// The layers of a text, or an ONNX model, to be compiled for the program that is being built.
#[derive(Clone, Debug)]
pub struct Build {
    file: PathBuf,
    compiler: Compiler,
    options: Options,
    cpus: Vec<String>,
}

impl Build {
    /// All layers of a `.conv` file, or the net of an `.onnx` model; a path is relative to the package.
    pub fn new(file: impl Into<PathBuf>) -> Build {
        Build { file: file.into(), compiler: Compiler::host(), options: Options::default(), cpus: Vec::new() }
    }

    /// With the options of this compiler: errors allowed, level, passes. Its machine and its threads do not count.
    pub fn with_compiler(self, compiler: Compiler) -> Build {
        Build { compiler, ..self }
    }

    /// With these options of the model: symbolic sizes, shapes of inputs, outputs.
    pub fn with_onnx(self, options: Options) -> Build {
        Build { options, ..self }
    }

    /// For these CPUs, by the names that [`Machine::named`] knows; the program chooses at run time. Without, for all levels of x86-64, or what every CPU of
    /// another architecture has.
    pub fn cpus<N: Into<String>>(self, names: impl IntoIterator<Item = N>) -> Build {
        Build { cpus: names.into_iter().map(Into::into).collect(), ..self }
    }

    /// Compiles, writes `NAME.rs` to the folder of cargo's `OUT_DIR` with a type for each layer, and has cargo link the code. A type has the name of its layer, in
    /// capitals and small letters; the only layer of a file is called `name`.
    ///
    /// # Errors
    ///
    /// All of [`Error`].
    pub fn compile(self, name: &str) -> Result<(), Error> {
        let variable = |name| env::var(name).map_err(|_| Error::NoScript(name));
        let (triple, folder) = (variable("TARGET")?, PathBuf::from(variable("OUT_DIR")?));
        println!("cargo::rerun-if-changed={}", self.file.display());
        for file in self.compile_for(name, &triple, &folder)? {
            println!("cargo::rerun-if-changed={}", file.display());
        }
        println!("cargo::rustc-link-search=native={}", folder.display());
        println!("cargo::rustc-link-lib=static={name}");
        Ok(())
    }

    /// As [`Build::compile`], for a target and a folder that need not be cargo's, and without telling cargo. Gives the files of weights that were read.
    ///
    /// # Errors
    ///
    /// All of [`Error`] but [`Error::NoScript`].
    pub fn compile_for(self, name: &str, triple: &str, folder: &Path) -> Result<Vec<PathBuf>, Error> {
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(Error::Name(name.into()));
        }
        let target = Target::named(triple)?;
        let compilers = self.compilers(&target)?;
        let module = match onnx::is_model(&self.file) {
            true => Module::from_onnx(&self.file, &self.options, self.compiler.max_memory())?,
            false => Module::read_within(&self.file, &self.compiler.limits())?,
        };
        let layers = match module.layers() {
            [net] => vec![net.clone().with_name(name)?],
            several => several.to_vec(),
        };
        let export = Export {
            prefix: format!("{name}_"),
            subnormals: compilers[0].subnormals(),
            triple: target.triple.clone(),
            ..Export::default()
        };
        let nets = Nets::lower(&compilers, &layers, export)?;
        let library = static_library(&nets.object()?.bytes, &target.triple);
        write(folder.join(format!("lib{name}.a")), &library.map_err(convoke::Error::from)?)?;
        write(folder.join(format!("{name}.rs")), nets.rust()?.as_bytes())?;
        Ok(module.constant_files())
    }

    fn compilers(&self, target: &Target) -> Result<Vec<Compiler>, Error> {
        let arch = &target.machine.arch;
        let names = match (self.cpus.is_empty(), arch.as_str()) {
            (true, "x86_64") => X86_64.map(String::from).to_vec(),
            (true, arch) => vec![arch.into()],
            (false, _) => self.cpus.clone(),
        };
        let mut compilers = Vec::new();
        for name in names {
            let machine = Machine::named(&name)?;
            if machine.arch != *arch {
                return Err(Error::Arch { cpu: name, arch: machine.arch, target: arch.clone() });
            }
            compilers.push(self.compiler.clone().with_machine(machine));
        }
        Ok(compilers)
    }
}

fn write(path: PathBuf, bytes: &[u8]) -> Result<(), Error> {
    fs::write(&path, bytes).map_err(|source| Error::Write { path, source })
}
