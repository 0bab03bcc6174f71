//! Helpers of the tests of the whole: convolution shapes with a short spelling, seeded random shapes, the corpus, native code beside the interpreter, mistakes in programs,
//! what text tests ask of lines, what source text consists of.

pub mod checks;
pub mod corpus;
pub mod fuzz;
pub mod module_graph;
pub mod mutation;
pub mod native;
pub mod random;
pub mod random_net;
pub mod shape;
pub mod source;
pub mod tree;

pub use random::Random;
pub use shape::ConvShape;

/// The program in README.md, which documentation tests compile and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;

/// The program in docs/library.md, likewise.
#[cfg(doctest)]
#[doc = include_str!("../docs/library.md")]
pub struct LibraryPage;
