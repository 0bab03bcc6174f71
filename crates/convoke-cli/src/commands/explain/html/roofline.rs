//! The roofline of a convolution: how fast each algorithm computes, against how much it computes for each byte it moves.
//!
//! A mark stands at the multiplications that an algorithm really does, two operations each: that is what the roofs limit. A thin line
//! rises from it to the rate that its user sees, with all multiplications of the sums counted as if they were done; it may pass
//! the roof, and that is what a fast algorithm is for.
//!
//! Source: Williams, Waterman, Patterson 2009, "Roofline: an insightful visual performance model".

use convoke_machine::Machine;

use super::labels::{self, Box};
use super::svg::{Axis, Svg, tick};
use crate::commands::explain::facts::{Row, Standing, View};
use crate::table::{count, seconds};

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 420.0;
const FRAME: Box = Box { left: 50.0, top: 12.0, right: WIDTH - 12.0, bottom: HEIGHT - 40.0 };

/// The place of a candidate.
struct Dot<'a> {
    row: &'a Row<'a>,
    /// Operations for each byte moved.
    intensity: f64,
    /// Done, in 1e9 operations per second.
    rate: f64,
    /// As its user sees it.
    effective: f64,
}

pub(super) fn draw(view: &View<'_>) -> String {
    let dot = |row| Dot {
        row,
        intensity: view.flops(row) / (row.plan.cost.bytes_moved.max(1)) as f64,
        rate: view.flops(row) / row.best_known() / 1e9,
        effective: view.nominal_flops() / row.best_known() / 1e9,
    };
    let dots: Vec<_> = view.rows.iter().map(dot).collect();
    let lanes = f64::from(view.machine.lanes(view.selection.conv.elem.bytes()));
    let peak = 2.0 * lanes * view.machine.fma_per_cycle * view.machine.ghz;
    let roofs = roofs(view.machine);
    let slowest = roofs.iter().map(|(_, rate)| *rate).fold(f64::INFINITY, f64::min);
    // The ridge of the slowest memory is in the picture, with some of the slope that leads to it.
    let intensities = dots.iter().map(|d| d.intensity).chain([peak / slowest / 6.0, peak / slowest * 3.0]);
    let x = Axis::over(intensities, 100.0, FRAME.left, FRAME.right);
    let rates = dots.iter().flat_map(|d| [d.rate, d.effective]).chain([peak * 1.2, peak / 12.0]);
    let y = Axis::over(rates, 20.0, FRAME.bottom, FRAME.top);

    let mut svg = Svg::new(WIDTH, HEIGHT, "Roofline: operations per second against operations per byte, by algorithm");
    axes(&mut svg, &x, &y, FRAME, ["executed FLOP per byte moved", "GFLOP/s"]);
    let places: Vec<_> = dots.iter().map(|d| (x.at(d.intensity), y.at(d.rate))).collect();
    let mut lines = draw_roofs(&mut svg, [&x, &y], peak, &roofs, &places);
    let mut marks = Vec::new();
    for (d, &at) in dots.iter().zip(&places) {
        let top = y.at(d.effective);
        if at.1 - top > 12.0 {
            svg.line("effective", &[at, (at.0, top)]);
            svg.line("effective", &[(at.0 - 4.0, top), (at.0 + 4.0, top)]);
            lines.push(Box { left: at.0 - 2.0, top, right: at.0 + 2.0, bottom: at.1 });
        }
        marks.push((at, d.row.algorithm.to_string()));
    }
    // The chosen one is drawn last, and named first.
    for (d, (at, _)) in dots.iter().zip(&marks).rev() {
        let chosen = d.row.standing == Standing::Chosen;
        svg.mark(d.row.algorithm, *at, chosen, d.row.standing == Standing::Over, &told(view, d));
    }
    name(&mut svg, &marks, &lines, FRAME);
    svg.finish()
}

/// The text of a mark when it is pointed at.
fn told(view: &View<'_>, d: &Dot<'_>) -> String {
    let measured = if d.row.timing().is_some() { "measured" } else { "predicted" };
    format!(
        "{}: {} {measured}; {} FLOP executed, {:.1} for each byte, {:.1} GFLOP/s; {:.1} GFLOP/s effective",
        d.row.algorithm,
        seconds(d.row.best_known()),
        count(view.flops(d.row)),
        d.intensity,
        d.rate,
        d.effective
    )
}

