//! Call: a node with the values that it reads, as computation at import and conversion see it.

use crate::attributes::Attributes;
use crate::data_type::DataType;
use crate::error::{Converted, Refusal, malformed, unsupported};
use crate::node::Node;
use crate::tensor::Tensor;
use crate::value::{Net, Value};

/// The result of a conversion: one value of the layer.
pub(crate) type Value1 = Converted<Net>;

/// A node with the values that it reads.
pub(crate) struct Call<'a> {
    pub(crate) node: &'a Node,
    /// `None` where an optional operand is left out.
    pub(crate) inputs: Vec<Option<Value>>,
}

impl Call<'_> {
    pub(crate) fn attributes(&self) -> &Attributes {
        &self.node.attributes
    }

    pub(crate) fn opset(&self) -> i64 {
        self.node.opset
    }

    /// An operand that may be left out.
    pub(crate) fn maybe(&self, i: usize) -> Option<&Value> {
        self.inputs.get(i).and_then(Option::as_ref)
    }

    /// An operand that must be there.
    pub(crate) fn input(&self, i: usize) -> Converted<&Value> {
        match self.maybe(i) {
            Some(value) => Ok(value),
            None => malformed(format!("operand {i} is missing")),
        }
    }

    /// An operand whose elements must be known at import.
    pub(crate) fn known(&self, i: usize, what: &str) -> Converted<&Tensor> {
        match self.input(i)? {
            Value::Known(tensor, _) => Ok(tensor),
            Value::Computed(_) => unsupported(format!(
                "its {what} (operand {i}, `{}`) must be known at import, from shapes and constants, and it depends on the inputs of the net",
                self.node.inputs.get(i).map_or("", String::as_str)
            )),
            Value::Refused => Err(Refusal::Inherited),
        }
    }

    /// The same, if it is given.
    pub(crate) fn maybe_known(&self, i: usize, what: &str) -> Converted<Option<&Tensor>> {
        match self.maybe(i) {
            None => Ok(None),
            Some(_) => self.known(i, what).map(Some),
        }
    }

    /// Whole numbers that are an attribute up to an operator set, and an operand from then on.
    pub(crate) fn list(&self, attribute: &str, i: usize, since: i64) -> Converted<Option<Vec<i64>>> {
        match self.opset() < since {
            true => Ok(self.attributes().ints(attribute).map(<[i64]>::to_vec)),
            false => self.maybe_known(i, attribute)?.map(Tensor::whole).transpose(),
        }
    }
}

/// The type that a cast gives.
pub(crate) fn cast_type(call: &Call<'_>) -> Converted<DataType> {
    if call.node.op == "CastLike" {
        return call.input(1)?.ty().ok_or(Refusal::Inherited);
    }
    let number = i32::try_from(call.attributes().int("to", 0))?;
    match DataType::from_number(number) {
        Ok(ty) => Ok(ty),
        Err(name) => unsupported(format!("a cast to {name} is not compiled")),
    }
}
