//! Every kind of mistake, as a file with that mistake: `bad/E0203-group-zero.conv` and the whole message beside it in
//! `snapshots/`. Adding a test is adding a file.

use std::collections::BTreeSet;
use std::path::Path;

use convoke_ir::diagnostic::{Diagnostic, render};
use convoke_ir::text;

fn mistakes(path: &Path) -> (Vec<Diagnostic>, String) {
    let bytes = std::fs::read(path).expect("the file was found by the glob");
    let found = text::utf8(&bytes).map_err(|d| vec![d]).and_then(text::parse_and_verify);
    (found.expect_err("every file here has a mistake"), String::from_utf8_lossy(&bytes).into_owned())
}

#[test]
fn messages() {
    insta::glob!("bad/*.conv", |path| {
        let (found, source) = mistakes(path);
        let name = path.file_name().expect("a file").to_string_lossy();
        let code = &name[..5];
        assert!(found.iter().any(|d| d.code.to_string() == code), "{name} has no mistake {code}: {found:?}");
        let message = render(&found, &name, &source, false);
        assert!(message.chars().all(|c| c == '\n' || !c.is_control()), "{message:?}");
        insta::assert_snapshot!(message);
    });
}

/// A file for every code but those no text can have: these have tests in Rust.
#[test]
fn every_code_has_a_file() {
    let only_in_rust = ["E0107", "E0208", "E0301", "E0302", "E0303", "E0304", "E0306", "E0401", "E0402", "E0420"];
    let source = include_str!("../src/diagnostic.rs");
    let codes: BTreeSet<String> = source
        .lines()
        .filter_map(|line| line.trim().strip_suffix(',')?.split_once(" = ")?.1.parse::<u32>().ok())
        .map(|number| format!("E{number:04}"))
        .collect();
    assert!(codes.len() > 30, "{codes:?}");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad");
    let files: BTreeSet<String> = std::fs::read_dir(folder)
        .expect("the folder is part of the sources")
        .map(|file| file.expect("a readable folder").file_name().to_string_lossy()[..5].to_owned())
        .collect();
    let missing: Vec<_> = codes.iter().filter(|c| !files.contains(*c) && !only_in_rust.contains(&c.as_str())).collect();
    assert!(missing.is_empty(), "no file for {missing:?}");
}
