//! ONNX models; the body is in `tests/fuzz/`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    convoke_tests::fuzz::run("onnx", bytes);
});
