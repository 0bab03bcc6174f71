//! Functions of a model, put in place of the nodes that call them.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::error::ImportError;
use crate::node::{Node, Opsets, domain};
use crate::proto::{AttributeProto, FunctionProto, ModelProto, NodeProto, OperatorSetIdProto};

/// The most nodes of a graph whose functions are inlined.
const MAX_NODES: usize = 1_000_000;
/// The most calls inside each other.
const MAX_DEPTH: usize = 64;

type Key<'a> = (&'a str, &'a str, &'a str);

/// Inlines functions, one call after the other.
struct Inliner<'a> {
    name: &'a str,
    functions: FxHashMap<Key<'a>, &'a FunctionProto>,
    nodes: Vec<Node>,
    /// Calls so far; numbers the values inside them.
    calls: usize,
}

/// The latest operator set of ONNX whose operators were looked at.
const LATEST: i64 = 28;

/// The nodes of a model's graph, calls replaced by what they call.
pub(crate) fn nodes(name: &str, model: &mut ModelProto, protos: Vec<NodeProto>) -> Result<Vec<Node>, ImportError> {
    let functions = std::mem::take(&mut model.functions);
    let functions = functions.iter().map(|f| ((domain(&f.domain), f.name.as_str(), f.overload.as_str()), f)).collect();
    let mut inliner = Inliner { name, functions, nodes: Vec::new(), calls: 0 };
    let opsets = opsets(&model.opset_import);
    if let Some((_, newer)) = opsets.iter().find(|(of, version)| of.is_empty() && **version > LATEST) {
        let reason = format!(
            "its operator set {newer} is newer than {LATEST}, the latest that convoke knows; export with that or an older one"
        );
        return Err(ImportError::Malformed { name: name.into(), reason });
    }
    for proto in protos {
        inliner.node(proto, &opsets, 0)?;
    }
    Ok(inliner.nodes)
}

fn opsets(imports: &[OperatorSetIdProto]) -> Opsets {
    imports.iter().map(|import| (domain(&import.domain).to_owned(), import.version)).collect()
}

impl Inliner<'_> {
    fn node(&mut self, proto: NodeProto, opsets: &Opsets, depth: usize) -> Result<(), ImportError> {
        let malformed = |reason: String| Err(ImportError::Malformed { name: self.name.into(), reason });
        if self.nodes.len() >= MAX_NODES {
            return malformed(format!("the graph has more than {MAX_NODES} nodes"));
        }
        let key = (domain(&proto.domain), proto.op_type.as_str(), proto.overload.as_str());
        let Some(&function) = self.functions.get(&key) else {
            self.nodes.push(Node::of(proto, opsets));
            return Ok(());
        };
        if depth >= MAX_DEPTH {
            return malformed(format!("function `{}` calls functions more than {MAX_DEPTH} deep", function.name));
        }
        if proto.input.len() > function.input.len() || proto.output.len() > function.output.len() {
            return malformed(format!(
                "node `{}` calls function `{}` of {} inputs and {} outputs with {} and {}",
                proto.name,
                function.name,
                function.input.len(),
                function.output.len(),
                proto.input.len(),
                proto.output.len()
            ));
        }
        self.calls += 1;
        let prefix = match proto.name.as_str() {
            "" => format!("{}.{}", function.name, self.calls),
            name => name.to_owned(),
        };
        let body = Body { function, call: &proto, values: renamed(function, &proto, &prefix, self.calls) };
        let inner: Opsets = self::opsets(&function.opset_import);
        let inner = if inner.is_empty() { opsets.clone() } else { inner };
        for node in &function.node {
            self.node(body.node(node, &prefix), &inner, depth + 1)?;
        }
        Ok(())
    }
}

/// Names outside of the values inside a call. Values of the body alone get a name that no other call has.
fn renamed(function: &FunctionProto, call: &NodeProto, prefix: &str, number: usize) -> FxHashMap<String, String> {
    let mut values: FxHashMap<String, String> = FxHashMap::default();
    let outer = |names: &[String], i: usize| names.get(i).cloned().unwrap_or_default();
    for (i, name) in function.input.iter().enumerate() {
        values.insert(name.clone(), outer(&call.input, i));
    }
    for (i, name) in function.output.iter().enumerate() {
        let given = outer(&call.output, i);
        if !given.is_empty() {
            values.insert(name.clone(), given);
        }
    }
    let inside: FxHashSet<&String> = function.node.iter().flat_map(|node| &node.output).collect();
    for name in inside.into_iter().filter(|name| !name.is_empty()) {
        values.entry(name.clone()).or_insert_with(|| format!("{prefix}/{name}#{number}"));
    }
    values
}

/// The body of a function as one call sees it.
struct Body<'a> {
    function: &'a FunctionProto,
    call: &'a NodeProto,
    values: FxHashMap<String, String>,
}

impl Body<'_> {
    fn node(&self, node: &NodeProto, prefix: &str) -> NodeProto {
        let named = |name: &String| self.values.get(name).cloned().unwrap_or_default();
        NodeProto {
            input: node.input.iter().map(named).collect(),
            output: node.output.iter().map(named).collect(),
            name: match node.name.as_str() {
                "" => prefix.to_owned(),
                name => format!("{prefix}/{name}"),
            },
            op_type: node.op_type.clone(),
            attribute: node.attribute.iter().filter_map(|attribute| self.attribute(attribute)).collect(),
            domain: node.domain.clone(),
            overload: node.overload.clone(),
        }
    }

    /// An attribute with the value that the call, or else the function, gives to it; `None` if neither does.
    fn attribute(&self, attribute: &AttributeProto) -> Option<AttributeProto> {
        let outer = attribute.ref_attr_name.as_str();
        if outer.is_empty() {
            return Some(attribute.clone());
        }
        let given = self.call.attribute.iter().chain(&self.function.attribute_proto).find(|a| a.name == outer)?;
        Some(AttributeProto { name: attribute.name.clone(), ..given.clone() })
    }
}
