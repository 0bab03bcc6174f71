//! Certificates: what is written holds, and what is changed afterwards does not.
//!
//! Changes are of two kinds. *Plain* ones change bytes of a file: its hash is another. *Resealed* ones are by somebody who writes all hashes and the
//! seal anew: what the certificate says then has to be false for it to be found. Both must be found always.

use std::fs;
use std::path::{Path, PathBuf};

use convoke::certificates::{Certificate, Replay, state_code, verify, verify_code};
use convoke::{Compiler, Layer, Machine};
use convoke_tests::Random;
use serde_json::Value;

/// Algorithms of every kind, a batch norm that is folded, weights that passes compute, two results.
const TEXT: &str = "layer @l(%x: f32[1, 16, 13, 14]) -> (f32[1, 16, 13, 14], f32[1, 4, 13, 14]) {
  %w = const f32[16, 16, 3, 3] = normal(seed = 1, std = 0.2)
  %v = const f32[16, 16, 3, 3] = normal(seed = 2, std = 0.2)
  %u = const f32[4, 16, 1, 1] = normal(seed = 3, std = 0.2)
  %scale = const f32[16] = uniform(seed = 4, low = 0.5, high = 1.5)
  %shift = const f32[16] = normal(seed = 5)
  %mean = const f32[16] = normal(seed = 6)
  %var = const f32[16] = uniform(seed = 7, low = 0.5, high = 2.0)
  %0 = conv2d %x, %w { pads = [1, 1, 1, 1], algorithm = winograd(4x4) }
  %1 = batch_norm %0, %scale, %shift, %mean, %var
  %2 = relu %1
  %3 = conv2d %2, %v { pads = [1, 1, 1, 1], algorithm = fft(8x8) }
  %4 = conv2d %3, %u { algorithm = strassen(1) }
  return %3, %4
}";

/// Layers of one convolution, or two, and a pass that makes others of them; the largest residual that is expected.
const FACTORED: &[(&str, &str, f64)] = &[
    (
        "factor-separable(always=true)",
        "layer @l(%x: f32[1, 1, 12, 13]) -> f32[1, 1, 12, 13] {
           %w = const f32[1, 1, 5, 5] = gaussian(sigma = 1.1)
           %y = conv2d %x, %w { pads = [2, 2, 2, 2] } then relu
           return %y
         }",
        1e-7,
    ),
    (
        "factor-separable(always=true,tolerance=0.9)",
        "layer @l(%x: f32[2, 10, 11, 4] nhwc) -> f32[2, 5, 6, 6] nhwc {
           %w = const f32[6, 2, 3, 3] = normal(seed = 1)
           %y = conv2d %x, %w { pads = [1, 1, 1, 1], strides = [2, 2], group = 2 }
           return %y
         }",
        0.9,
    ),
    (
        "bottleneck(ranks=[4,3],always=true,tolerance=1)",
        "layer @l(%x: f32[1, 8, 9, 9]) -> f32[1, 8, 5, 5] {
           %w = const f32[8, 8, 3, 3] = normal(seed = 1)
           %y = conv2d %x, %w { pads = [1, 1, 1, 1], strides = [2, 2] }
           return %y
         }",
        1.0,
    ),
    (
        "bottleneck(form=cp,rank=3,always=true,tolerance=1)",
        "layer @l(%x: f32[1, 4, 9, 9]) -> f32[1, 5, 9, 9] {
           %w = const f32[5, 4, 3, 3] = normal(seed = 1)
           %y = conv2d %x, %w { pads = [1, 1, 1, 1] }
           return %y
         }",
        1.0,
    ),
    (
        "asymmetric(always=true,tolerance=0.8)",
        "layer @l(%x: f32[1, 4, 9, 9]) -> f32[1, 4, 7, 7] {
           %w = const f32[4, 4, 3, 3] = normal(seed = 2)
           %y = conv2d %x, %w
           return %y
         }",
        0.8,
    ),
    (
        "approximate(tolerance=0.1,always=true)",
        "layer @l(%x: f32[1, 16, 20, 20]) -> f32[1, 16, 20, 20] {
           %w = const f32[16, 16, 5, 5] = gaussian(sigma = 1.5)
           %y = conv2d %x, %w { pads = [2, 2, 2, 2] }
           return %y
         }",
        0.1,
    ),
    (
        "stack-small-kernels(always=true)",
        "layer @l(%x: f32[1, 1, 13, 12]) -> f32[1, 1, 13, 12] {
           %w = const f32[1, 1, 7, 7] = gaussian(sigma = 1.3)
           %y = conv2d %x, %w { pads = [3, 3, 3, 3] }
           return %y
         }",
        1e-6,
    ),
    (
        "compose(always=true)",
        "layer @l(%x: f32[1, 8, 9, 9]) -> f32[1, 4, 9, 5] {
           %v = const f32[4, 8, 1, 3] = normal(seed = 1)
           %w = const f32[4, 4, 1, 3] = normal(seed = 2)
           %a = conv2d %x, %v
           %y = conv2d %a, %w
           return %y
         }",
        1e-6,
    ),
    (
        "merge-branches",
        "layer @l(%x: f32[1, 4, 9, 9]) -> f32[1, 4, 9, 9] {
           %v = const f32[4, 4, 3, 3] = normal(seed = 1)
           %w = const f32[4, 4, 1, 1] = normal(seed = 2)
           %a = conv2d %x, %v { pads = [1, 1, 1, 1] }
           %b = conv2d %x, %w
           %y = add %a, %b
           return %y
         }",
        1e-6,
    ),
];

