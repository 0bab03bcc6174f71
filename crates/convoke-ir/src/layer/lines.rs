//! Constants and instructions of a layer in the order in which its text has them.

use super::{Instr, Layer, Source, ValueId};

/// A line of a layer's text.
pub(crate) enum Line<'a> {
    /// A constant.
    Const(ValueId, &'a Source),
    /// An instruction.
    Instr(&'a Instr),
}

impl Layer {
    /// Constants and instructions in the order they are written: a constant as soon as an instruction of a later
    /// place in the table, or one that reads it, follows.
    pub(crate) fn lines(&self) -> Vec<Line<'_>> {
        let mut lines = Vec::new();
        let mut written = vec![false; self.values.len()];
        let mut waiting = self.values.ids().filter_map(|id| self.constant(id).map(|source| (id, source))).peekable();
        for instr in &self.body {
            while let Some((id, source)) = waiting.next_if(|(id, _)| *id < instr.result) {
                if !std::mem::replace(&mut written[id.index()], true) {
                    lines.push(Line::Const(id, source));
                }
            }
            for id in instr.reads() {
                if let Some(source) = self.constant(id)
                    && !std::mem::replace(&mut written[id.index()], true)
                {
                    lines.push(Line::Const(id, source));
                }
            }
            lines.push(Line::Instr(instr));
        }
        lines.extend(waiting.filter(|(id, _)| !written[id.index()]).map(|(id, source)| Line::Const(id, source)));
        lines
    }
}
