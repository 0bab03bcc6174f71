//! npz files: zip archives of npy files, as `numpy.savez` and `numpy.savez_compressed` write them.
//!
//! Of the arrays only the one asked for is read, to its end, where its checksum is compared.

use std::cell::Cell;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

use convoke_ir::elem::Elem;
use convoke_ir::types::TensorType;
use convoke_ir::values::Values;
use ndarray::ArrayViewD;
use zip::read::{ArchiveOffset, Config, ZipArchive};
use zip::result::ZipError;

use crate::error::{listed, quoted};
use crate::open::opened;
use crate::{DataError, Files, npy, write_whole};

/// Bytes of the record that ends an archive, without its comment, which is the last thing in the file.
const END: u64 = 22;

/// The longest directory that is read: room for some 100,000 arrays.
const DIRECTORY_LIMIT: u64 = 8 << 20;

/// An open archive: its directory, by the names of arrays without `.npy`.
struct Archive<'a> {
    zip: ZipArchive<Metered<'a>>,
    names: HashMap<String, usize>,
}

impl<'a> Archive<'a> {
    /// Reads the directory. `left` is the number of bytes that may be read.
    fn open(path: &Path, left: &'a Cell<u64>) -> Result<Archive<'a>, DataError> {
        let (file, length) = opened(path)?;
        left.set(DIRECTORY_LIMIT);
        let mut file = Metered { inner: BufReader::new(file), left };
        nothing_follows(&mut file, length, path)?;
        let config = Config { archive_offset: ArchiveOffset::Known(0) };
        let zip = ZipArchive::with_config(config, file).map_err(|e| broken(path, e))?;
        let mut names = HashMap::new();
        let mut twice = zip.has_duplicate_names();
        for (index, name) in zip.file_names().enumerate() {
            twice |= names.insert(stem(&name.map_err(|e| broken(path, e))?).to_owned(), index).is_some();
        }
        left.set(u64::MAX);
        match twice {
            true => Err(DataError::format(path, "it is damaged: two of its arrays have one name")),
            false => Ok(Archive { zip, names }),
        }
    }
}

fn broken(path: &Path, error: ZipError) -> DataError {
    match error {
        ZipError::Io(e) if e.kind() == io::ErrorKind::InvalidData => DataError::format(path, e.to_string()),
        ZipError::Io(e) if e.kind() != io::ErrorKind::UnexpectedEof => DataError::read(path, e),
        e => DataError::format(path, format!("it is no npz file: {e}")),
    }
}

/// The names of the arrays.
pub(crate) fn names(path: &Path) -> Result<Vec<String>, DataError> {
    Ok(Archive::open(path, &Cell::new(0))?.names.into_keys().collect())
}

/// Reads the array `name`, or the only one there is.
pub(crate) fn read(path: &Path, name: Option<&str>, ty: &TensorType, files: &Files) -> Result<Values, DataError> {
    let left = Cell::new(0);
    let Archive { zip: mut archive, names } = Archive::open(path, &left)?;
    let all = || names.keys().map(String::as_str);
    let index = match name {
        // It may be written with its ending or without.
        Some(name) => *names.get(stem(name)).ok_or_else(|| DataError::Missing {
            path: path.into(),
            name: name.into(),
            known: listed(all()),
        })?,
        None if names.len() == 1 => 0,
        None => return Err(DataError::unnamed(path, all())),
    };
    let array = quoted(names.iter().find(|(_, at)| **at == index).map_or("", |(name, _)| name));
    let entry = archive.by_index(index).map_err(|e| match e {
        ZipError::Io(_) => broken(path, e),
        e => DataError::format(path, format!("array {array} cannot be read: {e}")),
    })?;
    let length = entry.size();
    npy::read_from(entry, length, path, &array, ty, files)
}

fn stem(name: &str) -> &str {
    name.strip_suffix(".npy").unwrap_or(name)
}

/// Refuses bytes behind the archive: its last record, with the comment that the record counts, ends the file.
fn nothing_follows(file: &mut Metered<'_>, length: u64, path: &Path) -> Result<(), DataError> {
    let io = |e| DataError::read(path, e);
    let tail = length.min(END + u64::from(u16::MAX));
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(length - tail)).map_err(io)?;
    file.take(tail).read_to_end(&mut bytes).map_err(io)?;
    let ends = bytes.windows(END as usize).rposition(|record| record.starts_with(b"PK\x05\x06"));
    let Some(at) = ends else {
        return Err(DataError::format(path, "it is no npz file: no zip archive ends in it"));
    };
    let end = at + END as usize + usize::from(u16::from_le_bytes([bytes[at + 20], bytes[at + 21]]));
    match end == bytes.len() {
        true => Ok(()),
        false => Err(DataError::format(path, "it is damaged: the zip archive does not end where the file does")),
    }
}