const REPLAY: Replay = Replay { budget: 1 << 30, all: true };

fn written(folder: &Path) -> Certificate {
    let layer = Layer::parse(TEXT).expect("a layer");
    let machine = Machine::named("zen4").expect("a machine of this name");
    Compiler::for_machine(machine).certify(&layer, folder).expect("a certificate")
}

fn holds(folder: &Path) -> bool {
    verify(folder, REPLAY, |_| {}).is_ok()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> =
        fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}

#[test]
fn what_is_written_holds() {
    let folder = tempfile::tempdir().expect("a folder");
    let certificate = written(folder.path());
    let report = verify(folder.path(), REPLAY, |_| {}).unwrap_or_else(|refused| panic!("{refused}"));
    let says = |of: &str| &report.held.iter().find(|check| check.of == of).expect("a check").says;
    assert!(says("%2").starts_with("winograd(4x4): every coefficient as it must be;"), "{}", says("%2"));
    assert!(says("%3").contains("to within"), "{}", says("%3"));
    assert!(certificate.stages.iter().any(|stage| stage.pass.as_deref() == Some("fold-batch-norm")));
    assert!(certificate.stages.last().is_some_and(|stage| stage.file.name.ends_with(".loops")));
}

/// A kernel that an FFT cuts: the certificate says into which blocks, and cannot say others.
#[test]
fn blocks_of_a_kernel_are_stated_and_checked() {
    let text = "layer @l(%x: f32[1, 1, 20, 21]) -> f32[1, 1, 10, 15] {
      %w = const f32[1, 1, 11, 7] = normal(seed = 1)
      %y = conv2d %x, %w { algorithm = fft(8x4) }
      return %y
    }";
    let folder = tempfile::tempdir().expect("a folder");
    Compiler::host().certify(&Layer::parse(text).expect("it parses"), folder.path()).expect("a certificate");
    let report = verify(folder.path(), REPLAY, |_| {}).unwrap_or_else(|refused| panic!("{refused}"));
    let says = &report.held.iter().find(|check| check.of == "%y").expect("a check").says;
    assert!(says.starts_with("fft(8x4), kernel in 3x4 blocks of 4x2 that cover it once:"), "{says}");
    for changed in [serde_json::json!([3, 3]), Value::Null] {
        let mut value = certificate(folder.path());
        value["convolutions"][0]["identity"]["blocks"] = changed;
        resealed(folder.path(), value);
        let refused = verify(folder.path(), REPLAY, |_| {}).expect_err("it is found").to_string();
        assert!(refused.contains("is cut into"), "{refused}");
    }
}

