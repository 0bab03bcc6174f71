//! Kernels of a layer's convolutions as filters, and the savings of channel bottlenecks.
//!
//! Each kernel, one for each pair of output and input channel, is analysed by itself ([`Filter`]). Of very many kernels a sample is analysed, spread
//! evenly; [`Limits`] say how many. The savings of bottlenecks follow from the Tucker decomposition of the weights over both kinds of channels.

use convoke_data::values;
use convoke_factor::tucker::Tucker;
use convoke_factor::{FactorError, Matrix};
pub use convoke_filter::{Class, Filter, Response, Sense};
use convoke_ir::layer::{Op, Source};
use convoke_passes::{State, registry};

use crate::compiler::Compiler;
use crate::error::Error;
use crate::layer::Layer;
use crate::option_error::OptionError;

/// The most numbers of responses that are held: 256 MiB.
const RESPONSES: usize = 1 << 25;

/// Limits of the work for one convolution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// The most kernels of a convolution that are analysed, at least 1; 1024 by default.
    pub kernels: usize,
    /// The most multiplications for all kernels, and for the channels; 1e11 by default, a few seconds.
    pub work: f64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { kernels: 1024, work: 1e11 }
    }
}

impl Limits {
    fn validate(&self) -> Result<(), OptionError> {
        match *self {
            Limits { kernels: 0, .. } => Err(OptionError::NoKernels),
            Limits { work, .. } if work >= 0.0 => Ok(()),
            Limits { work, .. } => Err(OptionError::Work { found: work }),
        }
    }
}

/// The errors for which bottlenecks are sought.
const ERRORS: [f64; 4] = [0.3, 0.1, 0.03, 0.01];

/// The kernels of one convolution.
#[derive(Clone, Debug)]
pub struct Analysis {
    value: String,
    extents: [usize; 4],
    group: usize,
    looked: usize,
    filters: Vec<Filter>,
    too_many_channels: bool,
    bottlenecks: Vec<Bottleneck>,
}

/// The fewest channels that keep an error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bottleneck {
    /// Relative, in the Frobenius norm of the weights.
    pub error: f64,
    /// Channels: out of the middle convolution, and into it.
    pub ranks: [usize; 2],
    /// Multiplications for a pixel before, over those after.
    pub saves: f64,
}

/// Analyses every convolution whose weights have values.
///
/// # Errors
///
/// [`Error::Data`] for weights that cannot be read.
pub fn analyze(layer: &Layer) -> Result<Vec<Analysis>, Error> {
    analyze_within(layer, Limits::default(), &mut |_, _, _| {})
}

/// Analyses as [`analyze`] does, within limits of the caller's. `observer` is told the value at hand, the number of its kernels that have been analysed,
/// and the number to analyse.
///
/// # Errors
///
/// As [`analyze`]; [`Error::Option`] for limits out of range.
pub fn analyze_within(
    layer: &Layer,
    limits: Limits,
    observer: &mut dyn FnMut(&str, usize, usize),
) -> Result<Vec<Analysis>, Error> {
    limits.validate()?;
    // Weights may be computed from constants.
    let fold = registry::find("fold-constants").and_then(|entry| entry.make(&[]))?;
    let folded = Compiler::host().run_passes(State::Layer(layer.ir().clone()), &[fold], layer.files(), |_, _| {})?;
    let State::Layer(ir) = folded else { unreachable!("it rewrites layers") };
    let mut found = Vec::new();
    for instr in &ir.body {
        let (Op::Conv2d(op), &[_, w]) = (&instr.op, &instr.args[..]) else { continue };
        let Some(source) = ir.constant(w).filter(|source| **source != Source::Unbound) else { continue };
        let ty = ir.ty(w);
        let &[k, c, rows, columns] = ty.shape.dims() else { continue };
        let numbers = values(source, ty, layer.files())?.wide();
        let planes = k * c;
        let frequencies = Response::frequencies(rows, columns);
        let most = (limits.work / Filter::cost(rows, columns)) as usize;
        let looked = planes.min(limits.kernels).min(most).min(RESPONSES / (frequencies * frequencies));
        let value = ir.values[instr.result].name.clone();
        let plane = |i: usize| {
            let at = i * planes / looked * rows * columns;
            Matrix::new(rows, columns, numbers[at..][..rows * columns].to_vec())
        };
        // Kernels with an infinity or a NaN are no filters.
        let mut filters = Vec::new();
        for i in 0..looked {
            observer(&value, i, looked);
            filters.extend(Filter::new(plane(i), ty.elem.unit_roundoff()));
        }
        let group = op.group as usize;
        let first = &numbers[..numbers.len() / group];
        let own = [k / group, c, rows * columns];
        let channels = c > 1 && k / group > 1;
        let too_many_channels = channels && Tucker::cost(own) > limits.work;
        let bottlenecks = match channels && !too_many_channels {
            true => bottlenecks(first, own).unwrap_or_default(),
            false => Vec::new(),
        };
        let extents = [k, c, rows, columns];
        found.push(Analysis { value, extents, group, looked, filters, too_many_channels, bottlenecks });
    }
    Ok(found)
}

