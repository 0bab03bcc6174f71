//! Import: walks the nodes in order and builds the layer.
//!
//! A node whose operands are known is computed here (`host/`). Any other becomes ops of the layer (`ops/`). A node that cannot be
//! converted is noted, and so are those after it that do not depend on it: a user learns of all of them at once.

use convoke_ir::layer::{Layer, LayerBuilder, Reshape, ValueId};
use convoke_ir::types::{Layout, TensorType};
use rustc_hash::FxHashSet;

use crate::call::Call;
use crate::dims::{self, Input};
use crate::error::{Converted, ImportError, NodeRefusal, Refusal, malformed, unsupported};
use crate::graph::Graph;
use crate::host;
use crate::importer::Importer;
use crate::model::Model;
use crate::names::{Names, STEM, title};
use crate::node::Node;
use crate::ops;
use crate::options::Options;
use crate::port::{Imported, Port};
use crate::proto::ValueInfoProto;
use crate::value::{Net, Value};

/// Builds the layer of a graph.
pub(crate) fn import(model: &Model, graph: Graph<'_>, options: &Options) -> Result<Imported, ImportError> {
    let malformed = |reason: String| ImportError::Malformed { name: model.name.clone(), reason };
    let free = |input: &&ValueInfoProto| !options.constants.iter().any(|(name, _)| *name == input.name);
    let inputs: Vec<&ValueInfoProto> = model.inputs.iter().filter(free).collect();
    let inputs = dims::bind(&model.name, &inputs, options)?;
    let title = title(&model.title);
    let builder = LayerBuilder::new(&title).map_err(|error| malformed(error.to_string()))?;
    let mut read: FxHashSet<&str> = graph.nodes.iter().flat_map(|node| node.reads()).collect();
    read.extend(graph.outputs.iter().map(String::as_str));
    let casts = graph.nodes.iter().any(|node| node.op == "Cast" || node.op == "CastLike");
    let mut importer = Importer::new(builder, &model.files, read, casts);
    let is_number = |name: &&str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit());
    let values = graph.nodes.iter().flat_map(|node| node.outputs.iter().map(String::as_str));
    if values
        .chain(inputs.iter().map(|input| input.name.as_str()))
        .chain(model.tensors.keys().map(String::as_str))
        .any(|name| is_number(&name))
    {
        importer.names = Names::behind(STEM);
        importer.builder = importer.builder.numbered_behind(STEM);
    }
    for input in &inputs {
        importer.input(input).map_err(|refusal| malformed(said(&refusal)))?;
    }
    for (name, data) in &options.constants {
        importer.values.insert(name.clone(), Value::Known(data.tensor.clone(), name.clone()));
    }
    importer.tensors(model).map_err(|refusal| malformed(said(&refusal)))?;
    let refusals = importer.nodes(&graph.nodes).map_err(malformed)?;
    if !refusals.is_empty() {
        return Err(ImportError::Unsupported { name: model.name.clone(), refusals });
    }
    importer.name_outputs(&inputs, &graph.outputs);
    let mut results = Vec::new();
    let mut outputs = Vec::new();
    for output in &graph.outputs {
        let Some(value) = importer.values.get(output).cloned() else {
            return Err(malformed(format!("output `{output}` is given by no node")));
        };
        let net = importer.net(&value).map_err(|refusal| malformed(said(&refusal)))?;
        results.push(importer.output(output, &net).map_err(|refusal| malformed(said(&refusal)))?);
        outputs.push(Port { name: output.clone(), ty: net.ty, dims: net.dims });
    }
    let inputs = inputs.into_iter().map(|input| Port { name: input.name, ty: input.ty, dims: input.dims }).collect();
    let layer: Layer = importer.builder.finish(&results).map_err(|error| malformed(error.to_string()))?;
    Ok(Imported { layer: live(layer), inputs, outputs, cut: graph.cut })
}

/// The layer without what no result depends on: a graph may compute values for their shapes alone.
fn live(mut layer: Layer) -> Layer {
    let mut live: FxHashSet<ValueId> = layer.results.iter().copied().collect();
    let mut body = std::mem::take(&mut layer.body);
    body.reverse();
    body.retain(|instr| {
        let is_live = live.contains(&instr.result);
        live.extend(instr.reads().filter(|_| is_live));
        is_live
    });
    body.reverse();
    layer.body = body;
    layer.compact()
}

fn said(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Unsupported(reason) | Refusal::Malformed(reason) => reason.clone(),
        Refusal::Inherited => "an operand was refused".into(),
    }
}

