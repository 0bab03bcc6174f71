//! Two texts as one: the lines of the later, those that are new marked, and those that are gone shown struck.
//!
//! The longest common subsequence of lines, by the table of its lengths, once the common beginning and end are set apart. Texts
//! whose rest is too large for a table are not compared.

use super::svg::escaped;

/// The most cells of the table.
const CELLS: usize = 4_000_000;

/// The lines of `after` as HTML.
pub(super) fn marked(before: &str, after: &str) -> String {
    let (old, new): (Vec<_>, Vec<_>) = (before.lines().collect(), after.lines().collect());
    let start = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let end = old[start..].iter().rev().zip(new[start..].iter().rev()).take_while(|(a, b)| a == b).count();
    let (gone, came) = (&old[start..old.len() - end], &new[start..new.len() - end]);
    let mut text = String::new();
    let mut put = |tag: &str, line: &str| {
        text += &match tag {
            "" => escaped(line) + "\n",
            tag => format!("<{tag}>{}</{tag}>\n", escaped(line)),
        };
    };
    new[..start].iter().for_each(|line| put("", line));
    // Where everything changes, as it does when a layer becomes loops, marks say nothing.
    if gone.len() * came.len() > CELLS || start + end + common(gone, came).len() < 3 {
        came.iter().for_each(|line| put("", line));
    } else {
        let (mut i, mut j) = (0, 0);
        for (a, b) in common(gone, came).into_iter().chain([(gone.len(), came.len())]) {
            gone[i..a].iter().for_each(|line| put("del", line));
            came[j..b].iter().for_each(|line| put("ins", line));
            came[b..].iter().take(1).for_each(|line| put("", line));
            (i, j) = (a + 1, b + 1);
        }
    }
    new[new.len() - end..].iter().for_each(|line| put("", line));
    text
}

/// Places of the lines that both have, in order.
fn common(a: &[&str], b: &[&str]) -> Vec<(usize, usize)> {
    // lengths[i][j]: of the longest common subsequence of what follows i in a and j in b.
    let width = b.len() + 1;
    let mut lengths = vec![0u32; (a.len() + 1) * width];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            lengths[i * width + j] = match a[i] == b[j] {
                true => lengths[(i + 1) * width + j + 1] + 1,
                false => lengths[(i + 1) * width + j].max(lengths[i * width + j + 1]),
            };
        }
    }
    let (mut i, mut j, mut pairs) = (0, 0, Vec::new());
    while i < a.len() && j < b.len() {
        if a[i] == b[j] {
            pairs.push((i, j));
            (i, j) = (i + 1, j + 1);
        } else if lengths[(i + 1) * width + j] >= lengths[i * width + j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_lines_are_marked_and_text_is_escaped() {
        let before = "a\nb <\nc\nd\ne\n";
        let after = "a\nc\nx > y\nd\ne\n";
        assert_eq!(marked(before, after), "a\n<del>b &lt;</del>\nc\n<ins>x &gt; y</ins>\nd\ne\n");
        assert_eq!(marked(before, before), "a\nb &lt;\nc\nd\ne\n");
        // Nothing in common: no marks.
        assert_eq!(marked("a\nb\n", "c\nd\n"), "c\nd\n");
        assert_eq!(marked("", "c\n"), "c\n");
    }
}
