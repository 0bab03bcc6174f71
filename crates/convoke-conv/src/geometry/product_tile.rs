//! Register tiles of a matrix product, and the blocks of its reduction.
//!
//! A tile is rows × vectors of columns. At the end of the columns a tile has fewer vectors, and more rows: it uses as many registers.

use convoke_ir::attr::Sizes;
use convoke_lower::cuts::{cut, even};
use convoke_lower::register_tile::RegisterTile;
use convoke_machine::Machine;

use crate::conv::Conv;
use crate::refusal::Refusal;

/// Rows and vectors of columns of a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProductTile {
    pub rows: usize,
    pub vectors: usize,
}

impl ProductTile {
    /// Where there are plenty of rows and columns.
    pub(crate) fn square(machine: &Machine) -> ProductTile {
        let [rows, vectors] = RegisterTile::of(machine).square();
        ProductTile { rows, vectors }
    }

    /// Where there are `rows` rows and plenty of columns.
    pub(crate) fn wide(machine: &Machine, rows: usize) -> ProductTile {
        let [rows, vectors] = RegisterTile::of(machine).wide(rows);
        ProductTile { rows, vectors }
    }

    /// The tile that a complete plan names.
    pub(crate) fn of(sizes: Option<Sizes>) -> ProductTile {
        let [rows, vectors] = sizes.and_then(|sizes| sizes.get()).unwrap_or([1; 2]);
        ProductTile { rows, vectors }
    }

    /// The tile that was asked for, or `chosen`.
    pub(crate) fn asked(
        sizes: Option<Sizes>,
        machine: &Machine,
        chosen: impl FnOnce() -> ProductTile,
    ) -> Result<ProductTile, Refusal> {
        let Some(sizes) = sizes else { return Ok(chosen()) };
        let refusal = Refusal::Value { name: "tile", needs: "rows and vectors, whose product registers hold" };
        let [rows, vectors] = sizes.get().ok_or(refusal)?;
        let fits = rows.saturating_mul(vectors) <= machine.free_registers();
        fits.then_some(ProductTile { rows, vectors }).ok_or(refusal)
    }

    /// As the parameter of a schedule.
    pub(crate) fn sizes(&self) -> Sizes {
        Sizes::from([self.rows, self.vectors])
    }

    /// Columns of a tile in vectors of `lanes` lanes.
    pub(crate) fn columns(&self, lanes: usize) -> usize {
        self.vectors * lanes
    }

    /// How many tiles `rows` × `columns` numbers are cut into, columns in vectors of `lanes` lanes.
    pub(crate) fn tiles(&self, [rows, columns]: [usize; 2], lanes: usize) -> usize {
        let down = |vectors: usize| even(rows, self.rows_of(vectors)).iter().map(|cut| cut.count).sum::<usize>();
        let across = cut(columns, self.columns(lanes)).into_iter();
        across.map(|cut| cut.count * down(cut.size.div_ceil(lanes))).sum()
    }

    /// Rows of a tile of `vectors` vectors that has as many accumulators as the whole tile.
    pub(crate) fn rows_of(&self, vectors: usize) -> usize {
        (self.rows * self.vectors / vectors.max(1)).max(1)
    }
}

/// Input channels of a block of the reduction whose numbers for a tile fill three quarters of the nearest cache: their weights, and the pixels
/// under the tile.
pub(crate) fn depth_in_cache(machine: &Machine, conv: &Conv, tile: ProductTile) -> usize {
    let row = &conv.window.w;
    let under = tile.rows.saturating_sub(1).saturating_mul(row.stride).saturating_add(row.reach());
    let pixels = conv.window.h.kernel * row.padded().min(under);
    let numbers = conv.taps() * tile.columns(conv.lanes(machine)) + pixels;
    equal_blocks(conv.c_per_group(), machine.first_level() / 4 * 3 / (numbers * conv.elem.bytes()))
}

/// The size of blocks of at most `most` channels, about equal, so that no small one is left; a multiple of 4 if that is
/// no larger, so that unrolled reductions come out even.
pub(crate) fn equal_blocks(channels: usize, most: usize) -> usize {
    let most = if most >= 8 { most / 4 * 4 } else { most }.clamp(1, channels);
    let equal = channels.div_ceil(channels.div_ceil(most));
    let even = equal.next_multiple_of(4);
    if even <= most { even } else { equal }
}

/// A parameter of a plan as a size of at most `most`.
pub(crate) fn size(parameter: Option<u32>, most: usize) -> usize {
    parameter.map_or(most, |size| (size as usize).min(most)).max(1)
}
