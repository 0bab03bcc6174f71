//! x
use crate::args::List;
use crate::failure::Failure;
use crate::io::Io;

pub(crate) fn run(_args: List, _io: &mut Io<'_>) -> Result<(), Failure> {
    Ok(())
}
