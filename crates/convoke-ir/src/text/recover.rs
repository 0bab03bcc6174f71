//! Recovery: where the parser goes on after a mistake.

use super::lexer::Kind;
use super::parser::Parser;

/// The beginning of a statement.
#[derive(Clone, Copy)]
pub(super) struct Begin {
    at: u32,
    braces: usize,
}

impl Parser<'_> {
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
