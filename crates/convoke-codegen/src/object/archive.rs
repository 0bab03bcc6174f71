//! A static library of one object file, as `ar` writes it.

use std::io::Cursor;

use ar_archive_writer::{ArchiveKind, DEFAULT_OBJECT_READER, NewArchiveMember, write_archive_to_stream};
use target_lexicon::{BinaryFormat, Triple};

use crate::error::CodegenError;

/// The library, for the system of `triple`, that holds an object file. The same object gives the same bytes.
///
/// # Errors
///
/// Bytes that are no object file.
pub fn static_library(object: &[u8], triple: &Triple) -> Result<Vec<u8>, CodegenError> {
    let kind = if triple.binary_format == BinaryFormat::Macho { ArchiveKind::Darwin } else { ArchiveKind::Gnu };
    let members = [NewArchiveMember::new(object, &DEFAULT_OBJECT_READER, "convoke.o".into())];
    let mut archive = Cursor::new(Vec::new());
    write_archive_to_stream(&mut archive, &members, kind, false, None)
        .map_err(|error| CodegenError::Internal(format!("the library cannot be written: {error}")))?;
    Ok(archive.into_inner())
}