/// The levels of memory, by name, in 1e9 bytes per second.
fn roofs(machine: &Machine) -> Vec<(String, f64)> {
    let caches = machine.caches.iter().enumerate().map(|(i, cache)| (format!("L{}", i + 1), cache.bytes_per_cycle));
    let all = caches.chain([("memory".to_owned(), machine.memory_bytes_per_cycle)]);
    all.map(|(name, rate)| (name, rate * machine.ghz)).filter(|(_, rate)| *rate > 0.0).collect()
}

/// Draws the roofs and their names; `marks` are better left free. Gives the boxes that names of marks should not cover.
fn draw_roofs(svg: &mut Svg, [x, y]: [&Axis; 2], peak: f64, roofs: &[(String, f64)], marks: &[(f64, f64)]) -> Vec<Box> {
    let mut lines = Vec::new();
    let ((left, right), (bottom, _)) = (x.ends(), y.ends());
    let widest = roofs.iter().map(|(_, rate)| *rate).fold(0.0, f64::max);
    let start = if widest > 0.0 { (peak / widest).max(left) } else { left };
    svg.line("roof", &[(x.at(start), y.at(peak)), (x.at(right), y.at(peak))]);
    let label = format!("peak {peak:.0} GFLOP/s");
    svg.text("roof-name", (FRAME.right - 4.0, y.at(peak) - 5.0), "end", 0.0, &label);
    let width = label.len() as f64 * 6.0;
    lines.push(Box { left: x.at(start), top: y.at(peak) - 2.0, right: FRAME.right, bottom: y.at(peak) + 2.0 });
    lines.push(Box { left: FRAME.right - width, top: y.at(peak) - 16.0, right: FRAME.right, bottom: y.at(peak) + 2.0 });
    for (name, rate) in roofs {
        // From where the slope enters the frame, by its left or by its bottom, to its ridge.
        let from = left.max(bottom / rate);
        let ridge = peak / rate;
        if from >= ridge {
            continue;
        }
        let ends = [(x.at(from), y.at(from * rate)), (x.at(ridge), y.at(peak))];
        svg.line("roof", &ends);
        let [(x0, y0), (x1, y1)] = ends;
        let degrees = (y1 - y0).atan2(x1 - x0).to_degrees();
        let label = format!("{name} {rate:.0} GB/s");
        // Above the line, within the frame, where the fewest marks are.
        let length = (x1 - x0).hypot(y1 - y0);
        let half = label.len() as f64 * 3.2 / length;
        let along = |t: f64| (x0 + t * (x1 - x0), y0 + t * (y1 - y0));
        let near = |t: f64| marks.iter().filter(|at| (along(t).0 - at.0).hypot(along(t).1 - at.1) < 45.0).count();
        let places = [half + 0.04, 0.35, 0.5, 0.65, 0.8].into_iter().filter(|t| (half..1.0 - half).contains(t));
        if let Some(t) = places.min_by_key(|t| near(*t)) {
            let ((mx, my), turn) = (along(t), degrees.to_radians());
            svg.text("roof-name", (mx + 5.0 * turn.sin(), my - 5.0 * turn.cos()), "middle", degrees, &label);
        }
        let steps = (length / 12.0) as usize;
        lines.extend((0..steps).map(|i| Box::about(along(i as f64 / steps as f64), 5.0)));
    }
    lines
}

/// A grid with numbers, and what the axes are. An axis of x without a name has no numbers either.
pub(super) fn axes(svg: &mut Svg, x: &Axis, y: &Axis, frame: Box, names: [&str; 2]) {
    svg.rect("frame", [frame.left, frame.top, frame.right - frame.left, frame.bottom - frame.top], "");
    for value in x.ticks(24.0) {
        svg.line("grid", &[(x.at(value), frame.top), (x.at(value), frame.bottom)]);
        if names[0].is_empty() {
            continue;
        }
        svg.text("tick", (x.at(value), frame.bottom + 14.0), "middle", 0.0, &tick(value));
    }
    for value in y.ticks(16.0) {
        svg.line("grid", &[(frame.left, y.at(value)), (frame.right, y.at(value))]);
        svg.text("tick", (frame.left - 5.0, y.at(value) + 3.5), "end", 0.0, &tick(value));
    }
    svg.text("axis", ((frame.left + frame.right) / 2.0, frame.bottom + 32.0), "middle", 0.0, names[0]);
    svg.text("axis", (12.0, (frame.top + frame.bottom) / 2.0), "middle", -90.0, names[1]);
}

/// The names of the marks.
pub(super) fn name(svg: &mut Svg, marks: &[((f64, f64), String)], lines: &[Box], frame: Box) {
    for label in labels::place(marks, lines, frame) {
        if let Some(leader) = label.leader() {
            svg.line("leader", &leader);
        }
        svg.text("name", label.start(), "start", 0.0, &label.text);
    }
}
