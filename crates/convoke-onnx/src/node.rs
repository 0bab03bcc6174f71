//! Node: one operator of the graph.

use rustc_hash::FxHashMap;

use crate::attributes::Attributes;
use crate::proto::NodeProto;

/// One operator of the graph.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// Its name, or that of its first output.
    pub(crate) name: String,
    pub(crate) op: String,
    /// Empty for ONNX's own.
    pub(crate) domain: String,
    pub(crate) opset: i64,
    /// Names of values; empty where an optional one is left out.
    pub(crate) inputs: Vec<String>,
    pub(crate) outputs: Vec<String>,
    pub(crate) attributes: Attributes,
}

/// The versions of operator sets by domain.
pub(crate) type Opsets = FxHashMap<String, i64>;

/// The name of a domain as the table of operators has it: ONNX's own has two names.
pub(crate) fn domain(name: &str) -> &str {
    if name == "ai.onnx" { "" } else { name }
}

impl Node {
    /// A node as the file has it, its functions not looked at.
    pub(crate) fn of(proto: NodeProto, opsets: &Opsets) -> Node {
        let domain = domain(&proto.domain).to_owned();
        let name = match proto.name.is_empty() {
            true => proto.output.iter().find(|name| !name.is_empty()).cloned().unwrap_or_default(),
            false => proto.name,
        };
        let mut inputs = proto.input;
        while inputs.last().is_some_and(String::is_empty) {
            inputs.pop();
        }
        Node {
            name,
            op: proto.op_type,
            opset: opsets.get(&domain).copied().unwrap_or(0),
            domain,
            inputs,
            outputs: proto.output,
            attributes: Attributes::new(proto.attribute),
        }
    }

    /// The names of the values it reads.
    pub(crate) fn reads(&self) -> impl Iterator<Item = &str> {
        self.inputs.iter().map(String::as_str).filter(|name| !name.is_empty())
    }
}