/// A file with a limit on the bytes read: the directory of an archive takes several times its size in memory.
struct Metered<'a> {
    inner: BufReader<File>,
    left: &'a Cell<u64>,
}

impl Read for Metered<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(to)?;
        let Some(left) = self.left.get().checked_sub(count as u64) else {
            let most = format!("its directory has more than {DIRECTORY_LIMIT} bytes, the most that is read");
            return Err(io::Error::new(io::ErrorKind::InvalidData, most));
        };
        self.left.set(left);
        Ok(count)
    }
}

impl Seek for Metered<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}

/// Writes named arrays, each as `elem`, without compression; in full or not at all.
pub fn write(path: &Path, arrays: &[(&str, ArrayViewD<'_, f64>)], elem: Elem) -> Result<(), DataError> {
    write_whole(path, |out| {
        let mut archive = zip::ZipWriter::new_stream(out);
        let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        for (name, array) in arrays {
            archive.start_file(format!("{name}.npy"), options.large_file(array.len() > 1 << 28))?;
            npy::write_to(&mut archive, array.view(), elem)?;
        }
        archive.finish()?.flush()
    })
}

#[cfg(test)]
mod tests {
    use convoke_ir::types::Layout;
    use ndarray::{ArrayD, IxDyn};

    use super::*;

    #[test]
    fn arrays_are_found_by_name() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (path, files) = (folder.path().join("w.npz"), Files::none());
        let ty = |dims: &[usize]| TensorType::new(Elem::F32, dims, Layout::Nchw).expect("a type");
        let (a, b) = (ArrayD::from_elem(IxDyn(&[2, 2]), 0.5), ArrayD::from_elem(IxDyn(&[3]), 2.0));
        write(&path, &[("a", a.view()), ("b.bias", b.view())], Elem::F32).expect("written");
        assert_eq!(read(&path, Some("a"), &ty(&[2, 2]), &files).expect("read").wide(), [0.5; 4]);
        assert_eq!(read(&path, Some("b.bias"), &ty(&[3]), &files).expect("read").wide(), [2.0; 3]);
        assert!(matches!(read(&path, None, &ty(&[3]), &files), Err(DataError::Unnamed { .. })));
        let missing = read(&path, Some("c"), &ty(&[3]), &files).expect_err("not there").to_string();
        assert!(missing.ends_with("it has \"a\", \"b.bias\""), "{missing}");
        assert_eq!(read(&path, Some("a.npy"), &ty(&[2, 2]), &files).expect("read").wide(), [0.5; 4]);
        write(&path, &[("only", b.view())], Elem::F64).expect("written");
        assert_eq!(read(&path, None, &ty(&[3]), &files).expect("read").wide(), [2.0; 3]);
        let whole = std::fs::read(&path).expect("there");
        for cut in (0..whole.len()).step_by(7) {
            std::fs::write(&path, &whole[..cut]).expect("written");
            assert!(read(&path, None, &ty(&[3]), &files).is_err(), "cut at {cut}");
        }
    }
    /// An archive of deflated members, each of these bytes.
    fn archive(path: &Path, members: &[(&str, &[u8])]) {
        write_whole(path, |out| {
            let mut archive = zip::ZipWriter::new_stream(out);
            let options = zip::write::SimpleFileOptions::default();
            for (name, bytes) in members {
                archive.start_file(*name, options)?;
                archive.write_all(bytes)?;
            }
            archive.finish()?.flush()
        })
        .expect("written");
    }

    fn one() -> TensorType {
        TensorType::new(Elem::F32, [1], Layout::Nchw).expect("a type")
    }

    fn refused(path: &Path, bytes: &[u8], name: Option<&str>) -> String {
        std::fs::write(path, bytes).expect("written");
        read(path, name, &one(), &Files::none()).expect_err("refused").to_string()
    }

    #[test]
    fn damage_is_named() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("w.npz");
        let array = ArrayD::from_elem(IxDyn(&[1]), 2.0);
        write(&path, &[("a1", array.view()), ("a2", array.view())], Elem::F32).expect("written");
        let good = std::fs::read(&path).expect("there");
        let at = |part: &[u8]| good.windows(part.len()).position(|found| found == part).expect("there");

        let mut changed = good.clone();
        changed[at(&2.0_f32.to_le_bytes())] ^= 1;
        let error = refused(&path, &changed, Some("a1"));
        assert!(error.contains("\"a1\" is damaged: ") && error.contains("checksum"), "{error}");
        // The other array is as it was.
        assert_eq!(read(&path, Some("a2"), &one(), &Files::none()).expect("read").wide(), [2.0]);

        let mut twice = good.clone();
        for start in 0..twice.len() - 6 {
            if twice[start..].starts_with(b"a2.npy") {
                twice[start + 1] = b'1';
            }
        }
        assert!(refused(&path, &twice, Some("a1")).ends_with("two of its arrays have one name"));
        let behind = refused(&path, &[&good[..], b"x"].concat(), Some("a1"));
        assert!(behind.ends_with("the zip archive does not end where the file does"), "{behind}");
        refused(&path, &[b"x", &good[..]].concat(), Some("a1"));
        assert!(refused(&path, b"no archive", None).contains("no zip archive ends in it"));
        assert!(refused(&path, b"", None).contains("no zip archive ends in it"));

        let mut npy = Vec::new();
        npy::write_to(&mut npy, array.view(), Elem::F32).expect("written");
        archive(&path, &[("a", &npy), ("a.npy", &npy)]);
        let same = read(&path, Some("a"), &one(), &Files::none()).expect_err("two of one name").to_string();
        assert!(same.ends_with("two of its arrays have one name"), "{same}");
        archive(&path, &[("a.npy", &[&npy[..], b"x"].concat())]);
        let longer = read(&path, None, &one(), &Files::none()).expect_err("a byte too many").to_string();
        assert!(longer.ends_with("take 4 bytes, 5 are there"), "{longer}");
        archive(&path, &[]);
        let empty = read(&path, None, &one(), &Files::none()).expect_err("nothing in it").to_string();
        assert!(empty.ends_with("it holds no arrays"), "{empty}");
        // Its first member is said to be compressed in a way that is not read, in both places.
        let mut packed = good.clone();
        let directory = at(b"PK\x01\x02");
        (packed[8], packed[directory + 10]) = (12, 12);
        let error = refused(&path, &packed, Some("a1"));
        assert!(error.contains("\"a1\" cannot be read: compression method not supported"), "{error}");
    }

    #[test]
    fn bombs_are_refused_unread() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("w.npz");
        let mut npy = Vec::new();
        npy::write_to(&mut npy, ArrayD::zeros(IxDyn(&[1])).view(), Elem::F32).expect("written");
        npy.resize(16 << 20, 0);
        archive(&path, &[("a.npy", &npy)]);
        assert!(path.metadata().expect("there").len() < 1 << 16);
        let error = read(&path, None, &one(), &Files::none()).expect_err("too many zeros").to_string();
        assert!(error.contains("take 4 bytes, 16777088 are there"), "{error}");

        // A directory of 60,000 entries with names of 200 bytes, and no members.
        let mut bytes = Vec::new();
        for i in 0..60_000 {
            bytes.extend(b"PK\x01\x02\x14\0\x14\0");
            bytes.extend([0; 20]);
            bytes.extend([200, 0]);
            bytes.extend([0; 16]);
            bytes.extend(format!("{i:0200}").bytes());
        }
        let size = (bytes.len() as u32).to_le_bytes();
        let count = 60_000_u16.to_le_bytes();
        bytes.extend([&b"PK\x05\x06\0\0\0\0"[..], &count, &count, &size, &[0; 6]].concat());
        let error = refused(&path, &bytes, None);
        assert!(error.contains("its directory has more than 8388608 bytes"), "{error}");
    }
}
