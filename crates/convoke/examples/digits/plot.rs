//! Accuracy and time against tolerance, one above the other, as SVG.

use std::fmt::Write;

use crate::tolerances::Row;

/// Width of the drawing; left and right edge of both panels; their height.
const WIDTH: f64 = 640.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 620.0;
const HEIGHT: f64 = 170.0;

/// One panel: a curve with its axes.
struct Panel<'a> {
    title: &'a str,
    colour: &'a str,
    /// The upper edge.
    top: f64,
    /// Tolerance and value of each point.
    points: Vec<(f64, f64)>,
    /// Values with a line, from 0. The last is the upper end of the axis.
    ticks: Vec<f64>,
}

/// Draws the rows.
pub(crate) fn draw(rows: &[Row]) -> String {
    let micros = |row: &Row| row.seconds * 1e6;
    let slowest = rows.iter().map(micros).fold(0.0, f64::max);
    let panels = [
        Panel {
            title: "accuracy on the test images, %",
            colour: "#1f6fb4",
            top: 40.0,
            points: rows.iter().map(|row| (row.tolerance, row.score.accuracy())).collect(),
            ticks: (0..=5).map(|i| f64::from(i) * 20.0).collect(),
        },
        Panel {
            title: "time for an image, µs",
            colour: "#c4501b",
            top: 270.0,
            points: rows.iter().map(|row| (row.tolerance, micros(row))).collect(),
            ticks: ticks(slowest),
        },
    ];
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} 500\" font-family=\"sans-serif\" \
         font-size=\"13\">\n<rect width=\"{WIDTH}\" height=\"500\" fill=\"white\"/>\n"
    );
    panels.iter().for_each(|panel| panel.draw(&mut svg));
    text(&mut svg, ((LEFT + RIGHT) / 2.0, 490.0), "middle", "tolerance");
    svg + "</svg>\n"
}

/// Round numbers from 0 to beyond `most`, at most seven of them.
fn ticks(most: f64) -> Vec<f64> {
    let power = 10f64.powf((most / 6.0).log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|m| m * power).into_iter().find(|step| most <= 6.0 * step).unwrap_or(most);
    (0..=(most / step).ceil() as u32).map(|i| f64::from(i) * step).collect()
}

impl Panel<'_> {
    fn x(&self, tolerance: f64) -> f64 {
        let last = self.points.last().map_or(1.0, |&(tolerance, _)| tolerance);
        LEFT + (RIGHT - LEFT) * tolerance / last
    }

    fn y(&self, value: f64) -> f64 {
        self.top + HEIGHT * (1.0 - value / self.ticks.last().copied().unwrap_or(1.0))
    }

    fn draw(&self, svg: &mut String) {
        text(svg, (LEFT, self.top - 12.0), "start", self.title);
        for &tick in &self.ticks {
            line(svg, "#ddd", &[(LEFT, self.y(tick)), (RIGHT, self.y(tick))]);
            text(svg, (LEFT - 8.0, self.y(tick) + 4.0), "end", &(tick as f32).to_string());
        }
        let curve: Vec<_> = self.points.iter().map(|&(tolerance, value)| (self.x(tolerance), self.y(value))).collect();
        for (&(x, y), (tolerance, _)) in curve.iter().zip(&self.points) {
            text(svg, (x, self.y(0.0) + 18.0), "middle", &tolerance.to_string());
            let _ = writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{}\"/>", self.colour);
        }
        line(svg, self.colour, &curve);
    }
}

fn line(svg: &mut String, colour: &str, points: &[(f64, f64)]) {
    let points: Vec<_> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let points = points.join(" ");
    let _ = writeln!(svg, "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>");
}

fn text(svg: &mut String, (x, y): (f64, f64), anchor: &str, text: &str) {
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>");
}

#[cfg(test)]
#[test]
fn ticks_are_round_and_reach_the_largest_value() {
    assert_eq!(ticks(27.5), [0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0]);
    assert_eq!(ticks(10.2), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0]);
}
