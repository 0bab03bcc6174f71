//! Names of the model as names of a layer.

use convoke_ir::layer::may_be_quoted;
use rustc_hash::FxHashSet;

/// Names given so far.
#[derive(Debug, Default)]
pub(crate) struct Names {
    given: FxHashSet<String>,
    /// The text before the number of a result without a name. No other name is this and digits.
    stem: &'static str,
}

/// The stem of results without a name, in a model whose names are numbers: old exporters of PyTorch wrote those.
pub(crate) const STEM: &str = "_";

/// The most bytes of a name that are kept. Passes write further characters behind.
const LONGEST: usize = 120;

/// The name of the layer's value for an input or output that the model calls `name`, if no other has it.
pub fn layer_name(name: &str) -> String {
    Names::default().give(name)
}

/// The name of the layer of a model with this title: its letters, digits, `_` and `.`, other characters as `_`.
pub(crate) fn title(title: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' || c == '.' { c } else { '_' };
    unlike("", title.chars().take(LONGEST).map(plain).collect())
}

/// A name that is not this stem with digits behind it.
fn unlike(stem: &str, mut name: String) -> String {
    let digits = |rest: &str| rest.bytes().all(|b| b.is_ascii_digit());
    if name.strip_prefix(stem).is_some_and(digits) {
        name.insert(0, 'v');
    }
    name
}

impl Names {
    /// No names yet; results without a name are numbered behind `stem`.
    pub(crate) fn behind(stem: &'static str) -> Names {
        Names { given: FxHashSet::default(), stem }
    }

    /// Whether a value has the name that the model calls `name`.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.given.contains(name)
    }

    /// A name for a value that the model calls `name`: the same, if the text form can write it and no other value has it. Quotes, backslashes and
    /// control characters become `_`, and a name that is taken gets a number behind it.
    pub(crate) fn give(&mut self, name: &str) -> String {
        let mut stem: String = name.chars().map(|c| if may_be_quoted(c) { c } else { '_' }).collect();
        stem.truncate(stem.floor_char_boundary(LONGEST));
        // An empty name is none.
        let stem = unlike(self.stem, if stem.is_empty() { "v".into() } else { stem });
        let mut given = stem.clone();
        let mut number = 2;
        while !self.given.insert(given.clone()) {
            given = format!("{stem}.{number}");
            number += 1;
        }
        given
    }
}
