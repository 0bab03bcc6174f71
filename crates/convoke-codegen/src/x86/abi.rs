//! The System V convention, as generated functions follow it on every system: which general register is whose, and where arguments are.

use super::operand::{General, Mem};

/// Where the first arguments are.
pub(crate) const ARGUMENTS: [General; 6] = [General(7), General(6), General(2), General(1), General(8), General(9)];
/// Registers that a function gives back as it found them, but for the frame pointer.
pub(crate) const KEPT: [General; 5] = [General(3), General(12), General(13), General(14), General(15)];
/// Registers for pointers and counters that a call may overwrite, preferred ones first.
const LOST: [General; 7] = [General(7), General(6), General(2), General(1), General(8), General(9), ARGUMENT_ON_STACK];

/// The assembler's own register for numbers, `rax`.
pub(crate) const NUMBER: General = General(0);
/// The assembler's own register for addresses, `r11`.
pub(crate) const ADDRESS: General = General(11);
/// Holds an argument on its way to the stack, `r10`.
pub(crate) const ARGUMENT_ON_STACK: General = General(10);
/// The stack pointer.
pub(super) const STACK: General = General(4);
/// The frame pointer.
pub(super) const FRAME: General = General(5);

/// General registers.
pub(crate) const GENERAL: usize = 16;

/// The registers for addresses and counters, preferred ones first. In a function with calls these are the registers that survive a call.
pub(crate) fn order(calls: bool) -> Vec<usize> {
    let [first, last]: [&[General]; 2] = if calls { [&KEPT, &LOST] } else { [&LOST, &KEPT] };
    first.iter().chain(last).map(|register| register.0).collect()
}

/// A place in the function's own frame.
pub(crate) fn stack(offset: usize) -> Mem {
    Mem::at(STACK, offset as i32)
}

/// Where a function finds an argument beyond those in registers.
pub(crate) fn argument(number: usize) -> Mem {
    // Above the caller's frame pointer and the return address.
    Mem::at(FRAME, (16 + 8 * (number - ARGUMENTS.len())) as i32)
}

/// Where it puts one for a function that it calls.
pub(crate) fn outgoing(number: usize) -> Mem {
    stack(8 * (number - ARGUMENTS.len()))
}

/// Bytes at the bottom of the frame for the arguments of a call that have no register.
pub(crate) fn outgoing_bytes(arguments: usize) -> usize {
    8 * arguments.saturating_sub(ARGUMENTS.len())
}
