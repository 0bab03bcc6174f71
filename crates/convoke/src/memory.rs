//! How much memory a layer needs, known before any of it is taken.

use convoke_ir::layer::Def;

use crate::error::Error;
use crate::layer::Layer;

/// Refuses a layer whose inputs, outputs and constants alone are larger than `limit` bytes.
///
/// Scratch is known only after lowering and is checked by code generation; a constant is needed as it was written and as
/// it is packed, which is counted once here and once there.
pub(crate) fn check_layer(layer: &Layer, limit: u64) -> Result<(), Error> {
    let ir = layer.ir();
    let sum = |ids: &[convoke_ir::layer::ValueId]| ids.iter().map(|&id| ir.ty(id).bytes() as u128).sum::<u128>();
    let (inputs, outputs) = (sum(&ir.params), sum(&ir.results));
    let constants = ir.values.iter().filter(|(_, value)| matches!(value.def, Def::Const(_)));
    let constants = constants.map(|(_, value)| value.ty.bytes() as u128).sum::<u128>();
    let needed = inputs + outputs + constants;
    if needed <= u128::from(limit) {
        return Ok(());
    }
    Err(Error::Memory {
        layer: layer.name().into(),
        needed,
        parts: format!("inputs {inputs}, outputs {outputs}, constants {constants}"),
        limit,
    })
}

/// `count` zeros, or an error where the system has no memory for them: `vec!` would end the process.
pub(crate) fn reserve<T: Clone + Default>(count: usize) -> Result<Vec<T>, Error> {
    let mut vec = Vec::new();
    let bytes = count.saturating_mul(size_of::<T>());
    vec.try_reserve_exact(count).map_err(|_| Error::OutOfMemory { bytes })?;
    vec.resize(count, T::default());
    Ok(vec)
}
