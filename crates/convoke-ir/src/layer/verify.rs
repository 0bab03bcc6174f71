//! The verifier of layer IR.

use std::ops::Deref;

use super::Layer;
use crate::diagnostic::Diagnostic;

/// A layer that [`verify`] accepted. Interpreter and lowering take this, so that they need not check again.
#[derive(Clone, Copy, Debug)]
pub struct Verified<'a>(&'a Layer);

impl<'a> Verified<'a> {
    /// The layer, for as long as it is borrowed.
    pub fn layer(self) -> &'a Layer {
        self.0
    }
}

impl Deref for Verified<'_> {
    type Target = Layer;
    fn deref(&self) -> &Layer {
        self.0
    }
}

/// Checks a layer; on failure gives every mistake found.
pub fn verify(layer: &Layer) -> Result<Verified<'_>, Vec<Diagnostic>> {
    let mut found = Vec::new();
    for instr in &layer.body {
        if let Err(error) = instr.infer(layer) {
            let (code, message, help) = (error.code, error.message, error.help);
            found.push(Diagnostic { code, message, span: instr.span, label: None, related: vec![], help });
        }
    }
    if found.is_empty() { Ok(Verified(layer)) } else { Err(found) }
}
