//! Helpers of the tests of the whole: convolution shapes with a short spelling, seeded random shapes, the corpus, native code beside the interpreter,
//! what text tests ask of lines.

pub mod checks;
pub mod corpus;
pub mod native;
pub mod random;
pub mod shape;

pub use random::Random;
pub use shape::ConvShape;
