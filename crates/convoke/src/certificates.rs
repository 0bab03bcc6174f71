//! Certificates: how a layer became a program, written so that it can be replayed without the passes.
//!
//! [`Compiler::certify`] writes a folder: the layer as given and after each pass that changed it, the numbers of its constants, the matrices of the
//! algorithms that were chosen, and `certificate.json`, which names them all. [`verify()`] replays it; it is of a crate that knows the meaning of the
//! languages, and nothing of passes, of the choice of algorithms or of code.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;

use convoke_bilinear::{Bilinear, Partition, fft, file, matmul, winograd};
use convoke_conv::{Conv, certified, covers, kernel_blocks};
use convoke_data::{DataError, Files, safetensors, values, write_whole};
use convoke_ir::layer::{Def, Layer as Ir, Op, Source};
use convoke_ir::loops::Role;
use convoke_ir::types::TensorType;
use convoke_passes::{Guarantee, Outcome, Record, Stage as Language, State, registry};

use convoke_verify::{
    Algorithm, Axis, Change, Convolution, Cover, FORMAT, File, NAME, Problem, Stage, hash, hash_of_file, residuals,
};
pub use convoke_verify::{Certificate, Check, Refused, Replay, Report, verify, verify_code};

use crate::compiler::Compiler;
use crate::error::Error;
use crate::layer::Layer;
use crate::pipeline::Verify;

/// The array of a file of weights.
const ARRAY: &str = "w";
/// How many times the deviation of kernels results may deviate by: it is a mean over outputs of white inputs.
const DEVIATION: f64 = 4.0;

impl Compiler {
    /// Compiles `layer` to loops, and writes a certificate of that to the folder `at`, which must be empty or not there. `certificate.json`
    /// is written last.
    ///
    /// # Errors
    ///
    /// As [`Compiler::lower`]; [`DataError`] for constants that are unbound or cannot be read, and for files that cannot be written.
    pub fn certify(&self, layer: &Layer, at: &Path) -> Result<Certificate, Error> {
        self.fits(layer)?;
        empty(at)?;
        let mut stages = vec![(None, State::Layer(self.declared(layer)))];
        let observer = |record: &Record, state: &State| {
            if record.changed.is_yes() {
                stages.push((Some(record.clone()), state.clone()));
            }
        };
        self.run_level(layer, Language::Loops, Verify::Each, observer)?;

        let mut folder =
            Folder { at, files: self.files(layer), weights: Vec::new(), before: None, texts: HashMap::new() };
        let last =
            stages.iter().rev().find_map(|(_, state)| if let State::Layer(ir) = state { Some(ir) } else { None });
        let convolutions = last.map_or(Ok(Vec::new()), |last| folder.convolutions(last))?;
        let named = stages.into_iter().enumerate().map(|(i, (record, state))| folder.stage(i, record, state));
        let stages = named.collect::<Result<Vec<_>, Error>>()?;
        let certificate = Certificate {
            format: FORMAT,
            by: concat!("convoke ", env!("CARGO_PKG_VERSION")).into(),
            layer: layer.name().into(),
            machine: self.machine().to_toml(),
            stages,
            weights: folder.weights,
            convolutions,
            code: Vec::new(),
            seal: String::new(),
        };
        let certificate = certificate.sealed();
        write_whole(&at.join(NAME), |out| out.write_all(certificate.to_text().as_bytes()))?;
        Ok(certificate)
    }
}

/// States the files of code that were written with the certificate in the folder `at`, so that [`verify_code`] knows them.
///
/// # Errors
///
/// [`Error::Certificate`] for a folder without a certificate, and for files that cannot be read; [`DataError`] where it cannot be written.
pub fn state_code(at: &Path, code: &[&Path]) -> Result<(), Error> {
    let text = convoke_verify::with_code(at, code).map_err(Box::new)?;
    Ok(write_whole(&at.join(NAME), |out| out.write_all(text.as_bytes()))?)
}

