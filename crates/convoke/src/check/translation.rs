//! Translation validation: the interpreter's results before and after each pass, on random and adversarial inputs.
//!
//! ```text
//!   |y′ − y| ≤ 2·B + Σ_k D_k · max(1, max|x|)
//! ```
//!
//! y and y′ are the results before and after, in `f64`. B bounds the error of native code for the layer before, and covers what rounding of new
//! constants may change; 2 of them, since both runs round. D_k is the output bound of a kernel that the pass says it has changed
//! ([`Deviation`](convoke_passes::Deviation)). Programs are compared with the layer that they were lowered from.
//!
//! An approximation is compared on random inputs alone, where its error in the Frobenius norm is the one to expect: the norm of y′ − y must be at
//! most twice that, relative to the norm of y.

use std::fmt;

use convoke_data::{DataError, Files};
use convoke_interp::{Bounded, InterpError, error_bounds, run_program};
use convoke_ir::layer as ir;
use convoke_ir::loops::{self, Program, Role};
use convoke_ir::types::TensorType;
use convoke_passes::{Guarantee, Outcome, PassError, Record, State};
use ndarray::{ArrayD, Dimension};

use super::comparison::distance;
use crate::compiler::Compiler;
use crate::error::Error;
use crate::mismatch::{InputKind, Mismatch};

/// The error allowed of a program that came from no layer, relative to the largest number of a result: passes over loops only reorder sums.
const REORDERED: f64 = 1e-9;
/// How many times an approximation may be as far off as its kernels are.
const MARGIN: f64 = 2.0;

/// Bytes of values that take as long as a multiplication.
const BYTES: u128 = 16;

/// The verdict on a pass that is not wrong.
#[derive(Clone, Debug, PartialEq)]
pub enum PassCheck {
    /// It left everything as it was.
    Unchanged,
    /// It was not run in the interpreter, for this reason.
    LeftOut(String),
    /// Its results are those before it.
    Same {
        /// The number of kinds of inputs.
        inputs: usize,
        /// The largest difference in multiples of the one allowed.
        of_allowed: f64,
    },
}

impl fmt::Display for PassCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PassCheck::Unchanged => f.write_str("unchanged"),
            PassCheck::LeftOut(why) => write!(f, "not verified: {why}"),
            PassCheck::Same { inputs, of_allowed } => {
                write!(
                    f,
                    "the same on {inputs} kinds of inputs; differences are at most {of_allowed:.0e} of those allowed"
                )
            }
        }
    }
}

/// Arrays for each kind of inputs.
type Inputs = Vec<(InputKind, Vec<ArrayD<f64>>)>;
/// Results for each kind of inputs, or why there are none.
type Results = Result<Vec<Vec<Bounded>>, String>;

/// The comparison of each pass with the state before it.
#[derive(Debug)]
pub struct Translation<'a> {
    compiler: &'a Compiler,
    files: Files,
    most: u64,
    /// Why there are none, if the state before the first pass is too large.
    inputs: Result<Inputs, String>,
    /// The names of the results.
    names: Vec<String>,
    before: State,
    expected: Results,
}

