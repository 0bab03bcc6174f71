//! A list of passes as written: `fold-pad,select(algorithm=im2col(explicit))`.
//!
//! ```text
//! list   = pass { "," pass }
//! pass   = name [ "(" option { "," option } ")" ]
//! option = name "=" value
//! value  = number | "true" | "false" | word [ "(" value { "," value } ")" ] | "[" value { "," value } "]"
//! ```
//!
//! Spaces may stand anywhere between the tokens. Values nest at most 8 deep.

use std::fmt;

use convoke_ir::attr::Attr;

use crate::error::PassError;

/// A pass and its options, as written.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// The pass.
    pub name: String,
    /// Its options, in order.
    pub options: Vec<(String, Attr)>,
}

impl Spec {
    /// A pass with default options.
    pub fn new(name: &str) -> Spec {
        Spec { name: name.into(), options: Vec::new() }
    }

    /// Reads a list of passes. Names are not looked up yet.
    pub fn parse_list(text: &str) -> Result<Vec<Spec>, PassError> {
        let mut reader = Reader { chars: text.chars().collect(), at: 0 };
        let list = reader.list(Reader::pass)?;
        match reader.peek() {
            None => Ok(list),
            Some(_) => Err(reader.error("`,` or the end")),
        }
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        for (i, (name, value)) in self.options.iter().enumerate() {
            write!(f, "{}{name}={value}", if i == 0 { "(" } else { ", " })?;
        }
        f.write_str(if self.options.is_empty() { "" } else { ")" })
    }
}

const MAX_DEPTH: usize = 8;

struct Reader {
    chars: Vec<char>,
    at: usize,
}

impl Reader {
    /// The next character that is no space.
    fn peek(&mut self) -> Option<char> {
        while self.chars.get(self.at).is_some_and(|c| c.is_whitespace()) {
            self.at += 1;
        }
        self.chars.get(self.at).copied()
    }

    fn eat(&mut self, c: char) -> bool {
        let found = self.peek() == Some(c);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, c: char, expected: &'static str) -> Result<(), PassError> {
        if self.eat(c) { Ok(()) } else { Err(self.error(expected)) }
    }

    fn error(&mut self, expected: &'static str) -> PassError {
        let found = self.peek().map_or("the end".into(), |c| format!("`{}`", c.escape_debug()));
        PassError::Syntax { at: self.at + 1, expected, found }
    }

    fn list<T>(&mut self, mut item: impl FnMut(&mut Reader) -> Result<T, PassError>) -> Result<Vec<T>, PassError> {
        let mut items = vec![item(self)?];
        while self.eat(',') {
            items.push(item(self)?);
        }
        Ok(items)
    }

    fn word(&mut self, expected: &'static str) -> Result<String, PassError> {
        self.peek();
        let rest = &self.chars[self.at..];
        let len = rest.iter().take_while(|c| c.is_alphanumeric() || "-_.+".contains(**c)).count();
        let word: String = rest[..len].iter().collect();
        if len == 0 {
            return Err(self.error(expected));
        }
        self.at += len;
        Ok(word)
    }

    fn pass(&mut self) -> Result<Spec, PassError> {
        let name = self.word("the name of a pass")?;
        let mut options = Vec::new();
        if self.eat('(') && !self.eat(')') {
            options = self.list(|reader| {
                let name = reader.word("the name of an option")?;
                reader.expect('=', "`=` and a value")?;
                Ok((name, reader.value(0)?))
            })?;
            self.expect(')', "`,` or `)`")?;
        }
        Ok(Spec { name, options })
    }

    fn value(&mut self, depth: usize) -> Result<Attr, PassError> {
        if depth == MAX_DEPTH {
            return Err(self.error("a value that is nested at most 8 deep"));
        }
        if self.eat('[') {
            let items = self.list(|reader| reader.value(depth + 1))?;
            self.expect(']', "`,` or `]`")?;
            return Ok(Attr::List(items));
        }
        let word = self.word("a value")?;
        // Rust reads `inf`, `nan` and `infinity` as numbers; here they are words.
        let numeric = word.starts_with(|c: char| c.is_ascii_digit() || "-+.".contains(c));
        if let (true, Ok(v)) = (numeric, word.parse()) {
            return Ok(Attr::Int(v));
        }
        // One that is too large for an `f64` stays a word, as infinity has no other name here.
        if let (true, Some(v)) = (numeric, word.parse().ok().filter(|v: &f64| v.is_finite())) {
            return Ok(Attr::Float(v));
        }
        if let Ok(v) = word.parse() {
            return Ok(Attr::Bool(v));
        }
        if self.eat('(') {
            let args = self.list(|reader| reader.argument(depth + 1))?;
            self.expect(')', "`,` or `)`")?;
            return Ok(Attr::Call(word, args));
        }
        Ok(Attr::Word(word))
    }

    /// An argument of a call: a value, or `name = value`.
    fn argument(&mut self, depth: usize) -> Result<Attr, PassError> {
        let value = self.value(depth)?;
        match value {
            Attr::Word(name) if self.eat('=') => Ok(Attr::Named(name, Box::new(self.value(depth)?))),
            value => Ok(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<Spec>, String> {
        Spec::parse_list(text).map_err(|e| e.to_string())
    }

    #[test]
    fn options_are_attribute_values() {
        let list = parse(" a , b(n=3, r=-0.5,f=true) ,c(algorithm=im2col(explicit), t=[4, 8])").unwrap();
        assert_eq!(list[0], Spec::new("a"));
        let values: Vec<_> = list[1].options.iter().map(|(_, v)| v.clone()).collect();
        assert_eq!(values, [Attr::Int(3), Attr::Float(-0.5), Attr::Bool(true)]);
        let explicit = Attr::Call("im2col".into(), vec![Attr::Word("explicit".into())]);
        assert_eq!(list[2].options[0], ("algorithm".into(), explicit));
        // Infinity would print as a word.
        let large = parse("a(n=1e999)").unwrap();
        assert_eq!(large[0].options[0].1, Attr::Word("1e999".into()));
        for spec in list.iter().chain(&large) {
            assert_eq!(parse(&spec.to_string()).unwrap(), std::slice::from_ref(spec), "{spec}");
        }
    }

    #[test]
    fn mistakes_are_pointed_at() {
        let message = |text: &str| parse(text).unwrap_err();
        assert_eq!(message(""), "the list of passes, at character 1: expected the name of a pass, found the end");
        assert_eq!(message("a,,b"), "the list of passes, at character 3: expected the name of a pass, found `,`");
        assert_eq!(message("a(n)"), "the list of passes, at character 4: expected `=` and a value, found `)`");
        assert_eq!(message("a(n=1"), "the list of passes, at character 6: expected `,` or `)`, found the end");
        assert!(message("a b").contains("expected `,` or the end, found `b`"));
        assert!(message(&format!("a(n={}", "[".repeat(100_000))).contains("nested at most 8 deep"));
    }
}
