//! Build scripts: the library and the interface that they write, and the messages for mistakes.

use std::fs;

use convoke_build::{Build, Error};

const NETS: &str = "layer @blur(%x: f32[1, 1, 8, 8]) -> f32[1, 1, 8, 8] {
  %w = const f32[1, 1, 3, 3] = gaussian(sigma = 1.0)
  %y = conv2d %x, %w { pads = [1, 1, 1, 1] }
  return %y
}
layer @soft_max(%x: f32[1, 4]) -> f32[1, 4] {
  %y = relu %x
  return %y
}
";

/// Builds `text` for a target, and gives the folder with the results.
fn built(text: &str, name: &str, triple: &str, cpus: &[&str]) -> Result<tempfile::TempDir, Error> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("nets.conv");
    fs::write(&file, text).expect("written");
    Build::new(file).cpus(cpus.iter().copied()).compile_for(name, triple, folder.path())?;
    Ok(folder)
}

#[test]
fn each_layer_has_a_type_and_a_single_one_the_name_of_the_library() {
    for triple in ["x86_64-unknown-linux-gnu", "x86_64-pc-windows-gnu"] {
        let folder = built(NETS, "nets", triple, &[]).expect("built");
        let source = fs::read_to_string(folder.path().join("nets.rs")).expect("written");
        for part in ["pub struct Blur", "pub struct SoftMax", "fn nets_blur(", "fn nets_soft_max_steps()"] {
            assert!(source.contains(part), "{part}: {source}");
        }
        assert!(fs::read(folder.path().join("libnets.a")).expect("written").starts_with(b"!<arch>\n"));
    }
    let single = NETS.split("layer @soft_max").next().expect("the first layer");
    let folder = built(single, "filter", "x86_64-unknown-linux-musl", &["x86-64-v3"]).expect("built");
    let source = fs::read_to_string(folder.path().join("filter.rs")).expect("written");
    assert!(source.contains("pub struct Filter ") && source.contains("&[f32; 64]"), "{source}");
}

#[test]
fn mistakes_are_told() {
    let linux = "x86_64-unknown-linux-gnu";
    let told = |text: &str, name: &str, triple: &str, cpus: &[&str]| {
        format!("{:?}", built(text, name, triple, cpus).expect_err("a mistake"))
    };
    assert!(told(NETS, "my-nets", linux, &[]).contains("`my-nets` is no name of a library"));
    assert!(told(NETS, "nets", "z80-unknown-cpm", &[]).contains("known are x86_64-unknown-linux-gnu"));
    assert!(told(NETS, "nets", linux, &["z80"]).contains("there is no machine `z80`"));
    assert!(told(NETS, "nets", linux, &["aarch64"]).contains("the target is x86_64, the CPU `aarch64` is aarch64"));
    assert!(told("layer @a(", "nets", linux, &[]).contains("nets.conv:1:10"));
    assert!(told("", "nets", linux, &[]).contains("there is no layer"));
    let missing = Build::new("nowhere.onnx").compile_for("nets", linux, ".".as_ref());
    assert!(missing.expect_err("no file").to_string().contains("nowhere.onnx"));
}

#[test]
fn cargo_is_needed_only_to_tell_it() {
    assert!(matches!(Build::new("blur.conv").compile("blur"), Err(Error::NoScript("TARGET"))));
}
