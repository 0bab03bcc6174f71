//! Error against time: what each algorithm costs, and what it rounds.
//!
//! Two plots over one axis of time, since the two kinds of error are relative to different things: below, a mark at the error to expect;
//! above, a tick at the certified bound, joined to its mark by a whisker. The limit is a line in the plot of what it is held
//! against. The steps join the algorithms that no other beats in both time and error.

use super::labels::Box;
use super::roofline::{axes, name};
use super::svg::{Axis, Svg, family};
use crate::commands::explain::facts::{Row, Standing, View, error};
use crate::table::seconds;

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 420.0;
const ABOVE: Box = Box { left: 62.0, top: 12.0, right: WIDTH - 12.0, bottom: 122.0 };
const BELOW: Box = Box { left: 62.0, top: 140.0, right: WIDTH - 12.0, bottom: HEIGHT - 40.0 };

pub(super) fn draw(view: &View<'_>) -> String {
    let (budget, rows) = (&view.selection.budget, &view.rows);
    let milliseconds = |row: &Row<'_>| row.best_known() * 1e3;
    let x = Axis::over(rows.iter().map(milliseconds), 4.0, BELOW.left, BELOW.right);
    let (of_bounds, of_errors) = if budget.certified { (budget.limit, 0.0) } else { (0.0, budget.limit) };
    let bounds = rows.iter().map(|row| row.plan.error_bound).chain([of_bounds]);
    let bounds = Axis::over(bounds, 30.0, ABOVE.bottom, ABOVE.top);
    let errors = rows.iter().map(|row| row.plan.error_typical).chain([of_errors]);
    let errors = Axis::over(errors, 30.0, BELOW.bottom, BELOW.top);

    let mut svg = Svg::new(WIDTH, HEIGHT, "Rounding error against time, by algorithm");
    let time = if view.measured { "measured time, ms (predicted where not measured)" } else { "predicted time, ms" };
    axes(&mut svg, &x, &bounds, ABOVE, ["", "bound"]);
    axes(&mut svg, &x, &errors, BELOW, [time, "error to expect"]);

    let mut lines = Vec::new();
    if budget.limit > 0.0 && budget.limit.is_finite() {
        let (axis, frame, what) = match budget.certified {
            true => (&bounds, ABOVE, "bound allowed"),
            false => (&errors, BELOW, "error allowed"),
        };
        lines.extend(limit(&mut svg, axis.at(budget.limit), frame, &format!("{what}: {}", error(budget.limit))));
    }
    let at = |row: &Row<'_>| (x.at(milliseconds(row)), errors.at(row.plan.error_typical));
    svg.line("front", &front(rows, at));
    for row in rows {
        let ((mx, my), top) = (at(row), bounds.at(row.plan.error_bound));
        svg.line("whisker", &[(mx, my), (mx, top)]);
        svg.line(&format!("cap {}", family(row.algorithm)), &[(mx - 5.0, top), (mx + 5.0, top)]);
        lines.push(Box { left: mx - 1.0, top: BELOW.top, right: mx + 1.0, bottom: my });
    }
    let marks: Vec<_> = rows.iter().map(|row| (at(row), row.algorithm.to_string())).collect();
    for (row, (at, _)) in rows.iter().zip(&marks).rev() {
        let chosen = row.standing == Standing::Chosen;
        svg.mark(row.algorithm, *at, chosen, row.standing == Standing::Over, &told(row));
    }
    name(&mut svg, &marks, &lines, BELOW);
    svg.finish()
}

/// The line of the limit, and the area beyond it; the boxes that names should not cover.
fn limit(svg: &mut Svg, y: f64, frame: Box, label: &str) -> [Box; 2] {
    svg.rect("beyond", [frame.left, frame.top, frame.right - frame.left, y - frame.top], "");
    svg.line("limit", &[(frame.left, y), (frame.right, y)]);
    svg.text("limit-name", (frame.right - 5.0, y - 5.0), "end", 0.0, label);
    let width = label.len() as f64 * 6.2;
    [
        Box { left: frame.right - width, top: y - 16.0, right: frame.right, bottom: y + 2.0 },
        Box { left: frame.left, top: y - 2.0, right: frame.right, bottom: y + 2.0 },
    ]
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
