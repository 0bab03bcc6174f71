//! Places for the names of marks in a plot, so that names cover neither marks nor each other.
//!
//! A greedy search: in the order given, each name takes the best of the places around its mark, near ones first; then each moves once more
//! among the others, some times over. Places are judged by what they cover: another name most, then a mark, then a line.

/// Height of a name in units of the drawing.
const HEIGHT: f64 = 13.0;
/// Width of a character: an upper estimate for sans-serif at 12 units.
const CHARACTER: f64 = 6.8;
/// Distances from the middle of a mark at which a name is tried.
const DISTANCES: [f64; 9] = [10.5, 15.0, 20.0, 28.0, 38.0, 50.0, 64.0, 80.0, 100.0];
/// The number of times that each name is placed anew among the others.
const SWEEPS: usize = 4;
/// Directions that are tried.
const DIRECTIONS: usize = 16;

/// A rectangle: left, top, right, bottom.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Box {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) right: f64,
    pub(super) bottom: f64,
}

impl Box {
    /// A square of half-width `r` about a point.
    pub(super) fn about((x, y): (f64, f64), r: f64) -> Box {
        Box { left: x - r, top: y - r, right: x + r, bottom: y + r }
    }

    /// The area that two have in common.
    fn common(&self, other: &Box) -> f64 {
        let w = self.right.min(other.right) - self.left.max(other.left);
        let h = self.bottom.min(other.bottom) - self.top.max(other.top);
        w.max(0.0) * h.max(0.0)
    }

    fn area(&self) -> f64 {
        (self.right - self.left) * (self.bottom - self.top)
    }
}

/// A placed name.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Label {
    pub(super) text: String,
    /// The box it fills; the text starts at its left, a quarter of its height above its bottom.
    pub(super) place: Box,
    /// The mark that it names.
    pub(super) mark: (f64, f64),
}

impl Label {
    /// The start of the text, on its base line.
    pub(super) fn start(&self) -> (f64, f64) {
        (self.place.left, self.place.bottom - 3.0)
    }

    /// A line from the mark to a name that stands apart from it.
    pub(super) fn leader(&self) -> Option<[(f64, f64); 2]> {
        let (x, y) = self.mark;
        let end = (x.clamp(self.place.left, self.place.right), y.clamp(self.place.top + 2.0, self.place.bottom - 2.0));
        let distance = (end.0 - x).hypot(end.1 - y);
        (distance > 13.0).then(|| {
            let t = 7.0 / distance;
            [(x + t * (end.0 - x), y + t * (end.1 - y)), end]
        })
    }
}

/// Places a name for each mark within `frame`. `lines` are boxes better not covered.
pub(super) fn place(marks: &[((f64, f64), String)], lines: &[Box], frame: Box) -> Vec<Label> {
    let dots: Vec<Box> = marks.iter().map(|(at, _)| Box::about(*at, 8.0)).collect();
    let mut placed: Vec<Label> = Vec::new();
    for (mark, text) in marks {
        let place = best(*mark, text, &placed, [&dots, lines], frame);
        placed.push(Label { text: text.clone(), place, mark: *mark });
    }
    // Each once more, now that all others are known.
    for _ in 0..SWEEPS {
        for i in 0..placed.len() {
            let label = placed.remove(i);
            let place = best(label.mark, &label.text, &placed, [&dots, lines], frame);
            placed.insert(i, Label { place, ..label });
        }
    }
    placed
}

/// The best place for the name of one mark, beside those of others.
fn best((x, y): (f64, f64), text: &str, others: &[Label], [dots, lines]: [&[Box]; 2], frame: Box) -> Box {
    let (w, h) = (text.chars().count() as f64 * CHARACTER, HEIGHT);
    let mut best = (f64::INFINITY, Box::about((x, y), 0.0));
    for (ring, distance) in DISTANCES.iter().enumerate() {
        for direction in 0..DIRECTIONS {
            let angle = direction as f64 * std::f64::consts::TAU / DIRECTIONS as f64;
            let (dx, dy) = (angle.cos(), angle.sin());
            // The nearest point of the box lies in this direction: its middle is half its size further.
            let (cx, cy) = (x + dx * (distance + w / 2.0), y + dy * (distance + h / 2.0));
            let place = Box { left: cx - w / 2.0, top: cy - h / 2.0, right: cx + w / 2.0, bottom: cy + h / 2.0 };
            let outside = place.area() - place.common(&frame);
            // However little two names touch, it is worse than a longer way.
            let common = others.iter().map(|label| label.place.common(&place)).filter(|common| *common > 0.0);
            let names: f64 = common.map(|common| 40.0 + common).sum();
            let covered: f64 = dots.iter().map(|dot| dot.common(&place)).sum();
            let crossed: f64 = lines.iter().map(|line| line.common(&place)).sum();
            let slant = dx.abs().min(dy.abs());
            let cost =
                100.0 * outside + 30.0 * names + 20.0 * covered + 2.0 * crossed + 9.0 * ring as f64 + 2.0 * slant;
            if cost < best.0 {
                best = (cost, place);
            }
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_a_crowd_do_not_overlap() {
        let frame = Box { left: 40.0, top: 10.0, right: 500.0, bottom: 360.0 };
        // Fourteen marks in a row, half a name's height apart, nearer to the edge than a name is long.
        let marks: Vec<_> = (0..14)
            .map(|i| ((380.0 + 5.0 * f64::from(i), 100.0 + 7.0 * f64::from(i)), format!("winograd({i}x{i})")))
            .collect();
        let labels = place(&marks, &[], frame);
        assert_eq!(labels.len(), marks.len());
        for (i, label) in labels.iter().enumerate() {
            assert!(label.place.area() - label.place.common(&frame) < 1e-6, "{label:?} leaves the frame");
            for other in &labels[..i] {
                assert!(label.place.common(&other.place) == 0.0, "{label:?} and {other:?}");
            }
        }
    }
}
