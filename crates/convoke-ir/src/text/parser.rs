//! The parser's state and what every rule of the grammar is made of: tokens taken, lists, limits, mistakes reported.
//!
//! The parser is a recursive descent, one function for each rule of the grammar (`mod.rs`):
//!
//! | file | rules |
//! |---|---|
//! | `module.rs` | a text |
//! | `net.rs` | layers |
//! | `program.rs`, `stmt.rs`, `expr.rs`, `for_loop.rs`, `place.rs` | programs |
//! | `attrs.rs`, `source.rs` | numbers, attributes, types; constants |

use super::lexer::{Kind, Lexer, Token};
use super::names::nearest;
use crate::diagnostic::{Code, Diagnostic, shown};
use crate::limits::{Exceeded, Limit, Limits};
use crate::span::Span;

/// How many statements, and entries of lists other than the numbers of a constant, a text may have.
pub const MAX_ITEMS: usize = 1 << 20;
/// How many numbers all constants of a text that are given as one number may have together.
pub(super) const MAX_FILL: usize = 1 << 24;
/// How many mistakes are looked for before the parser gives up.
pub const MAX_ERRORS: usize = 1000;

/// A mistake that is reported already.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failed;

pub(super) type Parse<T> = Result<T, Failed>;

/// The place in a text, what was found so far, and how much more is allowed.
pub(super) struct Parser<'a> {
    pub(super) text: &'a str,
    lexer: Lexer<'a>,
    /// The token looked at.
    pub(super) tok: Token,
    /// Where the token before it ends.
    end: u32,
    pub(super) found: Vec<Diagnostic>,
    depth: usize,
    limits: Limits,
    /// How many braces are open.
    pub(super) braces: usize,
    /// Whether the end of the text is reported as a mistake.
    ended: bool,
    /// How many more statements and entries there may be.
    items: usize,
    /// How many numbers lists may still be filled up with.
    pub(super) fill: usize,
}

impl<'a> Parser<'a> {
    pub(super) fn new(text: &'a str, limits: &Limits) -> Parser<'a> {
        let (mut lexer, mut found) = (Lexer::new(text), Vec::new());
        let tok = lexer.next(&mut found);
        Parser {
            text,
            lexer,
            tok,
            end: 0,
            found,
            depth: 0,
            limits: *limits,
            braces: 0,
            ended: false,
            items: MAX_ITEMS,
            fill: MAX_FILL,
        }
    }

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

    /// `%name`: the name without its `%` and quotes, and where it stands.
    pub(super) fn value_name(&mut self) -> Parse<(&'a str, Span)> {
        let tok = self.expect_kind(Kind::Value, "a name like `%x`")?;
        let name = &self.slice(tok)[1..];
        Ok((name.trim_matches('"'), tok.span))
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
        if let Err(exceeded) = self.limits.check(Limit::Nesting, self.depth as u64 + 1, "this is nested") {
            return Err(self.fail(beyond(&exceeded, Code::Depth, self.tok.span)));
        }
        self.depth += 1;
        let result = rule(self);
        self.depth -= 1;
        result
    }

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
}

/// The mistake of a text that is beyond a limit.
pub(super) fn beyond(exceeded: &Exceeded, code: Code, span: Span) -> Diagnostic {
    Diagnostic::new(code, span, exceeded.fact()).help(exceeded.advice())
}

/// Offers the nearest of `known` names.
pub(super) fn suggest(diagnostic: Diagnostic, written: &str, known: &[&str]) -> Diagnostic {
    match nearest(written, known.iter().copied()) {
        Some(name) => diagnostic.help(format!("did you mean `{name}`?")),
        None if known.is_empty() || known.len() > 30 => diagnostic,
        None => diagnostic.help(format!("known here: {}", known.join(", "))),
    }
}
