//! The lexer: bytes of a text to tokens, one at a time and without allocating.

use crate::diagnostic::{Code, Diagnostic, shown};
use crate::layer::{MAX_NAME, may_be_quoted};
use crate::span::Span;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `conv2d`, `f32x4`, `SAME_UPPER`, `4x4`: letters, digits and `_`.
    Word,
    /// `12`, `0.5`, `1e-3`, without a sign.
    Number,
    /// `"text"`, quotes included.
    Str,
    /// `%name`, `%"any/name"`.
    Value,
    /// `@name`.
    Global,
    /// `(`, `->`, …: the characters themselves.
    Punct(&'static str),
    /// What is no token; reported already.
    Bad,
    /// The end of the text.
    End,
}

/// A token and where it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) span: Span,
    /// Whether it is the first of its line.
    pub(super) first: bool,
}

/// Two characters before one, so that the longest wins.
const PUNCTS: &[&str] = &["->", "<-", "..", "(", ")", "[", "]", "{", "}", ",", ":", "=", "+", "-", "*"];

#[derive(Clone, Debug)]
pub(super) struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Lexer<'a> {
        // Some editors begin a file with a byte order mark.
        Lexer { text, at: if text.starts_with('\u{feff}') { 3 } else { 0 } }
    }

    /// Goes to the end of the text.
    pub(super) fn end(&mut self) {
        self.at = self.text.len();
    }

    /// The next token. What is no token is put into `found`.
    pub(super) fn next(&mut self, found: &mut Vec<Diagnostic>) -> Token {
        let first = self.skip_blanks();
        let start = self.at;
        let bytes = self.text.as_bytes();
        let kind = match bytes.get(start) {
            None => Kind::End,
            Some(b'%') if bytes.get(start + 1) == Some(&b'"') => self.quoted_name(found),
            Some(b'%') => self.name(Kind::Value, found),
            Some(b'@') => self.name(Kind::Global, found),
            Some(b'"') => self.string(found),
            Some(b) if b.is_ascii_digit() => self.number(),
            Some(b) if is_word(*b) => {
                self.skip_while(is_word);
                Kind::Word
            }
            Some(_) => match PUNCTS.iter().find(|p| bytes[start..].starts_with(p.as_bytes())) {
                Some(punct) => {
                    self.at += punct.len();
                    Kind::Punct(punct)
                }
                None => self.unknown(found),
            },
        };
        Token { kind, span: Span::new(start, self.at), first }
    }

    /// Skips blanks and comments; whether a line begins here.
    fn skip_blanks(&mut self) -> bool {
        let bytes = self.text.as_bytes();
        let mut first = self.at == 0 || self.text[..self.at] == *"\u{feff}";
        while let Some(&b) = bytes.get(self.at) {
            match b {
                b'\n' => first = true,
                b' ' | b'\t' | b'\r' => {}
                b'/' if bytes.get(self.at + 1) == Some(&b'/') => {
                    self.skip_while(|b| b != b'\n');
                    continue;
                }
                _ => break,
            }
            self.at += 1;
        }
        first
    }

    fn skip_while(&mut self, take: impl Fn(u8) -> bool) {
        let rest = &self.text.as_bytes()[self.at..];
        self.at += rest.iter().position(|&b| !take(b)).unwrap_or(rest.len());
    }

    fn name(&mut self, kind: Kind, found: &mut Vec<Diagnostic>) -> Kind {
        let start = self.at;
        self.at += 1;
        self.skip_while(|b| is_word(b) || b == b'.');
        let len = self.at - start - 1;
        let message = match len {
            0 => format!("expected a name after `{}`", &self.text[start..=start]),
            1..=MAX_NAME => return kind,
            _ => format!("a name has at most {MAX_NAME} characters, this one has {len}"),
        };
        found.push(
            Diagnostic::new(Code::Character, Span::new(start, self.at), message)
                .help("names are letters, digits, `_` and `.`"),
        );
        Kind::Bad
    }

    /// `%"any/name"`.
    fn quoted_name(&mut self, found: &mut Vec<Diagnostic>) -> Kind {
        let start = self.at;
        self.at += 2;
        let rest = &self.text[self.at..];
        let len = rest.find(|c| !may_be_quoted(c)).unwrap_or(rest.len());
        self.at += len;
        let closed = rest[len..].starts_with('"');
        self.at += usize::from(closed);
        let message = match len {
            _ if !closed => "a name without its closing `\"`".to_owned(),
            0 => "expected a name between the quotes".to_owned(),
            1..=MAX_NAME => return Kind::Value,
            _ => format!("a name has at most {MAX_NAME} bytes, this one has {len}"),
        };
        found.push(
            Diagnostic::new(Code::Character, Span::new(start, self.at), message)
                .help("names within quotes have no `\"`, no `\\` and no control characters"),
        );
        Kind::Bad
    }

    fn number(&mut self) -> Kind {
        let bytes = self.text.as_bytes();
        let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
        self.skip_while(|b| b.is_ascii_digit());
        if bytes.get(self.at) == Some(&b'.') && digit(self.at + 1) {
            self.at += 1;
            self.skip_while(|b| b.is_ascii_digit());
        }
        if matches!(bytes.get(self.at), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(bytes.get(self.at + 1), Some(b'+' | b'-')));
            if digit(self.at + 1 + sign) {
                self.at += 1 + sign;
                self.skip_while(|b| b.is_ascii_digit());
            }
        }
        if bytes.get(self.at).copied().is_some_and(is_word) {
            self.skip_while(is_word);
            return Kind::Word;
        }
        Kind::Number
    }

    fn string(&mut self, found: &mut Vec<Diagnostic>) -> Kind {
        let start = self.at;
        self.at += 1;
        let bytes = self.text.as_bytes();
        loop {
            match bytes.get(self.at) {
                None | Some(b'\n') => break,
                Some(b'"') => {
                    self.at += 1;
                    return Kind::Str;
                }
                // Whatever is escaped is no end; which escapes there are is `unescape`'s to say.
                Some(b'\\') if bytes.get(self.at + 1).is_some_and(|&b| b != b'\n') => self.at += 2,
                Some(_) => self.at += 1,
            }
        }
        // An escape may have skipped into a character of several bytes.
        while !self.text.is_char_boundary(self.at) {
            self.at += 1;
        }
        let span = Span::new(start, self.at);
        found.push(Diagnostic::new(Code::String, span, "a string without its closing `\"`"));
        Kind::Bad
    }

    fn unknown(&mut self, found: &mut Vec<Diagnostic>) -> Kind {
        let start = self.at;
        let known =
            |c: char| c.is_ascii_whitespace() || c.is_ascii_alphanumeric() || "_%@\"()[]{},:=+-*./<>".contains(c);
        let rest = &self.text[start..];
        let first = rest.chars().next().map_or(0, char::len_utf8);
        self.at += first + rest[first..].find(known).unwrap_or(rest.len() - first);
        let unknown = &self.text[start..self.at];
        let message = match unknown.chars().count() {
            1 => format!("`{}` is no part of the language", shown(unknown)),
            n => format!("{n} characters that are no part of the language: `{}`", shown(unknown)),
        };
        found.push(Diagnostic::new(Code::Character, Span::new(start, self.at), message));
        Kind::Bad
    }
}

fn is_word(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_'
}

/// What a string token means: the text between the quotes, escapes resolved. `Err` has the first unknown escape.
pub(super) fn unescape(token: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut chars = token[1..token.len() - 1].chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some(c @ ('"' | '\\')) => out.push(c),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('u') => {
                let rest = chars.as_str();
                let digits = rest.strip_prefix('{').and_then(|r| r.split_once('}')).map_or("", |(digits, _)| digits);
                let c =
                    u32::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+')).and_then(char::from_u32);
                out.push(c.ok_or_else(|| "\\u".to_owned())?);
                chars = rest[digits.len() + 2..].chars();
            }
            other => return Err(other.map_or("\\".into(), |c| format!("\\{c}"))),
        }
    }
    Ok(out)
}

/// A string as the text form writes it.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            c if crate::diagnostic::is_hidden(c) => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
