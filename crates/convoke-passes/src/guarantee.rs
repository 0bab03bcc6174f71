//! What a pass may change, and what the user allows.
//!
//! Each pass names a [`Guarantee`] as a type, and can only be run with a [`Granted`] token of that type. The token's
//! field is private and only [`Grants::grant`] makes one, so a pass that may change what the user did not allow cannot
//! be started.

use std::fmt;
use std::marker::PhantomData;

use convoke_conv::Allowed;
use convoke_ir::limits::Bounds;

/// What a pass may change, weakest change first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Guarantee {
    /// Nothing but the order of evaluation: the same real numbers and shapes.
    Exact,
    /// Floating-point rounding only: equal over the reals.
    Rounding,
    /// The function, by a measured and reported amount.
    Approximate,
    /// The function, freely: the result has new, unbound weights and must be trained.
    Structural,
}

impl Guarantee {
    /// Every guarantee, weakest change first.
    pub const ALL: &'static [Guarantee] =
        &[Guarantee::Exact, Guarantee::Rounding, Guarantee::Approximate, Guarantee::Structural];

    /// The name, as `convoke passes` prints it.
    pub fn name(self) -> &'static str {
        match self {
            Guarantee::Exact => "exact",
            Guarantee::Rounding => "rounding",
            Guarantee::Approximate => "approximate",
            Guarantee::Structural => "structural",
        }
    }

    /// What such a pass may change, in words that follow "may change".
    pub fn changes(self) -> &'static str {
        match self {
            Guarantee::Exact => "nothing but the order of evaluation",
            Guarantee::Rounding => "floating-point rounding",
            Guarantee::Approximate => "the function, by a measured amount",
            Guarantee::Structural => "the function, freely, and leaves weights to be trained",
        }
    }

    /// The option that grants it; `None` for what is always granted.
    pub fn flag(self) -> Option<&'static str> {
        match self {
            Guarantee::Exact => None,
            Guarantee::Rounding => Some("--max-error E with E > 0"),
            Guarantee::Approximate => Some("--tolerance T"),
            Guarantee::Structural => Some("--structural"),
        }
    }
}

impl fmt::Display for Guarantee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

mod sealed {
    pub trait Sealed {}
}

/// A [`Guarantee`] as a type, for [`crate::LayerPass::Needs`].
pub trait Needs: sealed::Sealed {
    /// The guarantee.
    const GUARANTEE: Guarantee;
}

macro_rules! needs {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub enum $name {}
        impl sealed::Sealed for $name {}
        impl Needs for $name {
            const GUARANTEE: Guarantee = Guarantee::$name;
        }
    )*};
}

needs! {
    /// [`Guarantee::Exact`] as a type.
    Exact,
    /// [`Guarantee::Rounding`] as a type.
    Rounding,
    /// [`Guarantee::Approximate`] as a type.
    Approximate,
    /// [`Guarantee::Structural`] as a type.
    Structural,
}

/// The user's permission for a pass that needs `G`.
#[derive(Clone, Copy, Debug)]
pub struct Granted<G>(PhantomData<G>);

/// What the user allows: changes, and time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Grants {
    /// `--max-error`: the rounding error to expect that is allowed, relative to Σ|w||x| of an output element, for inputs of like magnitude within a
    /// tile. `None` allows ten times that of a plain sum; 0 allows none beyond that of plain summation in the element type, which a layer means.
    pub max_error: Option<f64>,
    /// `--certified`: whether `max_error` limits what no input exceeds, rather than the error to expect.
    pub certified: bool,
    /// `--guard`: how much larger the largest pixel of a tile may be than those an output reads, before the tile is computed by plain
    /// sums; see the attribute `guard` of `conv2d`. 0 guards nothing.
    pub guard: i64,
    /// `--ieee`: whether the results that are NaN or infinite must be those of the layer as it is given. Other algorithms and passes are refused.
    pub ieee: bool,
    /// `--tolerance`: the change of the function allowed to `Approximate` passes, relative; `None` refuses them.
    pub tolerance: Option<f64>,
    /// `--structural`: whether the function may change freely.
    pub structural: bool,
    /// `--max-compile-seconds` and the other limits of compiling.
    pub bounds: Bounds,
}

impl Grants {
    /// Whether a pass with this guarantee may run.
    pub fn allow(&self, guarantee: Guarantee) -> bool {
        match guarantee {
            Guarantee::Exact => true,
            Guarantee::Rounding => self.max_error != Some(0.0),
            Guarantee::Approximate => self.tolerance.is_some(),
            Guarantee::Structural => self.structural,
        }
    }

    /// The errors of algorithms that are allowed.
    pub fn rounding(&self) -> Allowed {
        let Grants { max_error, certified, guard, ieee, bounds, .. } = *self;
        Allowed { max_error, certified, guard, ieee, bounds }
    }

    /// The token for a pass that needs `G`; `None` if the user does not allow it.
    pub(crate) fn grant<G: Needs>(&self) -> Option<Granted<G>> {
        self.allow(G::GUARANTEE).then_some(Granted(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_granted_unless_no_error_is_allowed() {
        assert!(Grants::default().grant::<Rounding>().is_some());
        assert!(Grants { max_error: Some(1e-6), ..Grants::default() }.grant::<Rounding>().is_some());
        assert!(Grants { max_error: Some(0.0), ..Grants::default() }.grant::<Rounding>().is_none());
        assert!(Grants { max_error: Some(0.0), ..Grants::default() }.grant::<Exact>().is_some());
    }

    #[test]
    fn changes_of_the_function_are_granted_one_by_one() {
        let tolerant = Grants { tolerance: Some(0.1), ..Grants::default() };
        assert!(tolerant.grant::<Approximate>().is_some() && tolerant.grant::<Structural>().is_none());
        let structural = Grants { structural: true, ..Grants::default() };
        assert!(structural.grant::<Structural>().is_some() && structural.grant::<Approximate>().is_none());
        assert!(Grants::default().grant::<Approximate>().is_none());
    }

    #[test]
    fn whatever_can_be_refused_names_its_flag() {
        for &guarantee in Guarantee::ALL {
            let strict = Grants { max_error: Some(0.0), ..Grants::default() };
            assert_eq!(guarantee.flag().is_none(), strict.allow(guarantee), "{guarantee}");
        }
    }
}
