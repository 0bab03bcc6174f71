//! The time of each kernel inside runs of a whole layer.
//!
//! The clock is read after each kernel, some 25 ns each. A run without a profile reads none.

use std::time::{Duration, Instant};

use crate::clock::quantile;
use crate::compiled::CompiledLayer;
use crate::error::Error;
use crate::native::Buffers;

/// Median times of several runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// Seconds of each of [`CompiledLayer::kernels`].
    pub kernels: Vec<f64>,
    /// Seconds of a run.
    pub run: f64,
    /// The number of runs.
    pub runs: usize,
}

impl Profile {
    /// The time of each value of `layer`, in the order in which values are computed; all kernels of a value count.
    pub fn by_value<'a>(&self, layer: &'a CompiledLayer) -> Vec<(&'a str, f64)> {
        let mut values: Vec<(&str, f64)> = Vec::new();
        for (kernel, seconds) in layer.kernels().iter().zip(&self.kernels) {
            match values.iter_mut().find(|(value, _)| *value == kernel.value) {
                Some((_, sum)) => *sum += seconds,
                None => values.push((&kernel.value, *seconds)),
            }
        }
        values
    }
}

impl CompiledLayer {
    /// Runs on `buffers` until `least` has passed, once at the fewest, and times each kernel of each run.
    ///
    /// # Errors
    ///
    /// As [`CompiledLayer::run_buffers`].
    pub fn profile(&self, buffers: &mut Buffers, least: Duration) -> Result<Profile, Error> {
        let mut times = vec![Vec::new(); self.kernels().len()];
        let mut runs = Vec::new();
        let start = Instant::now();
        while runs.is_empty() || start.elapsed() < least {
            let begin = Instant::now();
            let mut last = begin;
            self.run_observed(buffers, |kernel| {
                let now = Instant::now();
                times[kernel].push((now - last).as_secs_f64());
                last = now;
            })?;
            runs.push(begin.elapsed().as_secs_f64());
        }
        let median = |times: &mut Vec<f64>| {
            times.sort_by(f64::total_cmp);
            quantile(times, 0.5)
        };
        Ok(Profile { kernels: times.iter_mut().map(median).collect(), run: median(&mut runs), runs: runs.len() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compiler::Compiler;
    use crate::layer::Layer;

    #[test]
    fn every_kernel_has_a_time_and_the_value_that_it_computes() {
        let layer = Layer::parse(
            "layer @net(%x: f32[1, 8, 20, 20]) -> f32[1, 16, 20, 20] {
               %v = const f32[8, 8, 3, 3] = normal(seed = 1)
               %w = const f32[8, 8, 3, 3] = normal(seed = 2)
               %a = conv2d %x, %v { pads = [1, 1, 1, 1], algorithm = winograd(4x4) }
               %b = conv2d %a, %w { pads = [1, 1, 1, 1], algorithm = winograd(4x4) }
               %y = concat %x, %b { axis = 1 }
               return %y
             }",
        )
        .expect("a valid layer");
        let compiled = Compiler::host().compile(&layer).expect("compiled");
        let mut buffers = compiled.buffers(&[ndarray::ArrayD::zeros(vec![1, 8, 20, 20])]).expect("as many as inputs");
        let profile = compiled.profile(&mut buffers, Duration::ZERO).expect("run");
        assert_eq!((profile.runs, profile.kernels.len()), (1, compiled.kernels().len()));
        let sum: f64 = profile.kernels.iter().sum();
        assert!(profile.kernels.iter().all(|&seconds| seconds >= 0.0) && 0.0 < sum && sum <= profile.run);
        let values = profile.by_value(&compiled);
        let names: Vec<_> = values.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["a", "b", "y"]);
        assert!((values.iter().map(|(_, seconds)| seconds).sum::<f64>() - sum).abs() <= 1e-12);
    }
}
