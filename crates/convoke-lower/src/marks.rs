//! The marks of loops: vectorised, unrolled, parallel.

use convoke_ir::loops::{Affine, FuncBuilder, Marks};

/// The most copies of an innermost body that unrolling of nested loops makes.
pub const UNROLLED: usize = 12;
/// The most vector multiply-adds of a codelet without loops.
pub const LONG: usize = 1_000;

/// Marks of the loop over the columns of a tile: vectorised, and unrolled in full.
pub fn across(lanes: u8) -> Marks {
    Marks { vector: Some(lanes), unroll: Some(0), ..Marks::default() }
}

/// Marks of a long loop over contiguous elements: vectorised.
pub fn along(lanes: u8) -> Marks {
    Marks { vector: Some(lanes), ..Marks::default() }
}

/// Marks of a loop that is unrolled in full.
pub fn written_out() -> Marks {
    Marks { unroll: Some(0), ..Marks::default() }
}

/// Marks of a kernel's outermost loop.
pub fn parallel() -> Marks {
    Marks { parallel: true, ..Marks::default() }
}

/// A loop over `0..count` without marks; for one iteration the body alone.
pub fn each(f: &mut FuncBuilder, name: &str, count: usize, body: impl FnOnce(&mut FuncBuilder, Affine)) {
    looped(f, name, count, Marks::default(), body);
}

/// A loop over `0..count` with marks; for one iteration the body alone.
pub fn looped(
    f: &mut FuncBuilder,
    name: &str,
    count: usize,
    marks: Marks,
    body: impl FnOnce(&mut FuncBuilder, Affine),
) {
    match count {
        1 => body(f, Affine::default()),
        _ => f.for_(name, 0..count, marks, |f, i| body(f, i.into())),
    }
}

/// Marks of nested loops of these extents, so that unrolling makes at most `room` copies of the innermost body. Inner loops are unrolled in
/// full while `room` allows, the next one in part, those around it not at all.
pub fn unrolled(extents: impl DoubleEndedIterator<Item = usize>, room: usize) -> Vec<Marks> {
    let mut room = room;
    let mut marks: Vec<_> = extents
        .rev()
        .map(|extent| {
            let unroll = if extent <= room { Some(0) } else { Some(room.min(4) as u32).filter(|&n| n > 1) };
            room = if extent <= room { room / extent.max(1) } else { 1 };
            Marks { unroll, ..Marks::default() }
        })
        .collect();
    marks.reverse();
    marks
}
