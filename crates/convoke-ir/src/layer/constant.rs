//! Constants: where the numbers of a weight come from.
//!
//! The IR knows the source; the numbers themselves are made or read by `convoke-data`.

use crate::attr::{Attr, AttrError, AttrType};
use crate::elem::Elem;
use crate::types::TensorType;
use crate::values::Values;

/// Where a constant's numbers come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// A weight whose values are not known: `const f32[64, 3, 3, 3] = unbound`.
    Unbound,
    /// Written in the text, in storage order: `[1, 2, 1]`. As many as the type has elements.
    Numbers(Vec<f64>),
    /// Made by rule: `normal(seed = 7, std = 0.02)`.
    Generate(Generator),
    /// Read from a file beside the text: `file("w.npy")`, `file("w.safetensors", "conv1.weight")`.
    File {
        /// Path relative to the text's folder.
        path: String,
        /// The array's name, for files that hold several.
        name: Option<String>,
    },
    /// Computed by a pass; too many to print. `opt -o` writes them to a file beside the text.
    Computed(Values),
}

impl Source {
    /// Why this source cannot fill a tensor of type `ty`, as far as that can be said without reading files.
    pub fn refuses(&self, ty: &TensorType) -> Option<String> {
        let count = |n: usize| {
            (n != ty.elements()).then(|| format!("`{ty}` has {} elements, {n} numbers were given", ty.elements()))
        };
        match self {
            Source::Unbound | Source::File { .. } => None,
            Source::Numbers(numbers) => count(numbers.len()).or_else(|| {
                let number = numbers.iter().find(|&&number| !ty.elem.holds(number))?;
                Some(ty.elem.cannot_hold(*number))
            }),
            Source::Computed(numbers) => count(numbers.len()),
            Source::Generate(generator) => generator.refuses(ty.shape.dims()).or_else(|| {
                let (argument, number) = generator.beyond(ty.elem)?;
                Some(format!("`{argument}` of `{}`: {}", generator.name(), ty.elem.cannot_hold(number)))
            }),
        }
    }
}

