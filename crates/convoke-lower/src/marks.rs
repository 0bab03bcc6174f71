//! Loops and their marks: in vectors, written out, shared among threads.

use convoke_ir::loops::{Affine, FuncBuilder, Marks};

/// How many times innermost loops are written out at the most, all together.
pub const UNROLLED: usize = 12;
/// The most multiply-adds of vectors that a codelet without loops writes out one after the other.
pub const LONG: usize = 1_000;

/// Marks of the loop over a tile's columns: the lanes of vectors, all written out.
pub fn across(lanes: u8) -> Marks {
    Marks { vector: Some(lanes), unroll: Some(0), ..Marks::default() }
}

/// Marks of a long loop over contiguous elements.
pub fn along(lanes: u8) -> Marks {
    Marks { vector: Some(lanes), ..Marks::default() }
}

/// Marks of a loop that is written out in full.
pub fn written_out() -> Marks {
    Marks { unroll: Some(0), ..Marks::default() }
}

/// Marks of a kernel's outermost loop.
pub fn parallel() -> Marks {
    Marks { parallel: true, ..Marks::default() }
}

/// A loop over `0..count` without marks; no loop at all where there is one iteration.
pub fn each(f: &mut FuncBuilder, name: &str, count: usize, body: impl FnOnce(&mut FuncBuilder, Affine)) {
    looped(f, name, count, Marks::default(), body);
}

/// A loop over `0..count` with marks; no loop at all where there is one iteration.
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

/// How each of nested loops is unrolled: innermost ones in full while there is room, the next by what is left.
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
