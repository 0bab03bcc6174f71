//! Importer: the layer under construction, with what the names of the graph stand for so far.

use convoke_data::Files;
use convoke_ir::elem::Elem;
use convoke_ir::layer::{LayerBuilder, Op, Source, ValueId};
use convoke_ir::types::{Layout, TensorType};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::data_type::DataType;
use crate::error::{Converted, Refusal};
use crate::names::Names;
use crate::tensor::Tensor;
use crate::value::{Net, Value};

/// A layer under construction.
pub(crate) struct Importer<'a> {
    pub(crate) builder: LayerBuilder,
    pub(crate) files: &'a Files,
    pub(crate) values: FxHashMap<String, Value>,
    /// The names of values that a node or the caller reads.
    pub(crate) read: FxHashSet<&'a str>,
    pub(crate) names: Names,
    /// Whether `f16` and `bf16` are widened to `f32`: in a graph that casts them.
    pub(crate) widens: bool,
    /// Results of ops that have a number for a name.
    pub(crate) unnamed: FxHashSet<ValueId>,
    /// Constants of the layer, each with its tensor, whose elements then stay where they are.
    constants: FxHashMap<Key, (ValueId, Tensor)>,
}

/// Tells constants apart: by type, extents, and elements if they are few, else by the place where they lie.
type Key = (DataType, Vec<usize>, Result<Vec<u8>, usize>);

/// The most bytes of a constant that is told apart by its elements.
const FEW: usize = 64;

impl<'a> Importer<'a> {
    /// Nothing yet. `read` are the names of values that a node or the caller reads.
    pub(crate) fn new(builder: LayerBuilder, files: &'a Files, read: FxHashSet<&'a str>, widens: bool) -> Importer<'a> {
        Importer {
            builder,
            files,
            values: FxHashMap::default(),
            read,
            names: Names::default(),
            widens,
            unnamed: FxHashSet::default(),
            constants: FxHashMap::default(),
        }
    }

    /// The element type that carries a type in the layer. Whole numbers and truth values are carried as `f32`, exactly up to 2²⁴.
    pub(crate) fn carrier(&self, ty: DataType) -> Elem {
        match ty {
            DataType::Double => Elem::F64,
            DataType::Float16 if !self.widens => Elem::F16,
            DataType::Bfloat16 if !self.widens => Elem::Bf16,
            _ => Elem::F32,
        }
    }

    /// The value in the layer; a known tensor becomes a constant.
    pub(crate) fn net(&mut self, value: &Value) -> Converted<Net> {
        match value {
            Value::Computed(net) => Ok(net.clone()),
            Value::Known(tensor, name) => self.constant(tensor, name),
            Value::Refused => Err(Refusal::Inherited),
        }
    }

    /// A constant of the layer; the same elements under the same extents make one constant.
    pub(crate) fn constant(&mut self, tensor: &Tensor, name: &str) -> Converted<Net> {
        let dims = tensor.dims().to_vec();
        let bytes = tensor.bytes();
        let place = if bytes.len() <= FEW { Ok(bytes.to_vec()) } else { Err(bytes.as_ptr() as usize) };
        let key = (tensor.ty(), dims.clone(), place);
        if let Some(&(id, _)) = self.constants.get(&key) {
            return Ok(Net { id, ty: tensor.ty(), dims });
        }
        let elem = self.carrier(tensor.ty());
        let ty = TensorType::new(elem, dims.clone(), Layout::Nchw)
            .map_err(|error| Refusal::Malformed(format!("constant `{name}`: {error}")))?;
        let values = tensor.carried(elem);
        let source = match tensor.elements() {
            1..=4 => Source::Numbers(values.wide()),
            _ => Source::Computed(values),
        };
        let name = self.names.give(if name.is_empty() { "c" } else { name });
        let id = self.builder.constant(&name, ty, source)?;
        self.constants.insert(key, (id, tensor.clone()));
        Ok(Net { id, ty: tensor.ty(), dims })
    }

    /// An op on values of the layer, whose result has the type `ty` in the model.
    pub(crate) fn op(&mut self, op: impl Into<Op>, args: &[&Net], ty: DataType) -> Converted<Net> {
        let ids: Vec<ValueId> = args.iter().map(|net| net.id).collect();
        let id = self.builder.op(op, &ids)?;
        self.unnamed.insert(id);
        let dims = self.builder.ty(id).expect("just made").shape.dims().to_vec();
        Ok(Net { id, ty, dims })
    }
}
