//! Names: which are allowed, and new ones for values, each in constant time.

use std::collections::{HashMap, HashSet};
use std::fmt;

use super::Layer;
use crate::diagnostic::is_hidden;

/// The longest name, in bytes.
pub const MAX_NAME: usize = 200;

/// The parts of a value's name, in words.
pub(crate) const VALUE_NAME: &str = "bytes without `\"`, `\\` and control characters";
/// The parts of the name of a layer, program or function, in words.
pub(crate) const GLOBAL_NAME: &str = "letters, digits, `_` and `.`";

/// Whether `name` can stand behind `@`, and behind `%` without quotes.
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= MAX_NAME
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.')
}

/// Whether `name` can stand behind `%`, within quotes if need be.
pub(crate) fn is_value_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= MAX_NAME && name.chars().all(may_be_quoted)
}

/// Whether a name within quotes may have this character: there are no escapes in names.
pub fn may_be_quoted(c: char) -> bool {
    !matches!(c, '"' | '\\') && !is_hidden(c)
}

/// The name of a value as the text form writes it: `%x`, or `%"a/b"` for a name with other characters than letters, digits, `_` and `.`.
#[derive(Clone, Copy, Debug)]
pub struct Percent<'a>(pub &'a str);

impl fmt::Display for Percent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_name(self.0) { write!(f, "%{}", self.0) } else { write!(f, "%\"{}\"", self.0) }
    }
}

/// The names of a layer's values.
#[derive(Clone, Debug, Default)]
pub struct Names {
    taken: HashSet<String>,
    /// The number to try next behind each stem.
    next: HashMap<String, usize>,
}

impl Names {
    /// The names of `layer`'s values, those that nothing reads any more included.
    pub fn of(layer: &Layer) -> Names {
        let taken = layer.values.iter().map(|(_, value)| value.name.clone()).collect();
        Names { taken, next: HashMap::new() }
    }

    /// Takes a name; whether it was free.
    pub fn take(&mut self, name: &str) -> bool {
        self.taken.insert(name.to_owned())
    }

    /// Takes a name that was free: `stem` itself, or with a number behind it.
    pub fn fresh(&mut self, stem: &str) -> String {
        if self.take(stem) {
            return stem.to_owned();
        }
        let next = self.next.entry(stem.to_owned()).or_insert(1);
        loop {
            let name = format!("{stem}.{next}");
            *next += 1;
            if self.taken.insert(name.clone()) {
                return name;
            }
        }
    }
}

impl Layer {
    /// A name no value has: `stem` itself, or with a number behind it. Looks at every value; for many names make a
    /// [`Names`] once.
    pub fn fresh_name(&self, stem: &str) -> String {
        Names::of(self).fresh(stem)
    }
}
