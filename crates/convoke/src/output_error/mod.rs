//! A limit on the error of a net's outputs: each convolution has its share, so that fast algorithms err where the net can afford it.
//!
//! The interpreter runs the net on sample inputs and says how much of each convolution's error reaches the outputs (`convoke_interp::noise`). With that,
//! `spend.rs` finds the cheapest algorithms that keep the limit; another run verifies them, and the limit is tightened until it holds. `samples.rs` has
//! the inputs.
//!
//! Errors are root mean squares over an output, relative to the root mean square of its values. They are those to *expect*: of inputs like the samples, with
//! errors of convolutions that are independent of each other.

pub(crate) mod samples;
mod spend;

use convoke_conv::{Estimate, Selection};
use convoke_interp::{Noise, OutputNoise};
use convoke_ir::attr::Plan;
use convoke_ir::layer::{self as ir, Op};

use crate::compiler::Compiler;
use crate::error::Error;
use crate::layer::Layer;
use crate::unmet::Unmet;
use spend::{Candidate, Spender, spend};

/// The errors to expect of a net's outputs, and where they come from.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct OutputErrors {
    /// The largest error allowed, [`Compiler::with_max_output_error`].
    pub limit: f64,
    /// The outputs, in order.
    pub outputs: Vec<OutputError>,
    /// The convolutions, in the order of the layer.
    pub convolutions: Vec<Contribution>,
    /// The part that other ops have in the square of the error of the worst output.
    pub others: f64,
}

/// The error to expect of an output.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct OutputError {
    /// The output, without `%`.
    pub output: String,
    /// The root mean square of its error, relative to that of its values.
    pub error: f64,
}

/// What a convolution contributes to the errors of outputs.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Contribution {
    /// The value it computes, without `%`.
    pub value: String,
    /// The plan that it would have without the limit on outputs.
    pub alone: Plan,
    /// The plan that it has.
    pub chosen: Plan,
    /// The error to expect of that plan, relative to Σ|w||x|.
    pub error: f64,
    /// The root mean square of Σ|w||x| relative to that of the result: by how much cancellation makes the error larger.
    pub growth: f64,
    /// Its part in the square of the error of the worst output, between 0 and 1.
    pub share: f64,
}

/// The part of the limit that is spent: the error of a run differs from that to expect by some percent.
const MARGIN: f64 = 0.9;

/// How many times the least square of the error is spent where even that exceeds the limit: to come nearer would cost much and not keep it.
const NEAR: f64 = 1.1;

/// How often the limit is tightened before every convolution is as accurate as it can be.
const ROUNDS: usize = 4;

impl OutputErrors {
    /// Gives each convolution of `weighed`, the layer that `select` would be given, its share of the limit.
    pub(crate) fn share(
        compiler: &Compiler,
        limit: f64,
        layer: &Layer,
        weighed: &ir::Layer,
        selections: &mut [Selection],
    ) -> Result<OutputErrors, Error> {
        let (samples, files) = (compiler.samples(), compiler.files(layer));
        let inputs = samples.inputs(layer, &compiler.declared(layer), compiler.input_range(), &files)?;
        let run = |errors: &[f64]| -> Result<Noise, Error> {
            compiler.grants().bounds.on_time("the estimate of the errors of outputs")?;
            samples.noise(weighed, &inputs, &files, errors)
        };
        let alone: Vec<Plan> = selections.iter().map(|selection| selection.chosen).collect();
        let mut errors: Vec<f64> = selections.iter().map(error).collect();
        let mut noise = run(&errors)?;
        let mut aim = MARGIN * limit;
        for round in 0..=ROUNDS {
            // At last nothing is left to spend.
            let rest = rest(&noise);
            let left = if round == ROUNDS { 0.0 } else { aim * aim - rest };
            let unmet = |least: f64| round == 0 && least + rest > limit * limit;
            let otherwise = |least: f64| if unmet(least) { NEAR * (least + rest) - rest } else { least };
            let spenders = spenders(selections, &noise, &errors);
            let (picked, kept) = spend(&spenders, left, otherwise);
            let next: Vec<f64> = spenders.iter().zip(picked).map(|(s, i)| s.candidates[i].error).collect();
            if next == errors {
                break;
            }
            errors = next;
            noise = run(&errors)?;
            let worst = worst(&noise).map_or(0.0, OutputNoise::relative);
            if worst <= limit || !kept {
                break;
            }
            aim *= limit / worst;
        }
        selections.iter_mut().zip(&errors).for_each(|(selection, &error)| selection.share(error));
        Ok(OutputErrors::of(limit, weighed, &noise, selections, &alone))
    }

