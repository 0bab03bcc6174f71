//! Propagation of NaN and infinities: the outputs that one in the input or the weights reaches, by each algorithm.
//!
//! The definition of a convolution puts a NaN or an infinity into the outputs whose sums read it, 0 times it included. An algorithm that adds
//! inputs or weights before it multiplies puts it into more.

use std::fmt;

/// The outputs that a NaN or an infinity of an operand reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// Those whose sums read it, with the value that such a sum has by IEEE 754. Every product of the definition is computed, those by a
    /// weight of 0 too.
    Sum,
    /// One of the input as in a sum, since the guard computes such a tile by plain sums. One of the weights, and one from a sum of weights or of
    /// products that overflows, reaches every output of its tiles.
    GuardedTile,
    /// Every output of the tiles that read it. One of the weights reaches every output of its channel.
    Tile,
    /// Outputs of other pixels and other channels.
    Matrix,
}

impl Propagation {
    /// Whether a NaN or an infinity stays where the sum puts it.
    pub fn is_ieee(self) -> bool {
        self == Propagation::Sum
    }

    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Propagation::Sum => "sum",
            Propagation::GuardedTile => "guarded_tile",
            Propagation::Tile => "tile",
            Propagation::Matrix => "matrix",
        }
    }
}

/// In words that follow the algorithm.
impl fmt::Display for Propagation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Propagation::Sum => "keeps a NaN or an infinity where the sum puts it",
            Propagation::GuardedTile => {
                "spreads a NaN or an infinity of the weights, or from an overflow, over its tiles"
            }
            Propagation::Tile => "spreads a NaN or an infinity over its tiles",
            Propagation::Matrix => "spreads a NaN or an infinity over other pixels and channels",
        })
    }
}
