//! Error against time: what each algorithm costs, and what it rounds.
//!
//! A mark stands at the error to expect; a whisker rises to the certified bound. The limit is a line, held against the one or the other.
//! The steps join the algorithms that no other beats in both time and error.

use super::labels::Box;
use super::roofline::{axes, name};
use super::svg::{Axis, Svg};
use crate::commands::explain::facts::{Row, Standing, View, error};
use crate::table::seconds;

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 420.0;
const FRAME: Box = Box { left: 56.0, top: 12.0, right: WIDTH - 12.0, bottom: HEIGHT - 40.0 };

pub(super) fn draw(view: &View<'_>) -> String {
    let (budget, rows) = (&view.selection.budget, &view.rows);
    let milliseconds = |row: &Row<'_>| row.best_known() * 1e3;
    let x = Axis::over(rows.iter().map(milliseconds), 4.0, FRAME.left, FRAME.right);
    let errors = rows.iter().flat_map(|row| [row.plan.error_typical, row.plan.error_bound]).chain([budget.limit]);
    let y = Axis::over(errors, 100.0, FRAME.bottom, FRAME.top);

    let mut svg = Svg::new(WIDTH, HEIGHT, "Rounding error against time, by algorithm");
    let time = if view.measured { "measured time, ms (predicted where not measured)" } else { "predicted time, ms" };
    axes(&mut svg, &x, &y, FRAME, [time, "rounding error, relative"]);

    let mut lines = Vec::new();
    if budget.limit > 0.0 && budget.limit.is_finite() {
        let limit = y.at(budget.limit);
        svg.rect("beyond", [FRAME.left, FRAME.top, FRAME.right - FRAME.left, limit - FRAME.top], "");
        svg.line("limit", &[(FRAME.left, limit), (FRAME.right, limit)]);
        let what = if budget.certified { "bound allowed" } else { "error allowed" };
        let label = format!("{what}: {}", error(budget.limit));
        svg.text("limit-name", (FRAME.right - 5.0, limit - 5.0), "end", 0.0, &label);
        let width = label.len() as f64 * 6.2;
        lines.push(Box { left: FRAME.right - width, top: limit - 16.0, right: FRAME.right, bottom: limit + 2.0 });
        lines.push(Box { left: FRAME.left, top: limit - 2.0, right: FRAME.right, bottom: limit + 2.0 });
    }
    let at = |row: &Row<'_>| (x.at(milliseconds(row)), y.at(row.plan.error_typical));
    svg.line("front", &front(rows, at));
    for row in rows {
        let ((mx, my), top) = (at(row), y.at(row.plan.error_bound));
        svg.line("whisker", &[(mx, my), (mx, top)]);
        svg.line("whisker", &[(mx - 4.0, top), (mx + 4.0, top)]);
        lines.push(Box { left: mx - 2.0, top, right: mx + 2.0, bottom: my });
    }
    let marks: Vec<_> = rows.iter().map(|row| (at(row), row.algorithm.to_string())).collect();
    for (row, (at, _)) in rows.iter().zip(&marks).rev() {
        let chosen = row.standing == Standing::Chosen;
        svg.mark(row.algorithm, *at, chosen, row.standing == Standing::Over, &told(row));
    }
    name(&mut svg, &marks, &lines, FRAME);
    svg.finish()
}

fn told(row: &Row<'_>) -> String {
    let measured = if row.timing().is_some() { "measured" } else { "predicted" };
    let (typical, bound) = (error(row.plan.error_typical), error(row.plan.error_bound));
    format!("{}: {} {measured}; error to expect {typical}, bound {bound}", row.algorithm, seconds(row.best_known()))
}

/// Steps through the candidates that no other beats in both, from the fastest to the most exact.
fn front(rows: &[Row<'_>], at: impl Fn(&Row<'_>) -> (f64, f64)) -> Vec<(f64, f64)> {
    let mut sorted: Vec<&Row<'_>> = rows.iter().collect();
    sorted.sort_by(|a, b| a.best_known().total_cmp(&b.best_known()));
    let (mut points, mut least) = (Vec::<(f64, f64)>::new(), f64::INFINITY);
    for row in sorted {
        if row.plan.error_typical < least {
            least = row.plan.error_typical;
            let (x, y) = at(row);
            points.extend(points.last().map(|&(_, above)| (x, above)));
            points.push((x, y));
        }
    }
    points
}
