//! A model that is imported is a verified layer, whose text reads back; a tensor that is read has as many numbers as its shape says.

use std::fs;

use convoke::onnx::{Data, Options};
use convoke::{Files, Layer, Module};
use convoke_onnx::Model;

/// The most bytes that a model may take: a small file must not ask for more.
const BUDGET: u64 = 1 << 24;

pub(super) fn model(bytes: &[u8]) -> bool {
    let files = Files::none().with_budget(BUDGET);
    let Ok(model) = Model::from_bytes("fuzz", bytes.to_vec(), files.clone()) else { return false };
    let mut options = Options::default();
    let Ok(declared) = model.inputs() else { return false };
    // Sizes that are left open.
    for name in ["N", "batch", "batch_size", "H", "W", "height", "width"] {
        options = options.with_dim(name, 2);
    }
    let imported = [model.import(&Options::default()), model.import(&options)];
    let mut any = false;
    for imported in imported.into_iter().flatten() {
        any = true;
        let text = imported.layer.to_string();
        let layer = Layer::from_ir(imported.layer, files.clone())
            .unwrap_or_else(|error| panic!("{}\n{text}", error.render(false)));
        assert!(layer.inputs().len() <= declared.len(), "more inputs than the model declares\n{text}");
        // Numbers that were computed have no text.
        if text.len() < 1 << 16 && !text.contains("computed(") {
            let module = Module::from_bytes("printed", text.as_bytes(), files.clone());
            // Import knows no limits of layers; the text is held to them, as compiling is.
            if let Err(error) = module
                && error.exceeded().is_none()
            {
                panic!("{}\n{text}", error.render(false));
            }
        }
    }
    any
}

pub(super) fn tensor(bytes: &[u8]) -> bool {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x.pb");
    fs::write(&path, bytes).expect("written");
    let Ok(data) = Data::read(&path, BUDGET) else { return false };
    let (count, numbers) = (data.dims().iter().product::<usize>(), data.numbers());
    assert_eq!(numbers.len(), count, "{:?}", data.dims());
    true
}
