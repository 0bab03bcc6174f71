//! npz files: zip archives of npy files, as `numpy.savez` and `numpy.savez_compressed` write them.

use std::fs::File;
use std::io::{BufReader, Write};
use std::path::Path;

use convoke_ir::elem::Elem;
use convoke_ir::types::TensorType;
use ndarray::ArrayViewD;
use zip::result::ZipError;

use crate::error::{listed, quoted};
use crate::{DataError, Files, npy, write_whole};

/// Reads the array `name`, or the only one there is.
pub(crate) fn read(path: &Path, name: Option<&str>, ty: &TensorType, files: &Files) -> Result<Vec<f64>, DataError> {
    let file = File::open(path).map_err(|e| DataError::read(path, e))?;
    let broken = |e: ZipError| match e {
        ZipError::Io(e) if e.kind() != std::io::ErrorKind::UnexpectedEof => DataError::read(path, e),
        e => DataError::format(path, format!("it is no npz file: {e}")),
    };
    let mut archive = zip::ZipArchive::new(BufReader::new(file)).map_err(broken)?;
    let names: Vec<_> = archive.file_names().filter_map(Result::ok).collect();
    let known = listed(names.iter().map(|name| stem(name)));
    drop(names);
    let index = match name {
        Some(name) => archive
            .index_for_name(&format!("{name}.npy"))
            .or_else(|| archive.index_for_name(name))
            .ok_or_else(|| DataError::Missing { path: path.into(), name: name.into(), known })?,
        None if archive.len() == 1 => 0,
        None => return Err(DataError::Unnamed { path: path.into(), known }),
    };
    let entry = archive.by_index(index).map_err(broken)?;
    let (length, array) = (entry.size(), quoted(stem(&entry.name().map_err(broken)?)));
    npy::read_from(entry, length, path, &array, ty, files)
}

fn stem(name: &str) -> &str {
    name.strip_suffix(".npy").unwrap_or(name)
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
        assert_eq!(read(&path, Some("a"), &ty(&[2, 2]), &files).expect("read"), [0.5; 4]);
        assert_eq!(read(&path, Some("b.bias"), &ty(&[3]), &files).expect("read"), [2.0; 3]);
        assert!(matches!(read(&path, None, &ty(&[3]), &files), Err(DataError::Unnamed { .. })));
        let missing = read(&path, Some("c"), &ty(&[3]), &files).expect_err("not there").to_string();
        assert!(missing.ends_with("it has \"a\", \"b.bias\""), "{missing}");
        write(&path, &[("only", b.view())], Elem::F64).expect("written");
        assert_eq!(read(&path, None, &ty(&[3]), &files).expect("read"), [2.0; 3]);
        let whole = std::fs::read(&path).expect("there");
        for cut in (0..whole.len()).step_by(7) {
            std::fs::write(&path, &whole[..cut]).expect("written");
            assert!(read(&path, None, &ty(&[3]), &files).is_err(), "cut at {cut}");
        }
    }
}
