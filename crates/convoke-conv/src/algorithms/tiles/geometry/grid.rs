//! The places of the numbers of a block of depthwise tiles whose kernel is cut; see `lower/partitioned.rs`.

use super::Tiling;
use crate::algorithms::tiles::flat::Flat;

/// A block of tiles, for some channels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grid {
    /// Rows and columns of tiles of outputs, and of inputs.
    pub tiles: [usize; 2],
    pub inputs: [usize; 2],
    /// Channels side by side.
    pub channels: usize,
    /// Outputs of a column of a tile, m, and its inputs.
    outputs: usize,
    reads: usize,
    /// Points of a row.
    points: usize,
    bytes: usize,
}

impl Grid {
    /// Of a block of `tiles`, for `channels` channels of elements of `bytes` bytes.
    pub(crate) fn new(tiling: &Tiling, tiles: [usize; 2], channels: usize, bytes: usize) -> Grid {
        let inputs = tiling.input_tiles(tiles);
        let [outputs, _] = tiling.tile.outputs;
        let [reads, points] = tiling.tile.inputs;
        Grid { tiles, inputs, channels, outputs, reads, points, bytes }
    }

    /// Numbers of a row of tiles of inputs.
    pub(crate) fn wide(&self) -> usize {
        self.inputs[1] * self.channels
    }

    /// Numbers of a row of tiles of outputs.
    pub(crate) fn wide_back(&self) -> usize {
        self.tiles[1] * self.channels
    }

    /// Rows of inputs.
    pub(crate) fn rows(&self) -> usize {
        (self.inputs[0] - 1) * self.outputs + self.reads
    }

    /// The most rows of inputs that any place of a tile has.
    fn rows_of_place(&self) -> usize {
        self.rows().div_ceil(self.outputs)
    }

    /// Rows of inputs at place `r` of all tiles: r, r + m, ….
    pub(crate) fn rows_at(&self, r: usize) -> usize {
        (self.rows() - r).div_ceil(self.outputs)
    }

    /// How many places there are: a tile reads no fewer rows than it has outputs.
    pub(crate) fn places(&self) -> usize {
        self.outputs
    }

    /// Where row `r` of inputs begins in a column. That of the tile below is a row of tiles further on.
    pub(crate) fn row(&self, r: usize) -> usize {
        (r % self.outputs * self.rows_of_place() + r / self.outputs) * self.wide()
    }

    /// The columns of the transformed rows of inputs.
    pub(crate) fn data(&self) -> Flat {
        Flat::streams(self.places() * self.rows_of_place() * self.wide(), self.bytes)
    }

    /// The factors of a column of the transform.
    pub(crate) fn factors(&self) -> Flat {
        Flat::streams(self.inputs[0] * self.wide(), self.bytes)
    }

    /// The columns of the rows of outputs that are to be transformed back.
    pub(crate) fn back(&self) -> Flat {
        Flat::streams(self.tiles[0] * self.outputs * self.wide_back(), self.bytes)
    }

    /// How many elements three buffers have: [`Grid::data`], [`Grid::factors`] of a column of `products` products, and [`Grid::back`].
    pub(crate) fn lens(&self, products: usize) -> [usize; 3] {
        [self.data().len(self.points), self.factors().len(products), self.back().len(self.points)]
    }
}
