//! The algorithms, one folder each, and the list of them. Nothing else knows that there are several.
//!
//! A folder holds
//!
//! ```text
//! mod.rs        what it computes, a drawing of its loops, when it wins, when it cannot; its [`Method`]
//! geometry.rs   how the convolution is cut: pure functions that cost and loops both call
//! cost.rs       cycles and bytes of a plan, term by term
//! lower.rs      loops from the plan; sees no cost
//! ```

mod depthwise_channels;
mod direct_channels;
mod direct_pixels;
mod direct_regions;
mod im2col;
pub(crate) mod strassen;
pub(crate) mod tiles;

use convoke_ir::attr::Plan;
use convoke_ir::layer::{Instr, Layer, Op};
use convoke_lower::{LowerError, Lowering};

use crate::conv::Conv;
use crate::lower::{op, views};
use crate::method::Method;
use crate::refusal::Refusal;

/// Every method, in the order in which the first of equally fast ones is chosen.
pub(crate) const ALL: &[&dyn Method] = &[
    // Both names have a form with pixels in the lanes, of which this is the telling one.
    &direct_pixels::DEPTHWISE,
    &depthwise_channels::DepthwiseChannels,
    &direct_channels::DirectChannels,
    &direct_pixels::DIRECT,
    &direct_pixels::COMPACT,
    &direct_regions::DirectRegions,
    &im2col::Im2col,
    &tiles::WINOGRAD,
    &tiles::FFT,
    &strassen::Strassen,
];

/// The method of a complete plan.
pub(crate) fn of(plan: &Plan) -> Option<&'static dyn Method> {
    ALL.iter().copied().find(|method| method.takes(plan))
}

/// Refuses parameters of a plan that its method does not take.
pub(crate) fn refuse_others(method: &dyn Method, plan: &Plan) -> Result<(), Refusal> {
    let [needs, may] = method.parameters();
    match plan.schedule.names().into_iter().find(|name| !needs.contains(name) && !may.contains(name)) {
        Some(name) => Err(Refusal::Parameter { name, needs, may }),
        None => Ok(()),
    }
}

/// Whether a plan has every parameter that its method needs.
pub(crate) fn is_complete(method: &dyn Method, plan: &Plan) -> bool {
    let sized = plan.is_plain_sum() || plan.algorithm != plan.algorithm.family();
    let names = plan.schedule.names();
    sized && method.parameters()[0].iter().all(|name| names.contains(name))
}

/// Lowers a convolution by its plan.
///
/// # Errors
///
/// A convolution without a plan, or with one that does not compute it.
pub fn lower<'a>(lowering: &mut Lowering<'a>, instr: &'a Instr) -> Result<(), LowerError> {
    let plan = op(instr).plan;
    let value = || lowering.name(instr.result).to_owned();
    if plan == Plan::default() {
        return Err(LowerError::NotSelected { value: value() });
    }
    let refuse = |reason: String| LowerError::Algorithm { value: value(), plan: Box::new(plan), reason };
    let Some(method) = of(&plan).filter(|method| is_complete(*method, &plan)) else {
        return Err(refuse("is not complete; run `select` before lowering".into()));
    };
    let conv = Conv::new(&lowering.layer, &lowering.known, instr).expect("this is a convolution");
    let conv = views::as_read(&lowering.layer, instr, conv);
    method.fits(plan, &conv, lowering.machine).map_err(|refusal| refuse(refusal.to_string()))?;
    views::make_room(lowering, instr.result)?;
    method.lower(lowering, instr, plan)
}

/// Whether an instruction is a convolution whose plan reads the input number by number where it lies, again for every tile of channels.
pub fn broadcasts_in_place(layer: &Layer, instr: &Instr) -> bool {
    let Op::Conv2d(op) = &instr.op else { return false };
    let method = of(&op.plan);
    Conv::with_known_weights(layer, instr).is_some_and(|conv| method.is_some_and(|m| m.broadcasts_in_place(&conv)))
}
