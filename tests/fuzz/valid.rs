//! Valid files of every kind: those of the tree that are small, and some that are written here.

use std::fs;
use std::path::{Path, PathBuf};

use convoke::{Elem, Layout, Machine, TensorType};
use convoke_data as data;
use ndarray::{ArrayD, IxDyn};

use super::certificate;

/// The most bytes of a file: changes of a longer one hardly meet what matters.
const MOST: usize = 6000;

/// The small files with one of these endings below a folder of the tree.
fn below(folder: &str, endings: &[&str]) -> Vec<Vec<u8>> {
    let (mut found, mut todo) = (Vec::new(), vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder)]);
    while let Some(path) = todo.pop() {
        if path.is_dir() {
            let mut entries: Vec<PathBuf> =
                fs::read_dir(&path).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
            entries.sort();
            todo.extend(entries);
        } else if path.extension().is_some_and(|ending| endings.iter().any(|known| ending == *known)) {
            found.push(fs::read(&path).expect("a file of the tree"));
        }
    }
    found.retain(|bytes: &Vec<u8>| bytes.len() <= MOST);
    assert!(!found.is_empty(), "no file of {folder} ends in {endings:?}");
    found
}

/// Layers and programs.
pub(super) fn texts() -> Vec<Vec<u8>> {
    [below("ir-examples", &["conv"]), below("tests/text", &["conv"]), programs()].concat()
}

/// Programs.
pub(super) fn programs() -> Vec<Vec<u8>> {
    let mut found = [below("tests/text", &["conv"]), below("crates/convoke-ir/tests", &["conv"])].concat();
    found.retain(|bytes| bytes.windows(8).any(|word| word == b"program "));
    found
}

/// Lists of passes.
pub(super) fn passes() -> Vec<Vec<u8>> {
    let lists = [
        "fold-pad,select(algorithm=im2col(explicit))",
        "factor-separable(rank=2, always=true), bands(rows = 8)",
        "bottleneck(ranks=[4, 8], form=cp),compose",
        "normalise , cse , drop-dead",
    ];
    lists.map(|list| list.as_bytes().to_vec()).to_vec()
}

/// ONNX models.
pub(super) fn models() -> Vec<Vec<u8>> {
    below("tests/onnx", &["onnx"])
}

/// Tensors of ONNX.
pub(super) fn tensors() -> Vec<Vec<u8>> {
    below("tests/onnx/cases", &["pb"])
}

/// What a writer of files writes.
fn written(ending: &str, write: impl FnOnce(&Path)) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(format!("x.{ending}"));
    write(&path);
    fs::read(&path).expect("it was written")
}

fn array(dims: &[usize]) -> ArrayD<f64> {
    ArrayD::from_shape_fn(IxDyn(dims), |index| (0..dims.len()).map(|axis| index[axis]).sum::<usize>() as f64 / 8.0)
}

/// Arrays of numpy.
pub(super) fn npy() -> Vec<Vec<u8>> {
    let of = |&elem: &Elem| {
        let one =
            |dims: &[usize]| written("npy", |path| data::npy::write(path, array(dims).view(), elem).expect("npy"));
        [one(&[2, 3]), one(&[1, 3, 4, 5])]
    };
    let mut all: Vec<_> = Elem::ALL.iter().flat_map(of).collect();
    for (descr, bytes) in [("|b1", 1), ("<i8", 8), (">u2", 2), (">f4", 4)] {
        let mut header = format!("{{'descr': '{descr}', 'fortran_order': True, 'shape': (2, 3), }}");
        header += &" ".repeat(117 - header.len());
        header.push('\n');
        let mut file = b"\x93NUMPY\x01\0v\0".to_vec();
        file.extend(header.bytes());
        file.extend((0..6 * bytes).map(|i| (i % 2) as u8));
        all.push(file);
    }
    all
}

/// Archives of arrays of numpy.
pub(super) fn npz() -> Vec<Vec<u8>> {
    let (x, y) = (array(&[2, 3]), array(&[1, 3, 4, 5]));
    let file = |arrays: &[(&str, &ArrayD<f64>)]| {
        let arrays: Vec<_> = arrays.iter().map(|(name, array)| (*name, array.view())).collect();
        written("npz", |path| data::npz::write(path, &arrays, Elem::F32).expect("npz"))
    };
    vec![file(&[("x", &x)]), file(&[("x", &x), ("y", &y)])]
}

/// Files of the format safetensors.
pub(super) fn safetensors() -> Vec<Vec<u8>> {
    let (x, y) = (array(&[2, 3]), array(&[1, 3, 4, 5]));
    let file = |arrays: &[(&str, &ArrayD<f64>)], elem: Elem| {
        let arrays: Vec<_> = arrays.iter().map(|(name, array)| (*name, array.view())).collect();
        written("safetensors", |path| data::safetensors::write(path, &arrays, elem).expect("safetensors"))
    };
    vec![file(&[("x", &x)], Elem::F32), file(&[("x", &x), ("y", &y)], Elem::F16)]
}

/// Images of one, three and four channels.
pub(super) fn png() -> Vec<Vec<u8>> {
    let image = |channels: usize| {
        let ty = TensorType::new(Elem::F32, [1, channels, 4, 5], Layout::Nchw).expect("a type");
        let write = |path: &Path| drop(data::image::write(path, &ty, &array(&[1, channels, 4, 5])).expect("png"));
        written("png", write)
    };
    vec![image(1), image(3), image(4)]
}

/// Descriptions of all machines that have a name.
pub(super) fn machines() -> Vec<Vec<u8>> {
    let named = Machine::NAMES.iter().filter(|name| **name != "host");
    named.map(|name| Machine::named(name).expect("listed").to_toml().into_bytes()).collect()
}

/// Algorithms by their matrices.
pub(super) fn algorithms() -> Vec<Vec<u8>> {
    below("algorithms", &["toml"])
}

/// The certificate of a small layer.
pub(super) fn certificates() -> Vec<Vec<u8>> {
    vec![certificate::valid()]
}
