//! Drawings as SVG inside a page: elements, logarithmic axes, and the shape and colour of each family of algorithms.
//!
//! Lengths are in units of the drawing, which the page scales to the width there is. Colours are classes of the page's style, so that
//! they follow its light or dark scheme.

use std::fmt::Write;

use convoke::{Algorithm, Plan};

/// Text between tags or in an attribute.
pub(in crate::commands::explain) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A drawing being made.
pub(super) struct Svg {
    body: String,
    width: f64,
    height: f64,
    title: String,
}

impl Svg {
    /// An empty drawing. `title` describes it to readers who cannot see it.
    pub(super) fn new(width: f64, height: f64, title: &str) -> Svg {
        Svg { body: String::new(), width, height, title: title.into() }
    }

    /// A rectangle, rounded a little.
    pub(super) fn rect(&mut self, class: &str, [x, y, w, h]: [f64; 4], title: &str) {
        let tip = tip(title);
        let _ = writeln!(
            self.body,
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{w:.1}\" height=\"{h:.1}\">{tip}</rect>"
        );
    }

    /// A line through points.
    pub(super) fn line(&mut self, class: &str, points: &[(f64, f64)]) {
        let points: Vec<_> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = writeln!(self.body, "<polyline class=\"{class}\" points=\"{}\"/>", points.join(" "));
    }

    /// A text. `anchor` is `start`, `middle` or `end`; it is turned about its place by `degrees`.
    pub(super) fn text(&mut self, class: &str, (x, y): (f64, f64), anchor: &str, degrees: f64, text: &str) {
        let turn =
            if degrees == 0.0 { String::new() } else { format!(" transform=\"rotate({degrees:.1} {x:.1} {y:.1})\"") };
        let text = escaped(text);
        let _ = writeln!(
            self.body,
            "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\"{turn}>{text}</text>"
        );
    }

    /// The mark of an algorithm: a shape and a colour for each family, with a ring if it is chosen, hollow if it may not be.
    pub(super) fn mark(&mut self, algorithm: Plan, (x, y): (f64, f64), chosen: bool, hollow: bool, title: &str) {
        let (class, tip) = (family(algorithm), tip(title));
        let hollow = if hollow { " hollow" } else { "" };
        let _ = write!(self.body, "<g class=\"mark {class}{hollow}\">{tip}");
        if chosen {
            let _ = write!(self.body, "<circle class=\"ring\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{RING}\"/>");
        }
        let path = outline(algorithm).into_iter().enumerate().map(|(i, (dx, dy))| {
            format!("{}{:.1} {:.1}", if i == 0 { 'M' } else { 'L' }, x + dx * RADIUS, y + dy * RADIUS)
        });
        let path: String = path.collect();
        let _ = writeln!(self.body, "<path d=\"{path}Z\"/></g>");
    }

    /// The drawing.
    pub(super) fn finish(self) -> String {
        let (w, h, title) = (self.width, self.height, escaped(&self.title));
        format!("<svg viewBox=\"0 0 {w:.0} {h:.0}\" role=\"img\" aria-label=\"{title}\">\n{}</svg>\n", self.body)
    }
}

fn tip(title: &str) -> String {
    if title.is_empty() { String::new() } else { format!("<title>{}</title>", escaped(title)) }
}

/// Half the size of a mark.
pub(super) const RADIUS: f64 = 5.0;
/// The radius of the ring of the chosen one.
pub(super) const RING: f64 = 9.0;

/// The class of an algorithm's family, to which the style gives a colour.
pub(super) fn family(algorithm: Plan) -> &'static str {
    algorithm.algorithm.name()
}

/// Corners of a family's mark on a circle of radius 1 or a little more.
fn outline(algorithm: Plan) -> Vec<(f64, f64)> {
    let polygon = |corners: usize, first: f64, scale: f64| {
        let angle = move |i: usize| first.to_radians() + i as f64 * std::f64::consts::TAU / corners as f64;
        (0..corners).map(move |i| (scale * angle(i).cos(), scale * angle(i).sin())).collect()
    };
    match algorithm.algorithm {
        Algorithm::Auto | Algorithm::Direct => polygon(24, 0.0, 1.0),
        Algorithm::Im2col { .. } => polygon(4, 45.0, 1.25),
        Algorithm::Depthwise => polygon(3, -90.0, 1.3),
        Algorithm::Winograd { .. } => polygon(4, 0.0, 1.3),
        Algorithm::Fft { .. } => polygon(6, 0.0, 1.15),
        Algorithm::Strassen { .. } => polygon(3, 90.0, 1.3),
    }
}

/// A logarithmic axis: values from `low` to `high` lie from `from` to `to`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Axis {
    /// An axis on which all `values` that are positive and finite have room, and which spans at least `least`-fold.
    pub(super) fn over(values: impl IntoIterator<Item = f64>, least: f64, from: f64, to: f64) -> Axis {
        let values = values.into_iter().filter(|v| v.is_finite() && *v > 0.0);
        let (low, high) = values.fold((f64::INFINITY, 0.0f64), |(low, high), v| (low.min(v), high.max(v)));
        let (low, high) = if low <= high { (low, high) } else { (1.0, 1.0) };
        let room = (least / (high / low)).max(1.0).sqrt();
        let edge = (room * high / (low / room)).powf(0.07);
        Axis { low: low / room / edge, high: high * room * edge, from, to }
    }

    /// The place of a value; at an end if it is beyond it.
    pub(super) fn at(&self, value: f64) -> f64 {
        let t = (value / self.low).ln() / (self.high / self.low).ln();
        // NaN has its place at the low end.
        let t = if t.is_nan() { 0.0 } else { t.clamp(0.0, 1.0) };
        self.from + t * (self.to - self.from)
    }

    /// The value at its low and at its high end.
    pub(super) fn ends(&self) -> (f64, f64) {
        (self.low, self.high)
    }

    /// Values to draw a line at: powers of ten, and digits between them, as long as they are at least `gap` apart.
    pub(super) fn ticks(&self, gap: f64) -> Vec<f64> {
        // The digits, and the shortest step between two of them, in decades.
        const DIGITS: [(&[f64], f64); 3] =
            [(&[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0], 0.09), (&[1.0, 2.0, 5.0], 0.3), (&[1.0], 1.0)];
        let decade = (self.to - self.from).abs() / (self.high / self.low).log10();
        let (digits, every) = match DIGITS.iter().find(|(_, step)| step * decade >= gap) {
            Some((digits, _)) => (*digits, 1),
            None => (DIGITS[2].0, (gap / decade).ceil().min(100.0) as i32),
        };
        let powers = self.low.log10().floor() as i32..=self.high.log10().ceil() as i32;
        let powers = powers.filter(|power| power % every == 0);
        let ticks = powers.flat_map(|power| digits.iter().map(move |digit| digit * 10f64.powi(power)));
        ticks.filter(|tick| (self.low..=self.high).contains(tick)).collect()
    }
}

/// A number at a tick: `0.5`, `20`, `1e-6`.
pub(super) fn tick(value: f64) -> String {
    // Ticks are products in floating point: 0.2 is 0.20000000000000001.
    let text = format!("{value:.1e}");
    let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
    let digits = digits.trim_end_matches('0').trim_end_matches('.');
    if (0.001..100_000.0).contains(&value) {
        let rounded: f64 = text.parse().unwrap_or(value);
        return rounded.to_string();
    }
    format!("{digits}e{power}")
}
