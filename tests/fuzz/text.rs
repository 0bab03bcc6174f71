//! A text that is read prints, and reads back as the same; the verifiers say the same of both; the diagnostics of one that is not read can be shown.

use convoke::ir::diagnostic::{self, Diagnostic};
use convoke::ir::text::{Module, parse_and_verify, parse_bytes};
use convoke::ir::{layer, loops};

/// What the verifiers find, in words.
fn complaints(module: &Module) -> Vec<String> {
    let layers = module.layers.iter().filter_map(|layer| layer::verify(layer).err());
    let programs = module.programs.iter().filter_map(|program| loops::verify(program).err());
    layers.chain(programs).flatten().map(|found| format!("{:?}: {}", found.code, found.message)).collect()
}

fn shown(bytes: &[u8], found: &[Diagnostic]) {
    let text = String::from_utf8_lossy(bytes);
    let message = diagnostic::render(found, "fuzz", &text, false);
    assert!(!found.is_empty() && !message.is_empty(), "a refusal without a reason");
}

pub(super) fn run(bytes: &[u8]) -> bool {
    let module = match parse_bytes(bytes) {
        Ok(module) => module,
        Err(found) => {
            shown(bytes, &found);
            return false;
        }
    };
    let text = std::str::from_utf8(bytes).expect("it was read");
    if let Err(found) = parse_and_verify(text) {
        shown(bytes, &found);
    }
    let printed = print(&module);
    let again = match parse_bytes(printed.as_bytes()) {
        Ok(again) => again,
        Err(found) => {
            panic!("what was printed is not read:\n{}", diagnostic::render(&found, "printed", &printed, false))
        }
    };
    assert_eq!(print(&again), printed, "it prints otherwise after it was read back");
    let compact = |module: &Module| module.layers.iter().map(layer::Layer::compact).collect::<Vec<_>>();
    let same = compact(&again) == compact(&module) && again.programs == module.programs;
    // A NaN is equal to none.
    assert!(same || printed.contains("nan"), "another layer or program is read back:\n{printed}");
    assert_eq!(complaints(&again), complaints(&module), "{printed}");
    true
}

fn print(module: &Module) -> String {
    let layers = module.layers.iter().map(ToString::to_string);
    layers.chain(module.programs.iter().map(ToString::to_string)).collect::<Vec<_>>().join("\n")
}
