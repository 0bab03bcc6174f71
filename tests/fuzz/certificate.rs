//! A certificate that was changed does not hold, unless it was sealed anew; one that was is judged without a panic.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use convoke::certificates::{Certificate, Replay, verify};
use convoke::{Compiler, Layer, Machine};

const TEXT: &str = "layer @l(%x: f32[1, 4, 6, 6]) -> f32[1, 4, 6, 6] {
  %w = const f32[4, 4, 3, 3] = normal(seed = 1, std = 0.2)
  %0 = conv2d %x, %w { pads = [1, 1, 1, 1], algorithm = winograd(2x2) }
  return %0
}";

/// The files of a valid certificate.
fn files() -> &'static [(String, Vec<u8>)] {
    static FILES: OnceLock<Vec<(String, Vec<u8>)>> = OnceLock::new();
    FILES.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let layer = Layer::parse(TEXT).expect("a layer");
        let machine = Machine::named("zen4").expect("a machine of this name");
        Compiler::for_machine(machine).certify(&layer, folder.path()).expect("a certificate");
        let entries = fs::read_dir(folder.path()).expect("a folder").map(|entry| entry.expect("an entry").path());
        let name = |path: &Path| path.file_name().expect("a name").to_string_lossy().into_owned();
        entries.map(|path| (name(&path), fs::read(&path).expect("a file"))).collect()
    })
}

/// `certificate.json` as it was written.
pub(super) fn valid() -> Vec<u8> {
    let (_, bytes) = files().iter().find(|(name, _)| name == convoke_verify::NAME).expect("it has one");
    bytes.clone()
}

pub(super) fn run(bytes: &[u8]) -> bool {
    let folder = tempfile::tempdir().expect("a folder");
    files().iter().for_each(|(name, bytes)| fs::write(folder.path().join(name), bytes).expect("written"));
    let holds = |bytes: &[u8]| {
        fs::write(folder.path().join(convoke_verify::NAME), bytes).expect("written");
        verify(folder.path(), Replay { budget: 1 << 26, all: false }, |_| {})
    };
    if holds(bytes).is_ok() {
        assert!(bytes == valid() || is_sealed(bytes), "a changed certificate holds");
    }
    let Ok(certificate) = serde_json::from_slice::<Certificate>(bytes) else { return false };
    if let Err(refused) = holds(certificate.sealed().to_text().as_bytes()) {
        assert!(!refused.to_string().is_empty(), "a refusal without a reason");
    }
    true
}

/// Whether the seal is that of the other bytes: a fuzzer does not find one, but its corpus may hold one.
fn is_sealed(bytes: &[u8]) -> bool {
    let certificate: Option<Certificate> = serde_json::from_slice(bytes).ok();
    certificate.is_some_and(|certificate| certificate.sealed().to_text().as_bytes() == bytes)
}
