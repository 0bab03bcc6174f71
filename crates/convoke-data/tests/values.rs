//! Constants as a user of the crate gets them: generators, written numbers, files, and what is refused.

use std::path::Path;

use convoke_data::{DataError, Files, npy, random, random_integers, read_tensor, values};
use convoke_ir::elem::Elem;
use convoke_ir::layer::{Generator, Source};
use convoke_ir::types::{Layout, TensorType};
use convoke_ir::values::Values;

fn ty(elem: Elem, dims: &[usize]) -> TensorType {
    TensorType::new(elem, dims, Layout::Nchw).expect("a type")
}

fn made(generator: Generator, dims: &[usize]) -> Vec<f64> {
    values(&Source::Generate(generator), &ty(Elem::F64, dims), &Files::none()).expect("made").wide()
}

#[test]
fn kernels_are_what_their_documentation_says() {
    assert_eq!(made(Generator::SobelX {}, &[3, 3]), [-1.0, 0.0, 1.0, -2.0, 0.0, 2.0, -1.0, 0.0, 1.0]);
    assert_eq!(made(Generator::SobelY {}, &[3, 3]), [-1.0, -2.0, -1.0, 0.0, 0.0, 0.0, 1.0, 2.0, 1.0]);
    assert_eq!(made(Generator::Box {}, &[2, 1, 2, 4]), [0.125; 16]);
    assert_eq!(made(Generator::Identity {}, &[2, 3]), [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
    assert_eq!(made(Generator::Laplacian {}, &[1, 1, 3, 3]).iter().sum::<f64>(), 0.0);
    let identity = made(Generator::Identity {}, &[2, 2, 3, 3]);
    let ones: Vec<_> = (0..36).filter(|&i| identity[i] == 1.0).collect();
    assert_eq!((ones, identity.iter().sum::<f64>()), (vec![4, 31], 2.0));

    for (sigma, side) in [(1.0, 5), (5.0, 31), (1e-3, 3), (1e-3, 4), (1e-200, 3), (1e200, 3)] {
        let gaussian = made(Generator::Gaussian { sigma }, &[1, 1, side, side]);
        assert!((gaussian.iter().sum::<f64>() - 1.0).abs() < 1e-14, "sigma {sigma}, {side} taps");
        assert_eq!(gaussian[0], gaussian[side * side - 1]);
    }
    let gaussian = made(Generator::Gaussian { sigma: 1.0 }, &[3, 3]);
    assert!((gaussian[1] / gaussian[4] - (-0.5_f64).exp()).abs() < 1e-15);

    // λ = 4 at θ = 0: the cosine is 1, 0, −1 at the distances 0, 1, 2 along a row.
    let gabor = made(Generator::Gabor { sigma: 2.0, theta: 0.0, lambda: 4.0, gamma: 1.0, psi: 0.0 }, &[5, 5]);
    assert!((gabor[12] - 1.0).abs() < 1e-15 && gabor[13].abs() < 1e-15);
    assert!((gabor[14] + (-0.5_f64).exp()).abs() < 1e-15);

    let plate = made(Generator::ZonePlate {}, &[1, 1, 9, 17]);
    assert_eq!(plate[4 * 17 + 8], 1.0);
    assert!(plate.iter().all(|x| (0.0..=1.0).contains(x)));
}

#[test]
fn random_numbers_are_pinned() {
    // Any change here changes every result that was ever reported for a seeded layer.
    let normal = made(Generator::Normal { seed: 7, mean: 0.0, std: 1.0 }, &[4]);
    let uniform = made(Generator::Uniform { seed: 7, low: -1.0, high: 1.0 }, &[4]);
    same_bits(&normal, &NORMAL_SEED_7);
    same_bits(&uniform, &UNIFORM_SEED_7);
    // The shape does not matter, and other seeds give other numbers.
    assert_eq!(made(Generator::Normal { seed: 7, mean: 0.0, std: 1.0 }, &[2, 2]), normal);
    assert_ne!(made(Generator::Normal { seed: 8, mean: 0.0, std: 1.0 }, &[4]), normal);
    let scaled = made(Generator::Normal { seed: 7, mean: 3.0, std: 0.5 }, &[4]);
    assert_eq!(scaled[2], 3.0 + 0.5 * normal[2]);
    let narrow = made(Generator::Uniform { seed: 1, low: 2.0, high: 2.0 }, &[100]);
    assert_eq!(narrow, [2.0; 100]);
}

const NORMAL_SEED_7: [u64; 4] =
    [0xbfa7_f210_d1c0_9aa7, 0x3fdb_4079_4fc3_e082, 0x3fc8_92d8_391c_e885, 0xbff5_6c33_b7a6_0a64];
const UNIFORM_SEED_7: [u64; 4] =
    [0x3fe3_1228_38b4_71de, 0x3f94_78fe_f3ca_f040, 0xbfd4_9767_ef39_ef24, 0xbfa6_2fb6_7580_8760];

fn same_bits(found: &[f64], expected: &[u64]) {
    let bits: Vec<_> = found.iter().map(|x| x.to_bits()).collect();
    assert_eq!(bits, expected, "{bits:#x?}");
}

#[test]
fn numbers_are_rounded_to_the_element_type() {
    let source = Source::Numbers(vec![0.1, f64::NAN, f64::INFINITY, 1e-60]);
    let single = values(&source, &ty(Elem::F32, &[4]), &Files::none()).expect("rounded").wide();
    assert_eq!(single[0], f64::from(0.1_f32));
    assert!(single[1].is_nan() && single[2].is_infinite() && single[3] == 0.0);
    assert_eq!(values(&source, &ty(Elem::F64, &[4]), &Files::none()).expect("kept").wide()[0], 0.1);
    let computed = Values::of(Elem::F32, &[0.5, 2.0]);
    let kept = values(&Source::Computed(computed.clone()), &ty(Elem::F32, &[2]), &Files::none()).expect("kept");
    assert!(std::ptr::eq(kept.bytes(), computed.bytes()), "numbers of the declared type are not copied");
    let narrow = values(&Source::Computed(computed), &ty(Elem::F16, &[2]), &Files::none()).expect("rounded");
    assert_eq!(narrow, Values::of(Elem::F16, &[0.5, 2.0]));
}

#[test]
fn what_cannot_be_filled_says_why() {
    let none = Files::none();
    let message =
        |source: Source, ty: &TensorType, files: &Files| values(&source, ty, files).expect_err("refused").to_string();
    let small = ty(Elem::F32, &[2]);
    assert!(message(Source::Unbound, &small, &none).contains("`unbound`"));
    assert!(message(Source::Numbers(vec![1.0]), &small, &none).contains("2 elements, 1 numbers"));
    assert!(message(Source::Numbers(vec![1.0, 1e300]), &small, &none).contains("1e300 is beyond"));
    assert!(
        message(Source::Computed(Values::of(Elem::F64, &[1.0, 1e300])), &small, &none).contains("number 1 is 1e300")
    );
    assert!(message(Source::Generate(Generator::SobelX {}), &small, &none).contains("3×3"));
    let huge = ty(Elem::F32, &[1 << 20, 1 << 20]);
    assert!(message(Source::Generate(Generator::Zeros {}), &huge, &none).contains("8796093022208 bytes"));
    let file = |path: &str| Source::File { path: path.into(), name: None };
    assert!(message(file("w.npy"), &small, &none).contains("no folder"));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let files = Files::at(folder.path());
    std::fs::write(folder.path().join("w.txt"), "1 2").expect("written");
    assert!(message(file("w.txt"), &small, &files).contains(".npy, .npz or .safetensors"));
    assert!(message(file("w.npy"), &small, &files).contains("cannot read"));
}

#[test]
fn files_and_inputs_are_read() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let files = Files::at(folder.path());
    let small = ty(Elem::F32, &[2, 3]);
    let array = random(&small, 5, &files).expect("made");
    let path = folder.path().join("w.npy");
    npy::write(&path, array.view(), Elem::F32).expect("written");
    let source = Source::File { path: "w.npy".into(), name: None };
    assert_eq!(Some(&values(&source, &small, &files).expect("read").wide()[..]), array.as_slice());
    assert_eq!(read_tensor(&path, None, &small, &files).expect("read").array, array);
    let named = Source::File { path: "w.npy".into(), name: Some("w".into()) };
    assert!(matches!(values(&named, &small, &files), Err(DataError::Format { .. })));
}

#[test]
fn test_inputs_are_exact_in_single_precision() {
    let big = ty(Elem::F32, &[1000]);
    let x = random(&big, 1, &Files::none()).expect("made");
    assert!(x.iter().all(|&x| (-1.0..1.0).contains(&x) && f64::from(x as f32) == x));
    assert!(x.iter().any(|&x| x < -0.9) && x.iter().any(|&x| x > 0.9));
    let k = random_integers(&big, 3, 1, &Files::none()).expect("made");
    for value in -3..=3 {
        assert!(k.iter().any(|&x| x == f64::from(value)), "{value}");
    }
    assert!(k.iter().all(|&x| x.fract() == 0.0 && x.abs() <= 3.0));
}

/// The files were written by NumPy 2.4.6 and ml_dtypes 0.6.0, as were the numbers: `numpy.save(…, x.astype(numpy.float16))`, and
/// `x.astype(ml_dtypes.bfloat16)`, of the numbers given here.
#[test]
fn halves_are_those_of_numpy() {
    let given = [
        1.5,
        -0.0,
        65504.0,
        2f64.powi(-24),
        f64::INFINITY,
        -f64::INFINITY,
        1.0 / 3.0,
        -1e-5,
        7e4,
        2049.0,
        2051.0,
        6e-8,
    ];
    let inf = f64::INFINITY;
    let small = 2f64.powi(-24);
    let f16 =
        [1.5, -0.0, 65504.0, small, inf, -inf, 0.333251953125, -1.0013580322265625e-05, inf, 2048.0, 2052.0, small];
    let bf16 = [
        1.5,
        -0.0,
        65536.0,
        small,
        inf,
        -inf,
        0.333984375,
        -1.0013580322265625e-05,
        70144.0,
        2048.0,
        2048.0,
        6.007030606269836e-08,
    ];
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (elem, expected) in [(Elem::F16, f16), (Elem::Bf16, bf16)] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/{elem}.npy"));
        let ty = ty(elem, &[3, 4]);
        let read = read_tensor(&path, None, &ty, &Files::none()).expect("read").array;
        let bits = |numbers: &[f64]| numbers.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(read.as_slice().expect("dense")), bits(&expected), "{elem}");
        assert_eq!(bits(&given.map(|x| elem.round(x))), bits(&expected), "{elem}");
        let written = folder.path().join("w.npy");
        npy::write(&written, read.view(), elem).expect("written");
        assert_eq!(std::fs::read(&written).expect("there"), std::fs::read(&path).expect("there"), "{elem}");
    }
}
