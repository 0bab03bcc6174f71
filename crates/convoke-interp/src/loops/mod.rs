//! Runs a program in loop IR.
//!
//! A number is an `f64` whatever its element type says: values and buffers stand for reals and are never rounded, but by a store to a buffer
//! of `f16` or `bf16`. So `convert` does nothing and `fma` is a product and a sum. Marks do nothing either; a `parallel` loop runs its
//! iterations in order. Memory that nobody has written is NaN (outputs, prepared and scratch buffers at the start,
//! locals in each iteration of a parallel loop), so that a value read before it was written shows in the outputs.
//!
//! The verifier has proved every access to be inside its buffer. Each is checked again here, which also checks the
//! verifier.
//!
//! | module | holds |
//! |---|---|
//! | `code` | functions with every name resolved to an index |
//! | `run` | what runs them |

mod code;
mod run;

use convoke_data::{DataError, Files, values};
use convoke_ir::loops::{Access, Program, Role, Verified};
use ndarray::ArrayD;

use crate::{InterpError, Result, check_inputs, filled, flat, shaped};

/// Runs a program, `prepare` included, on its inputs in the order they are declared. Outputs in theirs.
///
/// # Errors
///
/// Inputs of other shapes, constants without numbers, and more memory than the budget of `files`; the memory needed
/// is known, and refused, before any is taken. An access outside a buffer, or a call with overlapping buffers.
pub fn run_program(program: Verified<'_>, inputs: &[ArrayD<f64>], files: &Files) -> Result<Vec<ArrayD<f64>>> {
    let program = program.program();
    let needed = elements(program) * 8;
    if needed > u128::from(files.budget()) {
        let (what, budget) = (format!("running `@{}`", program.name), files.budget());
        return Err(InterpError::Memory(Box::new(DataError::Budget { what, needed, budget })));
    }
    let expected: Vec<_> = program.buffers.iter().map(|(_, b)| b).filter(|b| b.role == Role::Input).collect();
    check_inputs(&program.name, expected.iter().map(|b| (b.name.as_str(), &b.ty)), inputs)?;
    let mut inputs = inputs.iter();
    let mut memory = Vec::new();
    for (_, buffer) in program.buffers.iter() {
        memory.push(match &buffer.role {
            Role::Input => flat(inputs.next().expect("counted above"))?,
            Role::Const(source) => {
                let named = |source| InterpError::Constant { name: buffer.name.clone(), source: Box::new(source) };
                values(source, &buffer.ty, files).map_err(named)?.wide()
            }
            Role::Output | Role::Prepared | Role::Scratch => filled(buffer.ty.elements(), f64::NAN)?,
        });
    }
    let code = code::Code::of(program)?;
    let mut machine = run::Machine::new(program, &code, memory);
    for run in program.prepare.iter().chain(&program.entry) {
        machine.kernel(run)?;
    }
    let memory = machine.into_memory();
    let buffers = program.buffers.iter().zip(memory);
    let outputs = buffers.filter(|((_, buffer), _)| buffer.role == Role::Output);
    Ok(outputs.map(|((_, buffer), numbers)| shaped(&buffer.ty, numbers)).collect())
}

/// How many numbers a run holds: every buffer, and the locals of one kernel.
fn elements(program: &Program) -> u128 {
    let buffers = program.buffers.iter().map(|(_, b)| b.ty.elements() as u128).sum::<u128>();
    let locals = program.funcs.iter().map(|(_, func)| {
        let local = func.slots.iter().filter(|(_, slot)| slot.access == Access::Local);
        local.map(|(_, slot)| slot.len as u128).sum::<u128>()
    });
    buffers + locals.max().unwrap_or(0)
}
