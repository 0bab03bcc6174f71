//! Readers of arrays and images give an array of the type that was asked for, or an error; they take no memory that the file does not have.

use std::fs;
use std::path::Path;

use convoke::{Elem, Files, Layout, TensorType};
use convoke_data as data;

/// The most bytes that a reader may take.
const BUDGET: u64 = 1 << 20;

/// Types that valid files have, and others.
fn types() -> impl Iterator<Item = TensorType> {
    let shapes: [(&[usize], Layout); 5] = [
        (&[2, 3], Layout::Nchw),
        (&[1, 3, 4, 5], Layout::Nchw),
        (&[1, 4, 5, 3], Layout::Nhwc),
        (&[1, 1, 4, 5], Layout::Nchw),
        (&[1, 4, 4, 5], Layout::Nchw),
    ];
    let elems = [Elem::F32, Elem::F16];
    let ty = |elem, (dims, layout): (&[usize], Layout)| TensorType::new(elem, dims, layout).expect("a type");
    elems.into_iter().flat_map(move |elem| shapes.map(|shape| ty(elem, shape)))
}

fn read(ending: &str, bytes: &[u8]) -> bool {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(format!("x.{ending}"));
    fs::write(&path, bytes).expect("written");
    let files = Files::at(folder.path()).with_budget(BUDGET);
    let mut names = vec![None];
    if let Ok(known) = data::array_names(&path, &files) {
        names.extend(known.into_iter().take(3).map(Some));
    }
    let mut any = false;
    for ty in types() {
        for name in &names {
            any |= one(&path, name.as_deref(), &ty, &files);
        }
    }
    let _ = data::image::step(&path);
    let _ = data::image::size(&path);
    any
}

fn one(path: &Path, name: Option<&str>, ty: &TensorType, files: &Files) -> bool {
    match data::read_tensor(path, name, ty, files) {
        Ok(tensor) => assert_eq!(tensor.array.shape(), ty.shape.dims(), "{ty}"),
        Err(error) => {
            assert!(!error.to_string().is_empty(), "a refusal without a reason");
            return false;
        }
    }
    true
}

pub(super) fn npy(bytes: &[u8]) -> bool {
    read("npy", bytes)
}

pub(super) fn npz(bytes: &[u8]) -> bool {
    read("npz", bytes)
}

pub(super) fn safetensors(bytes: &[u8]) -> bool {
    read("safetensors", bytes)
}

pub(super) fn png(bytes: &[u8]) -> bool {
    read("png", bytes)
}
