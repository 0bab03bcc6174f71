//! Rows of cells as aligned text, or as a table in Markdown.

/// How a table is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// Two spaces between columns, nothing drawn.
    Text,
    Markdown,
}

/// A table being filled.
pub(crate) struct Grid {
    rows: Vec<Vec<String>>,
    align: String,
}

impl Grid {
    /// `align` has a letter for each heading: `l` for words, `r` for numbers.
    pub(crate) fn new<T: AsRef<str>>(headings: &[T], align: impl Into<String>) -> Grid {
        Grid { rows: vec![headings.iter().map(|h| h.as_ref().to_owned()).collect()], align: align.into() }
    }

    /// Adds a row of as many cells as there are headings.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    pub(crate) fn finish(self, style: Style) -> String {
        let left: Vec<bool> = self.align.chars().map(|c| c == 'l').collect();
        let width =
            |at: usize| self.rows.iter().filter_map(|r| r.get(at)).map(|c| c.chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..left.len()).map(width).collect();
        let line = |row: &Vec<String>| {
            let cells = row.iter().zip(&widths).zip(&left);
            let cells: Vec<_> = cells
                .map(|((cell, &width), left)| if *left { format!("{cell:<width$}") } else { format!("{cell:>width$}") })
                .collect();
            match style {
                Style::Text => cells.join("  ").trim_end().to_owned(),
                Style::Markdown => format!("| {} |", cells.join(" | ")),
            }
        };
        let mut lines: Vec<String> = self.rows.iter().map(line).collect();
        if style == Style::Markdown {
            let rule: Vec<_> = left.iter().map(|left| if *left { "---" } else { "--:" }).collect();
            lines.insert(1, format!("|{}|", rule.join("|")));
        }
        lines.join("\n") + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_to_the_left_numbers_to_the_right() {
        let grid = || {
            let mut grid = Grid::new(&["layer", "ms"], "lr");
            grid.row(["a".into(), "10.5".into()]);
            grid
        };
        assert_eq!(grid().finish(Style::Text), "layer    ms\na      10.5\n");
        assert_eq!(grid().finish(Style::Markdown), "| layer |   ms |\n|---|--:|\n| a     | 10.5 |\n");
    }
}
