//! Values of a graph during import: known tensors, and values of the layer that is built.

use convoke_ir::layer::ValueId;

use crate::data_type::DataType;
use crate::tensor::Tensor;

/// A value of the layer.
#[derive(Clone, Debug)]
pub(crate) struct Net {
    pub(crate) id: ValueId,
    /// The type it has in the model; [`DataType::carrier`] is the one it has in the layer.
    pub(crate) ty: DataType,
    /// The extents, in storage order.
    pub(crate) dims: Vec<usize>,
}

/// What a name of the graph stands for.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// A tensor that is known now, with a name for the constant that it may become.
    Known(Tensor, String),
    /// A value that a run computes.
    Computed(Net),
    /// The output of a node that was refused.
    Refused,
}

impl Value {
    pub(crate) fn dims(&self) -> Option<&[usize]> {
        match self {
            Value::Known(tensor, _) => Some(tensor.dims()),
            Value::Computed(net) => Some(&net.dims),
            Value::Refused => None,
        }
    }

    pub(crate) fn ty(&self) -> Option<DataType> {
        match self {
            Value::Known(tensor, _) => Some(tensor.ty()),
            Value::Computed(net) => Some(net.ty),
            Value::Refused => None,
        }
    }
}

impl From<Tensor> for Value {
    fn from(tensor: Tensor) -> Value {
        Value::Known(tensor, String::new())
    }
}

impl From<Net> for Value {
    fn from(net: Net) -> Value {
        Value::Computed(net)
    }
}
