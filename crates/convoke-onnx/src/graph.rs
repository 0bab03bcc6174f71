//! Nodes of a model in the order in which they can be computed, without those that nothing reads.

use std::collections::VecDeque;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::error::ImportError;
use crate::model::Model;
use crate::node::Node;

/// The nodes that compute chosen values.
pub(crate) struct Graph<'a> {
    /// Those that an output needs, each after those it reads.
    pub(crate) nodes: Vec<&'a Node>,
    /// The values to compute.
    pub(crate) outputs: Vec<String>,
    /// How many nodes are left out, because none of the chosen outputs needs them.
    pub(crate) cut: usize,
}

impl<'a> Graph<'a> {
    /// The graph of a model that computes `outputs`, or all its outputs.
    pub(crate) fn of(model: &'a Model, outputs: &[String]) -> Result<Graph<'a>, ImportError> {
        let malformed = |reason: String| ImportError::Malformed { name: model.name.clone(), reason };
        let makers = makers(model)?;
        let own = &model.outputs;
        for output in outputs {
            if !makers.contains_key(output.as_str()) && !own.contains(output) {
                let known: Vec<_> = own.iter().map(|name| format!("`{name}`")).collect();
                let what = match (model.tensors.contains_key(output), model.inputs.iter().any(|i| i.name == *output)) {
                    (true, _) => format!("`{output}` is a constant of the model, which nothing computes"),
                    (_, true) => format!("`{output}` is an input of the model, which nothing computes"),
                    _ => format!("the model has no value `{output}`"),
                };
                let message = format!("{what}; the outputs of the model are {}", known.join(", "));
                return Err(ImportError::Option(message));
            }
        }
        let outputs = if outputs.is_empty() { own.clone() } else { outputs.to_vec() };
        if outputs.is_empty() {
            return Err(malformed("the graph has no output".into()));
        }
        let order = order(&model.nodes, &makers, &outputs).map_err(|node| {
            let Node { name, op, .. } = &model.nodes[node];
            malformed(format!("node `{name}` ({op}) depends on its own output"))
        })?;
        let cut = model.nodes.len() - order.len();
        Ok(Graph { nodes: order.into_iter().map(|index| &model.nodes[index]).collect(), outputs, cut })
    }
}

/// Which node gives each value.
fn makers(model: &Model) -> Result<FxHashMap<String, usize>, ImportError> {
    let mut given: FxHashSet<&str> = model.inputs.iter().map(|input| input.name.as_str()).collect();
    given.extend(model.tensors.keys().map(String::as_str));
    let mut makers = FxHashMap::default();
    for (index, node) in model.nodes.iter().enumerate() {
        for output in node.outputs.iter().filter(|output| !output.is_empty()) {
            if given.contains(output.as_str()) || makers.insert(output.clone(), index).is_some() {
                let reason = format!("value `{output}` is given twice, the second time by node `{}`", node.name);
                return Err(ImportError::Malformed { name: model.name.clone(), reason });
            }
        }
    }
    Ok(makers)
}

/// The nodes that the outputs need, each after those it reads; else a node that needs itself.
fn order(nodes: &[Node], makers: &FxHashMap<String, usize>, outputs: &[String]) -> Result<Vec<usize>, usize> {
    let mut needed = vec![false; nodes.len()];
    let mut todo: Vec<usize> = outputs.iter().filter_map(|output| makers.get(output).copied()).collect();
    while let Some(index) = todo.pop() {
        if !std::mem::replace(&mut needed[index], true) {
            todo.extend(nodes[index].reads().filter_map(|name| makers.get(name).copied()));
        }
    }
    // Kahn's algorithm, in the file's order among those that are ready.
    let mut readers = vec![Vec::new(); nodes.len()];
    let mut missing = vec![0usize; nodes.len()];
    for (index, node) in nodes.iter().enumerate().filter(|(index, _)| needed[*index]) {
        for maker in node.reads().filter_map(|name| makers.get(name).copied()) {
            readers[maker].push(index);
            missing[index] += 1;
        }
    }
    let mut ready: VecDeque<usize> = (0..nodes.len()).filter(|&i| needed[i] && missing[i] == 0).collect();
    let mut order = Vec::new();
    while let Some(index) = ready.pop_front() {
        order.push(index);
        for &reader in &readers[index] {
            missing[reader] -= 1;
            if missing[reader] == 0 {
                ready.push_back(reader);
            }
        }
    }
    match (0..nodes.len()).find(|&i| needed[i] && missing[i] > 0) {
        Some(stuck) => Err(stuck),
        None => Ok(order),
    }
}
