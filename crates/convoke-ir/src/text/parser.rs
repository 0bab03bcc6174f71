//! The parser: recursive descent over the tokens of the lexer, one function for each rule of the grammar.
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
//!           | "zip" ( "lo" | "hi" ) [ vec ] value "," value             half of the lanes of two, in turns
//!           | "pick" int "by" int [ vec ] value "," value               every so-many-th lane of two, one behind the other
//!           | "part" int vec value .                                  the lanes of a part of that many
//! unary     = "neg" | "abs" | "sqrt" | "nearest" | "pow2" .
//! binary    = "add" | "sub" | "mul" | "div" | "min" | "max" .
//! vec       = elem [ "x" lanes ] , one word .                           f32   f32x8
//! place     = value "[" affine "]" .
//! access    = ( "broadcast" | "stride" int ) [ "lanes" int ] | "lanes" int .
//! affine    = [ "-" ] term { ( "+" | "-" ) term } .                     64*%i + %j - 3
//! term      = int [ "*" value ] | value .
//!
//! word      = ( letter | digit | "_" ) { letter | digit | "_" } .       global = "@" name .   value = "%" name .
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

use super::Module;
use super::lexer::{Kind, Lexer, Token};
use super::names::nearest;
use crate::diagnostic::{Code, Diagnostic, shown};
use crate::span::Span;

/// The largest text, in bytes.
pub const MAX_SOURCE: usize = 64 << 20;
/// How deep brackets, and loops, may be nested.
pub const MAX_DEPTH: usize = 64;
/// How many statements, and entries of lists other than the numbers of a constant, a text may have.
pub const MAX_ITEMS: usize = 1 << 20;
/// How many mistakes are looked for before the parser gives up.
pub const MAX_ERRORS: usize = 1000;

/// A mistake that is reported already.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failed;

pub(super) type Parse<T> = Result<T, Failed>;

/// The beginning of a statement.
#[derive(Clone, Copy)]
pub(super) struct Begin {
    at: u32,
    braces: usize,
}

pub(super) struct Parser<'a> {
    pub(super) text: &'a str,
    lexer: Lexer<'a>,
    /// The token looked at.
    pub(super) tok: Token,
    /// Where the token before it ends.
    end: u32,
    pub(super) found: Vec<Diagnostic>,
    depth: usize,
    /// How many braces are open.
    braces: usize,
    /// Whether the end of the text is reported as a mistake.
    ended: bool,
    /// How many more statements and entries there may be.
    items: usize,
    /// How many numbers lists may still be filled up with.
    pub(super) fill: usize,
}

pub(super) fn parse(text: &str) -> Result<Module, Vec<Diagnostic>> {
    if text.len() > MAX_SOURCE {
        let message = format!("the text has {} bytes, the limit is {MAX_SOURCE}", text.len());
        let diagnostic = Diagnostic::new(Code::SourceSize, Span::default(), message);
        return Err(vec![diagnostic.help("put large constants into files: `file(\"w.npy\")`")]);
    }
    let mut parser = Parser::new(text);
    let module = parser.module();
    let mut found = parser.found;
    if found.is_empty() {
        return Ok(module);
    }
    // Undefined names are reported at the end of their layer or function.
    found.sort_by_key(|d| d.span.start);
    Err(found)
}

impl<'a> Parser<'a> {
    pub(super) fn new(text: &'a str) -> Parser<'a> {
        let (mut lexer, mut found) = (Lexer::new(text), Vec::new());
        let tok = lexer.next(&mut found);
        Parser {
            text,
            lexer,
            tok,
            end: 0,
            found,
            depth: 0,
            braces: 0,
            ended: false,
            items: MAX_ITEMS,
            fill: super::source::MAX_FILL,
        }
    }

    fn module(&mut self) -> Module {
        let mut module = Module::default();
        // Names of layers and of programs, each with where it stands.
        let mut names = std::collections::HashMap::new();
        while self.tok.kind != Kind::End {
            let name = match self.word() {
                Some("layer") => self.layer().map(|layer| {
                    let name = ("layer", layer.name.clone(), layer.span);
                    module.layers.push(layer);
                    name
                }),
                Some("program") => self.program().map(|program| {
                    let name = ("program", program.name.clone(), program.span);
                    module.programs.push(program);
                    name
                }),
                _ => Err(self.unknown_word("`layer` or `program`", &["layer", "program"])),
            };
            match name {
                Ok((kind, name, span)) => {
                    if let Some(first) = names.insert((kind, name.clone()), span) {
                        self.report(
                            Diagnostic::new(Code::Repeated, span, format!("there is a {kind} `@{name}` already"))
                                .related(first, "the first one"),
                        );
                    }
                }
                // What follows the mistake is skipped up to the next layer or program.
                Err(Failed) => {
                    while self.tok.kind != Kind::End && !(self.tok.first && self.at_item()) {
                        self.bump();
                    }
                }
            }
        }
        module
    }

    /// Whether a layer or program begins here.
    fn at_item(&self) -> bool {
        matches!(self.word(), Some("layer" | "program"))
    }

    // Tokens.

    /// The characters of a token.
    pub(super) fn slice(&self, tok: Token) -> &'a str {
        &self.text[tok.span.start as usize..tok.span.end as usize]
    }

