//! The explanation of a layer: its candidate algorithms with predicted times and errors, and the IR after each pass, saved to files.
//!
//! `cargo run -p convoke --example explain -- FOLDER`

use std::error::Error;
use std::fs;
use std::path::Path;

use convoke::explain::{Explanation, explain};
use convoke::{Compiler, Generator, Layer};

fn main() -> Result<(), Box<dyn Error>> {
    let explanation = explained()?;
    show(&explanation);
    match std::env::args().nth(1) {
        Some(folder) => save(&explanation, Path::new(&folder)),
        None => Ok(()),
    }
}

/// Prints the candidates of each convolution.
fn show(explanation: &Explanation) {
    for selection in explanation.selections() {
        println!("%{}: {} is chosen", selection.value, selection.chosen);
        for (algorithm, plan) in &selection.candidates {
            match plan {
                Ok(plan) => println!("  {algorithm}: {:.0} cycles, error {:.1e}", plan.cycles(), plan.error_typical),
                Err(refusal) => println!("  {algorithm}: {refusal}"),
            }
        }
    }
}

fn explained() -> Result<Explanation, convoke::Error> {
    let layer = Layer::conv2d([1, 32, 28, 28], [32, 32, 3, 3])
        .pads([1; 4])
        .weights(Generator::Normal { seed: 1, mean: 0.0, std: 0.05 })
        .relu()
        .build()?;
    explain(&Compiler::host(), &layer)
}

/// Writes the IR after each pass that changed it, in order: `01-fuse-epilogue.conv`.
fn save(explanation: &Explanation, folder: &Path) -> Result<(), Box<dyn Error>> {
    let changed = explanation.records().iter().zip(explanation.texts());
    let changed = changed.filter_map(|(record, text)| Some((record.pass, text.as_ref()?)));
    for (i, (pass, text)) in changed.enumerate() {
        fs::write(folder.join(format!("{:02}-{pass}.conv", i + 1)), text)?;
    }
    Ok(())
}

#[cfg(test)]
#[test]
fn the_ir_after_each_pass_is_saved_and_reads_back() -> Result<(), Box<dyn Error>> {
    let explanation = explained()?;
    show(&explanation);
    let folder = tempfile::tempdir()?;
    save(&explanation, folder.path())?;
    let saved = fs::read_to_string(folder.path().join("01-fuse-epilogue.conv"))?;
    assert!(saved.contains("then relu"), "{saved}");
    Layer::parse(&saved)?;
    Ok(())
}
