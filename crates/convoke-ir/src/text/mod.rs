//! The text form of both IRs: [`parse`] reads it, `Display` writes it.
//!
//! Parsing what was printed gives the same layer or program, up to the order of the tables and entries of them that
//! nothing mentions; [`Layer::compact`] makes that exact.
//!
//! ```text
//! module    = { layer | program } .
//!
//! type      = elem "[" [ int { "," int } ] "]" [ layout ] .             f32[1, 3, 8, 8]   f32[1, 8, 8, 3] nhwc
//! elem      = "f16" | "bf16" | "f32" | "f64" .
//! layout    = "nchw" | "nhwc" .
//! source    = "unbound" | numbers | generator | file .
//! numbers   = number | "[" [ numbers { "," numbers } ] "]" .            nested as the type, or flat; one number fills
//! generator = word [ "(" [ word "=" attr { "," word "=" attr } ] ")" ] . normal(seed = 7, std = 0.02)
//! file      = "file" "(" string [ "," string ] ")" .
//! attr      = number | word [ "(" [ arg { "," arg } ] ")" ] | "[" [ attr { "," attr } ] "]" .
//! arg       = [ word "=" ] attr .                                         direct(lanes = pixels)
//! number    = [ "-" ] ( digits [ "." digits ] [ "e" [ "+" | "-" ] digits ] | "inf" | "nan" ) .
//!
//! layer     = "layer" global "(" [ input { "," input } ] ")" "->" results "{" { def } return "}" .
//! input     = value ":" type [ "in" "[" number "," number "]" ] .       f32[1, 3, 8, 8] in [0.0039, 1]: magnitudes
//! results   = type | "(" [ type { "," type } ] ")" .
//! def       = value "=" "const" type "=" source | value [ ":" storage ] "=" op { "then" op } .
//! storage   = attr .                                                      nchw16c(halo = [1, 1, 1, 1])
//! op        = word [ value { "," value } ] [ "{" [ word "=" attr { "," word "=" attr } ] "}" ] .
//! return    = "return" [ value { "," value } ] .
//!
//! program   = "program" global "{" { buffer | func | list } "}" .       at most one `prepare` and one `entry`
//! buffer    = ( "input" | "output" | "prepared" | "scratch" ) value ":" type | "const" value ":" type "=" source .
//! list      = ( "prepare" | "entry" ) "{" { "run" global "(" [ value { "," value } ] ")" } "}" .
//! func      = ( "kernel" | "codelet" ) global "(" [ param { "," param } ] ")" "{" { local } { stmt } "}" .
//! param     = ( "in" | "out" | "inout" ) value ":" elem "[" int "]" .
//! local     = "local" value ":" elem "[" int "]" .
//! stmt      = value "=" [ "reg" ] expr | value "<-" expr | "store" place "," value [ access ] | call | for .
//! call      = "call" global "(" [ place { "," place } ] ")" .
//! for       = "for" value "in" int ".." int [ "step" int ] { mark } [ "with" step { "," step } ] "{" { stmt } "}" .
//! step      = value "=" affine "by" int .                               a variable `by` larger in each iteration
//! mark      = "parallel" | "tile" "(" int ")" | "vector" "(" int ")" | "unroll" [ "(" int ")" ] .
//! expr      = [ vec ] number | value                                    a number; another value
//!           | "load" vec place [ access ]                               of `f16` and `bf16` as `f32`, to which a store rounds
//!           | "splat" vec value | "convert" vec value                   a scalar in every lane; another element type
//!           | unary [ vec ] value | binary [ vec ] value "," value | "fma" [ vec ] value "," value "," value
//!           | "reduce" binary value                                     all lanes to one
//!           | "zip" ( "lo" | "hi" ) [ vec ] value "," value             half of the lanes of two, interleaved
//!           | "pick" int "by" int [ vec ] value "," value               every lane, or every second, of two behind each other
//!           | "part" int vec value .                                  a subvector, by its number
//! unary     = "neg" | "abs" | "sqrt" | "nearest" | "pow2" .
//! binary    = "add" | "sub" | "mul" | "div" | "min" | "max" .
//! vec       = elem [ "x" lanes ] , one word .                           f32   f32x8
//! place     = value "[" affine "]" .
//! access    = ( "broadcast" | "stride" int ) [ "lanes" int ] | "lanes" int .
//! affine    = [ "-" ] term { ( "+" | "-" ) term } .                     64*%i + %j - 3
//! term      = int [ "*" value ] | value .
//!
//! word      = ( letter | digit | "_" ) { letter | digit | "_" } .       global = "@" name .   value = "%" ( name | quoted ) .
//! quoted    = `"` { any character but `"`, `\`, those of control and line ends } `"` .
//! name      = { letter | digit | "_" | "." } .                          comments run from `//` to the end of the line
//! string    = `"` { any but `"`, `\` and a line's end | `\"` | `\\` | `\n` | `\r` | `\t` | `\u{` hex `}` } `"` .
//! ```
//!
//! Line ends separate tokens as blanks do. They matter only to recovery: after a mistake the parser goes on with the next
//! line, the next `%name =` or the next closing brace. A name whose definition failed is remembered, so that its uses
//! are not reported too.
//!
//! A vector type before operands may be left out where the operands determine it: the printer does. `load` and `<-`
//! access as many lanes as the value has, unless `lanes` says otherwise.
//!
//! [`Layer::compact`]: crate::layer::Layer::compact

mod attrs;
mod expr;
mod for_loop;
mod lexer;
mod module;
mod names;
mod net;
mod parser;
mod place;
mod print_layer;
mod print_loops;
mod program;
mod recover;
mod source;
mod stmt;

use crate::diagnostic::{Code, Diagnostic};
use crate::limits::Limits;
use crate::span::Span;
use crate::{layer, loops};

pub use module::{Module, parse, parse_within};
pub use parser::{MAX_ERRORS, MAX_ITEMS};

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
    parse_and_verify_within(text, &Limits::default())
}

/// As [`parse_and_verify`], within other limits of [`Limit::Source`](crate::limits::Limit) and `Nesting`.
pub fn parse_and_verify_within(text: &str, limits: &Limits) -> Result<Module, Vec<Diagnostic>> {
    let module = parse_within(text, limits)?;
    let layers = module.layers.iter().filter_map(|layer| layer::verify(layer).err());
    let programs = module.programs.iter().filter_map(|program| loops::verify(program).err());
    let mut found: Vec<_> = layers.chain(programs).flatten().collect();
    found.sort_by_key(|diagnostic| diagnostic.span.start);
    if found.is_empty() { Ok(module) } else { Err(found) }
}
