//! The price of tolerances: each one lets the compiler approximate kernels within it, which saves time and costs accuracy.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use convoke::passes::{Outcome, Record};
use convoke::{CompiledLayer, Compiler, Model, clock};
use ndarray::{Array2, Axis, s};

use crate::data::TestSet;
use crate::{FOLDER, NETS, Score, logits, plot};

/// The tolerances that are tried. At 0 nothing is approximated.
const TOLERANCES: [f64; 10] = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0];

/// Images of a run: 899 = 29 · 31. All batches are full, so that the same code computes all of them.
const BATCH: usize = 31;

/// Rounds in which every net has its turn, and the time of a turn. Of all runs the fastest counts: other work on the machine only adds to it.
const ROUNDS: usize = 20;
const TURN: Duration = Duration::from_millis(50);

/// What a tolerance makes of the net.
pub(crate) struct Row {
    pub(crate) tolerance: f64,
    /// The approximations: value, form and error of each.
    changes: Vec<String>,
    parameters: u128,
    /// Multiplications for an image: of the sums as they are written, and those that the code does.
    written: u128,
    executed: u128,
    /// The fastest run of a whole batch, for each image of it.
    pub(crate) seconds: f64,
    pub(crate) score: Score,
}

/// Prints a table, a row for each tolerance, and draws it.
pub(crate) fn show(plot: Option<&Path>) -> Result<(), Box<dyn Error>> {
    let test = TestSet::read(Path::new(FOLDER))?;
    let nets: Vec<_> = TOLERANCES.iter().map(|&t| Net::compile(t, &test)).collect::<Result<_, _>>()?;
    let mut rows: Vec<_> = nets.iter().map(|net| net.row(&test)).collect::<Result<_, _>>()?;
    for _ in 0..ROUNDS {
        for (net, row) in nets.iter().zip(&mut rows) {
            row.seconds = row.seconds.min(net.seconds(TURN, &test)?);
        }
    }
    println!(
        "| tolerance | parameters | multiplications | executed | µs | right | accuracy | logits off by | approximations |"
    );
    println!("|--:|--:|--:|--:|--:|--:|--:|--:|---|");
    rows.iter().for_each(|row| println!("{row}"));
    if let Some(file) = plot {
        std::fs::write(file, plot::draw(&rows))?;
    }
    Ok(())
}

/// The net within a tolerance.
struct Net {
    tolerance: f64,
    model: Model,
    /// For a whole batch.
    code: Arc<CompiledLayer>,
}

impl Net {
    fn compile(tolerance: f64, test: &TestSet) -> Result<Net, Box<dyn Error>> {
        let model = Model::from_onnx(Path::new(FOLDER).join(NETS[0]))?;
        let model = model.with_compiler(Compiler::host().with_tolerance(tolerance));
        let code = model.compile(&[test.images.slice(s![..BATCH, .., .., ..]).shape()])?;
        Ok(Net { tolerance, model, code })
    }

    fn row(&self, test: &TestSet) -> Result<Row, Box<dyn Error>> {
        let passes = &self.code.report().passes;
        let select = pass(passes, "select").ok_or("no algorithm was chosen")?;
        let approximated = pass(passes, "approximate").into_iter().flat_map(|record| &record.notes);
        let changes = approximated.filter_map(|note| match &note.outcome {
            Outcome::Rewritten(new) => {
                let error = new.deviation.map_or(0.0, |deviation| deviation.frobenius);
                Some(format!("`%{}`: {}; {error:.2}", note.value, new.form))
            }
            Outcome::Skipped(_) => None,
        });
        Ok(Row {
            tolerance: self.tolerance,
            changes: changes.collect(),
            parameters: select.before.parameters,
            written: select.before.multiplications / BATCH as u128,
            executed: passes.last().map_or(0, |last| last.after.multiplications) / BATCH as u128,
            seconds: f64::INFINITY,
            score: Score::of(logits(&self.model, test, BATCH)?.view(), test),
        })
    }

    /// The fastest run within `time`, for each image.
    fn seconds(&self, time: Duration, test: &TestSet) -> Result<f64, convoke::Error> {
        let images = test.images.slice(s![..BATCH, .., .., ..]);
        let mut out = Array2::<f32>::zeros([BATCH, 10]);
        let runs = clock::time(time, || self.code.run_into(&[&images], &mut [&mut out]))?;
        Ok(runs.into_iter().fold(f64::INFINITY, f64::min) / images.len_of(Axis(0)) as f64)
    }
}

/// The last record of a pass.
fn pass<'a>(records: &'a [Record], name: &str) -> Option<&'a Record> {
    records.iter().rev().find(|record| record.pass == name)
}

impl std::fmt::Display for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Row { tolerance, changes, parameters, written, executed, seconds, score } = self;
        let changes = if changes.is_empty() { "–".to_owned() } else { changes.join("<br>") };
        write!(f, "| {tolerance} | {parameters} | {written} | {executed} | {:.2} ", seconds * 1e6)?;
        write!(f, "| {} | {:.1} % | {:.1e} | {changes} |", score.right, score.accuracy(), score.largest)
    }
}

#[cfg(test)]
#[test]
fn a_tolerance_takes_fewer_multiplications_and_a_large_one_costs_accuracy() -> Result<(), Box<dyn Error>> {
    let test = TestSet::read(Path::new(FOLDER))?;
    let row = |tolerance| Net::compile(tolerance, &test)?.row(&test);
    let (exact, some, most) = (row(0.0)?, row(0.5)?, row(1.0)?);
    assert!(exact.changes.is_empty() && exact.score.right == 885, "{exact}");
    assert!(some.written < exact.written && some.score.accuracy() > 97.5, "{some}");
    assert!(most.written < some.written && most.score.accuracy() < 60.0, "{most}");
    Ok(())
}