fn bottlenecks(weights: &[f64], [k, c, taps]: [usize; 3]) -> Result<Vec<Bottleneck>, FactorError> {
    let tucker = Tucker::new(weights, [k, c, taps])?;
    let [most3, most4] = tucker.full();
    let multiplications = |[r3, r4]: [usize; 2]| match taps {
        1 => r4 * (c + k),
        _ => (if r4 < c { c * r4 } else { 0 }) + taps * r3 * r4 + if r3 < k { r3 * k } else { 0 },
    };
    let best = |error: f64| {
        // For each R3 the least R4 will do: errors fall with both.
        let pairs = (1..=most3).filter_map(|r3| {
            let r4 = if taps == 1 { vec![r3] } else { (1..=most4).collect() };
            let first = r4.partition_point(|&r4| tucker.error([r3, r4]) > error);
            r4.get(first).map(|&r4| [r3, r4])
        });
        let ranks = pairs.min_by_key(|&pair| multiplications(pair))?;
        let saves = (k * c * taps) as f64 / multiplications(ranks) as f64;
        Some(Bottleneck { error, ranks, saves })
    };
    Ok(ERRORS.into_iter().filter_map(best).filter(|b| b.saves > 1.0).collect())
}

impl Analysis {
    /// The value that the convolution computes, without `%`.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// The extents of its weights: output channels, input channels of a group, rows, columns.
    pub fn extents(&self) -> [usize; 4] {
        self.extents
    }

    /// The number of groups.
    pub fn group(&self) -> usize {
        self.group
    }

    /// The number of kernels that were analysed: all, or as many as [`Limits`] allow.
    pub fn looked(&self) -> usize {
        self.looked
    }

    /// The analysed kernels that are finite, in order.
    pub fn filters(&self) -> &[Filter] {
        &self.filters
    }

    /// Whether the channels were too many to be decomposed.
    pub fn too_many_channels(&self) -> bool {
        self.too_many_channels
    }

    /// The bottlenecks of the first group, if it has several channels on both sides.
    pub fn bottlenecks(&self) -> &[Bottleneck] {
        &self.bottlenecks
    }

    /// The number of kernels.
    pub fn kernels(&self) -> usize {
        self.extents[0] * self.extents[1]
    }

    /// The number of analysed kernels that are separable in this sense and no stronger one.
    pub fn separable(&self, sense: Sense) -> usize {
        self.filters.iter().filter(|f| f.rank.sense == sense).count()
    }

    /// The mean share of the energy in each rank, the largest first.
    pub fn energies(&self) -> Vec<f64> {
        let ranks = self.filters.first().map_or(0, |f| f.rank.energies.len());
        let count = self.filters.len().max(1) as f64;
        (0..ranks).map(|i| self.filters.iter().map(|f| f.rank.energies[i]).sum::<f64>() / count).collect()
    }

    /// The root mean square of all responses; `None` without a finite kernel.
    pub fn response(&self) -> Option<Response> {
        let first = &self.filters.first()?.response;
        let n = first.size();
        let mut sums = vec![0.0; n * n];
        for filter in &self.filters {
            sums.iter_mut().zip(filter.response.magnitudes.numbers()).for_each(|(sum, h)| *sum += h * h);
        }
        let count = self.filters.len() as f64;
        let mean = sums.into_iter().map(|sum| (sum / count).sqrt()).collect();
        Some(Response { magnitudes: Matrix::new(n, n, mean) })
    }
}
