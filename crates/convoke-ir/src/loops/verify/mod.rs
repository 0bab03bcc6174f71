//! The verifier of loop IR. It holds for every program it accepts:
//!
//! | code | invariant |
//! |---|---|
//! | E0401 | names of program and functions are letters, digits, `_` and `.`, others have no `"`, `\` and control characters; none is longer than 200 bytes |
//! | E0402 | names are unique: buffers, functions; in a function buffers, variables and values |
//! | E0403 | a value or variable is defined before it is read, in the same block or one around it |
//! | E0404 | operands, results and buffers have types that go together |
//! | E0405 | a value is defined once; only registers are assigned, inside a `parallel` loop only its own |
//! | E0406 | only buffers that are not `in` are written |
//! | E0407 | a codelet is a leaf: no calls, no locals |
//! | E0408 | a call names an earlier codelet, a run a kernel |
//! | E0409 | arguments are as many as the parameters; those of a run have the parameter's elements and length |
//! | E0410 | an argument that is written shares no element with another argument |
//! | E0411 | scratch and prepared buffers are written before they are read; outputs and prepared buffers are written |
//! | E0412 | `prepare` reads constants and writes prepared buffers; `entry` writes outputs and scratch |
//! | E0413 | a `parallel` loop is the only loop of its kernel and its last statement, after constants alone; no two of its iterations touch one element that one of them writes |
//! | E0414 | marks have numbers that make sense |
//! | E0415 | lanes are a power of 2 up to 64, of at most 128 bytes; no more touch memory than the value has; a store's are apart |
//! | E0416 | loop bounds and induction variables stay within ±2^48, steps are positive |
//! | E0417 | every element that is read or written is inside its buffer |
//! | E0418 | sizes are within the limits of `limits.rs` |
//! | E0419 | a constant's source can fill its type |
//! | E0420 | ids are of this program; parameters stand before locals |
//!
//! Addresses are proved by interval arithmetic over iteration numbers, in 128 bits: a variable is written as an affine
//! function of how often each loop around it has run, so that an induction variable costs no precision.

mod address;
mod found;
mod func;
mod limits;
mod parallel;
mod runs;

pub use limits::{MAX_BYTES, MAX_LOOPS, MAX_STMTS, MAX_TABLE};

use std::ops::Deref;

use super::{Program, Role};
use crate::diagnostic::{Code, Diagnostic, shown};
use found::Found;

/// A program that [`verify`] accepted: every access is proved to be inside its buffer.
#[derive(Clone, Copy, Debug)]
pub struct Verified<'a>(&'a Program);

impl<'a> Verified<'a> {
    /// The program, for as long as it is borrowed.
    pub fn program(self) -> &'a Program {
        self.0
    }
}

impl Deref for Verified<'_> {
    type Target = Program;
    fn deref(&self) -> &Program {
        self.0
    }
}

/// A program with the proof that [`verify`] accepts it. It cannot be changed.
#[derive(Clone, Debug)]
pub struct Checked(Program);

impl Checked {
    /// Checks a program; on failure gives every mistake found.
    pub fn new(program: Program) -> Result<Checked, Vec<Diagnostic>> {
        verify(&program)?;
        Ok(Checked(program))
    }

    /// The proof.
    pub fn verified(&self) -> Verified<'_> {
        Verified(&self.0)
    }

    /// The program without its proof, to be changed.
    pub fn into_program(self) -> Program {
        self.0
    }
}

impl Deref for Checked {
    type Target = Program;
    fn deref(&self) -> &Program {
        &self.0
    }
}

/// Checks a program; on failure gives every mistake found.
pub fn verify(program: &Program) -> Result<Verified<'_>, Vec<Diagnostic>> {
    let mut found = Found::default();
    check(program, &mut found);
    let found = found.into_diagnostics();
    if found.is_empty() { Ok(Verified(program)) } else { Err(found) }
}

fn check(program: &Program, found: &mut Found) {
    found.name("program", &program.name, program.span);
    let tables = [
        ("buffers", program.buffers.len()),
        ("functions", program.funcs.len()),
        ("runs", program.prepare.len() + program.entry.len()),
    ];
    for (what, count) in tables {
        if count > MAX_TABLE {
            let message = format!("the program has {count} {what}, the limit is {MAX_TABLE}");
            found.report(Diagnostic::new(Code::ProgramSize, program.span, message));
            return;
        }
    }
    found.names("buffer", program.buffers.iter().map(|(_, b)| (b.name.as_str(), b.span)));
    found.names("function", program.funcs.iter().map(|(_, f)| (f.name.as_str(), f.span)));
    let bytes: u128 = program.buffers.iter().map(|(_, b)| b.ty.bytes() as u128).sum();
    if bytes > MAX_BYTES {
        let message = format!("the buffers have {bytes} bytes together, the limit is {MAX_BYTES}");
        found.report(Diagnostic::new(Code::ProgramSize, program.span, message));
    }
    for (_, buffer) in program.buffers.iter() {
        if let Role::Const(source) = &buffer.role
            && let Some(reason) = source.refuses(&buffer.ty)
        {
            let message = format!("constant `%{}`: {reason}", shown(&buffer.name));
            found.report(Diagnostic::new(Code::LoopConstant, buffer.span, message));
        }
    }
    func::check_all(program, found);
    runs::check_all(program, found);
}
