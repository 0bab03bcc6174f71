//! Memory that a layer needs, known before any of it is taken.

use convoke_ir::layer::{self as ir, Def, ValueId};
use convoke_ir::limits::{Exceeded, Limit, Limits};

use crate::error::Error;
use crate::layer::Layer;

/// Refuses a layer of too many ops, or with a tensor of too many elements.
pub(crate) fn within(layer: &ir::Layer, limits: &Limits) -> Result<(), Exceeded> {
    limits.check(Limit::Ops, layer.body.len(), format_args!("layer `@{}` has", layer.name))?;
    for (_, value) in layer.values.iter() {
        limits.check(Limit::Elements, value.ty.elements(), format_args!("`%{}`: `{}` has", value.name, value.ty))?;
    }
    Ok(())
}

/// Refuses a layer whose inputs, outputs and constants alone are larger than `limit` bytes.
///
/// Scratch is known only after lowering: code generation checks it, with [`left_for_code`].
pub(crate) fn check_layer(layer: &Layer, limit: u64) -> Result<(), Error> {
    let ir = layer.ir();
    let (inputs, outputs) = ends(layer);
    let constants = ir.values.iter().filter(|(_, value)| matches!(value.def, Def::Const(_)));
    let constants = constants.map(|(_, value)| value.ty.bytes() as u128).sum::<u128>();
    if inputs + outputs + constants <= u128::from(limit) {
        return Ok(());
    }
    Err(Error::Memory { layer: layer.name().into(), inputs, outputs, constants, limit })
}

/// The rest of `limit` for scratch and for constants, as given and as packed.
pub(crate) fn left_for_code(layer: &Layer, limit: u64) -> u64 {
    let (inputs, outputs) = ends(layer);
    u64::try_from(u128::from(limit).saturating_sub(inputs + outputs)).unwrap_or(u64::MAX)
}

/// Bytes of all inputs, and of all outputs.
fn ends(layer: &Layer) -> (u128, u128) {
    let sum = |ids: &[ValueId]| ids.iter().map(|&id| layer.ir().ty(id).bytes() as u128).sum::<u128>();
    (sum(&layer.ir().params), sum(&layer.ir().results))
}

/// `count` zeros, or an error where the system has no memory for them: `vec!` would end the process.
pub(crate) fn reserve<T: Clone + Default>(count: usize) -> Result<Vec<T>, Error> {
    let mut vec = Vec::new();
    let bytes = count.saturating_mul(size_of::<T>());
    vec.try_reserve_exact(count).map_err(|_| Error::OutOfMemory { bytes })?;
    vec.resize(count, T::default());
    Ok(vec)
}
