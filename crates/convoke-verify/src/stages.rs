//! That each stage is well-formed, and computes what the stage before it does.
//!
//! Each is run by the interpreter, which is the meaning of both languages, on the inputs of `inputs.rs`:
//!
//! ```text
//!   rounding     |after − before| ≤ E          E: the bound of rounding of the layer before, element by element, by plain sums; of a
//!                                              program, by its algorithms
//!   exact        |after − before| ≤ E / 2^20   since the interpreter rounds in f64
//!   approximate  ‖after − before‖ ≤ T ‖before‖   of random numbers
//! ```
//!
//! This tests a rewriting, on all elements of the results of some inputs; it does not prove it.

use std::path::Path;

use convoke_data::Files;
use convoke_interp::{InterpError, error_bounds, run_program};
use convoke_ir::attr::Plan;
use convoke_ir::diagnostic::Diagnostic;
use convoke_ir::elem::Subnormals;
use convoke_ir::layer::{self, Def, Instr, Layer, Op, Source};
use convoke_ir::loops::{self, Program, Role};
use convoke_ir::text;
use ndarray::ArrayD;

use crate::certificate::{Certificate, Change, Stage};
use crate::files;
use crate::inputs::Kind;
use crate::refused::{Check, Refused, Result, wrong};
use crate::residual;

/// How a certificate is replayed.
#[derive(Clone, Copy, Debug)]
pub struct Replay {
    /// The memory that a run of a stage may take, in bytes.
    pub budget: u64,
    /// Whether the programs of a large layer are all run, not only the last.
    pub all: bool,
}

/// A stage, read.
enum Ir {
    Layer(Layer),
    Program(Program),
}

/// The part of the allowed rounding that an exact stage may differ by.
const OF_EXACT: f64 = 1.0 / (1 << 20) as f64;

/// The most multiplications of a layer whose programs are all run: the loop interpreter takes about ten nanoseconds for each.
const MOST_EACH: u128 = 20_000_000;

/// Runs all stages, and compares each with the one before. Gives the last layer among them, with what was found.
pub(crate) fn replay(
    at: &Path,
    certificate: &Certificate,
    Replay { budget, all }: Replay,
    before: &mut dyn FnMut(&str),
) -> Result<(Layer, Vec<Check>)> {
    let files = Files::at(at).with_budget(budget);
    let mut stages = certificate.stages.iter();
    let Some(first) = stages.next() else { return wrong("stages", "there is none") };
    before(&first.file.name);
    let Ir::Layer(mut last) = read(at, certificate, first)? else {
        return wrong(&first.file.name, "the first stage is no layer");
    };
    if last.name != certificate.layer {
        return wrong(
            &first.file.name,
            format!("it is of `@{}`, the certificate of `@{}`", last.name, certificate.layer),
        );
    }
    let mut runs = start(&first.file.name, &last, &files)?;
    let mut checks = vec![Check { of: first.file.name.clone(), says: "well-formed".into() }];
    // Stored numbers of half types are rounded by the interpreter too, each pass in its own places.
    let stored = last.values.iter().any(|(_, value)| value.ty.elem.is_storage());
    let of_exact = if stored { 1.0 } else { OF_EXACT };
    let small = all || multiplications(&last) <= MOST_EACH;
    let (mut lowered, end) = (false, certificate.stages.len() - 1);
    let mut change = Change::Exact;
    for (i, stage) in (1..).zip(stages) {
        let name = &stage.file.name;
        before(name);
        let ir = read(at, certificate, stage)?;
        if stage.change != Change::Exact {
            change = stage.change;
        }
        // What stages that are not run did is seen at the next that is.
        let runs_it = small || i == end || matches!(ir, Ir::Layer(_));
        let mut most = 0.0_f64;
        if runs_it {
            let plain;
            let code = match &ir {
                Ir::Layer(layer) => {
                    plain = by_sums(layer);
                    Code::Layer(verified(&plain))
                }
                Ir::Program(program) => {
                    let program = loops::verify(program).expect("verified when it was read");
                    Code::Program { program, of: verified(&last) }
                }
            };
            for run in &mut runs {
                most = most.max(run.advance(Step { name, change, of_exact, code }, &files)?);
            }
        }
        checks.push(Check { of: name.clone(), says: says(change, &ir, runs_it.then_some(most), runs.len()) });
        if runs_it {
            change = Change::Exact;
        }
        match &ir {
            Ir::Layer(after) => {
                checks.extend(residual::check(name, &stage.residuals, stage.change, [&last, after], &files)?);
            }
            Ir::Program(_) if stage.residuals.is_empty() => {}
            Ir::Program(_) => return wrong(name, "it states residuals, and a program has none"),
        }
        match ir {
            Ir::Layer(_) if lowered => return wrong(name, "a layer comes after a program"),
            Ir::Layer(layer) => last = layer,
            Ir::Program(_) => lowered = true,
        }
    }
    Ok((last, checks))
}