    fn of(limit: f64, weighed: &ir::Layer, noise: &Noise, selections: &[Selection], alone: &[Plan]) -> OutputErrors {
        let named = weighed.results.iter().zip(&noise.outputs);
        let outputs = named
            .map(|(&id, output)| OutputError { output: weighed.values[id].name.clone(), error: output.relative() });
        let parts = worst(noise).map_or(&[][..], |output| &output.parts);
        let whole = parts.iter().sum::<f64>().max(f64::MIN_POSITIVE);
        let part = |i: usize| parts.get(i).map_or(0.0, |part| part / whole);
        let convolutions = selections.iter().zip(alone).enumerate().map(|(i, (selection, &alone))| Contribution {
            value: selection.value.clone(),
            alone,
            chosen: selection.chosen,
            error: error(selection),
            growth: noise.growth[i],
            share: part(i),
        });
        let others = part(selections.len());
        OutputErrors { limit, outputs: outputs.collect(), convolutions: convolutions.collect(), others }
    }

    /// What a convolution contributes, by the value it computes.
    pub fn contribution(&self, value: &str) -> Option<&Contribution> {
        self.convolutions.iter().find(|own| own.value == value)
    }

    /// The outputs that do not keep the limit.
    pub(crate) fn unmet(&self) -> impl Iterator<Item = Unmet> + '_ {
        let over = self.outputs.iter().filter(|output| output.error > self.limit);
        over.map(|output| Unmet::Output { output: output.output.clone(), error: output.error, limit: self.limit })
    }
}

/// Writes the plans that were chosen into a layer, but those that were asked for.
pub(crate) fn write(selections: &[Selection], weighed: &mut ir::Layer) {
    let convs = weighed.body.iter_mut().filter_map(|instr| match &mut instr.op {
        Op::Conv2d(conv) => Some(conv),
        _ => None,
    });
    let open = convs.zip(selections).filter(|(_, selection)| selection.reason != convoke_conv::Reason::Asked);
    open.for_each(|(conv, selection)| conv.plan = selection.chosen);
}

/// The error of the plan chosen, relative to Σ|w||x|.
fn error(selection: &Selection) -> f64 {
    selection.estimate().map_or(0.0, |estimate| estimate.error_typical)
}

/// The output with the largest relative error.
fn worst(noise: &Noise) -> Option<&OutputNoise> {
    noise.outputs.iter().max_by(|a, b| a.relative().total_cmp(&b.relative()))
}

/// The square of the relative error that no convolution has to answer for; of the output where it is largest.
fn rest(noise: &Noise) -> f64 {
    largest(noise, |output| output.parts.last().copied().unwrap_or(0.0))
}

/// The largest mean square of some noise, relative to that of its output's values.
fn largest(noise: &Noise, of: impl Fn(&OutputNoise) -> f64) -> f64 {
    let relative = |output: &OutputNoise| match of(output) {
        0.0 => 0.0,
        square => square / output.size.powi(2),
    };
    noise.outputs.iter().map(relative).fold(0.0, f64::max)
}

/// The convolutions, after a run in which they had these errors.
fn spenders(selections: &[Selection], noise: &Noise, errors: &[f64]) -> Vec<Spender> {
    let one = |(i, selection): (usize, &Selection)| {
        let candidate = |estimate: &Estimate| Candidate { cost: estimate.cycles(), error: estimate.error_typical };
        let mut candidates: Vec<Candidate> = selection.affordable().map(candidate).collect();
        if candidates.is_empty() {
            candidates.push(Candidate { cost: 0.0, error: errors[i] });
        }
        let reached = largest(noise, |output| output.parts[i]);
        Spender { candidates, weight: if reached == 0.0 { 0.0 } else { reached / errors[i].powi(2) } }
    };
    selections.iter().enumerate().map(one).collect()
}
