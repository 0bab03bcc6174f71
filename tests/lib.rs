//! What the tests of the whole share: convolution shapes with a short spelling, seeded random shapes, the corpus.

pub mod corpus;
pub mod random;
pub mod shape;

pub use random::Random;
pub use shape::ConvShape;
