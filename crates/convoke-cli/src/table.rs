//! Tables as text: columns aligned, two spaces between them, no lines drawn, so that they can be cut and sorted.

use comfy_table::{CellAlignment, ContentArrangement, Table as Grid, presets};

/// A table being filled.
pub(crate) struct Table {
    grid: Grid,
    align: String,
}

impl Table {
    /// A table with these headings. `align` has a letter for each column: `l` for words, `r` for numbers.
    pub(crate) fn new(headings: &[&str], align: impl Into<String>) -> Table {
        let mut grid = Grid::new();
        grid.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled).set_header(headings);
        Table { grid, align: align.into() }
    }

    /// Adds a row of as many cells as there are headings.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.grid.add_row(cells);
    }

    /// The text, a line for each row, without spaces at line ends.
    pub(crate) fn finish(mut self) -> String {
        for ((i, column), align) in self.grid.column_iter_mut().enumerate().zip(self.align.chars()) {
            // No border stands left of the first column, and two spaces between the others.
            column.set_padding((if i == 0 { 0 } else { 2 }, 0));
            column.set_cell_alignment(if align == 'l' { CellAlignment::Left } else { CellAlignment::Right });
        }
        self.grid.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
    }
}

/// A number of bytes as people read it.
pub(crate) fn bytes(n: u64) -> String {
    let n = n as f64;
    match n {
        n if n < 1024.0 => format!("{n} B"),
        n if n < 1048576.0 => format!("{:.1} KiB", n / 1024.0),
        n if n < 1073741824.0 => format!("{:.1} MiB", n / 1048576.0),
        n => format!("{:.1} GiB", n / 1073741824.0),
    }
}

/// A count as people read it: `1.85 G`.
pub(crate) fn count(n: f64) -> String {
    match n {
        n if n < 1e3 => format!("{n:.0}"),
        n if n < 1e6 => format!("{:.2} k", n / 1e3),
        n if n < 1e9 => format!("{:.2} M", n / 1e6),
        n if n < 1e12 => format!("{:.2} G", n / 1e9),
        n => format!("{:.2} T", n / 1e12),
    }
}

/// A time as people read it.
pub(crate) fn seconds(s: f64) -> String {
    match s {
        s if s < 1e-3 => format!("{:.1} µs", s * 1e6),
        s if s < 1.0 => format!("{:.2} ms", s * 1e3),
        s => format!("{s:.2} s"),
    }
}

/// A number of threads in words.
pub(crate) fn threads(n: usize) -> String {
    if n == 1 { "1 thread".into() } else { format!("{n} threads") }
}

/// A bar of at most `cells` cells for a part of the longest.
pub(crate) fn bar(part: f64, cells: usize) -> String {
    "█".repeat((part * cells as f64).round() as usize)
}
