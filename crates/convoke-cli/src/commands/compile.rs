//! x
use crate::args::Compile;
use crate::failure::Failure;
use crate::io::Io;

pub(crate) fn run(_args: Compile, _io: &mut Io<'_>) -> Result<(), Failure> {
    Ok(())
}
