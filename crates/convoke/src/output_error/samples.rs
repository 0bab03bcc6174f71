//! The inputs on which errors of outputs are estimated, and the runs that were made on them.

use std::sync::{Arc, Mutex, PoisonError};

use convoke_data::{DataError, Files, random, random_integers};
use convoke_interp::{Noise, noise};
use convoke_ir::layer as ir;
use ndarray::ArrayD;

use crate::error::Error;
use crate::layer::Layer;
use crate::range::InputRange;

/// The largest random number of an input of whole numbers, if its type has it.
const MOST: f64 = 100.0;

/// The most runs that are kept: those of one net.
const KEPT: usize = 8;

impl Layer {
    /// Random numbers for the input at `place`, the same for the same seed: uniform between −1 and 1, or whole numbers for an input of such.
    ///
    /// # Errors
    ///
    /// More memory than the budget of `files`.
    pub fn random_input(&self, place: usize, seed: i64, files: &Files) -> Result<ArrayD<f64>, DataError> {
        let (name, ty) = self.inputs()[place];
        match self.whole_input(name) {
            None => random(ty, seed, files),
            Some([least, most]) => {
                let numbers = random_integers(ty, most.min(MOST) as u32, seed, files)?;
                Ok(if least < 0.0 { numbers } else { numbers.mapv(f64::abs) })
            }
        }
    }
}

/// Inputs that the user gave, and runs so far, which a compiler shares with its clones.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples {
    given: Option<Arc<Vec<ArrayD<f64>>>>,
    runs: Arc<Mutex<Vec<Run>>>,
}

/// A run, with all that it depends on.
#[derive(Debug)]
struct Run {
    layer: ir::Layer,
    inputs: Vec<ArrayD<f64>>,
    errors: Vec<f64>,
    noise: Noise,
}

impl Samples {
    pub(crate) fn new(given: Vec<ArrayD<f64>>) -> Samples {
        Samples { given: Some(Arc::new(given)), runs: Arc::default() }
    }

    /// Whether the user gave the inputs.
    pub(crate) fn are_given(&self) -> bool {
        self.given.is_some()
    }

    /// The inputs of a layer: those given, or random ones whose magnitudes are in the ranges of `declared`, or none of which is above `most`.
    pub(crate) fn inputs(
        &self,
        layer: &Layer,
        declared: &ir::Layer,
        most: Option<InputRange>,
        files: &Files,
    ) -> Result<Vec<ArrayD<f64>>, Error> {
        if let Some(given) = &self.given {
            return Ok(given.to_vec());
        }
        let one = |(place, &id): (usize, &ir::ValueId)| {
            let numbers = layer.random_input(place, place as i64, files)?;
            let elem = layer.ir().ty(id).elem;
            Ok(match (declared.values[id].range, most) {
                (Some(range), _) => numbers.mapv(|x| {
                    let magnitude = range.least() + x.abs() * (range.most() - range.least());
                    elem.round(magnitude.copysign(x))
                }),
                (None, Some(InputRange::UpTo(most))) => numbers.mapv(|x| elem.round(x * most)),
                (None, _) => numbers,
            })
        };
        layer.ir().params.iter().enumerate().map(one).collect()
    }

    /// The noise of the outputs of `weighed`, whose convolutions have these errors; remembered.
    pub(super) fn noise(
        &self,
        weighed: &ir::Layer,
        inputs: &[ArrayD<f64>],
        files: &Files,
        errors: &[f64],
    ) -> Result<Noise, Error> {
        let runs = || self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |run: &&Run| run.errors == errors && run.inputs == inputs && run.layer == *weighed;
        if let Some(run) = runs().iter().find(same) {
            return Ok(run.noise.clone());
        }
        let verified = ir::verify(weighed).expect("the pass manager verified it");
        let noise = noise(verified, inputs, files, errors)?;
        let mut runs = runs();
        if runs.len() >= KEPT {
            runs.clear();
        }
        let (layer, inputs, errors) = (weighed.clone(), inputs.to_vec(), errors.to_vec());
        runs.push(Run { layer, inputs, errors, noise: noise.clone() });
        Ok(noise)
    }
}
