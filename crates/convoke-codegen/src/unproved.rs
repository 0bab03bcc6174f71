//! Sanitised code of programs that the verifier does not prove: for tests of the sanitiser.

use convoke_ir::diagnostic::Code;
use convoke_ir::loops::{self, Program};
use convoke_machine::Machine;

use crate::compiled::{Compiled, generate};
use crate::constants::Constants;
use crate::error::CodegenError;
use crate::options::Options;

/// What the verifier may find: accesses outside of buffers, which the code checks, and reads of what was not written. Threads that meet at an
/// element and arguments that overlap have no meaning, but do no harm beyond their buffers.
const CHECKED: [Code; 4] = [Code::Bounds, Code::Unwritten, Code::Parallel, Code::Alias];

/// Compiles a program with [`Options::sanitize`], one that [`verify`](loops::verify) refuses for its accesses too. Its runs end with an error
/// before any access outside of a buffer.
pub fn compile_unproved(
    program: &Program,
    machine: &Machine,
    constants: &dyn Constants,
    options: &Options,
) -> Result<Compiled, CodegenError> {
    if let Err(found) = loops::verify(program)
        && found.iter().any(|found| !CHECKED.contains(&found.code))
    {
        return Err(CodegenError::Refused(found));
    }
    // On one thread, so that no two meet at an element.
    generate(program, machine, constants, &Options { threads: 1, sanitize: true, ..options.clone() })
}
