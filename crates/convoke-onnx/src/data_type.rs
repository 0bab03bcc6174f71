//! Element types of ONNX, `TensorProto.DataType`, and the types that carry them in a layer.

use std::fmt;

/// An element type that convoke reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are those of ONNX")]
pub enum DataType {
    Float,
    Uint8,
    Int8,
    Uint16,
    Int16,
    Int32,
    Int64,
    Bool,
    Float16,
    Double,
    Uint32,
    Uint64,
    Bfloat16,
}

impl DataType {
    /// Number in the file, type, name, bytes of an element.
    const TABLE: [(i32, DataType, &'static str, usize); 13] = [
        (1, DataType::Float, "float32", 4),
        (2, DataType::Uint8, "uint8", 1),
        (3, DataType::Int8, "int8", 1),
        (4, DataType::Uint16, "uint16", 2),
        (5, DataType::Int16, "int16", 2),
        (6, DataType::Int32, "int32", 4),
        (7, DataType::Int64, "int64", 8),
        (9, DataType::Bool, "bool", 1),
        (10, DataType::Float16, "float16", 2),
        (11, DataType::Double, "float64", 8),
        (12, DataType::Uint32, "uint32", 4),
        (13, DataType::Uint64, "uint64", 8),
        (16, DataType::Bfloat16, "bfloat16", 2),
    ];

    fn row(self) -> (i32, DataType, &'static str, usize) {
        *DataType::TABLE.iter().find(|row| row.1 == self).expect("each type has a row")
    }

    /// The type that has this number in a file, or the name of the one that is not read.
    pub(crate) fn from_number(number: i32) -> Result<DataType, String> {
        if let Some(row) = DataType::TABLE.iter().find(|row| row.0 == number) {
            return Ok(row.1);
        }
        Err(match number {
            0 => "undefined".into(),
            8 => "string".into(),
            14 | 15 => "complex".into(),
            17..=20 => "float8".into(),
            21 | 22 => "int4".into(),
            23 => "float4".into(),
            other => format!("number {other}"),
        })
    }

    /// The name, as NumPy has it.
    pub fn name(self) -> &'static str {
        self.row().2
    }

    /// Bytes of an element.
    pub(crate) fn bytes(self) -> usize {
        self.row().3
    }

    /// The least and the largest number of a type of whole numbers or truth values, as far as `f64` has them; `None` for real numbers.
    pub fn whole_range(self) -> Option<[f64; 2]> {
        let signed = |bits: i32| [-(2f64.powi(bits - 1)), 2f64.powi(bits - 1) - 1.0];
        let unsigned = |bits: i32| [0.0, 2f64.powi(bits) - 1.0];
        match self {
            DataType::Bool => Some(unsigned(1)),
            DataType::Uint8 => Some(unsigned(8)),
            DataType::Uint16 => Some(unsigned(16)),
            DataType::Uint32 => Some(unsigned(32)),
            DataType::Uint64 => Some(unsigned(64)),
            DataType::Int8 => Some(signed(8)),
            DataType::Int16 => Some(signed(16)),
            DataType::Int32 => Some(signed(32)),
            DataType::Int64 => Some(signed(64)),
            _ => None,
        }
    }

    /// Whether it is a type of real numbers.
    pub fn is_float(self) -> bool {
        matches!(self, DataType::Float | DataType::Float16 | DataType::Bfloat16 | DataType::Double)
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
