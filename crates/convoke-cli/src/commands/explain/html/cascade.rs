//! The cost of the layer from pass to pass: a table, each number over a bar of its part of the largest in its column.

use std::fmt::Write;

use super::svg::escaped;
use crate::commands::explain::facts::Report;
use crate::commands::explain::waterfall::{self, Row};
use crate::table::seconds;

/// A column: its heading, the number of a row, and how that is written.
type Column = (&'static str, fn(&Row<'_>) -> Option<f64>, fn(&Row<'_>) -> String);

const COLUMNS: [Column; 4] = [
    ("parameters", |row| Some(row.cost.parameters as f64), |row| row.cost.parameters.to_string()),
    ("multiplications", |row| Some(row.cost.multiplications as f64), |row| row.cost.multiplications.to_string()),
    ("predicted", |row| row.seconds, |row| row.seconds.map_or_else(String::new, seconds)),
    ("measured", |row| row.timing(), |row| row.timing().map_or_else(String::new, seconds)),
];

pub(super) fn draw(report: &Report<'_>) -> String {
    let rows = waterfall::rows(report);
    let shown = if rows.iter().any(|row| row.measured.is_some()) { &COLUMNS[..] } else { &COLUMNS[..3] };
    let headings: String = shown.iter().map(|(heading, ..)| format!("<th>{heading}")).collect();
    let mut text = format!("<div class=\"wide\"><table class=\"cascade\">\n<tr><th>after{headings}</tr>\n");
    for (i, row) in rows.iter().enumerate() {
        let _ = write!(text, "<tr><td>{}", escaped(row.name));
        for (_, number, words) in shown {
            let largest = rows.iter().filter_map(number).fold(f64::MIN_POSITIVE, f64::max);
            let part = number(row).map_or(0.0, |n| 100.0 * n / largest);
            let before = number(&rows[i.saturating_sub(1)]);
            let times = before.zip(number(row)).map_or_else(String::new, |(b, a)| waterfall::times(b, a));
            let _ = write!(
                text,
                "<td><span>{times}</span> {}<div class=\"part\"><i style=\"width:{part:.2}%\"></i></div>",
                escaped(&words(row))
            );
        }
        text += "</tr>\n";
    }
    text += "</table></div>\n<p class=\"key\">Multiplications are those of the sums as written, after select those that the chosen algorithms do; \
             predicted time is that of the fastest algorithms allowed.</p>\n";
    let why =
        rows.iter().filter_map(|row| Some(format!("{} could not be measured: {}", row.name, row.measured?.err()?)));
    let said: String = why
        .chain(waterfall::sentences(report))
        .chain(waterfall::left(report))
        .map(|sentence| format!("<li>{}</li>", escaped(&sentence)))
        .collect();
    if said.is_empty() { text } else { format!("{text}<ul>{said}</ul>\n") }
}
