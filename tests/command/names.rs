//! Names of layers in programs: those that clash are refused, all others compile in Rust.

use std::fs;
use std::process::Command;

use super::{convoke, folder, text};

/// A layer of this name, whose input has a name too.
fn layer(name: &str, input: &str) -> String {
    format!("layer @{name}(%{input}: f32[1, 4]) -> f32[1, 4] {{\n  %y = relu %{input}\n  return %y\n}}\n")
}

#[test]
fn layers_with_a_name_in_common_are_refused() {
    let folder = folder();
    let at = |name: &str| text(&folder.path().join(name));
    let pairs = [
        (layer("a", "x"), layer("A", "x"), "CONVOKE_A"),
        (layer("a", "b_x"), layer("a_b", "x"), "CONVOKE_A_B_X_0_ELEMENTS"),
        (layer("a", "x"), layer("a_part", "x"), "CONVOKE_A_PART"),
        (layer("a.b", "x"), layer("a_b", "x"), "CONVOKE_A_B"),
    ];
    for (first, second, name) in pairs {
        fs::write(at("two.conv"), first + &second).expect("written");
        for output in ["two.o", "two.h", "two.rs"] {
            let result = convoke(&["compile", &at("two.conv"), "-o", &at(output)]);
            assert!(result.status == 1 && result.stderr.contains(&format!("`{name}`")), "{output}: {}", result.stderr);
        }
    }
    fs::write(at("two.conv"), layer("a_b", "x") + &layer("aB", "x")).expect("written");
    let result = convoke(&["compile", &at("two.conv"), "-o", &at("two.o"), "-o", &at("two.h")]);
    assert_eq!(result.status, 0, "{}", result.stderr);
    let result = convoke(&["compile", &at("two.conv"), "-o", &at("two.rs")]);
    assert!(result.status == 1 && result.stderr.contains("`AB`"), "{}", result.stderr);
}

#[test]
fn the_rust_interface_compiles_whatever_the_names_are() {
    let folder = folder();
    let at = |name: &str| text(&folder.path().join(name));
    let names = [
        ("self", "self"),
        ("vec", "workspace"),
        ("option", "type"),
        ("2x", "fn"),
        ("edges", "Upper"),
        ("edges_line", "in"),
    ];
    let all: String = names.iter().map(|(name, input)| layer(name, input)).collect();
    fs::write(at("names.conv"), all).expect("written");
    let result = convoke(&["compile", &at("names.conv"), "-o", &at("names.rs")]);
    assert_eq!(result.status, 0, "{}", result.stderr);
    fs::write(at("lib.rs"), "//! Types of nets.\npub mod nets {\n    include!(\"names.rs\");\n}\n").expect("written");
    for edition in ["2021", "2024"] {
        let args = ["--crate-type", "lib", "--emit", "metadata", "-D", "warnings", "--edition", edition, "lib.rs"];
        let run =
            Command::new("rustc").args(args).current_dir(folder.path()).output().expect("the compiler of these tests");
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    }
}
