//! Passes that plan convolutions, and lowering: where `convoke-conv` and `convoke-lower` meet the pass manager.

mod bands;
mod layouts;
mod lower;
mod select;

pub use bands::Bands;
pub use layouts::AssignLayouts;
pub use lower::lower;
pub use select::Select;
