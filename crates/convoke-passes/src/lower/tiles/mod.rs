//! Convolution by tiles that are transformed, multiplied and transformed back: Winograd's algorithm and the FFT.
//!
//! ```text
//!   v[product, tile, c] = data transform of the input channel c under the tile
//!   m[product, tile, k] = Σ_c v[product, tile, c] · u[product, c, k]       one matrix product for each of the R products
//!   y[tile, k]          = inverse transform of m, through the epilogue
//! ```
//!
//! Block by block, so that v and m of a block stay near. Channels are in the lanes throughout; an input in nchw is turned
//! as its halo is made, and sums as they are stored. The halo is wide enough for whole tiles; the last tile of a row or column
//! stores less.
//!
//! Where each output channel reads one input channel nothing is summed, and v is multiplied in place.
//!
//! Source: Lavin, Gray 2015, *Fast Algorithms for Convolutional Neural Networks*, §4, arXiv:1509.09308.

mod block;
mod code;
mod filter;
mod flat;
mod guard;
mod single;
mod summed;
