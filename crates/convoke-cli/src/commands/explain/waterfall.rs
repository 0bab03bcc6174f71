//! The cost of the layer from pass to pass, and the places where multiplications and time disagree.

use convoke::explain::{Cost, LayerStage, Timing};
use convoke_passes::plan::Select;
use convoke_passes::{LayerPass, Note, Outcome, Record, SkipReason};

use super::facts::Report;
use super::ieee;

/// Ratios this close to 1 are no change.
const EQUAL: f64 = 0.02;
/// The factor by which one ratio must be less than another to be worth telling.
const APART: f64 = 1.5;

/// The layer as given, or after a pass.
pub(super) struct Row<'a> {
    /// `as given`, or the pass.
    pub(super) name: &'static str,
    pub(super) cost: &'a Cost,
    /// Predicted on one core.
    pub(super) seconds: Option<f64>,
    /// Its time, or why it has none; `None` where nothing was measured.
    pub(super) measured: Option<Result<&'a Timing, &'a str>>,
    /// The notes of the pass on single values, except those that [`sentences`] tells.
    pub(super) said: Vec<String>,
}

impl Row<'_> {
    /// Measured seconds.
    pub(super) fn timing(&self) -> Option<f64> {
        Some(self.measured?.ok()?.seconds)
    }
}

/// A row for each stage, in order.
pub(super) fn rows<'a>(report: &'a Report<'_>) -> Vec<Row<'a>> {
    let one = |(i, stage): (usize, &'a LayerStage)| {
        let measured = report.stages_measured.and_then(|all| all.get(i)).filter(|_| !report.no_times);
        let notes = record(report, stage.pass).into_iter().flat_map(|record| &record.notes);
        let notes = notes.filter(|note| is_rewritten(note) || of_note("", note).is_none());
        Row {
            name: stage.pass.unwrap_or("as given"),
            cost: &stage.cost,
            seconds: stage.cost.cycles.map(|cycles| report.in_seconds(cycles)),
            measured: measured.map(|time| time.as_ref().map_err(String::as_str)),
            said: notes.map(Note::with_prediction).collect(),
        }
    };
    report.explanation.stages().iter().enumerate().map(one).collect()
}

fn is_rewritten(note: &Note) -> bool {
    matches!(note.outcome, Outcome::Rewritten(_))
}

/// The notes of passes that changed nothing, with their reasons, except those that [`sentences`] tells.
pub(super) fn left(report: &Report<'_>) -> Vec<String> {
    let mut told = Vec::new();
    for record in report.explanation.records().iter().filter(|record| !record.changed.is_yes()) {
        let others = record.notes.iter().filter(|note| of_note(record.pass, note).is_none());
        told.extend(others.map(|note| format!("{} {note}", record.pass)));
    }
    told
}

fn record<'a>(report: &'a Report<'_>, pass: Option<&str>) -> Option<&'a Record> {
    report.explanation.records().iter().find(|record| Some(record.pass) == pass)
}

/// Sentences on stages where multiplications mislead, or where the clock contradicts the prediction.
pub(super) fn sentences(report: &Report<'_>) -> Vec<String> {
    let mut said = Vec::new();
    for record in report.explanation.records() {
        said.extend(record.notes.iter().filter_map(|note| of_note(record.pass, note)));
    }
    let rows = rows(report);
    for (before, after) in rows.iter().zip(rows.iter().skip(1)) {
        let predicted = before.seconds.zip(after.seconds).map(|(before, after)| after / before);
        let notes = record(report, Some(after.name)).is_some_and(|record| !record.notes.is_empty());
        if let (Some(time), false, true) = (predicted, notes, after.name != Select::NAME) {
            let [b, a] = [before, after].map(|row| row.cost.multiplications);
            let fewer = if a == b { 1.0 } else { a as f64 / b as f64 };
            said.extend(done(after.name, fewer, time));
        }
        let measured = before.timing().zip(after.timing()).map(|(before, after)| after / before);
        if let (Some(predicted), Some(measured)) = (predicted, measured) {
            said.extend(contradicted(after.name, predicted, measured));
        }
    }
    said.extend(ieee::passes(report));
    said
}

