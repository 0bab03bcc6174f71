//! x
use crate::args::Explain;
use crate::failure::Failure;
use crate::io::Io;

pub(crate) fn run(_args: Explain, _: bool, _io: &mut Io<'_>) -> Result<(), Failure> {
    Ok(())
}