#[test]
fn a_changed_byte_of_any_file_is_found() {
    let folder = tempfile::tempdir().expect("a folder");
    written(folder.path());
    let mut random = Random::new(1);
    let mut changes = 0;
    for file in files(folder.path()) {
        let bytes = fs::read(&file).expect("a file");
        for _ in 0..20 {
            let mut changed = bytes.clone();
            let at = random.between(0, bytes.len() - 1);
            match random.between(0, 2) {
                0 => changed[at] ^= 1 << random.between(0, 7),
                1 => changed.truncate(at),
                _ => changed.insert(at, b' '),
            }
            fs::write(&file, &changed).expect("it can be written");
            assert!(!holds(folder.path()), "{}: a change at byte {at} is not found", file.display());
            changes += 1;
        }
        fs::remove_file(&file).expect("it can be removed");
        assert!(!holds(folder.path()), "{}: it is missing, and that is not found", file.display());
        fs::write(&file, &bytes).expect("it can be written");
    }
    assert!(holds(folder.path()), "it holds again once all is as it was");
    println!("{changes} of {changes} plain changes found");
}

/// Writes the hashes and the seal anew.
fn resealed(folder: &Path, mut certificate: Value) {
    fn renew(folder: &Path, value: &mut Value) {
        match value {
            Value::Object(map) if map.contains_key("hash") => {
                let name = map["name"].as_str().expect("a name");
                let hash = convoke_verify::hash(&fs::read(folder.join(name)).expect("a file"));
                map.insert("hash".into(), hash.into());
            }
            Value::Object(map) => map.values_mut().for_each(|value| renew(folder, value)),
            Value::Array(all) => all.iter_mut().for_each(|value| renew(folder, value)),
            _ => {}
        }
    }
    renew(folder, &mut certificate);
    let certificate: Certificate = serde_json::from_value(certificate).expect("the form of a certificate");
    let text = certificate.sealed().to_text();
    fs::write(folder.join(convoke_verify::NAME), text).expect("it can be written");
}

fn certificate(folder: &Path) -> Value {
    serde_json::from_slice(&fs::read(folder.join(convoke_verify::NAME)).expect("a file")).expect("JSON")
}

/// Makes a change in a fresh certificate, seals it, and says whether it holds.
fn holds_after(change: impl Fn(&Path, &mut Value)) -> bool {
    let folder = tempfile::tempdir().expect("a folder");
    written(folder.path());
    let mut value = certificate(folder.path());
    change(folder.path(), &mut value);
    resealed(folder.path(), value);
    holds(folder.path())
}

fn edit(folder: &Path, part: &str, from: &str, to: &str) {
    let of = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().contains(part));
    let file = files(folder).into_iter().find(of).unwrap_or_else(|| panic!("there is no file with {part} in its name"));
    let text = fs::read_to_string(&file).expect("a text");
    assert!(text.contains(from), "{}: `{from}` is not in it:\n{text}", file.display());
    fs::write(&file, text.replacen(from, to, 1)).expect("it can be written");
}

#[test]
fn a_resealed_certificate_holds_if_nothing_was_changed() {
    assert!(holds_after(|_, _| {}));
}