/// The sentences on a value.
fn of_note(pass: &str, note: &Note) -> Option<String> {
    let what = format!("{pass} %{}", note.value);
    match &note.outcome {
        Outcome::Rewritten(new) => {
            let fewer = new.after.multiplications as f64 / new.before.multiplications as f64;
            done(&what, fewer, new.after.cycles / new.before.cycles)
        }
        Outcome::Skipped(SkipReason::Slower { form, cycles, multiplications }) => {
            left_alone(&format!("{what}: {form}"), *multiplications, *cycles)
        }
        Outcome::Skipped(_) => None,
    }
}

/// The change of both by a rewriting that was done, if they differ.
fn done(what: &str, multiplications: f64, time: f64) -> Option<String> {
    let (m, t) = (ratio(multiplications), ratio(time));
    match (side(multiplications), side(time)) {
        (-1, 1) => Some(format!(
            "{what}: multiplications and predicted time disagree: {m} times the one, {t} times the other; it was asked for all the same."
        )),
        (1, -1) => Some(format!(
            "{what}: multiplications and predicted time disagree: {m} times the one, {t} times the other; time decides."
        )),
        (-1, _) if time > APART * multiplications => {
            Some(format!("{what}: multiplications fall to {m} times, predicted time only to {t} times."))
        }
        (_, -1) if multiplications > APART * time => {
            Some(format!("{what}: predicted time falls to {t} times, multiplications only to {m} times."))
        }
        _ => None,
    }
}

/// The same of one that was not done.
fn left_alone(what: &str, multiplications: f64, time: f64) -> Option<String> {
    let disagree = side(multiplications) < 0 && time >= 1.0;
    disagree.then(|| {
        let (m, t) = (ratio(multiplications), ratio(time));
        format!(
            "{what} is left: multiplications and predicted time disagree: {m} times the one, {t} times the other; time decides, unless always=true."
        )
    })
}

fn contradicted(what: &str, predicted: f64, measured: f64) -> Option<String> {
    let contradicts = side(predicted) * side(measured) < 0;
    contradicts.then(|| {
        format!(
            "{what}: measured, the layer takes {} times as long; {} was predicted.",
            ratio(measured),
            ratio(predicted)
        )
    })
}

/// Whether a ratio is less than 1, about 1, or more.
fn side(ratio: f64) -> i32 {
    match ratio {
        r if r < 1.0 - EQUAL => -1,
        r if r > 1.0 + EQUAL => 1,
        _ => 0,
    }
}

/// A ratio as people read it.
fn ratio(ratio: f64) -> String {
    format!("{ratio:.2}")
}

/// The ratio of a number to the one before it, if they differ: `0.06×`.
pub(super) fn times(before: f64, after: f64) -> String {
    let same = before == after || !(after / before).is_finite();
    if same { String::new() } else { format!("{:.2}×", after / before) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multiplications_and_time_are_compared() {
        assert_eq!(done("p %y", 0.5, 0.6), None);
        assert_eq!(done("p %y", 1.0, 1.0), None);
        let said = done("p %y", 0.07, 0.22).expect("far apart");
        assert_eq!(said, "p %y: multiplications fall to 0.07 times, predicted time only to 0.22 times.");
        let said = done("p %y", 2.0, 0.5).expect("opposite");
        assert!(said.ends_with("disagree: 2.00 times the one, 0.50 times the other; time decides."), "{said}");
        assert!(done("p %y", 0.5, 2.0).expect("opposite").ends_with("it was asked for all the same."));
        assert!(left_alone("p %y", 0.5, 1.2).expect("opposite").contains("is left"));
        assert_eq!(left_alone("p %y", 1.5, 1.2), None);
        assert_eq!(contradicted("p", 0.5, 0.9), None);
        assert!(contradicted("p", 0.5, 1.1).expect("opposite").contains("1.10 times as long; 0.50"));
        assert_eq!([times(100.0, 6.0), times(3.0, 3.0), times(0.0, 3.0)], ["0.06×", "", ""]);
    }
}
