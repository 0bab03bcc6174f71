//! Constants and instructions of a layer in the order of its text, and the layer with its tables in this order.

use super::{Def, Instr, Layer, Source, ValueId};
use crate::arena::Arena;

/// A line of a layer's text.
pub(crate) enum Line<'a> {
    /// A constant.
    Const(ValueId, &'a Source),
    /// An instruction.
    Instr(&'a Instr),
}

impl Layer {
    /// Constants and instructions in the order they are written. A constant stands before the first instruction that reads it, and before
    /// the first whose result comes after it in the table.
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

    /// The same layer with its tables in the order of the text form, without values that nothing defines any more.
    pub fn compact(&self) -> Layer {
        let mut to = vec![None; self.values.len()];
        let mut values = Arena::new();
        let mut keep = |id: ValueId| *to[id.index()].get_or_insert_with(|| values.push(self.values[id].clone()));
        let params = self.params.iter().map(|&id| keep(id)).collect();
        let mut body = Vec::new();
        for line in self.lines() {
            match line {
                Line::Const(id, _) => {
                    keep(id);
                }
                Line::Instr(instr) => {
                    let mut instr = instr.clone();
                    instr.reads_mut().for_each(|id| *id = keep(*id));
                    instr.result = keep(instr.result);
                    body.push(instr);
                }
            }
        }
        let results = self.results.iter().map(|&id| keep(id)).collect();
        Layer { name: self.name.clone(), values, params, body, results, span: self.span }
    }

    /// Drops instructions and constants that no result depends on; whether there were any.
    pub fn drop_dead(&mut self) -> bool {
        let mut live = vec![false; self.values.len()];
        self.params.iter().chain(&self.results).for_each(|id| live[id.index()] = true);
        // Operands are defined before they are read, so one walk backwards reaches everything.
        for instr in self.body.iter().rev() {
            if live[instr.result.index()] {
                instr.reads().for_each(|id| live[id.index()] = true);
            }
        }
        let count = self.body.len();
        self.body.retain(|instr| live[instr.result.index()]);
        let mut changed = self.body.len() < count;
        for id in self.values.ids() {
            if !live[id.index()] && self.constant(id).is_some() {
                // The table keeps no constant that is not written.
                self.values[id].def = Def::Instr;
                changed = true;
            }
        }
        if changed {
            *self = self.compact();
        }
        changed
    }
}
