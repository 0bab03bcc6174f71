//! The kernels of a run, each with the value of the layer that it computes.

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
        let mut kernels = Vec::with_capacity(program.entry.len());
        let mut next = String::new();
        for run in program.entry.iter().rev() {
            if let Some(buffer) = written(program, run).find(|buffer| values.contains(&program.buffers[*buffer].name)) {
                next.clone_from(&program.buffers[buffer].name);
            }
            kernels.push(Kernel { name: program.funcs[run.func].name.clone(), value: next.clone() });
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