impl Importer<'_> {
    fn input(&mut self, input: &Input) -> Converted<()> {
        let ty = TensorType::new(self.carrier(input.ty), input.dims.clone(), Layout::Nchw)
            .map_err(|error| Refusal::Malformed(format!("input `{}`: {error}", input.name)))?;
        let name = self.names.give(&input.name);
        let id = self.builder.param(&name, ty)?;
        let net = Net { id, ty: input.ty, dims: input.dims.clone() };
        self.values.insert(input.name.clone(), net.into());
        Ok(())
    }

    /// The initialisers that are read.
    fn tensors(&mut self, model: &Model) -> Converted<()> {
        for (name, tensor) in model.tensors.iter().filter(|(name, _)| self.read.contains(name.as_str())) {
            self.values.insert(name.clone(), Value::Known(tensor.clone()?, name.clone()));
        }
        Ok(())
    }

    /// Converts every node; `Err` is a node that contradicts itself.
    fn nodes(&mut self, nodes: &[&Node]) -> Result<Vec<NodeRefusal>, String> {
        let mut refusals = Vec::new();
        for node in nodes {
            let values = match self.node(node) {
                Ok(values) => values,
                Err(Refusal::Malformed(reason)) => {
                    return Err(format!("node `{}` ({} {}): {reason}", node.name, node.op, node.opset));
                }
                Err(refusal) => {
                    if let Refusal::Unsupported(reason) = refusal {
                        refusals.push(NodeRefusal {
                            node: node.name.clone(),
                            op: node.op.clone(),
                            domain: node.domain.clone(),
                            opset: node.opset,
                            reason,
                        });
                    }
                    vec![Value::Refused; node.outputs.len()]
                }
            };
            for (name, value) in node.outputs.iter().zip(values) {
                if !name.is_empty() {
                    self.bind(name, value);
                }
            }
        }
        Ok(refusals)
    }

    fn node(&mut self, node: &Node) -> Converted<Vec<Value>> {
        let mut inputs = Vec::new();
        for name in &node.inputs {
            inputs.push(match name.as_str() {
                "" => None,
                name => match self.values.get(name) {
                    None => return malformed(format!("it reads `{name}`, which nothing gives")),
                    // What is wrong with the operator itself is said even so.
                    Some(Value::Refused) if ops::knows(node) => return Err(Refusal::Inherited),
                    Some(value) => Some(value.clone()),
                },
            });
        }
        let call = Call { node, inputs };
        if let Some(tensors) = host::compute(&call, self.files)? {
            return Ok(tensors.into_iter().map(Value::from).collect());
        }
        let values = ops::convert(self, &call)?;
        match node.outputs.iter().skip(values.len()).find(|name| self.read.contains(name.as_str())) {
            None => Ok(values),
            Some(extra) => unsupported(format!(
                "its output `{extra}` is not computed, the first {} alone; cut the net before what reads it with --outputs NAME",
                values.len()
            )),
        }
    }

    /// Gives values that are known under another name, such as the operand of an `Identity`, the names of the outputs.
    fn name_outputs(&mut self, inputs: &[Input], outputs: &[String]) {
        let mut known: FxHashSet<ValueId> = inputs.iter().filter_map(|input| self.computed(&input.name)).collect();
        let (named, others): (Vec<&String>, Vec<_>) = outputs.iter().partition(|name| self.names.has(name));
        known.extend(named.into_iter().filter_map(|name| self.computed(name)));
        for name in others {
            if let Some(id) = self.computed(name).filter(|&id| known.insert(id)) {
                let name = self.names.give(name);
                self.builder.rename(id, &name).expect("a name that no value has");
            }
        }
    }

    /// The value of an output: a copy where it is an input, or an output of another name.
    fn output(&mut self, name: &str, net: &Net) -> Converted<ValueId> {
        if self.names.has(name) {
            return Ok(net.id);
        }
        let shape = net.dims.iter().map(|&extent| extent as i64).collect();
        let copy = self.builder.op(Reshape { shape }, &[net.id])?;
        let name = self.names.give(name);
        self.builder.rename(copy, &name)?;
        Ok(copy)
    }

    fn computed(&self, name: &str) -> Option<ValueId> {
        match self.values.get(name) {
            Some(Value::Computed(net)) => Some(net.id),
            _ => None,
        }
    }

    /// Gives a value the name that the graph has for it.
    fn bind(&mut self, name: &str, value: Value) {
        let value = match value {
            Value::Known(tensor, own) if own.is_empty() => Value::Known(tensor, name.into()),
            Value::Computed(net) => {
                if self.unnamed.remove(&net.id) {
                    let name = self.names.give(name);
                    self.builder.rename(net.id, &name).expect("a name that no value has");
                }
                net.into()
            }
            other => other,
        };
        self.values.insert(name.into(), value);
    }
}
