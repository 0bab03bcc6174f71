//! The rule of convolutions and matrix products.

use convoke_ir::attr::Algorithm;
use convoke_ir::layer::{Conv2d, Op};

use super::operands::{Operands, Rounded};
use super::rules::{Applied, Rule};
use super::tracked::{each, each2};
use super::{strassen, tiles};
use crate::{Result, filled, layer};

impl Applied<'_> {
    /// The bound of a sum of products, and whether a fast algorithm may have spoilt it.
    pub(super) fn products(&self) -> Result<(Rule, bool)> {
        let terms = layer::products(self.op, self.types).expect("a sum of products");
        let [x, w] = [self.args[0], self.args[1]];
        let product = |a: &[f64], b: &[f64]| self.binary(a, b);
        let (abs_x, abs_w) = (each(&x.value, f64::abs)?, each(&w.value, f64::abs)?);
        let scale = product(&abs_x, &abs_w)?;
        // The magnitude is Σ(|w| + E_w)(|x| + E_x). Less Σ|w||x|, it is the error inherited from the operands.
        let exact = x.error.iter().chain(w.error.iter()).all(|&e| e == 0.0);
        let magnitude = match exact {
            true => scale.clone(),
            false => product(&each2(&abs_x, &x.error, |x, e| x + e)?, &each2(&abs_w, &w.error, |w, e| w + e)?)?,
        };
        let inherited = match exact {
            true => filled(scale.len(), 0.0)?,
            false => {
                // As two sums rather than as magnitude − scale, in which a small difference would drown.
                let from_x = product(&x.error, &abs_w)?;
                let wide_x = each2(&abs_x, &x.error, |x, e| x + e)?;
                each2(&from_x, &product(&wide_x, &w.error)?, |a, b| a + b)?
            }
        };
        // Products and sums.
        let (gamma, underflow) = (self.unit.gamma(terms), 2.0 * terms as f64 * self.unit.lost);
        let fast = match self.op {
            Op::Conv2d(conv) => self.fast(conv)?,
            _ => None,
        };
        if let Some(rounded) = fast {
            // The interpreter's own sum has more terms than channels; its roundoff covers that many of the native ones.
            let own = terms as f64 * f64::EPSILON;
            let depth = rounded.roundings.max(terms);
            // Tiles that are guarded may have been computed by plain sums.
            let guarded = matches!(self.op, Op::Conv2d(conv) if conv.guard > 0);
            let by_sums = each(&magnitude, |m| if guarded { gamma * m + underflow } else { 0.0 })?;
            let own_rounding = each2(&rounded.error, &by_sums, f64::max)?;
            let error = each2(&inherited, &own_rounding, |e, r| e + r)?;
            Ok(((each2(&error, &magnitude, |e, m| e + own * m)?, scale, depth), true))
        } else {
            Ok(((each2(&inherited, &magnitude, |e, m| e + gamma * m + underflow)?, scale, terms), false))
        }
    }

    /// The rounding error of a fast algorithm; `None` if the convolution is a plain sum, or if the sizes of its algorithm are not chosen.
    fn fast(&self, op: &Conv2d) -> Result<Option<Rounded>> {
        let Applied { args, types, result, unit, .. } = *self;
        let operands = Operands { x: args[0], w: args[1], types: [types[0], types[1]], result };
        match op.plan.algorithm {
            Algorithm::Winograd { outputs: Some(m) } => {
                let m = [m.h, m.w].map(usize::from);
                tiles::rounded(op, operands, tiles::Kind::Winograd(m), unit).map(Some)
            }
            Algorithm::Fft { points: Some(n) } => {
                let n = [n.h, n.w].map(usize::from);
                tiles::rounded(op, operands, tiles::Kind::Fft(n), unit).map(Some)
            }
            Algorithm::Strassen { levels: Some(levels) } => strassen::rounded(operands, levels, unit).map(Some),
            _ => Ok(None),
        }
    }
}