/// Reads a stage, as its language takes it. Constants may be in no files but those that the certificate names.
fn read(at: &Path, certificate: &Certificate, stage: &Stage) -> Result<Ir> {
    let name = &stage.file.name;
    let refused = |found: Vec<Diagnostic>| {
        let reason = found.first().map(ToString::to_string).unwrap_or_default();
        Refused::Wrong { of: name.clone(), reason }
    };
    let text = files::text(at, name)?;
    let mut module = text::parse(&text).map_err(refused)?;
    let ir = match (module.layers.pop(), module.programs.pop()) {
        (Some(layer), None) => {
            layer::verify(&layer).map_err(refused)?;
            Ir::Layer(layer)
        }
        (None, Some(program)) => {
            loops::verify(&program).map_err(refused)?;
            Ir::Program(program)
        }
        _ => return wrong(name, "it holds neither one layer nor one program"),
    };
    if !module.layers.is_empty() || !module.programs.is_empty() {
        return wrong(name, "it holds more than one layer or program");
    }
    let sources: Vec<&Source> = match &ir {
        Ir::Layer(layer) => {
            layer.values.iter().filter_map(|(_, v)| if let Def::Const(s) = &v.def { Some(s) } else { None }).collect()
        }
        Ir::Program(program) => program
            .buffers
            .iter()
            .filter_map(|(_, b)| if let Role::Const(s) = &b.role { Some(s) } else { None })
            .collect(),
    };
    for source in sources {
        if let Source::File { path, .. } = source
            && !certificate.weights.iter().any(|file| &file.name == path)
        {
            return wrong(name, format!("it reads {path}, which the certificate does not name"));
        }
    }
    Ok(ir)
}

/// A stage that is run.
#[derive(Clone, Copy)]
struct Step<'a> {
    name: &'a str,
    change: Change,
    of_exact: f64,
    code: Code<'a>,
}

/// A stage, ready to run.
#[derive(Clone, Copy)]
enum Code<'a> {
    /// With plain sums.
    Layer(layer::Verified<'a>),
    Program {
        program: loops::Verified<'a>,
        /// The layer that it computes, by the algorithms that it names.
        of: layer::Verified<'a>,
    },
}

/// One kind of input, and what the last stage makes of it.
struct Run {
    kind: Kind,
    inputs: Vec<ArrayD<f64>>,
    results: Vec<ArrayD<f64>>,
    /// How far results may be off by rounding, for each element.
    bounds: Vec<ArrayD<f64>>,
}

/// The runs of the first stage.
fn start(name: &str, layer: &Layer, files: &Files) -> Result<Vec<Run>> {
    let plain = by_sums(layer);
    let run = |kind: Kind| {
        let inputs = layer.params.iter().enumerate().map(|(i, &id)| kind.of(layer.ty(id), i, files));
        let inputs =
            inputs.collect::<std::result::Result<Vec<_>, _>>().map_err(|e| InterpError::Memory(Box::new(e)))?;
        let [results, bounds] = bounded(verified(&plain), &inputs, files)?;
        Ok(Run { kind, inputs, results, bounds })
    };
    let cannot = |source| Refused::Run { stage: name.into(), source };
    Kind::ALL.into_iter().map(|kind| run(kind).map_err(cannot)).collect()
}

/// A layer whose convolutions are plain sums: rewriting rounds no more than these.
fn by_sums(layer: &Layer) -> Layer {
    let mut plain = layer.clone();
    for instr in &mut plain.body {
        if let Op::Conv2d(op) = &mut instr.op {
            op.plan = Plan::default();
        }
    }
    plain
}

fn verified(layer: &Layer) -> layer::Verified<'_> {
    layer::verify(layer).expect("verified when it was read")
}

/// The results of a layer, and the bounds of their rounding by the algorithms that it names.
fn bounded(
    layer: layer::Verified<'_>,
    inputs: &[ArrayD<f64>],
    files: &Files,
) -> std::result::Result<[Vec<ArrayD<f64>>; 2], InterpError> {
    let found = error_bounds(layer, inputs, files, Subnormals::Flush)?;
    let (values, bounds) = found.into_iter().map(|result| (result.value, result.bound)).unzip();
    Ok([values, bounds])
}

