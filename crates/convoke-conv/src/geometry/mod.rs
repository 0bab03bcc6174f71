//! Cuts of the axes of a convolution that several algorithms share: pure functions of its shape and of the machine.

pub(crate) mod pixel_ranges;
pub(crate) mod product_tile;
pub(crate) mod regions;
pub(crate) mod runs;
