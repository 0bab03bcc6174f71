//! The files of code that were written with a certificate.
//!
//! A certificate states their names and hashes, so that a changed file is found. It does not prove that the files compute the last program: nothing
//! here reads machine code.

use std::fs;
use std::path::Path;

use crate::certificate::{Certificate, File, NAME, hash_of_file};
use crate::files;
use crate::refused::{Check, Refused, Result, wrong};

/// The statement about a file whose hash is right.
const WRITTEN: &str = "the code that was written with this certificate";

fn hash(path: &Path) -> Result<String> {
    hash_of_file(path).map_err(|source| Refused::Read { path: path.into(), source })
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// States the files `code` in the certificate of the folder `at`, in place of those that it stated, and seals it anew. Gives its text.
///
/// # Errors
///
/// A certificate that is not whole; files that cannot be read, or two of one name.
pub fn with_code(at: &Path, code: &[&Path]) -> Result<String> {
    let mut certificate = files::read(at)?;
    certificate.code.clear();
    for path in code {
        let file = File { name: name(path), hash: hash(path)? };
        if certificate.code.iter().any(|other| other.name == file.name) {
            return wrong(&file.name, "two files of code have this name");
        }
        certificate.code.push(file);
    }
    Ok(certificate.sealed().to_text())
}

/// Checks a file of code against the certificate of the folder `at`.
///
/// # Errors
///
/// A certificate that is not whole or states no such file; a file that cannot be read.
pub fn verify_code(at: &Path, code: &Path) -> Result<Check> {
    let (certificate, found) = (files::read(at)?, hash(code)?);
    match certificate.code.iter().find(|file| file.hash == found) {
        Some(file) => Ok(Check { of: file.name.clone(), says: WRITTEN.into() }),
        None => {
            let stated: Vec<String> =
                certificate.code.iter().map(|file| format!("{} {}", file.hash, file.name)).collect();
            let stated = if stated.is_empty() { "no code".into() } else { stated.join(", ") };
            wrong(&name(code), format!("its hash is {found}, the certificate states {stated}"))
        }
    }
}

/// Checks the files of code that lie in the folder. Others are said to be elsewhere.
pub(crate) fn check(at: &Path, certificate: &Certificate) -> Result<Vec<Check>> {
    let mut checks = Vec::new();
    for file in &certificate.code {
        files::is_inside(&file.name)?;
        let others = certificate.code.iter().filter(|other| other.name == file.name).count();
        if others > 1 || certificate.files().any(|other| other.name == file.name) {
            return wrong(NAME, format!("{} is named as code and once more", file.name));
        }
        let path = at.join(&file.name);
        let says = if fs::symlink_metadata(&path).is_ok() {
            let found = hash(&path)?;
            if found != file.hash {
                return wrong(&file.name, format!("its hash is {found}, the certificate says {}", file.hash));
            }
            WRITTEN.to_owned()
        } else {
            "code that is not in this folder; --code checks it".to_owned()
        };
        checks.push(Check { of: file.name.clone(), says });
    }
    Ok(checks)
}
