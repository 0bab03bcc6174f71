//! The magnitudes of inputs, as a user declares them for a layer or for all that a compiler compiles.

use convoke_ir::layer::{self as ir, Range};

use crate::layer::Layer;

/// Declared magnitudes of a layer's inputs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum InputRange {
    /// None is larger. This bounds errors, and limits no choice.
    UpTo(f64),
    /// They are in this range. An algorithm that mixes the inputs of a tile has its error counted [`Range::spread`] times, so that the promise
    /// relative to Σ|w|·max(|x|, least) holds wherever in the range the inputs are.
    Within(Range),
}

impl InputRange {
    /// The largest magnitude.
    pub fn most(self) -> f64 {
        match self {
            InputRange::UpTo(most) => most,
            InputRange::Within(range) => range.most(),
        }
    }
}

/// Declares `range` of each input that `of` names and that has none.
pub(crate) fn declare(layer: &mut ir::Layer, range: Range, of: impl Fn(&str) -> bool) {
    for &id in &layer.params {
        let value = &mut layer.values[id];
        if value.range.is_none() && of(&value.name) {
            value.range = Some(range);
        }
    }
}

impl Layer {
    /// The same layer with a range of its input `name`, unless its text declares one.
    pub fn with_range(&self, name: &str, range: Range) -> Layer {
        let mut ir = self.ir().clone();
        declare(&mut ir, range, |input| input == name);
        self.rewritten(ir).expect("a range makes no layer invalid")
    }

    /// The range of each input, where its text or [`Layer::with_range`] declares one.
    pub fn ranges(&self) -> Vec<Option<Range>> {
        self.ir().params.iter().map(|&id| self.ir().values[id].range).collect()
    }
}
