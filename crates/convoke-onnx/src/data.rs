//! Tensors in files of their own, as ONNX's test cases have them: `input_0.pb`.

use std::path::Path;

use convoke_data::Files;
use prost::Message;

use crate::data_type::DataType;
use crate::error::{ImportError, Refusal};
use crate::proto::TensorProto;
use crate::read;
use crate::tensor::Tensor;

/// A tensor with its name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Data {
    name: String,
    pub(crate) tensor: Tensor,
}

impl Data {
    /// Reads a file that is one `TensorProto`, of at most `budget` bytes.
    ///
    /// # Errors
    ///
    /// A file that cannot be read or is no dense tensor of numbers.
    pub fn read(path: &Path, budget: u64) -> Result<Data, ImportError> {
        let decode = |reason: String| ImportError::Decode { name: path.to_string_lossy().into(), reason };
        let proto = TensorProto::decode(read::file(path, budget)?).map_err(|error| decode(error.to_string()))?;
        let tensor = read::tensor(&proto, &Files::none().with_budget(budget)).map_err(|refusal| match refusal {
            Refusal::Unsupported(reason) | Refusal::Malformed(reason) => decode(reason),
            Refusal::Inherited => decode("it is no tensor".into()),
        })?;
        Ok(Data { name: proto.name, tensor })
    }

    /// The name in the file; may be empty.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The element type.
    pub fn ty(&self) -> DataType {
        self.tensor.ty()
    }

    /// The extents.
    pub fn dims(&self) -> &[usize] {
        self.tensor.dims()
    }

    /// The elements, row-major.
    pub fn numbers(&self) -> Vec<f64> {
        self.tensor.real()
    }
}