#[test]
fn a_changed_meaning_is_found_though_it_was_sealed_anew() {
    type Change = (&'static str, fn(&Path, &mut Value));
    let changes: &[Change] = &[
        ("a pad", |at, _| edit(at, "fuse-epilogue.conv", "pads = [1, 1, 1, 1]", "pads = [2, 0, 1, 1]")),
        ("an activation", |at, _| edit(at, "fuse-epilogue.conv", " then relu", "")),
        ("an algorithm", |at, _| {
            let mut layers =
                files(at).into_iter().rev().filter(|file| file.extension().is_some_and(|ending| ending == "conv"));
            let last = layers.next().expect("a layer").file_name().expect("a name").to_string_lossy().into_owned();
            edit(at, &last, "winograd(4x4", "winograd(2x2");
        }),
        ("the layer as given", |at, _| edit(at, "as-given.conv", "seed = 3", "seed = 30")),
        ("a constant", |at, _| edit(at, "select.conv", "seed = 2", "seed = 20")),
        ("a loop's end", |at, _| edit(at, "strength-reduce.loops", "0..", "1..")),
        ("a coefficient", |at, _| edit(at, "winograd-4-3.", "-17/4", "-17/5")),
        ("a cosine", |at, _| edit(at, "fft-8.", "-1", "-2")),
        ("the residual", |at, _| edit(at, "fft-8.", "residual = \"1/", "residual = \"0/")),
        ("a bound", |_, value| {
            let bound = value["convolutions"][0]["bound"].as_f64().expect("a number");
            value["convolutions"][0]["bound"] = (bound * 0.99).into();
        }),
        ("the channels", |_, value| value["convolutions"][1]["channels"] = 8.into()),
        ("the roundoff", |_, value| value["convolutions"][1]["unit_roundoff"] = 1e-9.into()),
        ("an identity", |_, value| value["convolutions"][2]["identity"] = Value::Null),
        ("the identity of another", |_, value| {
            value["convolutions"][0]["identity"] = value["convolutions"][1]["identity"].clone();
        }),
        ("a convolution left out", |_, value| {
            value["convolutions"].as_array_mut().expect("a list").pop();
        }),
        ("rounding called exact", |_, value| {
            let stages = value["stages"].as_array_mut().expect("a list");
            let folded = stages.iter_mut().find(|stage| stage["pass"] == "fold-batch-norm").expect("a stage");
            folded["change"] = "exact".into();
        }),
        ("the weights not named", |_, value| value["weights"] = Value::Array(Vec::new())),
        ("no stages", |_, value| value["stages"] = Value::Array(Vec::new())),
        ("the name", |_, value| value["layer"] = "other".into()),
    ];
    let missed: Vec<&str> = changes.iter().filter(|(_, change)| holds_after(change)).map(|(name, _)| *name).collect();
    println!("{} of {} resealed changes found", changes.len() - missed.len(), changes.len());
    assert!(missed.is_empty(), "not found: {missed:?}");
}

#[test]
fn changed_weights_are_found_though_they_were_sealed_anew() {
    let folder = tempfile::tempdir().expect("a folder");
    written(folder.path());
    let of = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "safetensors");
    let weights: Vec<PathBuf> = files(folder.path()).into_iter().filter(of).collect();
    assert!(!weights.is_empty());
    let mut random = Random::new(2);
    for file in &weights {
        let bytes = fs::read(file).expect("a file");
        let header = 8 + u64::from_le_bytes(bytes[..8].try_into().expect("8 bytes")) as usize;
        for _ in 0..8 {
            let mut changed = bytes.clone();
            let at = header + 4 * random.between(0, (bytes.len() - header) / 4 - 1);
            let number = f32::from_le_bytes(changed[at..at + 4].try_into().expect("4 bytes"));
            changed[at..at + 4].copy_from_slice(&(number + 0.01).to_le_bytes());
            fs::write(file, &changed).expect("it can be written");
            resealed(folder.path(), certificate(folder.path()));
            assert!(!holds(folder.path()), "{}: the number at byte {at} is another", file.display());
        }
        fs::write(file, &bytes).expect("it can be written");
    }
}

/// Tiles of all kinds: with a rest, with zeros on one side alone, with steps, with residues, and sums.
const TILED: &str =
    "layer @l(%x: f32[1, 4, 9, 10]) -> (f32[1, 4, 9, 10], f32[1, 4, 5, 3], f32[1, 4, 9, 10], f32[1, 2, 3, 5]) {
  %u = const f32[4, 4, 3, 3] = normal(seed = 1, std = 0.2)
  %v = const f32[4, 4, 5, 5] = normal(seed = 2, std = 0.2)
  %w = const f32[2, 4, 3, 2] = normal(seed = 3, std = 0.2)
  %0 = conv2d %x, %u { pads = [1, 1, 1, 1], algorithm = winograd(2x4) }
  %1 = conv2d %x, %u { pads = [2, 1, 2, 2], strides = [2, 3], dilations = [2, 2], algorithm = winograd(2x2) }
  %2 = conv2d %x, %v { pads = [2, 2, 2, 2], algorithm = fft(8x16) }
  %3 = conv2d %x, %w { pads = [0, 1, 3, 2], strides = [2, 2], dilations = [3, 3] }
  return %0, %1, %2, %3
}";

