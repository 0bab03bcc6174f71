//! Why a layer is computed as it is: every candidate algorithm of every convolution with its numbers, and what each pass did.

mod measure;
mod waterfall;
mod weights;

use convoke_ir::layer as ir;
use convoke_passes::select::{Bands, Select, Selection, selections};
use convoke_passes::{Changed, LayerPass, PassError, Record, Stage, State};

pub(crate) use measure::alone;
pub use measure::{Measured, Progress, TOO_SLOW, Timing, measure, measure_stages};
pub use waterfall::{Cost, LayerStage};
pub use weights::{WeightBounds, weight_bounds};

use crate::compiler::{Compiler, Verify};
use crate::error::Error;
use crate::layer::Layer;
use crate::tune::Verdict;
use crate::unmet::Unmet;

/// What was weighed, and what was done.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The layer as algorithms were chosen for it: rewritten, but with no choice made.
    pub weighed: ir::Layer,
    /// For each convolution of it, in order, its candidates and the choice.
    pub selections: Vec<Selection>,
    /// The convolutions that do not keep [`Compiler::max_error`].
    pub unmet: Vec<Unmet>,
    /// What tuning found, if the compiler tunes.
    pub verdicts: Vec<Verdict>,
    /// What each pass did, in order.
    pub records: Vec<Record>,
    /// For each record, the IR after the pass, if the pass changed it.
    pub texts: Vec<Option<String>>,
    /// What the layer takes as given, and after each pass over it that changed it.
    pub stages: Vec<LayerStage>,
}

/// Runs all passes on a layer and says what was weighed.
///
/// # Errors
///
/// As [`Compiler::lower`].
pub fn explain(compiler: &Compiler, layer: &Layer) -> Result<Explanation, Error> {
    compiler.fits(layer)?;
    let mut records = Vec::new();
    let mut texts = Vec::new();
    // What `select` is given decides what is weighed.
    let mut weighed: ir::Layer = compiler.declared(layer);
    let mut stages = vec![LayerStage::new(None, &weighed, compiler)];
    let mut in_turns = None;
    let observer = |record: &Record, state: &State| {
        let selected = records.iter().chain([record]).any(|r: &Record| r.pass == Select::NAME);
        if let (State::Layer(layer), false) = (state, selected) {
            weighed = layer.clone();
            if record.changed.is_yes() {
                stages.push(LayerStage::new(Some(record.pass), layer, compiler));
            }
        }
        if let (State::Layer(layer), Bands::NAME, Changed::Yes) = (state, record.pass, record.changed) {
            in_turns = Some(layer.clone());
        }
        records.push(record.clone());
        texts.push(record.changed.is_yes().then(|| match state {
            State::Layer(layer) => layer.to_string(),
            State::Loops(program) => program.to_string(),
        }));
    };
    let (_, verdicts) = compiler.run_level(layer, Stage::Loops, Verify::Each, observer)?;
    let mut selections = selections(&weighed, compiler.get_algorithm(), compiler.machine(), &compiler.grants())
        .map_err(PassError::from)?;
    for selection in &mut selections {
        selection.certify();
        if let Some(verdict) = verdicts.iter().find(|verdict| verdict.value == selection.value) {
            verdict.decide(selection);
        }
    }
    stages.extend(LayerStage::selected(&stages, &selections));
    stages.extend(in_turns.and_then(|layer| LayerStage::in_turns(&stages, layer, compiler)));
    let unmet = Unmet::of_selections(&selections, &compiler.grants());
    Ok(Explanation { weighed, selections, unmet, verdicts, records, texts, stages })
}
