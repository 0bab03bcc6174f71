//! The storage of values between two convolutions, and whether both sides can work with it.
//!
//! ```text
//!   transform back ──► [N, C, H, W] ──► [N, C/16, top + H + bottom, left + W + right, 16] ──► transform
//!   transform back ───────────────────► [N, C/16, top + H + bottom, left + W + right, 16] ──► transform
//!
//!   K×1 ──► [N, C, H, W] ──► 1×K        along a row each tap is loaded from between two vectors, or picked from two
//!   K×1 ──► [N, C, W, H] ──► 1×K        along a column of vectors each is one of them
//! ```
//!
//! Transformed tiles read blocks of channels with a halo. A producer that works on the same vectors of channels, and whose result has no other
//! reader, stores whole vectors there: the image is neither transposed twice nor copied for its halo. This never costs more, so [`assign`]
//! compares no costs. Storage by columns pays within [row strips](crate::strips), whose planning assigns it.

use convoke_ir::layer::{Instr, Layer, Op, Order, Storage, ValueId};
use convoke_lower::LowerError;
use convoke_lower::known::Known;
use convoke_lower::strides::Strides;
use convoke_machine::Machine;

use crate::algorithms;
use crate::conv::Conv;
use crate::method::Method;

/// Assigns blocks of channels to the values of a planned layer for which both sides can work with them. Values that row strips make or
/// read are left as they are. Whether any was assigned.
pub fn assign(layer: &mut Layer, machine: &Machine) -> bool {
    let found: Vec<(ValueId, Storage)> = {
        let pairs = Pairs::of(layer, machine);
        let candidates = layer.body.iter().filter(|instr| layer.values[instr.result].storage.is_none());
        candidates.filter_map(|instr| Some((instr.result, pairs.storage(instr)?))).collect()
    };
    for &(id, storage) in &found {
        layer.values[id].storage = Some(storage);
    }
    !found.is_empty()
}

/// Which convolutions read what others make.
struct Pairs<'a> {
    layer: &'a Layer,
    machine: &'a Machine,
    known: Known,
    readers: Vec<Option<usize>>,
}

impl<'a> Pairs<'a> {
    fn of(layer: &'a Layer, machine: &'a Machine) -> Pairs<'a> {
        Pairs { layer, machine, known: Known::of(layer), readers: layer.single_readers() }
    }

    /// The convolution that is the only one to read a value, as its first operand.
    fn reader(&self, id: ValueId) -> Option<&'a Instr> {
        let reader = &self.layer.body[self.readers[id.index()]?];
        (reader.args.first() == Some(&id) && matches!(reader.op, Op::Conv2d(_))).then_some(reader)
    }

    /// A convolution with its method.
    fn planned(&self, instr: &Instr) -> Option<(Conv, &'static dyn Method)> {
        let Op::Conv2d(op) = &instr.op else { return None };
        Some((Conv::new(self.layer, &self.known, instr)?, algorithms::of(&op.plan)?))
    }

    /// The storage in which the only reader of the result of `instr` reads, if `instr` can write it.
    fn storage(&self, instr: &Instr) -> Option<Storage> {
        let reader = self.reader(instr.result)?;
        let strips = |instr: &Instr| matches!(&instr.op, Op::Conv2d(op) if op.band > 0);
        let in_chain = |instr: &Instr| strips(instr) || self.reader(instr.result).is_some_and(strips);
        if in_chain(instr) || in_chain(reader) {
            return None;
        }
        let (conv, method) = self.planned(reader)?;
        let Op::Conv2d(op) = &reader.op else { return None };
        let storage = method.reads(op.plan, &conv, self.machine)?;
        self.writes(instr, storage.order).then_some(storage)
    }

    /// Whether `instr` can store its result in this order.
    fn writes(&self, instr: &Instr, order: Order) -> bool {
        let Some((conv, method)) = self.planned(instr) else { return false };
        method.writes(&conv, self.machine, order) && near(self.layer, instr)
    }
}

/// Whether an epilogue reads nothing in which channels are far apart.
fn near(layer: &Layer, instr: &Instr) -> bool {
    let result = layer.ty(instr.result);
    let near = |&id: &ValueId| {
        let strides = convoke_lower::strides::stretched(layer.ty(id), result);
        Strides::stored(&strides, result.layout).c <= 1
    };
    instr.then.iter().filter(|step| step.op.stretches()).flat_map(|step| &step.args).all(near)
}

/// Refuses storage that one of the two sides cannot work with.
///
/// # Errors
///
/// The first value that lies as no convolution can write or read it.
pub fn check(layer: &Layer, machine: &Machine) -> Result<(), LowerError> {
    if layer.values.iter().all(|(_, value)| value.storage.is_none()) {
        return Ok(());
    }
    let pairs = Pairs::of(layer, machine);
    for instr in &layer.body {
        let value = &layer.values[instr.result];
        let Some(storage) = value.storage else { continue };
        let refuse = |reason| LowerError::Storage { value: value.name.clone(), storage, reason };
        let Some(reader) = pairs.reader(instr.result) else {
            return Err(refuse("needs a convolution that alone reads the value, as its image; leave the storage out"));
        };
        if !pairs.writes(instr, storage.order) {
            return Err(refuse("is none that what computes the value can write; leave the storage out"));
        }
        let Some((conv, method)) = pairs.planned(reader) else {
            return Err(refuse("needs a reader with a plan; run `select` before lowering"));
        };
        let Op::Conv2d(op) = &reader.op else { continue };
        let fits = match storage.order {
            Order::Columns => method.reads_columns(&conv),
            Order::Blocked(_) => method.reads(op.plan, &conv, machine) == Some(storage),
        };
        if !fits {
            return Err(refuse("is not what the convolution that reads the value needs; leave the storage out"));
        }
    }
    Ok(())
}
