//! The views through which kernels see values, by the storage of each: see [`crate::storage`].

use convoke_ir::layer::{Instr, Layer, Order, Storage, ValueId};
use convoke_ir::types::{Image, Layout};
use convoke_lower::blocked::Blocked;
use convoke_lower::halo::ImageView;
use convoke_lower::strides::Strides;
use convoke_lower::{LowerError, Lowering};

use crate::conv::Conv;

/// A convolution as its kernel sees it: with rows for columns where its input lies by columns.
pub(crate) fn as_read(layer: &Layer, instr: &Instr, conv: Conv) -> Conv {
    let storage = instr.args.first().and_then(|&x| layer.values[x].storage);
    if storage.is_some_and(|storage| storage.order == Order::Columns) { conv.transposed() } else { conv }
}

/// Makes room for the result of a convolution, as its storage says.
pub(crate) fn make_room(lowering: &mut Lowering<'_>, id: ValueId) -> Result<(), LowerError> {
    let Some(storage) = lowering.layer.values[id].storage else {
        lowering.make_room(id);
        return Ok(());
    };
    let (elem, image) = (lowering.ty(id).elem, image(lowering, id));
    match storage.order {
        Order::Blocked(lanes) => {
            let pads = storage.halo.map(|pad| pad as usize);
            let read = lowering.room_in_blocks(id, pads, whole(image, lanes))?;
            let planes = read.image.n * image.c / usize::from(lanes);
            lowering.zero_border(elem, &read, ("b", planes, read.strides.c), pads);
            lowering.buffers.insert(id, read.buffer);
        }
        Order::Columns => {
            let columns = Image { h: image.w, w: image.h.max(storage.pitch as usize), ..image };
            let name = format!("{}.columns", lowering.name(id));
            let ImageView { buffer, strides, .. } = lowering.scratch_image(&name, elem, columns, Layout::Nchw)?;
            lowering.buffers.insert(id, buffer);
            lowering.strides.insert(id, strides.transposed());
        }
    }
    Ok(())
}

/// The value as it is read in blocks of channels, halo and all; `None` if it does not lie so. The step along channels is that from block to
/// block.
pub(crate) fn read(lowering: &Lowering<'_>, id: ValueId) -> Option<ImageView> {
    let storage = lowering.layer.values[id].storage?;
    let Order::Blocked(lanes) = storage.order else { return None };
    let image = image(lowering, id);
    let (image, strides, len) = whole(image, lanes).padded(image, storage.halo.map(|pad| pad as usize));
    Some(ImageView { buffer: *lowering.buffers.get(&id)?, image, strides, len: len? })
}

/// The value as a convolution writes it, and in blocks of channels the element that is its first. The step along channels is that of one
/// channel, on average.
pub(crate) fn written(lowering: &Lowering<'_>, id: ValueId) -> (ImageView, Option<usize>) {
    match (read(lowering, id), lowering.layer.values[id].storage) {
        (Some(read), Some(Storage { order: Order::Blocked(lanes), halo, .. })) => {
            let strides = Strides { c: read.strides.c / usize::from(lanes), ..read.strides };
            let first = halo[0] as usize * strides.h + halo[1] as usize * strides.w;
            (ImageView { image: image(lowering, id), strides, ..read }, Some(first))
        }
        _ => (lowering.view(id), None),
    }
}

/// Blocks of all channels, which they fill.
fn whole(image: Image, lanes: u8) -> Blocked {
    Blocked { groups: 1, channels: image.c, lanes: lanes.into() }
}

fn image(lowering: &Lowering<'_>, id: ValueId) -> Image {
    lowering.ty(id).as_image().expect("a convolution computes an image")
}