impl<'a> Translation<'a> {
    /// The state before the first pass. Layers and programs of more than `most` multiplications, or 16 times as many
    /// bytes of values, are not run.
    ///
    /// # Errors
    ///
    /// [`Error::Interp`] for a state that the interpreter refuses; [`Error::Data`] for inputs beyond the memory limit.
    pub fn new(compiler: &'a Compiler, state: &State, files: &Files, most: u64) -> Result<Translation<'a>, Error> {
        let files = files.clone().with_budget(compiler.max_memory());
        let (types, names): (Vec<TensorType>, Vec<String>) = match state {
            State::Layer(layer) => (
                layer.params.iter().map(|&id| layer.ty(id).clone()).collect(),
                layer.results.iter().map(|&id| layer.values[id].name.clone()).collect(),
            ),
            State::Loops(program) => (
                of_role(program, Role::Input).map(|buffer| buffer.ty.clone()).collect(),
                of_role(program, Role::Output).map(|buffer| buffer.name.clone()).collect(),
            ),
        };
        let inputs = match too_large(state, most) {
            Some(why) => Err(why),
            None => Ok(inputs(&types, compiler.grants().ieee, &files)?),
        };
        let (before, expected) = (state.clone(), Ok(Vec::new()));
        let mut translation = Translation { compiler, files, most, inputs, names, before, expected };
        translation.expected = translation.results(state)?;
        Ok(translation)
    }

    /// Compares the state after a pass with the one before it.
    ///
    /// # Errors
    ///
    /// [`Error::Translation`] with the first element that is too far off; [`Error::Interp`] for a state that the interpreter refuses.
    pub fn observe(&mut self, record: &Record, state: &State) -> Result<PassCheck, Error> {
        if *state == self.before {
            return Ok(PassCheck::Unchanged);
        }
        self.before = state.clone();
        let found = self.results(state)?;
        let check = match (&self.expected, &found) {
            _ if Change::of(record).is_structural => PassCheck::LeftOut("its new weights are to be trained".into()),
            (Err(why), _) | (_, Err(why)) => PassCheck::LeftOut(why.clone()),
            (Ok(expected), Ok(found)) => self.compare(record, expected, found)?,
        };
        // Programs are compared with the layer, whose bounds are known.
        if self.expected.is_err() || matches!(state, State::Layer(_)) {
            self.expected = found;
        }
        Ok(check)
    }

    /// The interpreter's results of a state.
    fn results(&self, state: &State) -> Result<Results, Error> {
        let inputs = match (&self.inputs, too_large(state, self.most)) {
            (Err(why), _) => return Ok(Err(why.clone())),
            (_, Some(why)) => return Ok(Err(why)),
            (Ok(inputs), None) => inputs,
        };
        let run = |inputs: &[ArrayD<f64>]| match state {
            State::Layer(layer) => {
                let layer = ir::verify(layer).map_err(PassError::Invalid)?;
                Ok(error_bounds(layer, inputs, &self.files, self.compiler.subnormals())?)
            }
            State::Loops(program) => {
                let program = loops::verify(program).map_err(PassError::Invalid)?;
                Ok(run_program(program, inputs, &self.files)?.into_iter().map(bounded).collect())
            }
        };
        match inputs.iter().map(|(_, inputs)| run(inputs)).collect::<Result<Vec<_>, Error>>() {
            Err(Error::Interp(error @ (InterpError::Constant { .. } | InterpError::Memory(_)))) => {
                Ok(Err(error.to_string()))
            }
            results => results.map(Ok),
        }
    }

    fn compare(&self, record: &Record, expected: &[Vec<Bounded>], found: &[Vec<Bounded>]) -> Result<PassCheck, Error> {
        let change = Change::of(record);
        let (mut kinds, mut largest) = (0, 0.0f64);
        let all = self.inputs.iter().flatten().zip(expected.iter().zip(found));
        for ((kind, inputs), (expected, found)) in all.filter(|((kind, _), _)| change.keeps(*kind)) {
            let most = inputs.iter().flatten().filter(|x| x.is_finite()).fold(1.0, |most: f64, x| most.max(x.abs()));
            for (result, (expected, found)) in self.names.iter().zip(expected.iter().zip(found)) {
                let slack = change.output_bound * most;
                let worst = worst(expected, &found.value, slack);
                if worst.of_allowed > 1.0 && !change.is_near(expected, &found.value) {
                    let (pass, inputs, result) = (record.pass, *kind, result.clone());
                    let Worst { at, found, expected, allowed, .. } = worst;
                    let mismatch = Mismatch { pass, inputs, result, at, found, expected, allowed };
                    return Err(Error::Translation(Box::new(mismatch)));
                }
                largest = largest.max(worst.of_allowed);
            }
            kinds += 1;
        }
        Ok(PassCheck::Same { inputs: kinds, of_allowed: largest })
    }
}

/// Why a state is not run in the interpreter, if it is too large: it does too much, or holds too much.
fn too_large(state: &State, most: u64) -> Option<String> {
    let stats = state.stats();
    let [does, holds] = [u128::from(most), u128::from(most) * BYTES];
    if stats.multiplications > does {
        return Some(format!(
            "it does {} multiplications, and the interpreter runs up to {does}",
            stats.multiplications
        ));
    }
    let bytes = stats.activation_bytes;
    (bytes > holds).then(|| format!("its values take {bytes} bytes, and the interpreter runs up to {holds}"))
}

/// Inputs of every kind.
fn inputs(types: &[TensorType], ieee: bool, files: &Files) -> Result<Inputs, Error> {
    let kinds = InputKind::ALL.iter().filter(|&&kind| ieee || kind != InputKind::NotFinite);
    let of_kind = |&kind: &InputKind| {
        let arrays = (1..).zip(types).map(|(seed, ty)| kind.array(ty, seed, files));
        Ok((kind, arrays.collect::<Result<Vec<_>, DataError>>()?))
    };
    kinds.map(of_kind).collect()
}

fn of_role(program: &Program, role: Role) -> impl Iterator<Item = &loops::Buffer> {
    program.buffers.iter().map(|(_, buffer)| buffer).filter(move |buffer| buffer.role == role)
}

/// A result of a program, with the errors of another order of its sums.
fn bounded(value: ArrayD<f64>) -> Bounded {
    let largest = value.iter().filter(|v| v.is_finite()).fold(0.0, |most: f64, v| most.max(v.abs()));
    let bound = value.mapv(|_| REORDERED * largest);
    let [scale, expected, allowed] = [(); 3].map(|()| bound.clone());
    Bounded { value, bound, scale, expected, allowed }
}

/// What a pass says that it has changed.
struct Change {
    /// Σ of the output bounds of its kernels.
    output_bound: f64,
    /// Σ of their relative errors in the Frobenius norm, if some kernel is approximated.
    approximates: Option<f64>,
    is_structural: bool,
}

impl Change {
    fn of(record: &Record) -> Change {
        let mut change = Change { output_bound: 0.0, approximates: None, is_structural: false };
        for note in &record.notes {
            let Outcome::Rewritten(new) = &note.outcome else { continue };
            let deviation = new.deviation.unwrap_or_default();
            change.output_bound += deviation.output_bound;
            change.is_structural |= new.sense == Guarantee::Structural;
            if new.sense == Guarantee::Approximate {
                *change.approximates.get_or_insert(0.0) += deviation.frobenius;
            }
        }
        change
    }

