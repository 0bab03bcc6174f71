//! The cache of compiled layers: what is loaded is what was compiled, and what is damaged or of other options is compiled anew.

use std::fs;
use std::path::{Path, PathBuf};

use convoke::{Cached, CompiledLayer, Compiler, Layer, Module};
use ndarray::Array4;

/// Weights in several orders, kernels with constants of their own, a halo, scratch.
const TEXT: &str = "layer @l(%x: f32[2, 5, 17, 19]) -> f32[2, 7, 17, 19] {
  %w = const f32[12, 5, 3, 3] = normal(seed = 1)
  %v = const f32[7, 12, 1, 1] = normal(seed = 2)
  %b = const f32[12] = normal(seed = 3)
  %0 = conv2d %x, %w { pads = [1, 1, 1, 1], algorithm = winograd(2x2) } then bias %b then silu
  %1 = conv2d %0, %v then sigmoid
  return %1
}";

/// Whether this machine's code is kept at all.
const KEPT: bool = cfg!(target_arch = "x86_64");

fn layer(text: &str) -> Layer {
    Layer::parse(text).expect("a layer")
}

fn compile(folder: &Path, layer: &Layer) -> CompiledLayer {
    Compiler::host().with_cache(folder).compile(layer).expect("it compiles")
}

/// The bits of a run.
fn bits(compiled: &CompiledLayer) -> Vec<u32> {
    let image = Array4::from_shape_fn([2, 5, 17, 19], |(n, c, h, w)| ((n * 5 + c * 31 + h * 7 + w) as f32).sin());
    let outputs = compiled.run::<f32>(&[&image]).expect("it runs");
    outputs[0].iter().map(|x| x.to_bits()).collect()
}

fn is_loaded(compiled: &CompiledLayer) -> bool {
    matches!(compiled.report().cached, Cached::Loaded)
}

fn only_file(folder: &Path) -> PathBuf {
    let mut files = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let file = files.next().expect("a file");
    assert!(files.next().is_none(), "one file");
    file
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder for the test")
}

#[test]
fn what_is_loaded_is_what_was_compiled() {
    let folder = folder();
    let folder = folder.path().join("deep/er");
    let layer = layer(TEXT);
    let first = compile(&folder, &layer);
    if !KEPT {
        assert!(matches!(first.report().cached, Cached::Not));
        return;
    }
    assert!(matches!(first.report().cached, Cached::Kept), "{:?}", first.report().cached);
    let second = compile(&folder, &layer);
    assert!(is_loaded(&second));
    assert_eq!(bits(&first), bits(&second));
    assert_eq!(first.report().choices, second.report().choices);
    assert_eq!(first.kernels(), second.kernels());
    let sizes = |layer: &CompiledLayer| {
        let report = layer.report();
        (report.code_bytes, report.constant_bytes, report.scratch_bytes, report.flushed, report.flops)
    };
    assert_eq!(sizes(&first), sizes(&second));
    // The folder may go while code of it is in use.
    fs::remove_dir_all(&folder).expect("it is there");
    assert_eq!(bits(&first), bits(&second));
    assert!(matches!(compile(&folder, &layer).report().cached, Cached::Kept));
}

#[test]
fn another_layer_or_option_is_compiled() {
    let folder = folder();
    compile(folder.path(), &layer(TEXT));
    for (what, by) in [("seed = 2", "seed = 4"), ("winograd(2x2)", "direct"), ("silu", "relu")] {
        assert!(!is_loaded(&compile(folder.path(), &layer(&TEXT.replace(what, by)))), "{by}");
    }
    let layer = layer(TEXT);
    let compiler = Compiler::host().with_cache(folder.path());
    for other in [
        compiler.clone().with_level(0),
        compiler.clone().with_guard(2),
        compiler.clone().with_max_error(1e-3),
        compiler.clone().with_max_output_error(1e-3),
        compiler.clone().with_threads(2),
        compiler.clone().with_subnormals(convoke::Subnormals::Keep),
    ] {
        assert!(!is_loaded(&other.compile(&layer).expect("it compiles")), "{other:?}");
    }
    let layer = self::layer(&TEXT.replace(", algorithm = winograd(2x2)", ""));
    compile(folder.path(), &layer);
    assert!(!is_loaded(&compiler.with_ieee(true).compile(&layer).expect("plain sums apply")));
}

#[test]
fn files_of_weights_count_by_their_numbers() {
    let folder = folder();
    let text = TEXT.replace("normal(seed = 2)", "file(\"w.npy\")");
    fs::write(folder.path().join("l.conv"), text).expect("written");
    let compile_with = |x: f32| {
        let head = "{'descr': '<f4', 'fortran_order': False, 'shape': (7, 12, 1, 1), }";
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((head.len() as u16).to_le_bytes());
        bytes.extend(head.as_bytes());
        bytes.extend([x; 7 * 12].iter().flat_map(|x| x.to_le_bytes()));
        fs::write(folder.path().join("w.npy"), bytes).expect("written");
        let module = Module::read(&folder.path().join("l.conv")).expect("a module");
        compile(&folder.path().join("cache"), &module.layer(None).expect("a layer"))
    };
    let first = compile_with(0.25);
    let other = compile_with(0.5);
    assert!(!is_loaded(&other));
    assert_ne!(bits(&first), bits(&other));
    let again = compile_with(0.25);
    assert_eq!((is_loaded(&again), bits(&again)), (KEPT, bits(&first)));
}

#[test]
fn damaged_files_are_compiled_anew() {
    if !KEPT {
        return;
    }
    let folder = folder();
    let layer = layer(TEXT);
    let right = bits(&compile(folder.path(), &layer));
    let file = only_file(folder.path());
    let whole = fs::read(&file).expect("readable");
    let aside = self::folder();
    // Written to another file, which takes the name: code that is in use keeps its own.
    let compile_from = |bytes: &[u8]| {
        let new = aside.path().join("new");
        fs::write(&new, bytes).expect("written");
        fs::rename(&new, &file).expect("renamed");
        let compiled = compile(folder.path(), &layer);
        assert_eq!(bits(&compiled), right);
        is_loaded(&compiled)
    };
    // Bytes between the parts hold nothing.
    let step = whole.len() / 150 + 1;
    let flipped = (0..whole.len()).step_by(step).chain(0..24).filter(|&at| {
        let mut damaged = whole.clone();
        damaged[at] ^= 1 << (at % 8);
        compile_from(&damaged)
    });
    assert!(flipped.count() <= 2, "changes were not noticed");
    for len in [0, 1, 19, 20, 200, whole.len() / 2, whole.len() - 1] {
        assert!(!compile_from(&whole[..len]), "{len} bytes");
    }
    // They were replaced by whole ones.
    assert!(is_loaded(&compile(folder.path(), &layer)));
}

#[test]
fn threads_share_a_cache() {
    let folder = folder();
    let layer = layer(TEXT);
    let right = bits(&Compiler::host().compile(&layer).expect("it compiles"));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..5).for_each(|_| assert_eq!(bits(&compile(folder.path(), &layer)), right)));
        }
    });
}

#[test]
fn a_cache_that_cannot_be_written_is_said_and_does_not_matter() {
    let folder = folder();
    let taken = folder.path().join("file");
    fs::write(&taken, "no folder").expect("written");
    let layer = layer(TEXT);
    let compiled = compile(&taken, &layer);
    assert!(matches!(compiled.report().cached, Cached::NotKept(_)), "{:?}", compiled.report().cached);
    assert_eq!(bits(&compiled), bits(&Compiler::host().compile(&layer).expect("it compiles")));
}
