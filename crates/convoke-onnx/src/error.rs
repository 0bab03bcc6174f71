//! Reasons why a model does not become a layer.

use std::fmt;
use std::path::PathBuf;

/// Why a model was not imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// A file that cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file larger than the memory budget.
    #[error("{} has {bytes} bytes, the memory budget is {budget}; raise it with --max-memory", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// The budget.
        budget: u64,
    },
    /// Bytes that are no ONNX model.
    #[error("{name} is no ONNX model: {reason}")]
    Decode {
        /// The file.
        name: String,
        /// What was found.
        reason: String,
    },
    /// A model that contradicts itself.
    #[error("{name}: {reason}")]
    Malformed {
        /// The file.
        name: String,
        /// The contradiction, with the node or value it is at.
        reason: String,
    },
    /// An option that does not fit the model.
    #[error("{0}")]
    Option(String),
    /// Nodes that convoke does not compile, all of them.
    #[error("{}", listed(name, refusals))]
    Unsupported {
        /// The file.
        name: String,
        /// One for each node.
        refusals: Vec<NodeRefusal>,
    },
}

/// A node that is not compiled.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeRefusal {
    /// The node's name, or that of its first output.
    pub node: String,
    /// Its operator.
    pub op: String,
    /// The domain of the operator; empty for ONNX's own.
    pub domain: String,
    /// The version of the operator set.
    pub opset: i64,
    /// Why not, and what to do.
    pub reason: String,
}

impl fmt::Display for NodeRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let domain = if self.domain.is_empty() { "ai.onnx" } else { &self.domain };
        write!(f, "{} (node `{}`, {domain} {}): {}", self.op, self.node, self.opset, self.reason)
    }
}

/// How many refusals of the same kind are written out.
const SHOWN: usize = 3;

/// The refusals, those of one operator and reason together.
fn listed(name: &str, refusals: &[NodeRefusal]) -> String {
    let mut text = format!("{name}: {} of its nodes cannot be compiled", refusals.len());
    if let [only] = refusals {
        return format!("{name}: {only}");
    }
    let mut kinds: Vec<(&NodeRefusal, Vec<&str>)> = Vec::new();
    for refusal in refusals {
        match kinds.iter_mut().find(|(kind, _)| kind.op == refusal.op && kind.reason == refusal.reason) {
            Some((_, nodes)) => nodes.push(&refusal.node),
            None => kinds.push((refusal, vec![&refusal.node])),
        }
    }
    for (kind, nodes) in kinds {
        text += &format!("\n  {kind}");
        if nodes.len() > 1 {
            let others: Vec<_> = nodes[1..].iter().take(SHOWN).map(|node| format!("`{node}`")).collect();
            let rest = nodes.len() - 1 - others.len();
            let rest = if rest > 0 { format!(" and {rest} more") } else { String::new() };
            text += &format!("\n    also {}{rest}", others.join(", "));
        }
    }
    text
}

/// Why one node is not compiled, as its conversion says it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Refusal {
    /// The node is sound, but there is no way to compile it.
    Unsupported(String),
    /// The node contradicts its operands or the standard.
    Malformed(String),
    /// An operand comes from a node that was refused.
    Inherited,
}

pub(crate) type Converted<T> = Result<T, Refusal>;

/// Refuses a node that is sound.
pub(crate) fn unsupported<T>(reason: impl Into<String>) -> Converted<T> {
    Err(Refusal::Unsupported(reason.into()))
}

/// Refuses a node that is not.
pub(crate) fn malformed<T>(reason: impl Into<String>) -> Converted<T> {
    Err(Refusal::Malformed(reason.into()))
}

impl From<convoke_ir::layer::BuildError> for Refusal {
    fn from(error: convoke_ir::layer::BuildError) -> Refusal {
        Refusal::Malformed(error.to_string())
    }
}
