//! Reasons why a candidate computes no such convolution, or is not worth weighing.

use convoke_ir::attr::Plan;

use crate::propagation::Propagation;

fn parameters(needs: &[&str], may: &[&str]) -> String {
    match needs.len() + may.len() {
        0 => "none".into(),
        _ => [needs, may].concat().join(", "),
    }
}

/// Why an algorithm cannot compute a convolution.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// No such tiles.
    #[error(transparent)]
    Tiling(NoTiling),
    /// No such parts.
    #[error(transparent)]
    Parts(NoParts),
    /// The user allows less rounding.
    #[error("has an error of {error:.1e}, and --max-error allows {limit:.1e}")]
    Budget {
        /// Its error to expect, or its certified bound if that is limited.
        error: f64,
        /// The most.
        limit: f64,
    },
    /// The user wants a NaN or an infinity to stay where the sum puts it.
    #[error("{propagation}, which --ieee forbids")]
    Spreads {
        /// The outputs that one reaches.
        propagation: Propagation,
    },
    /// Nothing that keeps its digits.
    #[error("needs transforms of more than {points} points, which lose too much accuracy unless asked for by size")]
    Inaccurate {
        /// The most that are tried.
        points: usize,
    },
    /// A parameter that it does not take.
    #[error("takes no `{name}`; its parameters are {}", parameters(needs, may))]
    Parameter {
        /// The parameter.
        name: &'static str,
        /// Those that it needs.
        needs: &'static [&'static str],
        /// Those that it may have.
        may: &'static [&'static str],
    },
    /// A parameter out of range.
    #[error("needs a `{name}` of {needs}")]
    Value {
        /// The parameter.
        name: &'static str,
        /// The value that is expected.
        needs: &'static str,
    },
    /// Nothing is gained.
    #[error("{needs}")]
    Form {
        /// The need of the form.
        needs: &'static str,
    },
    /// Too little is gained for its code.
    #[error(
        "is predicted to be {speedup:.2} times as fast as {than}, and its code, one for each kind of tile, is worth {needs:.2}"
    )]
    Speedup {
        /// How many times as fast it is.
        speedup: f64,
        /// The fastest other.
        than: Plan,
        /// How many times as fast it must be.
        needs: f64,
    },
    /// Nothing of these sizes.
    #[error("has no sizes that suit")]
    NoSizes,
    /// A reduction over channels.
    #[error("needs one input channel per group, got {got}")]
    InputChannels {
        /// Input channels of a group.
        got: usize,
    },
    /// Too much memory.
    #[error("needs {bytes} bytes of scratch, more than {limit}")]
    Scratch {
        /// Bytes needed.
        bytes: u128,
        /// The most there may be.
        limit: u128,
    },
}

/// Why a convolution cannot be cut into transformed tiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoTiling {
    /// Nothing to save.
    #[error("needs a kernel of more taps than its steps")]
    OneTap,
    /// The transform would be too large.
    #[error("needs a transform of {got} numbers for {taps} taps, the most are {limit}")]
    Points {
        /// Numbers of the transform along an axis.
        got: usize,
        /// Taps of a phase of the filter.
        taps: usize,
        /// The most.
        limit: usize,
    },
    /// The tile would read too much.
    #[error("has tiles of {got} inputs along an axis, the most are {limit}")]
    Inputs {
        /// Inputs of a tile.
        got: usize,
        /// The most.
        limit: usize,
    },
    /// The tile is larger than the result.
    #[error("has tiles of {tile} outputs along an axis, the result has {extent}")]
    Large {
        /// Outputs of a tile.
        tile: usize,
        /// Outputs along the axis.
        extent: usize,
    },
    /// The transform is no power of two, or does not hold the filter and has no half to cut it by.
    #[error("needs a power of two of points along each axis, from 2 up to {limit} if it has {taps} taps, got {points}")]
    Fourier {
        /// Points.
        points: usize,
        /// Taps.
        taps: usize,
        /// The most points.
        limit: usize,
    },
    /// The filter moves by more than one.
    #[error("needs steps of 1, got strides of {got}")]
    Steps {
        /// Steps of the filter along an axis.
        got: usize,
    },
}

/// Why a product cannot be cut into parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoParts {
    /// Some part would be empty.
    #[error("needs {needs} or more {of}, got {got}")]
    Few {
        /// The quantity that is too small.
        of: &'static str,
        /// How many there must be.
        needs: usize,
        /// How many there are.
        got: usize,
    },
    /// Each product is code of its own, which takes long to compile.
    #[error("multiplies {products} times, more than {limit}")]
    Products {
        /// Products of parts.
        products: usize,
        /// The most there may be.
        limit: usize,
    },
}
