//! That every file is there and is whole.

use std::collections::HashMap;
use std::fs;
use std::io::Read;
use std::path::{Component, Path};

use crate::certificate::{Certificate, FORMAT, NAME, hash_of_file};
use crate::refused::{Refused, Result};

/// The most bytes of a text: a stage, a set of matrices, the certificate itself.
const MOST_TEXT: u64 = 1 << 28;

fn changed<T>(file: &str, reason: impl Into<String>) -> Result<T> {
    Err(Refused::Changed { file: file.into(), reason: reason.into() })
}

/// A text of the folder.
pub(crate) fn text(at: &Path, name: &str) -> Result<String> {
    let path = at.join(name);
    let mut bytes = Vec::new();
    let file = fs::File::open(&path);
    let read = file.and_then(|file| file.take(MOST_TEXT + 1).read_to_end(&mut bytes));
    read.map_err(|source| Refused::Read { path, source })?;
    if bytes.len() as u64 > MOST_TEXT {
        return changed(name, format!("it is longer than {MOST_TEXT} bytes"));
    }
    String::from_utf8(bytes).or_else(|_| changed(name, "it is not UTF-8 text"))
}

/// The certificate of a folder, if it has its seal.
pub(crate) fn read(at: &Path) -> Result<Certificate> {
    let text = text(at, NAME)?;
    let certificate: Certificate = serde_json::from_str(&text).or_else(|error| changed(NAME, error.to_string()))?;
    if certificate.format != FORMAT {
        return changed(NAME, format!("its format is {}, this program reads {FORMAT}", certificate.format));
    }
    // What is read is what is written, so that no blank or digit can be changed unseen.
    if certificate.seal != certificate.seal_of() || certificate.to_text() != text {
        return changed(NAME, "its seal is another: it was changed after it was written");
    }
    Ok(certificate)
}

/// Refuses a name that is no file of the folder itself, and the name of the certificate.
pub(crate) fn is_inside(name: &str) -> Result<()> {
    let inside = matches!(Path::new(name).components().collect::<Vec<_>>()[..], [Component::Normal(_)]);
    if inside && name != NAME { Ok(()) } else { changed(name, "it is not the name of a file of this folder") }
}

/// Checks the hash of every file, and gives their number.
pub(crate) fn all(at: &Path, certificate: &Certificate) -> Result<usize> {
    let mut known: HashMap<&str, &str> = HashMap::new();
    for file in certificate.files() {
        is_inside(&file.name)?;
        if let Some(hash) = known.insert(&file.name, &file.hash) {
            if hash != file.hash {
                return changed(&file.name, "it is named with two hashes");
            }
            continue;
        }
        let path = at.join(&file.name);
        let found = hash_of_file(&path).map_err(|source| Refused::Read { path, source })?;
        if found != file.hash {
            return changed(&file.name, format!("its hash is {found}, the certificate says {}", file.hash));
        }
    }
    Ok(known.len())
}
