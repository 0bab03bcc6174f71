//! Two texts beside each other, as rows of a table: lines that both have stand in one row, lines that changed too where they are alike, with the words that
//! differ marked; what only one has stands beside a gap. Long lines are wrapped by the page, so that rows stay level.

use std::time::Duration;

use similar::{ChangeTag, DiffOp, DiffTag, TextDiff};

use super::svg::escaped;

/// The time for which two texts are compared; beyond it the marks are coarser.
const LONGEST: Duration = Duration::from_secs(1);
/// Fewer equal lines than this are found in any two texts: a bracket, a blank line.
const FEWEST: usize = 3;
/// The part of two lines that must be the same words for the others to be marked.
const ALIKE: f32 = 0.6;

/// The rows, each of two cells.
pub(super) fn rows(before: &str, after: &str) -> String {
    let diff = TextDiff::configure().timeout(LONGEST).diff_lines(before, after);
    let (old, new) = (diff.old_slices(), diff.new_slices());
    let equal: usize = diff.ops().iter().filter(|op| op.tag() == DiffTag::Equal).map(|op| op.old_range().len()).sum();
    // Marks say nothing where everything changes, as when a layer becomes loops.
    if equal < FEWEST {
        let lines = (0..old.len().max(new.len())).map(|i| row(plain(old.get(i)), plain(new.get(i))));
        return lines.collect();
    }
    diff.ops().iter().map(|op| changed(op, old, new)).collect()
}

fn changed(op: &DiffOp, old: &[&str], new: &[&str]) -> String {
    let (gone, came) = (&old[op.old_range()], &new[op.new_range()]);
    let one = |i: usize| match (gone.get(i), came.get(i)) {
        (Some(gone), Some(_)) if op.tag() == DiffTag::Equal => row(plain(Some(gone)), plain(Some(gone))),
        (Some(gone), Some(came)) => {
            let [gone, came] = words(gone, came);
            row(format!("<td class=\"gone\">{gone}"), format!("<td class=\"came\">{came}"))
        }
        (gone, came) => row(alone("gone", gone), alone("came", came)),
    };
    (0..gone.len().max(came.len())).map(one).collect()
}

fn row(before: String, after: String) -> String {
    format!("<tr>{before}{after}\n")
}

fn plain(line: Option<&&str>) -> String {
    line.map_or_else(|| "<td class=\"gap\">".into(), |line| format!("<td>{}", escaped(line.trim_end_matches('\n'))))
}

/// A line that the other text does not have.
fn alone(class: &str, line: Option<&&str>) -> String {
    line.map_or_else(|| plain(None), |line| format!("<td class=\"{class}\">{}", escaped(line.trim_end_matches('\n'))))
}

/// Two lines with the words that only one of them has in bold, if they are alike.
fn words(gone: &str, came: &str) -> [String; 2] {
    let (gone, came) = (gone.trim_end_matches('\n'), came.trim_end_matches('\n'));
    let diff = TextDiff::from_words(gone, came);
    if diff.ratio() < ALIKE {
        return [escaped(gone), escaped(came)];
    }
    let side = |own: ChangeTag| {
        let parts = diff.iter_all_changes().filter(|change| [ChangeTag::Equal, own].contains(&change.tag()));
        let parts = parts.map(|change| match change.tag() {
            ChangeTag::Equal => escaped(change.value()),
            _ => format!("<b>{}</b>", escaped(change.value())),
        });
        parts.collect::<String>()
    };
    [side(ChangeTag::Delete), side(ChangeTag::Insert)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_lines_stand_beside_each_other_and_text_is_escaped() {
        let (before, after) = ("a\nb <\nc\nd\ne one two three\n", "a\nc\nx > y\nd\ne one 2 three\n");
        let found = rows(before, after);
        let expected = [
            "<tr><td>a<td>a",
            "<tr><td class=\"gone\">b &lt;<td class=\"gap\">",
            "<tr><td>c<td>c",
            "<tr><td class=\"gap\"><td class=\"came\">x &gt; y",
            "<tr><td>d<td>d",
            "<tr><td class=\"gone\">e one <b>two</b> three<td class=\"came\">e one <b>2</b> three",
        ];
        assert_eq!(found.lines().collect::<Vec<_>>(), expected);
        // Nothing in common: no marks.
        assert_eq!(rows("a\nb\n", "c\n"), "<tr><td>a<td>c\n<tr><td>b<td class=\"gap\">\n");
        assert_eq!(rows("", "c\n"), "<tr><td class=\"gap\"><td>c\n");
    }
}
