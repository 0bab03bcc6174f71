//! The text form of both IRs: [`parse`] reads it, `Display` writes it.
//!
//! Parsing what was printed gives the same layer or program, up to the order of the tables and entries of them that
//! nothing mentions; [`Layer::compact`] makes that exact. The grammar stands at the top of `parser.rs`.
//!
//! [`Layer::compact`]: crate::layer::Layer::compact

mod attrs;
mod lexer;
mod names;
mod net;
mod parser;
mod print_layer;
mod print_loops;
mod program;
mod source;
mod stmt;

use crate::diagnostic::{Code, Diagnostic};
use crate::layer::{self, Layer};
use crate::loops::{self, Program};
use crate::span::Span;

pub use parser::{MAX_DEPTH, MAX_ERRORS, MAX_ITEMS, MAX_SOURCE};

/// What a text holds.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Module {
    /// The layers, in order.
    pub layers: Vec<Layer>,
    /// The programs, in order.
    pub programs: Vec<Program>,
}

/// Reads a text. On failure gives every mistake found, in the order of the text.
///
/// What can be said of a value's type alone is checked here, since a type follows from the op: the rest is for
/// [`layer::verify`] and [`loops::verify`].
pub fn parse(text: &str) -> Result<Module, Vec<Diagnostic>> {
    parser::parse(text)
}

/// As [`parse`], for bytes that may not be UTF-8.
pub fn parse_bytes(bytes: &[u8]) -> Result<Module, Vec<Diagnostic>> {
    parse(utf8(bytes).map_err(|diagnostic| vec![diagnostic])?)
}

/// The bytes as text, or which byte is wrong and where. The renderer takes the text up to that byte.
pub fn utf8(bytes: &[u8]) -> Result<&str, Diagnostic> {
    std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        let before = &bytes[..at];
        let line = before.iter().filter(|&&b| b == b'\n').count() + 1;
        let start = before.iter().rposition(|&b| b == b'\n').map_or(0, |newline| newline + 1);
        let column = String::from_utf8_lossy(&before[start..]).chars().count() + 1;
        let span = Span::new(at.min(u32::MAX as usize), at.min(u32::MAX as usize));
        let message = format!("byte {:02X} at line {line}, column {column} is not UTF-8", bytes[at]);
        Diagnostic::new(Code::Utf8, span, message).help("save the file as UTF-8")
    })
}

/// Reads a text and verifies everything in it.
pub fn parse_and_verify(text: &str) -> Result<Module, Vec<Diagnostic>> {
    let module = parse(text)?;
    let layers = module.layers.iter().filter_map(|layer| layer::verify(layer).err());
    let programs = module.programs.iter().filter_map(|program| loops::verify(program).err());
    let mut found: Vec<_> = layers.chain(programs).flatten().collect();
    found.sort_by_key(|diagnostic| diagnostic.span.start);
    if found.is_empty() { Ok(module) } else { Err(found) }
}
