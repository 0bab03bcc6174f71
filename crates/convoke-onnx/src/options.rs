//! Options of an import.

use crate::data::Data;

/// Sizes for symbolic dimensions, and the values to compute.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Options {
    pub(crate) dims: Vec<(String, usize)>,
    pub(crate) input_shapes: Vec<(String, Vec<usize>)>,
    pub(crate) outputs: Vec<String>,
    pub(crate) constants: Vec<(String, Data)>,
}

impl Options {
    /// Binds the symbolic size `name`, in every input that has it.
    pub fn with_dim(mut self, name: impl Into<String>, size: usize) -> Options {
        self.dims.push((name.into(), size));
        self
    }

    /// Gives the input `name` a shape, which fits the one in the file where that has numbers.
    pub fn with_input_shape(mut self, name: impl Into<String>, dims: impl Into<Vec<usize>>) -> Options {
        self.input_shapes.push((name.into(), dims.into()));
        self
    }

    /// Computes this value, which need not be an output of the model. Without any, all outputs of the model are computed.
    pub fn with_output(mut self, name: impl Into<String>) -> Options {
        self.outputs.push(name.into());
        self
    }

    /// Gives the input `name` a value for good; it is no input of the layer then. Inputs that shapes are computed from need one.
    pub fn with_constant(mut self, name: impl Into<String>, data: Data) -> Options {
        self.constants.push((name.into(), data));
        self
    }

    /// Whether nothing is given.
    pub fn is_empty(&self) -> bool {
        *self == Options::default()
    }
}
