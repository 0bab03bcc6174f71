//! A calibration gives a description that is read back and compiles; its numbers are those of some CPU.

use std::time::Duration;

use convoke::calibrate::calibrate;
use convoke::{Compiler, Generator, Layer, Machine};

#[test]
fn a_calibrated_machine_is_read_back_and_compiles() {
    let base = Machine::host();
    let mut parts = Vec::new();
    let calibration = calibrate(&base, Duration::ZERO, |part| parts.push(part)).expect("the host can be measured");
    assert!(parts.windows(2).all(|pair| pair[0] <= pair[1]) && parts.last() == Some(&1.0), "{parts:?}");

    let machine = calibration.machine;
    assert_eq!(Machine::from_toml(&machine.to_toml()).as_ref(), Ok(&machine), "{}", machine.to_toml());
    // Nothing that decides which code is generated is measured.
    let shape = |m: &Machine| (m.features.clone(), m.vector_bits, m.caches.iter().map(|c| c.bytes).collect::<Vec<_>>());
    assert_eq!(shape(&machine), shape(&base));
    assert!((0.05..20.0).contains(&machine.ghz), "{} GHz", machine.ghz);
    assert!((1.0..20.0).contains(&machine.fma_latency), "{} cycles", machine.fma_latency);
    for figure in &calibration.figures {
        assert!(figure.value > 0.0 && figure.value < 1e5, "{figure:?}");
    }

    let weights = Generator::Normal { seed: 1, mean: 0.0, std: 0.1 };
    let layer = Layer::conv2d([1, 8, 12, 12], [8, 8, 3, 3]).pads([1; 4]).weights(weights).build().expect("a layer");
    let compiled = Compiler::for_machine(machine).compile(&layer).expect("it compiles");
    let x = ndarray::Array4::<f32>::ones([1, 8, 12, 12]);
    assert_eq!(compiled.run::<f32>(&[&x]).expect("it runs")[0].shape(), [1, 8, 12, 12]);
}

#[test]
fn a_machine_of_another_architecture_cannot_be_measured() {
    let other = if cfg!(target_arch = "aarch64") { "x86-64" } else { "aarch64" };
    let other = Machine::named(other).expect("listed");
    let error = calibrate(&other, Duration::ZERO, |_| {}).expect_err("it cannot run here").to_string();
    assert!(error.contains("name a machine of this architecture"), "{error}");
}

#[test]
fn the_command_writes_a_description_that_other_commands_read() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let at = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let file = at("host.toml");
    let args = ["convoke", "machine", "--calibrate", "--seconds", "0", "-o", file.as_str()];
    let result = convoke_cli::capture(&args, b"");
    assert_eq!((result.status, result.stderr.as_str()), (0, ""));
    assert!(result.stdout.lines().any(|l| l.starts_with("clock") && l.ends_with("GHz")), "{}", result.stdout);

    let layer = "layer @l(%x: f32[1, 2, 8, 8]) -> f32[1, 2, 6, 6] {
      %w = const f32[2, 2, 3, 3] = normal(seed = 1, std = 0.5)
      %y = conv2d %x, %w
      return %y
    }";
    let result = convoke_cli::capture(&["convoke", "explain", "-", "--machine", file.as_str()], layer.as_bytes());
    assert_eq!((result.status, result.stderr.as_str()), (0, ""));

    // Without a file the description is all that is printed.
    let result = convoke_cli::capture(&["convoke", "machine", "--calibrate", "--seconds", "0"], b"");
    assert!(Machine::from_toml(&result.stdout).is_ok(), "{}", result.stdout);
}
