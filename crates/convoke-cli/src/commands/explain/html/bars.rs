//! Predicted time of each candidate as a bar, a part for each term of the cost model, with a tick at the measured time.
//!
//! Boxes of the page rather than a drawing, so that names stay readable at any width.

use std::fmt::Write;

use super::svg::escaped;
use crate::commands::explain::facts::{Standing, View};
use crate::table::seconds;

/// Terms that have a colour of their own in every bar; others share the last.
const NAMES: [&str; 8] = ["multiply", "data", "inverse", "halo", "stream", "store", "gather", "sums"];

/// The class of a term.
fn color(name: &str) -> String {
    format!("term{}", NAMES.iter().position(|known| *known == name).unwrap_or(NAMES.len()))
}

/// The meaning of the colours.
fn key(view: &View<'_>) -> String {
    let one = |name: &str| format!("<span><i class=\"{}\"></i>{}</span>", color(name), escaped(name));
    let mut key: String = view.terms().into_iter().map(one).collect();
    if view.measured {
        key += "<span><i class=\"clock\"></i>measured</span>";
    }
    format!("<p class=\"key\">{key}</p>\n")
}

pub(super) fn draw(view: &View<'_>) -> String {
    let longest = view.longest(|row| row.seconds.max(row.best_known()));
    let percent = |s: f64| (100.0 * s / longest).min(100.0);
    let names = view.terms();
    let class = if view.measured { "bars measured" } else { "bars" };
    let mut text = format!(
        "{}<div class=\"{class}\">\n<span></span><span></span><span class=\"faint\">predicted</span>",
        key(view)
    );
    if view.measured {
        text += "<span class=\"faint\">measured</span>";
    }
    text.push('\n');
    for row in &view.rows {
        let class = match row.standing {
            Standing::Chosen => " class=\"chosen\"",
            Standing::Over | Standing::OnRequest => " class=\"faint\"",
            Standing::Open => "",
        };
        let cut = if row.seconds > longest { " cut" } else { "" };
        let _ = write!(text, "<span{class}>{}</span><div class=\"bar{cut}\">", escaped(&row.algorithm.to_string()));
        for name in &names {
            let time = view.term(row, name);
            if time > 0.0 {
                let (width, class) = (percent(time), color(name));
                let title = format!("{name}: {}", seconds(time));
                let _ =
                    write!(text, "<i class=\"{class}\" style=\"width:{width:.2}%\" title=\"{}\"></i>", escaped(&title));
            }
        }
        if let Some(timing) = row.timing() {
            let (at, title) = (percent(timing.seconds), format!("measured: {}", seconds(timing.seconds)));
            let _ = write!(text, "<i class=\"clock\" style=\"left:{at:.2}%\" title=\"{title}\"></i>");
        }
        let _ = writeln!(text, "</div><span{class}>{}</span>", seconds(row.seconds));
        if view.measured {
            let _ = writeln!(text, "<span{class}>{}</span>", row.timing().map_or("-".into(), |t| seconds(t.seconds)));
        }
    }
    text + "</div>\n"
}
