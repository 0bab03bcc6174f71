//! Names of the model as names of a layer.

use rustc_hash::FxHashSet;

/// Names given so far.
#[derive(Debug, Default)]
pub(crate) struct Names(FxHashSet<String>);

/// The longest part of a name that is kept.
const LONGEST: usize = 120;

/// The name of the layer's value for an input or output that the model calls `name`, if no other has it.
pub fn layer_name(name: &str) -> String {
    Names::default().give(name)
}

impl Names {
    /// A name for a value that the model calls `name`: its letters, digits, `_` and `.`, other characters as `_`, and a number behind it
    /// if that is taken.
    pub(crate) fn give(&mut self, name: &str) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' || c == '.' { c } else { '_' };
        let mut stem: String = name.chars().take(LONGEST).map(plain).collect();
        // Plain numbers are the names of results without a name.
        if stem.is_empty() || stem.bytes().all(|b| b.is_ascii_digit()) {
            stem.insert(0, 'v');
        }
        let mut given = stem.clone();
        let mut number = 2;
        while !self.0.insert(given.clone()) {
            given = format!("{stem}.{number}");
            number += 1;
        }
        given
    }
}
