//! ONNX models whose tensors are in files beside them: the files are inputs, which no output may overwrite.

use std::fs;

use super::{convoke, folder, text};

/// A field of a message: bytes with their length.
fn bytes(number: u8, content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len()).ok().filter(|length| *length < 128).expect("a short message");
    [&[number << 3 | 2, length], content].concat()
}

/// A field of a message: a small number.
fn number(field: u8, value: u8) -> Vec<u8> {
    vec![field << 3, value]
}

/// `y = x + w` of four numbers, with `w` in a file.
fn model(file: &str) -> Vec<u8> {
    let entry = |key: &str, value: &str| bytes(13, &[bytes(1, key.as_bytes()), bytes(2, value.as_bytes())].concat());
    let weights = [number(1, 4), number(2, 1), bytes(8, b"w"), entry("location", file), number(14, 1)].concat();
    let port = |name: &str| {
        let shape = bytes(2, &bytes(1, &number(1, 4)));
        let tensor = bytes(1, &[number(1, 1), shape].concat());
        [bytes(1, name.as_bytes()), bytes(2, &tensor)].concat()
    };
    let node = [bytes(1, b"x"), bytes(1, b"w"), bytes(2, b"y"), bytes(4, b"Add")].concat();
    let graph = [bytes(1, &node), bytes(2, b"g"), bytes(5, &weights), bytes(11, &port("x")), bytes(12, &port("y"))];
    [number(1, 8), bytes(7, &graph.concat()), bytes(8, &number(2, 17))].concat()
}

#[test]
fn files_of_external_data_are_inputs() {
    let folder = folder();
    let at = |name: &str| text(&folder.path().join(name));
    let numbers: Vec<u8> = [1.0_f32, 2.0, 3.0, 4.0].iter().flat_map(|number| number.to_le_bytes()).collect();
    fs::write(at("add.onnx"), model("add.data")).expect("written");
    fs::write(at("add.data"), &numbers).expect("written");
    let result = convoke(&["compile", &at("add.onnx"), "-o", &at("add.o"), "--weights", &at("add.weights")]);
    assert_eq!(result.status, 0, "{}", result.stderr);
    assert!(fs::read(at("add.weights")).expect("written").ends_with(&numbers));
    for args in [&["-o", &at("add.data")][..], &["-o", &at("add.o"), "--weights", &at("add.data")]] {
        let result = convoke(&[&["compile", &at("add.onnx")], args].concat());
        assert!(result.status == 1 && result.stderr.contains("which would be lost"), "{}", result.stderr);
    }
    assert_eq!(fs::read(at("add.data")).expect("still there"), numbers);
}
