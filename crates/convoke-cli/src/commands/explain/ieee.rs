//! Warnings about NaN and infinities: the chosen algorithms that spread one, and the passes that may move or change one.

use convoke_conv::Selection;
use convoke_passes::registry;

use super::facts::Report;

/// The warning about the algorithm chosen for a convolution.
pub(super) fn algorithm(selection: &Selection) -> Option<String> {
    let propagation = selection.propagation();
    (!propagation.is_ieee())
        .then(|| format!("{} {propagation}; with --ieee it stays where the sum puts it.", selection.chosen.form()))
}

/// The warning about all convolutions of a net.
pub(super) fn algorithms(report: &Report<'_>) -> Option<String> {
    let all = report.explanation.selections();
    let spread = all.iter().filter(|selection| !selection.propagation().is_ieee()).count();
    (spread > 0).then(|| {
        format!(
            "{spread} of {} convolutions may spread a NaN or an infinity; with --ieee it stays where the sum puts it",
            all.len()
        )
    })
}

/// The warning about the passes that changed the layer.
pub(super) fn passes(report: &Report<'_>) -> Option<String> {
    let changed =
        report.explanation.records().iter().filter(|record| record.changed.is_yes()).map(|record| record.pass);
    let mut moves: Vec<&str> = changed.filter(|pass| registry::find(pass).is_ok_and(|entry| !entry.ieee)).collect();
    moves.dedup();
    (!moves.is_empty()).then(|| {
        format!(
            "{} may change which results are NaN or infinite; with --ieee they are those of the layer as given.",
            moves.join(", ")
        )
    })
}