    /// The word looked at, if it is one.
    pub(super) fn word(&self) -> Option<&'a str> {
        (self.tok.kind == Kind::Word).then(|| self.slice(self.tok))
    }

    /// Takes the token looked at.
    pub(super) fn bump(&mut self) -> Token {
        let tok = self.tok;
        self.end = tok.span.end;
        match tok.kind {
            Kind::Punct("{") => self.braces += 1,
            Kind::Punct("}") => self.braces = self.braces.saturating_sub(1),
            _ => {}
        }
        self.tok = if self.found.len() < MAX_ERRORS {
            self.lexer.next(&mut self.found)
        } else {
            let end = self.text.len();
            Token { kind: Kind::End, span: Span::new(end, end), first: true }
        };
        tok
    }

    /// The token after the one looked at.
    pub(super) fn peek(&self) -> Token {
        // What is no token will be reported when it is taken.
        self.lexer.clone().next(&mut Vec::new())
    }

    pub(super) fn at(&self, punct: &str) -> bool {
        matches!(self.tok.kind, Kind::Punct(p) if p == punct)
    }

    pub(super) fn eat(&mut self, punct: &str) -> bool {
        let at = self.at(punct);
        if at {
            self.bump();
        }
        at
    }

    pub(super) fn eat_word(&mut self, word: &str) -> bool {
        let at = self.word() == Some(word);
        if at {
            self.bump();
        }
        at
    }

    pub(super) fn expect(&mut self, punct: &str) -> Parse<Span> {
        if self.at(punct) { Ok(self.bump().span) } else { Err(self.expected(&format!("`{punct}`"))) }
    }

    pub(super) fn expect_word(&mut self, word: &str) -> Parse<Span> {
        if self.word() == Some(word) { Ok(self.bump().span) } else { Err(self.expected(&format!("`{word}`"))) }
    }

    pub(super) fn expect_kind(&mut self, kind: Kind, what: &str) -> Parse<Token> {
        if self.tok.kind == kind { Ok(self.bump()) } else { Err(self.expected(what)) }
    }

    /// `%name`: the name without its `%`, and where it stands.
    pub(super) fn value_name(&mut self) -> Parse<(&'a str, Span)> {
        let tok = self.expect_kind(Kind::Value, "a name like `%x`")?;
        Ok((&self.slice(tok)[1..], tok.span))
    }

    /// `@name`.
    pub(super) fn global_name(&mut self) -> Parse<(&'a str, Span)> {
        let tok = self.expect_kind(Kind::Global, "a name like `@conv`")?;
        Ok((&self.slice(tok)[1..], tok.span))
    }

    /// From `start` to the end of the last token taken.
    pub(super) fn since(&self, start: Span) -> Span {
        Span { start: start.start, end: self.end.max(start.end) }
    }

    /// `item { "," item }` up to `close`, which is taken; a comma before `close` is allowed.
    pub(super) fn list<T>(&mut self, close: &str, mut item: impl FnMut(&mut Self) -> Parse<T>) -> Parse<Vec<T>> {
        let mut items = Vec::new();
        while !self.eat(close) {
            self.item()?;
            items.push(item(self)?);
            if !self.at(close) && !self.eat(",") {
                return Err(self.expected(&format!("`,` or `{close}`")));
            }
        }
        Ok(items)
    }

    /// Counts a statement or an entry of a list. After the last one that is allowed nothing more is read.
    pub(super) fn item(&mut self) -> Parse<()> {
        let Some(rest) = self.items.checked_sub(1) else {
            if self.tok.kind != Kind::End {
                let message = format!("a text has at most {MAX_ITEMS} statements and entries of lists");
                self.report(Diagnostic::new(Code::SourceSize, self.tok.span, message));
            }
            self.tok.kind = Kind::End;
            self.lexer.end();
            self.ended = true;
            return Err(Failed);
        };
        self.items = rest;
        Ok(())
    }

    /// Runs `rule` one level deeper, unless that is too deep. Everything that recurses goes through here.
    pub(super) fn deeper<T>(&mut self, rule: impl FnOnce(&mut Self) -> Parse<T>) -> Parse<T> {
        if self.depth == MAX_DEPTH {
            let message = format!("nested more than {MAX_DEPTH} deep");
            return Err(self.fail(Diagnostic::new(Code::Depth, self.tok.span, message)));
        }
        self.depth += 1;
        let result = rule(self);
        self.depth -= 1;
        result
    }

    // Mistakes.

    pub(super) fn report(&mut self, diagnostic: Diagnostic) {
        self.found.push(diagnostic);
    }

    pub(super) fn fail(&mut self, diagnostic: Diagnostic) -> Failed {
        self.report(diagnostic);
        Failed
    }

    /// Reports that something else than `what` was found.
    pub(super) fn expected(&mut self, what: &str) -> Failed {
        let found = match self.tok.kind {
            Kind::Bad => return Failed,
            // What else is missing at the end follows from the first.
            Kind::End if std::mem::replace(&mut self.ended, true) => return Failed,
            Kind::End => "the end of the text".to_owned(),
            _ => format!("`{}`", shown(self.slice(self.tok))),
        };
        // On another line the caret would stand far from what is unfinished.
        let span = match self.tok.first && self.end > 0 {
            true => Span { start: self.end, end: self.end },
            false => self.tok.span,
        };
        let place = if self.tok.first && self.tok.kind != Kind::End && self.end > 0 { " on the next line" } else { "" };
        self.fail(Diagnostic::new(Code::Syntax, span, format!("expected {what}, found {found}{place}")))
    }

    /// Reports a word that is none of `known`, or no word.
    pub(super) fn unknown_word(&mut self, what: &str, known: &[&str]) -> Failed {
        let Some(word) = self.word() else { return self.expected(what) };
        let message = format!("expected {what}, found `{}`", shown(word));
        let near = nearest(word, known.iter().copied());
        let code = if near.is_some() { Code::Unknown } else { Code::Syntax };
        let mut diagnostic = Diagnostic::new(code, self.tok.span, message);
        diagnostic.help = match near {
            Some(near) => Some(format!("did you mean `{near}`?")),
            // Most callers name the few there are.
            None => (!what.contains('`')).then(|| format!("known here: {}", known.join(", "))),
        };
        self.fail(diagnostic)
    }

    /// Where a statement begins, for [`Parser::recover`].
    pub(super) fn begin(&self) -> Begin {
        Begin { at: self.tok.span.start, braces: self.braces }
    }

    /// Goes on after a mistake in the statement that begins at `begin`: to a new line, to `%name =`, or to the brace that
    /// closes the block.
    pub(super) fn recover(&mut self, begin: Begin) {
        let mut moved = self.tok.span.start > begin.at;
        while self.tok.kind != Kind::End {
            let same = self.braces <= begin.braces;
            let defines = || matches!(self.peek().kind, Kind::Punct("=" | "<-"));
            // A line that begins a statement ends whatever brace was left open.
            let next = match self.tok.kind {
                Kind::Punct("}") => same,
                _ if moved && self.tok.first => same || self.at_statement(),
                Kind::Value => moved && same && defines(),
                _ => false,
            };
            if next {
                break;
            }
            self.bump();
            moved = true;
        }
        self.braces = begin.braces;
    }

    /// Skips a block in braces whose first line is wrong, from anywhere in that line.
    pub(super) fn skip_block(&mut self) {
        while !self.at("{") {
            if self.tok.kind == Kind::End || self.at("}") || self.tok.first && self.at_statement() {
                return;
            }
            self.bump();
        }
        let outside = self.braces;
        self.bump();
        while self.tok.kind != Kind::End && self.braces > outside {
            self.bump();
        }
    }

    /// Whether the token looked at begins a statement of some block.
    fn at_statement(&self) -> bool {
        let words = ["return", "run", "for", "call", "store", "local", "entry", "prepare", "kernel", "codelet"];
        self.tok.kind == Kind::Value || self.word().is_some_and(|word| words.contains(&word))
    }
}

/// Offers the nearest of `known` names.
pub(super) fn suggest(diagnostic: Diagnostic, written: &str, known: &[&str]) -> Diagnostic {
    match nearest(written, known.iter().copied()) {
        Some(name) => diagnostic.help(format!("did you mean `{name}`?")),
        None if known.is_empty() || known.len() > 30 => diagnostic,
        None => diagnostic.help(format!("known here: {}", known.join(", "))),
    }
}
