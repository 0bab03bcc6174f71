//! The cache of compiled layers: a folder with a file for each.
//!
//! A file is named by a hash of its key: version, program, processor, machine, every option that code depends on, the layer's text, and the
//! numbers of its constants. Files are written whole under another name and then renamed, so that readers and other writers see an old file, a new one or none. A file
//! that is damaged or has another key counts as none. The folder may be deleted at any time.
//!
//! A layer that exceeds the limit on rounding is not stored, since a later process would have to say so too. Neither is
//! sanitised code. A compiler that tunes, or that was given samples, does not use the cache.

use std::fs::DirBuilder;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use blake3::Hasher;
use convoke_codegen::Compiled;
use convoke_data::{DataError, open, values, write_whole};
use convoke_ir::layer::{Def, Source};
use convoke_ir::limits::{Bounds, Limit};
use convoke_machine::processor;
use convoke_passes::Grants;

use crate::compiled::{CompiledLayer, Report};
use crate::compiler::Compiler;
use crate::kernel::Kernel;
use crate::layer::Layer;
use crate::lowered::Choice;

/// How a compiler used its cache for a layer; see [`Compiler::with_cache`].
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Cached {
    /// It did not: it has none, it tunes, or the code cannot be kept.
    #[default]
    Not,
    /// The code was loaded, not compiled.
    Loaded,
    /// The code was compiled and kept.
    Kept,
    /// The code was compiled and could not be kept, for this reason. It is compiled again the next time.
    NotKept(Arc<DataError>),
}

/// A layer with the folder and the key of its code.
pub(crate) struct Entry<'a> {
    folder: &'a Path,
    key: String,
    /// Before the key was made.
    start: Instant,
}

/// What is kept beside the program: the algorithms and the kernels, each as two names.
type Notes = [Vec<(String, String)>; 2];

impl<'a> Entry<'a> {
    /// The entry of a layer; `None` if the compiler has no cache or does not use it, or if a constant cannot be read, which compiling will say.
    pub(crate) fn of(compiler: &'a Compiler, layer: &Layer) -> Option<Entry<'a>> {
        let start = Instant::now();
        let folder = compiler.cache().filter(|_| compiler.tuning().is_none() && !compiler.samples().are_given())?;
        Some(Entry { folder, key: key(compiler, layer)?, start })
    }

    fn file(&self) -> PathBuf {
        self.folder.join(format!("{}.compiled", self.key))
    }

    /// The layer's code, if it was kept.
    pub(crate) fn load(&self, compiler: &Compiler, layer: &Layer) -> Option<CompiledLayer> {
        let file = open(&self.file()).ok()?;
        let options = CompiledLayer::options(compiler, layer);
        let (compiled, notes) = Compiled::load(&file, &self.key, compiler.machine(), &options)?;
        let [choices, kernels]: Notes = serde_json::from_str(&notes).ok()?;
        let choices = choices.into_iter().map(|(result, plan)| Some(Choice { result, algorithm: plan.parse().ok()? }));
        let choices = choices.collect::<Option<Vec<_>>>()?;
        let kernels = kernels.into_iter().map(|(name, value)| Kernel { name, value }).collect();
        let report = Report {
            choices,
            cached: Cached::Loaded,
            codegen_time: self.start.elapsed(),
            ..Report::of(compiler, layer, &compiled)
        };
        Some(CompiledLayer::of(layer, kernels, compiled, report))
    }

    /// Keeps the code of a layer.
    pub(crate) fn keep(&self, layer: &CompiledLayer) -> Cached {
        if !layer.report().unmet.is_empty() {
            return Cached::Not;
        }
        match self.write(layer) {
            Ok(()) => Cached::Kept,
            Err(DataError::Io { source, .. }) if source.kind() == io::ErrorKind::Unsupported => Cached::Not,
            Err(error) => Cached::NotKept(Arc::new(error)),
        }
    }

    fn write(&self, layer: &CompiledLayer) -> Result<(), DataError> {
        let choices = layer.report().choices.iter().map(|choice| (choice.result.clone(), choice.algorithm.to_string()));
        let kernels = layer.kernels().iter().map(|kernel| (kernel.name.clone(), kernel.value.clone()));
        let notes: Notes = [choices.collect(), kernels.collect()];
        let notes = serde_json::to_string(&notes).expect("names are text");
        let failed = |doing, path: &Path, source| DataError::Io { doing, path: path.into(), source };
        make(self.folder).map_err(|source| failed("make", self.folder, source))?;
        write_whole(&self.file(), |out| match layer.compiled().store(&self.key, &notes, out)? {
            true => Ok(()),
            false => Err(io::ErrorKind::Unsupported.into()),
        })
    }
}

/// Makes a folder that others cannot write to: code is run from it.
fn make(folder: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// The form of the files, counted up when it changes.
const FORMAT: u32 = 1;

/// The size and the time of the running program, so that code of another build is not taken for this one's; empty where they are not to be had.
fn program() -> String {
    let metadata = std::env::current_exe().and_then(std::fs::metadata);
    metadata.map_or_else(|_| String::new(), |metadata| format!("{} {:?}", metadata.len(), metadata.modified().ok()))
}

/// Everything that code depends on, as a hash.
fn key(compiler: &Compiler, layer: &Layer) -> Option<String> {
    let mut hasher = Hasher::new();
    let mut text = |text: &str| {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    };
    text(env!("CARGO_PKG_VERSION"));
    text(&format!("{FORMAT} {}", cfg!(feature = "algebra")));
    text(&program());
    text(&processor());
    text(&compiler.machine().to_toml());
    text(&format!(
        "{} {:?} {:?} {:?} {} {} {:?} {:?} {} {:?}",
        compiler.level(),
        Grants { bounds: Bounds::default(), ..compiler.grants() },
        compiler.max_output_error(),
        compiler.max_output_error().and(compiler.input_range()),
        compiler.algorithm(),
        compiler.threads(),
        compiler.limits().with(Limit::Time, 0),
        compiler.subnormals(),
        compiler.sanitize(),
        compiler.named(),
    ));
    let ir = compiler.declared(layer);
    text(&ir.to_string());
    let files = compiler.files(layer);
    for (_, value) in ir.values.iter() {
        if let Def::Const(source @ (Source::Computed(_) | Source::File { .. })) = &value.def {
            let numbers = values(source, &value.ty, &files).ok()?;
            hasher.update(&(numbers.bytes().len() as u64).to_le_bytes());
            hasher.update(numbers.bytes());
        }
    }
    Some(hasher.finalize().to_hex().to_string())
}
