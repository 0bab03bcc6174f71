//! The options that the factoring passes share.

use convoke_ir::attr::Attr;
use convoke_ir::layer::{HardSwish, Op, Relu, Relu6, Silu};

use crate::guarantee::Grants;
use crate::pass::PassOption;

/// The options of a factoring pass.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    /// The relative error allowed by this pass's own option.
    pub(crate) tolerance: Option<f64>,
    /// Whether to rewrite even if that is predicted to be slower.
    pub(crate) always: bool,
    /// A rank that is given.
    pub(crate) rank: Option<usize>,
    /// The most multiplications for a convolution, if not [`MULTIPLICATIONS`].
    pub(crate) work: Option<f64>,
    /// Whether a level runs the pass, not the user by its name.
    pub(crate) by_level: bool,
    /// Whether the pass spends the tolerance of the command even when a level runs it.
    pub(crate) joint: bool,
}

/// `tolerance`.
pub(crate) const TOLERANCE: PassOption = PassOption {
    name: "tolerance",
    doc: "the relative error allowed over the net, in the Frobenius norm of the kernels; that of --tolerance if not given, else none",
};
/// The most multiplications that finding factors of one convolution may take: about a minute.
pub(crate) const MULTIPLICATIONS: f64 = 5e11;

/// `work`.
pub(crate) const WORK: PassOption = PassOption {
    name: "work",
    doc: "the most multiplications that finding new weights of one convolution may take; 5e11, about a minute, if not given",
};
/// `always`.
pub(crate) const ALWAYS: PassOption =
    PassOption { name: "always", doc: "true to rewrite even where it is predicted to be slower; false if not given" };
/// `activation`.
pub(crate) const ACTIVATION: PassOption = PassOption {
    name: "activation",
    doc: "what to put between the factors of unbound weights: relu, relu6, silu or hardswish; nothing if not given",
};

impl Settings {
    /// Sets an option that all of them have; the error says what the value must be.
    pub(crate) fn set(&mut self, option: &str, value: &Attr) -> Result<(), String> {
        match option {
            "tolerance" => self.tolerance = Some(number(value)?),
            "always" => match value {
                Attr::Bool(v) => self.always = *v,
                _ => return Err("`true` or `false`".into()),
            },
            "work" => self.work = Some(number(value)?),
            "rank" => self.rank = Some(positive(value)?),
            other => unreachable!("`{other}` is in no list of options"),
        }
        Ok(())
    }

    /// The most multiplications for a convolution.
    pub(crate) fn multiplications(&self) -> f64 {
        self.work.unwrap_or(MULTIPLICATIONS)
    }

    /// The grants with the pass's own tolerance in place of the command's.
    pub(crate) fn grants(&self, given: Grants) -> Grants {
        Grants { tolerance: self.tolerance.or(given.tolerance), ..given }
    }
}

/// A number that is not negative.
pub(crate) fn number(value: &Attr) -> Result<f64, String> {
    match *value {
        Attr::Int(v) if v >= 0 => Ok(v as f64),
        Attr::Float(v) if v >= 0.0 && v.is_finite() => Ok(v),
        _ => Err("a number of at least 0".into()),
    }
}

/// A whole number of at least 1.
pub(crate) fn positive(value: &Attr) -> Result<usize, String> {
    match *value {
        Attr::Int(v) if v >= 1 => usize::try_from(v).map_err(|_| "a smaller number".into()),
        _ => Err("a whole number of at least 1".into()),
    }
}

/// An activation by its name.
pub(crate) fn activation(value: &Attr) -> Result<Op, String> {
    let Attr::Word(word) = value else { return Err("the name of an activation".into()) };
    match word.as_str() {
        "relu" => Ok(Relu {}.into()),
        "relu6" => Ok(Relu6 {}.into()),
        "silu" => Ok(Silu {}.into()),
        "hardswish" => Ok(HardSwish {}.into()),
        _ => Err("`relu`, `relu6`, `silu` or `hardswish`".into()),
    }
}