    /// Whether results for such inputs can be compared.
    fn keeps(&self, kind: InputKind) -> bool {
        self.approximates.is_none() || kind == InputKind::Random
    }

    /// Whether a result is as near as an approximation has to be.
    fn is_near(&self, expected: &Bounded, found: &ArrayD<f64>) -> bool {
        let Some(frobenius) = self.approximates else { return false };
        let norm = |numbers: &mut dyn Iterator<Item = f64>| numbers.map(|v| v * v).sum::<f64>().sqrt();
        let difference = norm(&mut found.iter().zip(&expected.value).map(|(f, e)| f - e));
        difference <= MARGIN * frobenius * norm(&mut expected.value.iter().copied())
    }
}

/// The element that has changed the most, relative to what is allowed.
struct Worst {
    at: Vec<usize>,
    found: f64,
    expected: f64,
    allowed: f64,
    of_allowed: f64,
}

fn worst(expected: &Bounded, found: &ArrayD<f64>, slack: f64) -> Worst {
    let mut worst = Worst { at: Vec::new(), found: 0.0, expected: 0.0, allowed: 0.0, of_allowed: 0.0 };
    for (((at, &found), &value), &bound) in found.indexed_iter().zip(&expected.value).zip(&expected.bound) {
        let allowed = 2.0 * bound + slack;
        let error = distance(found, value);
        let of_allowed = if error == 0.0 || allowed == f64::INFINITY { 0.0 } else { error / allowed };
        if of_allowed > worst.of_allowed {
            worst = Worst { at: at.slice().to_vec(), found, expected: value, allowed, of_allowed };
        }
    }
    worst
}
