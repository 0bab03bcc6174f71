//! The kernels of a run, each with the value of the layer that it computes.

use std::collections::HashSet;

use convoke_ir::loops::{Access, BufferId, Program, Run};

/// A kernel of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// Its name in loop IR, without `@`.
    pub name: String,
    /// The value that it computes, without `%`: one of the layer after all passes over it. A kernel that computes part of a value, such as a
    /// packed or padded input, belongs to the value that is computed next. Empty for a copy after the last.
    pub value: String,
}

impl Kernel {
    /// The kernels of a program. `values` are what the ops of the lowered layer compute.
    pub(crate) fn of(program: &Program, values: &[String]) -> Vec<Kernel> {
        let values: HashSet<&str> = values.iter().map(String::as_str).collect();
        let buffers: HashSet<&str> = program.buffers.iter().map(|(_, buffer)| buffer.name.as_str()).collect();
        let value = |buffer: BufferId| {
            let name = program.buffers[buffer].name.as_str();
            // A value that is only stored within its padding has no buffer of its own name.
            let stem = name.strip_suffix(".halo").filter(|stem| !buffers.contains(stem));
            [Some(name), stem].into_iter().flatten().find(|name| values.contains(name))
        };
        let mut kernels = Vec::with_capacity(program.entry.len());
        let mut next = "";
        for run in program.entry.iter().rev() {
            next = written(program, run).find_map(value).unwrap_or(next);
            kernels.push(Kernel { name: program.funcs[run.func].name.clone(), value: next.into() });
        }
        kernels.reverse();
        kernels
    }
}

/// The buffers that a run writes.
fn written<'a>(program: &'a Program, run: &'a Run) -> impl Iterator<Item = BufferId> + 'a {
    let slots = program.funcs[run.func].slots.iter().zip(&run.args);
    slots.filter(|((_, slot), _)| slot.access == Access::Out).map(|(_, buffer)| *buffer)
}
