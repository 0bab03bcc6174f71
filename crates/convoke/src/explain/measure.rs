//! Measured times of an explained layer: of each candidate of each convolution, and of the layer after each pass.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use convoke_conv::Selection;
use convoke_ir::layer::{Instr, Op};
use convoke_passes::LayerPass;
use convoke_passes::plan::Select;

use super::explanation::Explanation;
use super::waterfall::LayerStage;
use crate::compiler::Compiler;
use crate::error::Error;
use crate::layer::Layer;
use crate::timing::{Measured, Progress, Timing, alone, candidates, compile, interleaved};

/// The time for which a whole layer is run to time its ops.
const PROFILE: Duration = Duration::from_secs(1);

/// Times the candidates of each convolution of `layer`, which `explanation` explains, on random inputs and on as many threads as
/// `compiler` has.
///
/// # Errors
///
/// [`Error::Machine`] for a machine whose code cannot run here; [`Error::Data`] for inputs that cannot be made. The error of one candidate is in
/// [`Measured::times`].
pub fn measure(
    compiler: &Compiler,
    layer: &Layer,
    explanation: &Explanation,
    observer: &mut dyn FnMut(&str, Progress),
) -> Result<Vec<Measured>, Error> {
    let all = explanation.selections().iter().enumerate();
    let one = |(i, selection): (usize, &Selection)| {
        measure_one(compiler, layer, explanation, i, &mut |progress| observer(&selection.value, progress)).transpose()
    };
    all.filter_map(one).collect()
}

/// As [`measure`], the candidates of one convolution: that of `place` among [`Explanation::selections`]; `None` if there is none.
///
/// # Errors
///
/// As [`measure`].
pub fn measure_one(
    compiler: &Compiler,
    layer: &Layer,
    explanation: &Explanation,
    place: usize,
    observer: &mut dyn FnMut(Progress),
) -> Result<Option<Measured>, Error> {
    compiler.machine().runs_on_host()?;
    let weighed = explanation.weighed();
    let mut convs = weighed.body.iter().filter(|instr| matches!(instr.op, Op::Conv2d(_)));
    let found = convs.nth(place).zip(explanation.selections().get(place));
    let one = |(instr, selection): (&Instr, &Selection)| {
        candidates(compiler, layer.files(), &alone(weighed, instr), selection, observer)
    };
    found.map(one).transpose()
}

/// Times each op of [`Explanation::compiled`] inside runs of the whole layer, on random inputs: median seconds of all its kernels, `None` for an op that
/// has none of its own.
///
/// # Errors
///
/// As [`measure`].
pub fn measure_ops(compiler: &Compiler, layer: &Layer, explanation: &Explanation) -> Result<Vec<Option<f64>>, Error> {
    compiler.machine().runs_on_host()?;
    let ir = explanation.compiled();
    let compiled = compile(compiler, layer.files(), ir.clone())?;
    let files = compiler.files(layer);
    let inputs = ir.params.iter().enumerate();
    let inputs = inputs.map(|(i, &id)| convoke_data::random(ir.ty(id), i as i64, &files));
    let mut buffers = compiled.buffers(&inputs.collect::<Result<Vec<_>, _>>()?)?;
    // The first run brings code and constants into the caches.
    compiled.run_buffers(&mut buffers)?;
    let profile = compiled.profile(&mut buffers, PROFILE)?;
    let seconds: HashMap<&str, f64> = profile.by_value(&compiled).into_iter().collect();
    Ok(ir.body.iter().map(|instr| seconds.get(ir.values[instr.result].name.as_str()).copied()).collect())
}

/// Times the whole layer as given and after each pass that changed it, each time with the algorithms that would be chosen. The result has
/// a time, or the reason why there is none, for each stage of `explanation`. The stages before and after `select` have the same code, and share a time.
///
/// # Errors
///
/// As [`measure`].
pub fn measure_stages(
    compiler: &Compiler,
    layer: &Layer,
    explanation: &Explanation,
    observer: &mut dyn FnMut(Progress),
) -> Result<Vec<Result<Timing, Arc<Error>>>, Error> {
    compiler.machine().runs_on_host()?;
    let select = |stage: &LayerStage| stage.pass == Some(Select::NAME);
    let compiled = explanation.stages().iter().filter(|stage| !select(stage));
    let tried = compiled.map(|stage| (stage.pass, stage.layer.clone())).collect();
    let times = interleaved(compiler, layer.files(), tried, &|pass| Progress::Stage(*pass), observer)?;
    let mut times: Vec<_> = times.into_iter().map(|(_, time)| time.map_err(Arc::new)).collect();
    // The stage of `select` is never the first.
    if let Some(at) = explanation.stages().iter().position(select)
        && let Some(before) = at.checked_sub(1).and_then(|before| times.get(before).cloned())
    {
        times.insert(at, before);
    }
    Ok(times)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explain::explanation::explain;
    use crate::timing::ROUNDS;

    #[test]
    fn each_convolution_is_timed_alone_by_each_candidate() {
        let layer = Layer::parse(
            "layer @l(%x: f32[1, 8, 12, 12]) -> f32[1, 8, 12, 12] {
               %w = const f32[8, 8, 3, 3] = normal(seed = 1)
               %d = const f32[8, 1, 3, 3] = normal(seed = 2)
               %a = conv2d %x, %w { pads = [1, 1, 1, 1] }
               %b = conv2d %a, %d { pads = [1, 1, 1, 1], group = 8 }
               %c = add %b, %x
               return %c
             }",
        )
        .expect("a valid layer");
        let compiler = Compiler::host();
        let explanation = explain(&compiler, &layer).expect("explained");
        let mut compiled = Vec::new();
        let measured = measure(&compiler, &layer, &explanation, &mut |value, progress| {
            if let Progress::Compile(algorithm) = progress {
                compiled.push((value.to_owned(), algorithm));
            }
        });
        let measured = measured.expect("measured");
        assert_eq!(measured.len(), 2);
        for (measured, selection) in measured.iter().zip(explanation.selections()) {
            let plans = selection.candidates.iter().filter(|(_, plan)| plan.is_ok()).count();
            assert_eq!(measured.times.len() + measured.skipped.len(), plans, "{measured:?}");
            assert!(measured.times.iter().any(|(algorithm, _)| *algorithm == selection.chosen), "{measured:?}");
            for (algorithm, time) in &measured.times {
                let time = time.as_ref().expect("a plan can be lowered");
                assert!(0.0 < time.seconds && time.seconds <= time.median && time.turns >= ROUNDS.0, "{time:?}");
                assert!(compiled.contains(&(measured.value.clone(), *algorithm)));
            }
        }
    }

    #[test]
    fn a_machine_that_is_not_here_is_refused() {
        let other = if cfg!(target_arch = "x86_64") { "aarch64" } else { "x86-64" };
        let compiler = Compiler::for_machine(convoke_machine::Machine::named(other).expect("a known machine"));
        let layer = Layer::conv2d([1, 2, 5, 5], [2, 2, 3, 3]).build().expect("a valid layer");
        let explanation = explain(&compiler, &layer).expect("explained all the same");
        assert!(measure(&compiler, &layer, &explanation, &mut |_, _| ()).is_err());
    }
}