/// Makes the folder, or finds it empty.
fn empty(at: &Path) -> Result<(), DataError> {
    let failed = |source| DataError::Io { doing: "write", path: at.into(), source };
    fs::create_dir_all(at).map_err(failed)?;
    let found = fs::read_dir(at).map_err(failed)?.next().is_some();
    let reason = "it holds files already; a certificate takes a folder of its own";
    if found { Err(failed(io::Error::new(io::ErrorKind::AlreadyExists, reason))) } else { Ok(()) }
}

/// The folder of a certificate, while it is filled.
struct Folder<'a> {
    at: &'a Path,
    /// Where the layer's own constants are read.
    files: Files,
    weights: Vec<File>,
    /// The last layer that was written.
    before: Option<Ir>,
    /// The texts of matrices that are there, by name.
    texts: HashMap<String, File>,
}

impl Folder<'_> {
    fn write(&self, name: String, text: &str) -> Result<File, Error> {
        write_whole(&self.at.join(&name), |out| out.write_all(text.as_bytes()))?;
        Ok(File { name, hash: hash(text.as_bytes()) })
    }

    /// Writes the state number `i`, with its constants.
    fn stage(&mut self, i: usize, record: Option<Record>, mut state: State) -> Result<Stage, Error> {
        let pass = record.as_ref().map(|record| record.pass.to_owned());
        let of = pass.as_deref().unwrap_or("as-given");
        let (text, ending) = match &mut state {
            State::Layer(layer) => {
                for id in layer.values.ids().collect::<Vec<_>>() {
                    let value = &mut layer.values[id];
                    if let Def::Const(source) = &mut value.def {
                        self.constant(source, &value.ty)?;
                    }
                }
                (layer.to_string(), "conv")
            }
            State::Loops(program) => {
                for id in program.buffers.ids().collect::<Vec<_>>() {
                    let buffer = &mut program.buffers[id];
                    if let Role::Const(source) = &mut buffer.role {
                        self.constant(source, &buffer.ty)?;
                    }
                }
                (program.to_string(), "loops")
            }
        };
        let residuals = match (&self.before, &state) {
            (Some(before), State::Layer(after)) => residuals(before, after, &Files::at(self.at))?,
            _ => Vec::new(),
        };
        let file = self.write(format!("{i:02}-{of}.{ending}"), &text)?;
        let change = record.as_ref().map_or(Change::Exact, change);
        let rewritten = record.iter().flat_map(|record| &record.notes);
        let reasons = rewritten.filter(|note| matches!(note.outcome, Outcome::Rewritten(_))).map(ToString::to_string);
        let reasons = reasons.collect();
        if let State::Layer(layer) = state {
            self.before = Some(layer);
        }
        Ok(Stage { file, pass, change, reasons, residuals })
    }

    /// Writes the numbers of a constant to a file of the folder, named by its hash, and has the text read that.
    fn constant(&mut self, source: &mut Source, ty: &TensorType) -> Result<(), Error> {
        if matches!(source, Source::Numbers(_) | Source::Generate(_)) {
            return Ok(());
        }
        let numbers = values(source, ty, &self.files)?;
        let new = self.at.join("weights.new");
        safetensors::prepare(&new, &[(ARRAY, ty.shape.dims(), &numbers)])?.commit()?;
        let failed = |source| DataError::Io { doing: "write", path: new.clone(), source };
        let hash = hash_of_file(&new).map_err(failed)?;
        let name = format!("{}.safetensors", &hash[..16]);
        fs::rename(&new, self.at.join(&name)).map_err(failed)?;
        *source = Source::File { path: name.clone(), name: Some(ARRAY.into()) };
        if self.weights.iter().all(|file| file.name != name) {
            self.weights.push(File { name, hash });
        }
        Ok(())
    }

    /// The convolutions of the layer that is lowered.
    fn convolutions(&mut self, layer: &Ir) -> Result<Vec<Convolution>, Error> {
        let mut all = Vec::new();
        for instr in &layer.body {
            let (Op::Conv2d(op), &[x, w]) = (&instr.op, &instr.args[..]) else { continue };
            let Some(conv) = Conv::of(op, layer.ty(x), layer.ty(w), layer.ty(instr.result)) else { continue };
            let algorithm = op.plan.algorithm;
            let Some(covers) = covers(algorithm, &conv) else { continue };
            let blocks = kernel_blocks(algorithm, &conv).map(|cut| cut.map(|axis| axis.blocks));
            let identities = identities(algorithm, &conv);
            let axes = identities.iter().map(|identity| self.axis(identity));
            let axes = axes.collect::<Result<Vec<_>, Error>>()?;
            all.push(Convolution {
                value: layer.values[instr.result].name.clone(),
                algorithm: algorithm.to_string(),
                taps: [conv.window.h.kernel, conv.window.w.kernel],
                channels: layer.ty(w).shape.dims()[1],
                unit_roundoff: conv.elem.unit_roundoff(),
                bound: certified(algorithm, &conv).unwrap_or(f64::MAX),
                identity: (!axes.is_empty()).then_some(Algorithm { axes, blocks }),
                covers: covers.map(|cover| Cover {
                    residues: cover.residues,
                    tiles: cover.tiles,
                    outputs: cover.outputs,
                    inputs: cover.inputs,
                    step: cover.step,
                    zeros: cover.zeros,
                }),
            });
        }
        Ok(all)
    }

    fn axis(&mut self, identity: &Bilinear) -> Result<Axis, Error> {
        use convoke_bilinear::Problem as Of;
        let problem = match &identity.problem {
            Of::MatMul { m, k, n } => Problem::Matmul(*m, *k, *n),
            Of::Correlation { m, r, s } => Problem::Correlation { m: m[0], r: r[0], s: s[0] },
        };
        let text = file::print(identity);
        // Different algorithms may have the same name.
        let name = format!("{}.{}.toml", identity.name, &hash(text.as_bytes())[..8]);
        let file = match self.texts.get(&name) {
            Some(file) => file.clone(),
            None => self.write(name.clone(), &text)?,
        };
        self.texts.insert(name, file.clone());
        Ok(Axis { file, problem })
    }
}