impl Run {
    /// Runs the next stage, and gives the largest part of what is allowed that it differs by.
    fn advance(&mut self, step: Step<'_>, files: &Files) -> Result<f64> {
        let Step { name, change, of_exact, code } = step;
        let cannot = |source| Refused::Run { stage: name.into(), source };
        let (results, bounds) = match code {
            Code::Layer(layer) => {
                let [results, bounds] = bounded(layer, &self.inputs, files).map_err(cannot)?;
                (results, Some(bounds))
            }
            Code::Program { program, of } => {
                if change == Change::Rounding {
                    // A program holds the factors of its algorithms, rounded.
                    [_, self.bounds] = bounded(of, &self.inputs, files).map_err(cannot)?;
                }
                (run_program(program, &self.inputs, files).map_err(cannot)?, None)
            }
        };
        if results.len() != self.results.len() {
            return wrong(name, format!("{} results, {} are expected", results.len(), self.results.len()));
        }
        let mut most = 0.0_f64;
        for (i, (after, before)) in results.iter().zip(&self.results).enumerate() {
            if after.shape() != before.shape() {
                return wrong(name, format!("result {i} has the shape {:?}, not {:?}", after.shape(), before.shape()));
            }
            most = most.max(match change {
                Change::Approximate(allowed) if self.kind == Kind::Random => distance(before, after) / allowed,
                // What is left out of a kernel may be all that these inputs meet.
                Change::Approximate(_) => 0.0,
                Change::Rounding => self.largest(i, after, 1.0),
                Change::Exact => self.largest(i, after, of_exact),
            });
        }
        if most.is_nan() || most > 1.0 {
            let times =
                if most.is_finite() { format!("{most:.3e} times what is allowed") } else { "without bound".into() };
            return wrong(name, format!("on {}, results differ from the stage before by {times}", self.kind));
        }
        self.results = results;
        if let Some(bounds) = bounds {
            self.bounds = bounds;
        }
        Ok(most)
    }

    /// The largest difference of result `i`, each as a part of `part` of its bound.
    fn largest(&self, i: usize, after: &ArrayD<f64>, part: f64) -> f64 {
        let elements = self.results[i].iter().zip(after).zip(&self.bounds[i]);
        elements.fold(0.0, |most, ((&before, &after), &bound)| {
            let same = before == after || (before.is_nan() && after.is_nan());
            let off = if same { 0.0 } else { (after - before).abs() / (bound * part) };
            if off.is_nan() { f64::INFINITY } else { most.max(off) }
        })
    }
}

/// The root mean square of the difference, relative to that of `before`.
fn distance(before: &ArrayD<f64>, after: &ArrayD<f64>) -> f64 {
    let pairs = || before.iter().zip(after);
    let off: f64 = pairs().map(|(b, a)| (a - b).powi(2)).sum();
    let all: f64 = pairs().map(|(b, _)| b.powi(2)).sum();
    if off == 0.0 { 0.0 } else { (off / all).sqrt() }
}

/// Multiplications of the convolutions of a layer.
fn multiplications(layer: &Layer) -> u128 {
    let convs = layer.body.iter().filter(|instr| matches!(instr.op, Op::Conv2d(_)));
    let of = |instr: &Instr| {
        let filter = layer.ty(instr.args[1]).shape.dims()[1..].iter().map(|&extent| extent as u128).product::<u128>();
        layer.ty(instr.result).elements() as u128 * filter
    };
    convs.map(of).sum()
}

fn says(change: Change, ir: &Ir, most: Option<f64>, runs: usize) -> String {
    let proved = match ir {
        Ir::Layer(_) => "well-formed",
        Ir::Program(_) => "accesses inside buffers, parallel iterations apart",
    };
    let Some(most) = most else { return format!("{proved}; not run") };
    let differs = match change {
        _ if most == 0.0 => "no difference".to_owned(),
        Change::Exact => format!("at most {most:.0e} of the difference that an exact pass may make"),
        Change::Rounding => format!("at most {most:.0e} of the rounding allowed"),
        Change::Approximate(allowed) => {
            format!("a difference of {:.1e}, relative to the root mean square", most * allowed)
        }
    };
    format!("{proved}; on {runs} inputs {differs}")
}