#[test]
fn changed_tiles_are_found_though_they_were_sealed_anew() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let layer = Layer::parse(TILED).unwrap_or_else(|e| panic!("{}", e.render(false)));
    let machine = Machine::named("zen4").expect("a machine of this name");
    Compiler::for_machine(machine).certify(&layer, folder).expect("a certificate");
    let report = verify(folder, REPLAY, |_| {}).unwrap_or_else(|refused| panic!("{refused}"));
    assert!(report.held.iter().any(|check| check.of == "%0" && check.says.contains("2x4 outputs cover its 9x10")));
    let certificate = certificate(folder);
    let mut changes = 0;
    for conv in 0..4 {
        for axis in 0..2 {
            let at = format!("/convolutions/{conv}/covers/{axis}");
            let numbers = ["residues", "tiles", "outputs", "inputs", "step", "zeros/0", "zeros/1"];
            for number in numbers.map(|number| format!("{at}/{number}")) {
                let was = certificate.pointer(&number).and_then(Value::as_u64).expect("a number");
                for other in [Some(was + 1), was.checked_sub(1)].into_iter().flatten() {
                    let mut changed = certificate.clone();
                    *changed.pointer_mut(&number).expect("it was read") = other.into();
                    resealed(folder, changed);
                    assert!(!holds(folder), "{number} is {was}, {other} holds too");
                    changes += 1;
                }
            }
        }
    }
    resealed(folder, certificate);
    assert!(holds(folder), "it holds again");
    println!("{changes} of {changes} changed numbers of tiles found");
}

/// The certificate of a layer of [`FACTORED`], and the place of its stage with a residual.
fn factored(passes: &str, text: &str, folder: &Path) -> (Value, usize) {
    let layer = Layer::parse(text).unwrap_or_else(|e| panic!("{text}\n{}", e.render(false)));
    let passes = convoke_passes::spec::Spec::parse_list(passes).expect("passes");
    let named = passes[0].name.clone();
    let machine = Machine::named("zen4").expect("a machine of this name");
    Compiler::for_machine(machine)
        .with_passes(passes)
        .certify(&layer, folder)
        .unwrap_or_else(|e| panic!("{named}: {e}"));
    let certificate = certificate(folder);
    let stages = certificate["stages"].as_array().expect("a list");
    let at = stages.iter().position(|stage| stage["pass"] == named).unwrap_or_else(|| panic!("{named} did nothing"));
    assert_eq!(
        stages[at]["residuals"].as_array().map(Vec::len),
        Some(1),
        "{named}: one value is computed by other kernels"
    );
    (certificate, at)
}

#[test]
fn residuals_of_factors_are_those_of_their_passes() {
    for &(passes, text, largest) in FACTORED {
        let folder = tempfile::tempdir().expect("a folder");
        let (certificate, at) = factored(passes, text, folder.path());
        let residual = certificate["stages"][at]["residuals"][0]["frobenius"].as_f64().expect("a number");
        assert!(residual <= largest, "{passes}: {residual}");
        // As the pass says of its own, to two digits. Branches are merged without a word.
        let said = certificate["stages"][at]["reasons"][0].as_str();
        let expected = format!("error {residual:.1e} in the Frobenius norm");
        assert!(
            said.map_or(passes == "merge-branches", |said| said.contains(&expected)),
            "{passes}: {expected}, {said:?}"
        );
        let report = verify(folder.path(), REPLAY, |_| {}).unwrap_or_else(|refused| panic!("{passes}: {refused}"));
        assert!(report.held.iter().any(|check| check.of == "%y" && check.says.contains("compose to")), "{report:?}");
    }
}

