//! Inputs of a model as the file declares them.

use crate::data_type::DataType;

/// An extent of an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dim {
    /// A number.
    Fixed(usize),
    /// A name, bound by [`Options::with_dim`].
    Symbol(String),
    /// Neither; bound by [`Options::with_input_shape`].
    Unknown,
}

/// An input of a model as the file declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    /// Its name.
    pub name: String,
    /// Its element type.
    pub ty: DataType,
    /// Its extents; `None` if the file has no shape for it.
    pub dims: Option<Vec<Dim>>,
}
