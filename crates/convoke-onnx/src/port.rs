//! Results of an import.

use convoke_ir::layer::Layer;

use crate::data_type::DataType;

/// An input or output of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its name in the model. The layer's value has the same, unless the text form cannot write it.
    pub name: String,
    /// Its element type in the model. Whole numbers and truth values are carried as `f32` in the layer, and so are `f16` and `bf16` in a model that casts
    /// them.
    pub ty: DataType,
    /// Its extents.
    pub dims: Vec<usize>,
}

/// A model as a layer.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The layer. Its inputs and outputs are those of the model, in order.
    pub layer: Layer,
    /// The inputs of the model.
    pub inputs: Vec<Port>,
    /// The outputs that are computed.
    pub outputs: Vec<Port>,
    /// How many nodes were left out, because no output that is computed needs them.
    pub cut: usize,
}