#[test]
fn changed_residuals_and_factors_are_found_though_they_were_sealed_anew() {
    for &(passes, text, _) in FACTORED {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path();
        let (certificate, at) = factored(passes, text, folder);
        let residual = certificate["stages"][at]["residuals"][0]["frobenius"].as_f64().expect("a number");
        let changes: [fn(&mut Value, f64); 5] = [
            |residuals, was| residuals[0]["frobenius"] = (was * 0.999).into(),
            |residuals, was| residuals[0]["frobenius"] = (was * 1.001 + 1e-9).into(),
            |residuals, _| residuals[0]["value"] = "x".into(),
            |residuals, _| *residuals = Value::Array(Vec::new()),
            |residuals, _| *residuals = vec![residuals[0].clone(); 2].into(),
        ];
        for (i, change) in changes.iter().enumerate().filter(|(i, _)| residual > 1e-12 || *i > 0) {
            let mut changed = certificate.clone();
            change(&mut changed["stages"][at]["residuals"], residual);
            resealed(folder, changed);
            assert!(!holds(folder), "{passes}: change {i} of the residual");
        }
        let mut called = certificate.clone();
        called["stages"][at]["change"] = "exact".into();
        resealed(folder, called);
        assert_eq!(holds(folder), residual == 0.0, "{passes}: {residual} is called exact");
        // Only random inputs are held against a tolerance, and a small change of a weight is within it.
        let of = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "safetensors");
        for file in files(folder).iter().filter(|path| of(path)) {
            let bytes = fs::read(file).expect("a file");
            let mut changed = bytes.clone();
            let last = bytes.len() - 4;
            let number = f32::from_le_bytes(bytes[last..].try_into().expect("4 bytes"));
            changed[last..].copy_from_slice(&(number * 1.01 + 1e-3).to_le_bytes());
            fs::write(file, &changed).expect("it can be written");
            resealed(folder, certificate.clone());
            assert!(!holds(folder), "{passes}: the last number of {} is another", file.display());
            fs::write(file, &bytes).expect("it can be written");
        }
        resealed(folder, certificate);
        assert!(holds(folder), "{passes}: it holds again");
    }
}

#[test]
fn code_is_known_by_its_hash() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    let code = tempfile::tempdir().expect("a folder");
    written(at);
    let object = code.path().join("l.o");
    fs::write(&object, b"machine code").expect("it can be written");
    assert!(verify_code(at, &object).is_err_and(|refused| refused.to_string().contains("states no code")));
    state_code(at, &[&object]).expect("a certificate and a file");
    assert!(verify_code(at, &object).is_ok_and(|check| check.of == "l.o"));
    let says = |of: &str| {
        let report = verify(at, REPLAY, |_| {}).unwrap_or_else(|refused| panic!("{refused}"));
        report.held.into_iter().find(|check| check.of == of).expect("a check").says
    };
    assert!(says("l.o").contains("not in this folder"));
    // In the folder it is checked unasked.
    let here = at.join("l.o");
    fs::copy(&object, &here).expect("it can be copied");
    assert_eq!(says("l.o"), "the code that was written with this certificate");
    for bytes in [&b"machine codf"[..], b"machine cod", b"", b"machine code "] {
        fs::write(&here, bytes).expect("it can be written");
        assert!(!holds(at) && verify_code(at, &here).is_err());
    }
    fs::remove_file(&here).expect("it can be removed");
    // Statements that cannot be: they are sealed anew, with the hash that the file has.
    for (name, also) in [("../l.o", "../l.o"), ("certificate.json", ""), ("00-as-given.conv", ""), ("l.o", "l.o")] {
        let mut value = certificate(at);
        let hash = value["code"][0]["hash"].clone();
        let file = |name: &str| serde_json::json!({ "name": name, "hash": hash });
        let files = [name, also].into_iter().filter(|name| !name.is_empty()).map(file);
        value["code"] = files.collect::<Vec<_>>().into();
        let changed: Certificate = serde_json::from_value(value).expect("the form of a certificate");
        let kept = fs::read(at.join(convoke_verify::NAME)).expect("a file");
        fs::write(at.join(convoke_verify::NAME), changed.sealed().to_text()).expect("it can be written");
        assert!(!holds(at), "{name} is stated as code");
        fs::write(at.join(convoke_verify::NAME), kept).expect("it can be written");
    }
    assert!(holds(at));
}

#[test]
fn a_folder_that_is_in_use_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("mine"), "a file").expect("it can be written");
    let layer = Layer::parse(TEXT).expect("a layer");
    let refused = Compiler::host().certify(&layer, folder.path()).expect_err("the folder is not empty");
    assert!(refused.to_string().contains("a folder of its own"), "{refused}");
    assert_eq!(files(folder.path()).len(), 1);
}

#[test]
fn hostile_certificates_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    for text in ["", "{", "null", "[]", "{\"format\": 1}", &"[".repeat(100_000)] {
        fs::write(folder.path().join(convoke_verify::NAME), text).expect("it can be written");
        assert!(!holds(folder.path()), "{text:.20}");
    }
    assert!(!holds_after(|_, value| value["weights"][0]["name"] = "../../etc/passwd".into()));
    assert!(!holds_after(|_, value| value["format"] = 2.into()));
}
