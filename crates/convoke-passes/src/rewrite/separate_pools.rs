//! `separate-pools`: pool columns, then rows, where a window is large.
//!
//! ```text
//! %y = max_pool %x { kernel_shape = [13, 13] }   ⟶   %y.rows = max_pool %x { kernel_shape = [13, 1] }
//!                                                    %y = max_pool %y.rows { kernel_shape = [1, 13] }
//! ```
//!
//! Applies:    to `max_pool` with a window of K×L and a step of s over columns, if K·L > 2·(K·s + L): comparisons of one output against those of
//!             both passes, where the values between them are written and read once more.
//! Guarantee:  `Exact`: the maximum of a window is that of its columns' maxima. Of zeros of both signs, either may be the result.
//! Leaves:     pads that are derived by `auto_pad`; `avg_pool`, whose sums would be rounded in another order.

use convoke_ir::attr::AutoPad;
use convoke_ir::layer::{Def, Layer, MaxPool, Op};
use convoke_ir::types::{Image, TensorType};

use super::edit::{self, Names};
use crate::error::PassError;
use crate::guarantee::{Exact, Granted};
use crate::note::Log;
use crate::pass::{Changed, Context, LayerPass};

/// See the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct SeparatePools;

impl LayerPass for SeparatePools {
    type Needs = Exact;
    const NAME: &'static str = "separate-pools";
    const SUMMARY: &'static str = "pool columns, then rows, where a window is large";

    fn run(&self, layer: &mut Layer, _: &Context<'_>, _: Granted<Exact>, _: &mut Log) -> Result<Changed, PassError> {
        let mut names = Names::new(layer);
        let mut changed = false;
        for at in (0..layer.body.len()).rev() {
            let Some((columns, rows, ty)) = separated(layer, at) else { continue };
            let stem = format!("{}.rows", layer.values[layer.body[at].result].name);
            let between = names.value(layer, &stem, ty, Def::Instr);
            let x = std::mem::replace(&mut layer.body[at].args[0], between);
            layer.body[at].op = rows.into();
            layer.body.insert(at, edit::instr(between, columns, vec![x]));
            changed = true;
        }
        Ok(changed.into())
    }
}

/// The pooling of columns and that of rows, and the type of the value between them.
fn separated(layer: &Layer, at: usize) -> Option<(MaxPool, MaxPool, TensorType)> {
    let instr = &layer.body[at];
    let Op::MaxPool(pool) = &instr.op else { return None };
    let ([k, l], [_, step]) = (pool.kernel_shape, pool.strides);
    if k * l <= 2 * (k * step + l) || pool.auto_pad != AutoPad::NotSet {
        return None;
    }
    let [top, left, bottom, right] = pool.pads;
    let columns = MaxPool {
        kernel_shape: [k, 1],
        pads: [top, 0, bottom, 0],
        strides: [pool.strides[0], 1],
        dilations: [pool.dilations[0], 1],
        ..pool.clone()
    };
    let rows = MaxPool {
        kernel_shape: [1, l],
        pads: [0, left, 0, right],
        strides: [1, step],
        dilations: [1, pool.dilations[1]],
        ..pool.clone()
    };
    let x = layer.ty(instr.args[0]);
    let image = x.as_image()?;
    let height = columns.window(x).ok()?.h.output;
    let ty = TensorType::image(x.elem, Image { h: height, ..image }, x.layout).ok()?;
    Some((columns, rows, ty))
}
