//! A lowered layer: its program in loop IR, with what the passes did on the way.

use std::time::Duration;

use convoke_ir::attr::Plan;
use convoke_ir::layer::{self as ir, Op};
use convoke_ir::loops::{self, Checked, Program};
use convoke_passes::{PassError, Record};

use crate::layer::Layer;
use crate::output_error::OutputErrors;
use crate::tune::verdict::Verdict;
use crate::unmet::Unmet;

/// The algorithm chosen for a convolution.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// The value it computes, without `%`.
    pub result: String,
    /// The algorithm.
    pub algorithm: Plan,
}

/// The algorithm of each convolution of a layer.
pub(crate) fn choices(layer: &ir::Layer) -> Vec<Choice> {
    let convs = layer.body.iter().filter_map(|instr| match &instr.op {
        Op::Conv2d(conv) => Some(Choice { result: layer.values[instr.result].name.clone(), algorithm: conv.plan }),
        _ => None,
    });
    convs.collect()
}

/// The values that the ops of a layer compute, without `%`.
pub(crate) fn values(layer: &ir::Layer) -> Vec<String> {
    layer.body.iter().map(|instr| layer.values[instr.result].name.clone()).collect()
}

/// The program of these passes, verified.
pub(crate) fn checked(program: Program, records: &[Record]) -> Result<Checked, PassError> {
    let pass = records.last().map_or("lower", |record| record.pass);
    Checked::new(program).map_err(|diagnostics| PassError::Broken { pass, diagnostics })
}

/// A layer as loops, before code is generated.
#[derive(Clone, Debug)]
pub struct Lowered {
    pub(crate) layer: Layer,
    pub(crate) program: Checked,
    pub(crate) records: Vec<Record>,
    pub(crate) choices: Vec<Choice>,
    /// The values that the ops of the last layer compute.
    pub(crate) values: Vec<String>,
    pub(crate) unmet: Vec<Unmet>,
    pub(crate) output: Option<OutputErrors>,
    pub(crate) verdicts: Vec<Verdict>,
    pub(crate) elapsed: Duration,
}

impl Lowered {
    /// The layer as it was given.
    pub fn layer(&self) -> &Layer {
        &self.layer
    }

    /// The program, verified.
    pub fn verified(&self) -> loops::Verified<'_> {
        self.program.verified()
    }

    /// The program.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// The program alone, to be changed.
    pub fn into_program(self) -> Program {
        self.program.into_program()
    }

    /// A record of each pass, in order.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// The algorithm of each convolution.
    pub fn choices(&self) -> &[Choice] {
        &self.choices
    }

    /// The limits on errors that are not kept.
    pub fn unmet(&self) -> &[Unmet] {
        &self.unmet
    }

    /// The errors to expect of outputs, if these are limited.
    pub fn output_errors(&self) -> Option<&OutputErrors> {
        self.output.as_ref()
    }

    /// The verdicts of tuning, if the compiler tunes.
    pub fn verdicts(&self) -> &[Verdict] {
        &self.verdicts
    }

    /// The time that passes and lowering took.
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }
}
