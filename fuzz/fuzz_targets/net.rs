//! Random nets through random options; the body is in `tests/fuzz/`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    convoke_tests::fuzz::run("net", bytes);
});
