//! Diagnostics: what is wrong with a text or a program, where, and what to do about it.
//!
//! Parser and verifiers give [`Diagnostic`]s; [`render`] turns them into the text a terminal shows. Whatever comes from
//! an input is escaped and cut ([`shown`]), so that a message is short and cannot drive a terminal.

mod excerpt;

use std::fmt;

use crate::span::Span;

pub use excerpt::{MAX_SHOWN, position, render};

/// What kind of mistake a [`Diagnostic`] reports. The number is stable: tests and searches rely on it.
///
/// E01xx reading the text, E02xx types of a layer, E03xx structure of a layer, E04xx loop IR.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Code {
    /// Bytes that are not UTF-8.
    Utf8 = 101,
    /// A character that is no part of the language.
    Character = 102,
    /// A string without its end, or with an unknown escape.
    String = 103,
    /// A number that is malformed or does not fit.
    Number = 104,
    /// Another token than the grammar asks for.
    Syntax = 105,
    /// Brackets or loops nested too deep.
    Depth = 106,
    /// A text that is too large.
    SourceSize = 107,
    /// An op, attribute, type, generator or keyword that there is not.
    Unknown = 108,
    /// A name that is not defined, or only later.
    Undefined = 109,
    /// A name, attribute or section that is there already.
    Repeated = 110,
    /// A list of numbers that does not fit the type of its constant.
    Numbers = 111,
    /// A constant that was computed in memory and has no text.
    Computed = 112,

    /// An operand of the wrong type or shape.
    Operand = 201,
    /// Too few or too many operands.
    OperandCount = 202,
    /// An attribute whose value does not fit.
    Attribute = 203,
    /// A shape that is no shape.
    Shape = 204,
    /// A constant whose source cannot fill its type.
    Constant = 205,
    /// An epilogue step that is not elementwise, or changes the type.
    Epilogue = 206,
    /// A result of another type than the layer declares.
    ResultType = 207,
    /// A value of another type than its op gives.
    ValueType = 208,

    /// A name that the text form cannot write.
    Name = 301,
    /// Two values or layers of one name.
    DuplicateName = 302,
    /// A value that is read before it is defined.
    Dominance = 303,
    /// A value whose definition and use as parameter, constant or result of an instruction disagree.
    Definition = 304,
    /// A layer that returns nothing.
    NoResult = 305,
    /// A layer larger than the limits of the language.
    LayerSize = 306,

    /// A name of loop IR that the text form cannot write.
    LoopName = 401,
    /// Two things of one name in a program or a function.
    LoopDuplicate = 402,
    /// A value or variable that is not visible where it is read.
    Scope = 403,
    /// Operands of types that do not go together.
    LoopType = 404,
    /// An assignment to what is no register, or a definition that is none.
    Register = 405,
    /// A store to a buffer that is only read.
    Access = 406,
    /// A codelet that does what only a kernel may.
    Codelet = 407,
    /// A call or a run of a function that cannot be called or run there.
    Callee = 408,
    /// An argument that does not fit its parameter.
    Argument = 409,
    /// Two arguments that overlap, of which one is written.
    Alias = 410,
    /// A buffer that is read before it is written, or an output that is not written.
    Unwritten = 411,
    /// A write to a buffer whose role forbids it.
    Role = 412,
    /// A `parallel` mark where it is not allowed.
    Parallel = 413,
    /// A mark whose number makes no sense.
    Mark = 414,
    /// A number of lanes or a stride that does not fit.
    Lanes = 415,
    /// A loop whose bounds or step are not allowed.
    Loop = 416,
    /// An access that is not proved to be inside its buffer.
    Bounds = 417,
    /// A program larger than the limits of the language.
    ProgramSize = 418,
    /// A constant buffer whose source cannot fill its type.
    LoopConstant = 419,
    /// An id that is not of this program or function, or a table out of order.
    Table = 420,
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "E{:04}", *self as u32)
    }
}

/// One mistake.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnostic {
    /// Its kind.
    pub code: Code,
    /// What was found and what was expected, in one line.
    pub message: String,
    /// The place meant.
    pub span: Span,
    /// What stands at that place, in a few words under the caret.
    pub label: Option<String>,
    /// Further places, each with a few words.
    pub related: Vec<(Span, String)>,
    /// What to do.
    pub help: Option<String>,
}

impl Diagnostic {
    /// A mistake at `span`.
    pub fn new(code: Code, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic { code, message: message.into(), span, label: None, related: Vec::new(), help: None }
    }

    /// With a few words under the caret.
    pub fn label(mut self, label: impl Into<String>) -> Diagnostic {
        self.label = Some(label.into());
        self
    }

    /// With a further place. Left out if no text was written for it.
    pub fn related(mut self, span: Span, label: impl Into<String>) -> Diagnostic {
        if !span.is_empty() {
            self.related.push((span, label.into()));
        }
        self
    }

    /// With what to do.
    pub fn help(mut self, help: impl Into<String>) -> Diagnostic {
        self.help = Some(help.into());
        self
    }
}

/// A bare diagnostic, for where no source text is at hand: `error[E0203]: …; help: …`.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error[{}]: {}", self.code, self.message)?;
        match &self.help {
            Some(help) => write!(f, "; help: {help}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Diagnostic {}

/// Text taken from an input as a message shows it: control and bidirectional characters escaped, cut to 200 characters.
pub fn shown(text: &str) -> String {
    const MOST: usize = 200;
    let mut out = String::new();
    for (i, c) in text.chars().enumerate() {
        if i == MOST {
            out.push('…');
            break;
        }
        match c {
            c if is_hidden(c) => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    out
}

/// Whether a terminal would act on `c` rather than show it: control characters and those that change the direction of text.
pub(crate) fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{061C}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}')
}
