//! Names of the model as names of a layer.

use convoke_ir::layer::may_be_quoted;
use rustc_hash::FxHashSet;

/// Names given so far.
#[derive(Debug, Default)]
pub(crate) struct Names(FxHashSet<String>);

/// The most bytes of a name that are kept. Passes write further characters behind.
const LONGEST: usize = 120;

/// The name of the layer's value for an input or output that the model calls `name`, if no other has it.
pub fn layer_name(name: &str) -> String {
    Names::default().give(name)
}

/// The name of the layer of a model with this title: its letters, digits, `_` and `.`, other characters as `_`.
pub(crate) fn title(title: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' || c == '.' { c } else { '_' };
    numbered(title.chars().take(LONGEST).map(plain).collect())
}

/// A name that is no plain number: those are the names of results without a name.
fn numbered(mut name: String) -> String {
    if name.bytes().all(|b| b.is_ascii_digit()) {
        name.insert(0, 'v');
    }
    name
}

impl Names {
    /// Whether a value has the name that the model calls `name`.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    /// A name for a value that the model calls `name`: the same, if the text form can write it and no other value has it. Quotes, backslashes and
    /// control characters become `_`, and a name that is taken gets a number behind it.
    pub(crate) fn give(&mut self, name: &str) -> String {
        let mut stem: String = name.chars().map(|c| if may_be_quoted(c) { c } else { '_' }).collect();
        stem.truncate(stem.floor_char_boundary(LONGEST));
        let stem = numbered(stem);
        let mut given = stem.clone();
        let mut number = 2;
        while !self.0.insert(given.clone()) {
            given = format!("{stem}.{number}");
            number += 1;
        }
        given
    }
}
