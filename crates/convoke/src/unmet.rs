//! Limits on errors that a layer does not keep. A convolution means a plain sum, which is used even where its own error exceeds the limit.

use std::fmt;

use convoke_conv::{Budget, Conv, Origin, Selection};
use convoke_ir::attr::Plan;
use convoke_ir::elem::Elem;
use convoke_ir::layer::{Layer, Op};
use convoke_lower::known::Known;
use convoke_passes::Grants;

/// A limit on errors that is not kept.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Unmet {
    /// A convolution whose error is above [`Compiler::with_max_error`](crate::Compiler::with_max_error). A limit of 0 asks for plain sums, and is always
    /// kept.
    Convolution {
        /// The value it computes, without `%`.
        result: String,
        /// Its element type.
        elem: Elem,
        /// The number of products in the sum of an output.
        products: usize,
        /// The error of the plain sum: the one to expect, or the certified bound.
        error: f64,
        /// The largest error allowed.
        limit: f64,
        /// Whether the certified bound was held against the limit.
        certified: bool,
    },
    /// An output whose error is above [`Compiler::with_max_output_error`](crate::Compiler::with_max_output_error) even with the most accurate algorithms, or those that come
    /// near them.
    Output {
        /// The output, without `%`.
        output: String,
        /// The error to expect, relative to the output.
        error: f64,
        /// The largest error allowed.
        limit: f64,
    },
}

impl Unmet {
    /// Those of the convolutions of a layer, with the algorithms that they name.
    pub fn of(layer: &Layer, grants: &Grants) -> Vec<Unmet> {
        let known = Known::of(layer);
        let convs = layer.body.iter().filter_map(|instr| match &instr.op {
            Op::Conv2d(op) => Some((&layer.values[instr.result].name, op.plan, Conv::new(layer, &known, instr)?)),
            _ => None,
        });
        convs.filter_map(|(name, algorithm, conv)| Unmet::one(name, algorithm, &conv, grants)).collect()
    }

    /// Those of the algorithms that were chosen.
    pub(crate) fn of_selections(selections: &[Selection], grants: &Grants) -> Vec<Unmet> {
        selections.iter().filter_map(|s| Unmet::one(&s.value, s.chosen, &s.conv, grants)).collect()
    }

    fn one(result: &str, algorithm: Plan, conv: &Conv, grants: &Grants) -> Option<Unmet> {
        let Budget { limit, certified, origin } = Budget::new(conv, &grants.rounding());
        let error = Budget::plain(conv, certified);
        let kept = origin != Origin::Given || limit == 0.0 || !algorithm.is_plain_sum() || error <= limit;
        let (elem, products) = (conv.stored[2], conv.depth());
        (!kept).then(|| Unmet::Convolution { result: result.into(), elem, products, error, limit, certified })
    }
}

impl fmt::Display for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unmet::Convolution { result, elem, products, error, limit, certified } => {
                let kind = if *certified { "bound" } else { "expected error" };
                write!(
                    f,
                    "%{result} does not keep --max-error {limit:e}: a plain sum of {products} products in {elem} has the {kind} {error:.1e}"
                )
            }
            Unmet::Output { output, error, limit } => write!(
                f,
                "output %{output} does not keep --max-output-error {limit:e}: its expected error is {error:.1e}, and no algorithms make it much less"
            ),
        }
    }
}