/// How a pass may have changed results. With a tolerance a pass that rounds otherwise may approximate: what it says of its values decides.
fn change(record: &Record) -> Change {
    let guarantee = registry::find(record.pass).map_or(Guarantee::Exact, |entry| entry.guarantee);
    let rewritten = record.notes.iter().filter_map(|note| match &note.outcome {
        Outcome::Rewritten(rewritten) => Some(rewritten),
        Outcome::Skipped(_) => None,
    });
    match rewritten.clone().map(|rewritten| rewritten.sense).fold(guarantee, Guarantee::max) {
        Guarantee::Exact if record.pass == registry::LOWER.name => Change::Rounding,
        Guarantee::Exact => Change::Exact,
        Guarantee::Rounding => Change::Rounding,
        Guarantee::Approximate | Guarantee::Structural => {
            let deviations = rewritten.filter_map(|rewritten| rewritten.deviation);
            Change::Approximate(DEVIATION * deviations.map(|deviation| deviation.frobenius).sum::<f64>())
        }
    }
}

/// The algorithms along the axes of a tile, or that of a product. An algorithm that has none for these sizes was refused before.
fn identities(algorithm: convoke_ir::attr::Algorithm, conv: &Conv) -> Vec<Bilinear> {
    use convoke_ir::attr::Algorithm as By;
    let axes = [&conv.window.h, &conv.window.w];
    let of = |sizes: [u8; 2], one: &dyn Fn(usize, usize) -> Option<Bilinear>| {
        sizes.iter().enumerate().filter_map(|(i, &size)| one(i, size.into())).collect()
    };
    match algorithm {
        By::Winograd { outputs: Some(m) } => {
            of([m.h, m.w], &|i, m| winograd::strided(m, axes[i].kernel, axes[i].steps()).ok())
        }
        By::Fft { points: Some(n) } => {
            of([n.h, n.w], &|i, n| fft::correlation(n, Partition::of(n, axes[i].kernel)?.taps).ok())
        }
        By::Strassen { .. } => vec![matmul::strassen()],
        _ => Vec::new(),
    }
}
