//! The explanation of a layer: every candidate algorithm of every convolution with its numbers, and a record of each pass.

use convoke_codegen::plan::Workspace;
use convoke_conv::Selection;
use convoke_conv::select::selections;
use convoke_ir::layer as ir;
use convoke_passes::plan::{Bands, Select};
use convoke_passes::{Changed, LayerPass, PassError, Record, Stage, State};

use super::ops::{OpCost, costs};
use super::waterfall::LayerStage;
use crate::compile::Level;
use crate::compiler::Compiler;
use crate::error::Error;
use crate::layer::Layer;
use crate::output_error::OutputErrors;
use crate::pipeline::Verify;
use crate::tune::verdict::Verdict;
use crate::unmet::Unmet;

/// The candidates that were weighed, and the changes of each pass.
#[derive(Clone, Debug)]
pub struct Explanation {
    weighed: ir::Layer,
    compiled: ir::Layer,
    ops: Vec<OpCost>,
    workspace: Workspace,
    selections: Vec<Selection>,
    unmet: Vec<Unmet>,
    output: Option<OutputErrors>,
    verdicts: Vec<Verdict>,
    records: Vec<Record>,
    texts: Vec<Option<String>>,
    stages: Vec<LayerStage>,
}

impl Explanation {
    /// The layer as algorithms were chosen for it: rewritten, but with no choice made.
    pub fn weighed(&self) -> &ir::Layer {
        &self.weighed
    }

    /// The candidates and the choice for each convolution of [`Explanation::weighed`], in order.
    pub fn selections(&self) -> &[Selection] {
        &self.selections
    }

    /// The layer as it is lowered, after all passes over layer IR. It has the values of [`Explanation::weighed`].
    pub fn compiled(&self) -> &ir::Layer {
        &self.compiled
    }

    /// The cost of each instruction of [`Explanation::compiled`], in order.
    pub fn ops(&self) -> &[OpCost] {
        &self.ops
    }

    /// The memory that a run takes besides inputs, outputs and constants.
    pub fn workspace(&self) -> Workspace {
        self.workspace
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

    /// A record of each pass, in order.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// For each record, the IR after the pass, if the pass changed it.
    pub fn texts(&self) -> &[Option<String>] {
        &self.texts
    }

    /// The cost of the layer as given, and after each pass over it that changed it.
    pub fn stages(&self) -> &[LayerStage] {
        &self.stages
    }
}

/// Runs all passes on a layer, and weighs the candidates of each convolution.
///
/// # Errors
///
/// As [`Compiler::lower`].
pub fn explain(compiler: &Compiler, layer: &Layer) -> Result<Explanation, Error> {
    compiler.fits(layer)?;
    let compiler = &compiler.started();
    let mut records = Vec::new();
    let mut texts = Vec::new();
    // Algorithms are weighed for the layer that `select` is given.
    let mut weighed: ir::Layer = compiler.declared(layer);
    let mut stages = vec![LayerStage::new(None, &weighed, compiler)];
    let (mut fused, mut compiled) = (None, weighed.clone());
    let observer = |record: &Record, state: &State| {
        let selected = records.iter().chain([record]).any(|r: &Record| r.pass == Select::NAME);
        if let (State::Layer(layer), false) = (state, selected) {
            weighed = layer.clone();
            if record.changed.is_yes() {
                stages.push(LayerStage::new(Some(record.pass), layer, compiler));
            }
        }
        if let (State::Layer(layer), Bands::NAME, Changed::Yes) = (state, record.pass, record.changed) {
            fused = Some(layer.clone());
        }
        if let (State::Layer(layer), Changed::Yes) = (state, record.changed) {
            compiled = layer.clone();
        }
        records.push(record.clone());
        texts.push(record.changed.is_yes().then(|| match state {
            State::Layer(layer) => layer.to_string(),
            State::Loops(program) => program.to_string(),
        }));
    };
    let level = compiler.run_level(layer, Stage::Loops, Verify::Each, observer)?;
    let Level { state, verdicts, output, selections: chosen } = level;
    let mut selections = match chosen {
        Some(chosen) => chosen,
        None => selections(&weighed, compiler.algorithm(), compiler.machine(), &compiler.grants().rounding())
            .map_err(PassError::from)?,
    };
    for selection in &mut selections {
        selection.certify();
        if let Some(verdict) = verdicts.iter().find(|verdict| verdict.value() == selection.value) {
            verdict.decide(selection);
        }
    }
    stages.extend(LayerStage::selected(&stages, &selections));
    stages.extend(fused.and_then(|layer| LayerStage::fused(&stages, layer, compiler)));
    let mut unmet = Unmet::of_selections(&selections, &compiler.grants());
    unmet.extend(output.iter().flat_map(OutputErrors::unmet));
    let ops = costs(&compiled, &selections, compiler.machine());
    let workspace = match &state {
        State::Loops(program) => Workspace::of(program, compiler.threads()),
        State::Layer(_) => Workspace::default(),
    };
    Ok(Explanation { weighed, compiled, ops, workspace, selections, unmet, output, verdicts, records, texts, stages })
}