macro_rules! generators {
    ($(
        $(#[doc = $doc:literal])+
        $case:ident = $name:literal { $($(#[doc = $arg_doc:literal])+ $arg:ident: $ty:ty = $default:expr,)* }
    )*) => {
        /// A rule that makes the numbers of a constant, the same on every machine.
        ///
        /// `i` is the index of an element in storage order. Kernels fill the last two axes and repeat over the others.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Generator {
            $($(#[doc = $doc])+ $case { $($(#[doc = $arg_doc])+ $arg: $ty,)* },)*
        }

        impl Generator {
            /// Every generator's name.
            pub const NAMES: &'static [&'static str] = &[$($name),*];

            /// The generator that has this name, with default arguments.
            pub fn from_name(name: &str) -> Option<Generator> {
                match name {
                    $($name => Some(Generator::$case { $($arg: $default,)* }),)*
                    _ => None,
                }
            }

            /// The name in the text form.
            pub fn name(&self) -> &'static str {
                match self { $(Generator::$case { .. } => $name,)* }
            }

            /// The arguments that differ from their defaults, as the printer writes them.
            pub fn args(&self) -> Vec<(&'static str, Attr)> {
                match self {
                    $(Generator::$case { $($arg,)* } => {
                        let mut _args = Vec::new();
                        $(if *$arg != $default { _args.push((stringify!($arg), $arg.to_attr())); })*
                        _args
                    })*
                }
            }

            /// Sets the argument `name` from its written value.
            pub fn set_arg(&mut self, name: &str, _value: &Attr) -> Result<(), AttrError> {
                match self {
                    $(Generator::$case { $($arg,)* } => match name {
                        $(stringify!($arg) => {
                            *$arg = <$ty>::from_attr(_value).ok_or_else(|| AttrError::Kind {
                                op: $name,
                                name: stringify!($arg),
                                expected: <$ty>::expected(),
                                found: _value.clone(),
                            })?;
                            Ok(())
                        })*
                        _ => Err(AttrError::Unknown { op: $name, name: name.into(), known: &[$(stringify!($arg)),*] }),
                    },)*
                }
            }
        }
    };
}

generators! {
    /// Normally distributed.
    Normal = "normal" {
        /// Selects the sequence.
        seed: i64 = 0,
        /// Mean.
        mean: f64 = 0.0,
        /// Standard deviation.
        std: f64 = 1.0,
    }
    /// Uniform on `[low, high)`.
    Uniform = "uniform" {
        /// Selects the sequence.
        seed: i64 = 0,
        /// Smallest value.
        low: f64 = -1.0,
        /// Upper end.
        high: f64 = 1.0,
    }
    /// `exp(−(u² + v²) / 2σ²)` around the centre of the kernel, scaled to sum 1.
    Gaussian = "gaussian" {
        /// Standard deviation in pixels.
        sigma: f64 = 1.0,
    }
    /// All taps equal, summing to 1.
    Box = "box" {}
    /// Sobel's derivative along columns: `[1 2 1]ᵀ · [−1 0 1]`. 3×3.
    SobelX = "sobel_x" {}
    /// Sobel's derivative along rows, the transpose of `sobel_x`. 3×3.
    SobelY = "sobel_y" {}
    /// The 4-neighbour Laplacian `[0 1 0; 1 −4 1; 0 1 0]`. 3×3.
    Laplacian = "laplacian" {}
    /// `exp(−(u'² + γ²v'²) / 2σ²) · cos(2πu'/λ + ψ)` with `u' = u cos θ + v sin θ`, `v' = −u sin θ + v cos θ`.
    Gabor = "gabor" {
        /// Standard deviation σ of the envelope in pixels.
        sigma: f64 = 2.0,
        /// Orientation θ in radians.
        theta: f64 = 0.0,
        /// Wavelength λ in pixels.
        lambda: f64 = 4.0,
        /// Aspect ratio γ of the envelope.
        gamma: f64 = 1.0,
        /// Phase ψ in radians.
        psi: f64 = 0.0,
    }
    /// `1/2 + cos(π (u² + v²) / max(H, W)) / 2` around the centre: every spatial frequency once, in `[0, 1]`.
    ZonePlate = "zone_plate" {}
    /// All 0.
    Zeros = "zeros" {}
    /// All 1.
    Ones = "ones" {}
    /// 1 where the first two indices are equal and the rest are at the centre (rank 2: the unit matrix), else 0.
    Identity = "identity" {}
}

impl Generator {
    /// The argument that is too large for the numbers it makes, if they are to be of type `elem`.
    pub fn beyond(&self, elem: Elem) -> Option<(&'static str, f64)> {
        let arguments = match *self {
            Generator::Normal { mean, std, .. } => [("mean", mean), ("std", std)],
            Generator::Uniform { low, high, .. } => [("low", low), ("high", high)],
            _ => return None,
        };
        arguments.into_iter().find(|&(_, number)| !elem.holds(number))
    }

    /// Why this generator cannot fill a tensor of extents `dims`, if it cannot.
    pub fn refuses(&self, dims: &[usize]) -> Option<String> {
        let name = self.name();
        let positive = |what: &str, v: f64| {
            (!(v > 0.0 && v.is_finite())).then(|| format!("`{what}` of `{name}` must be positive, found {v:?}"))
        };
        let finite =
            |what: &str, v: f64| (!v.is_finite()).then(|| format!("`{what}` of `{name}` must be finite, found {v:?}"));
        let image =
            || (dims.len() < 2).then(|| format!("`{name}` fills rows and columns, the shape has rank {}", dims.len()));
        let three = || {
            (!matches!(dims, [.., 3, 3]))
                .then(|| format!("`{name}` is a 3×3 kernel; the last two dimensions must be 3, 3"))
        };
        match *self {
            Generator::Normal { mean, std, .. } => finite("mean", mean).or_else(|| {
                (!(std >= 0.0 && std.is_finite()))
                    .then(|| format!("`std` of `{name}` must not be negative, found {std:?}"))
            }),
            Generator::Uniform { low, high, .. } => {
                // Written so that a NaN is refused too.
                let ordered = low <= high && low.is_finite() && high.is_finite();
                (!ordered).then(|| format!("`{name}` needs `low` ≤ `high`, found {low:?} and {high:?}"))
            }
            Generator::Gaussian { sigma } => positive("sigma", sigma).or_else(image),
            Generator::Gabor { sigma, lambda, theta, gamma, psi } => positive("sigma", sigma)
                .or_else(|| positive("lambda", lambda))
                .or_else(|| finite("theta", theta))
                .or_else(|| finite("gamma", gamma))
                .or_else(|| finite("psi", psi))
                .or_else(image),
            Generator::Box {} | Generator::ZonePlate {} | Generator::Identity {} => image(),
            Generator::SobelX {} | Generator::SobelY {} | Generator::Laplacian {} => three(),
            Generator::Zeros {} | Generator::Ones {} => None,
        }
    }
}
