//! Rendering: the source line, a caret under the place meant, further places, and what to do.
//!
//! A line of many megabytes is cut around the place before the renderer sees it, so that a message stays small.

use std::borrow::Cow;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Element, Group, Level, Origin, Renderer, Snippet};

use super::{Diagnostic, is_hidden, shown};
use crate::span::Span;

/// The most diagnostics that [`render`] shows; it says how many more there are.
pub const MAX_SHOWN: usize = 20;

/// The longest text of several diagnostics, in bytes without colours. Those beyond it are counted and not shown.
const LONGEST: usize = 4000;

/// The longest line shown whole, and what is shown of a longer one, in bytes.
const LINE: usize = 160;
/// The longest excerpt in one piece, in bytes: places further apart are shown each for itself.
const EXCERPT: usize = 1 << 14;
/// The most further places shown.
const RELATED: usize = 6;

/// Line and column of a byte of the text, both from 1; columns count characters.
pub fn position(text: &str, byte: usize) -> (usize, usize) {
    let at = floor(text, byte);
    let start = line_start(text, at);
    let line = text.as_bytes()[..start].iter().filter(|&&b| b == b'\n').count() + 1;
    (line, text[start..at].chars().count() + 1)
}

/// The diagnostics as a terminal shows them, `source_name` in front of line and column.
pub fn render(found: &[Diagnostic], source_name: &str, text: &str, color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let name = shown(source_name);
    let mut out = String::new();
    let (mut count, mut length) = (0, 0);
    for diagnostic in found.iter().take(MAX_SHOWN) {
        let groups = [group(diagnostic, &name, text)];
        // Colours do not count, so that they do not change what is shown.
        let plain = Renderer::plain().render(&groups);
        length += plain.len() + 2;
        if count > 0 && length > LONGEST {
            break;
        }
        count += 1;
        out.push_str(&if color { renderer.render(&groups) } else { plain });
        out.push_str("\n\n");
    }
    if found.len() > count {
        let more = format!("and {} more", found.len() - count);
        out.push_str(&renderer.render(&[Group::with_title(Level::ERROR.primary_title(more))]));
        out.push('\n');
    } else {
        // One line end at the end, a blank line between.
        out.pop();
    }
    out
}

fn group<'a>(diagnostic: &'a Diagnostic, name: &'a str, text: &'a str) -> Group<'a> {
    let title = Level::ERROR.primary_title(diagnostic.message.as_str()).id(diagnostic.code.to_string());
    let mut elements: Vec<Element<'a>> = Vec::new();
    // What no text was written for has no place: the end of a text is one, the default span is not.
    if diagnostic.span.start > 0 || !diagnostic.span.is_empty() {
        let primary = place(text, diagnostic.span);
        let label = diagnostic.label.as_deref();
        let related: Vec<_> =
            diagnostic.related.iter().take(RELATED).map(|(span, label)| (place(text, *span), label)).collect();
        let all = related.iter().map(|r| &r.0).chain([&primary]);
        let (start, end) = all.clone().fold((usize::MAX, 0), |(a, b), p| (a.min(p.line.start), b.max(p.line.end)));
        let plain = |p: &Place| p.line.len() <= LINE;
        if all.clone().all(plain) && end - start <= EXCERPT {
            let shift = |r: &Range<usize>| visible(&text[start..r.start]).len()..visible(&text[start..r.end]).len();
            let mut snippet =
                Snippet::source(visible(&text[start..end])).line_start(position(text, start).0).path(name);
            snippet = snippet.annotation(AnnotationKind::Primary.span(shift(&primary.at)).label(label));
            for (place, label) in &related {
                snippet = snippet.annotation(AnnotationKind::Context.span(shift(&place.at)).label(label.as_str()));
            }
            elements.push(snippet.into());
        } else {
            let related = related.iter().map(|(place, label)| (place, Some(label.as_str()), AnnotationKind::Context));
            for (place, label, kind) in [(&primary, label, AnnotationKind::Primary)].into_iter().chain(related) {
                let (line, column) = position(text, place.at.start);
                let cut = cut(text, place);
                let (from, to) = (place.at.start.max(cut.start), place.at.end.min(cut.end));
                let at = visible(&text[cut.start..from]).len()..visible(&text[cut.start..to]).len();
                elements.push(Origin::path(name).line(line).char_column(column).into());
                let excerpt = Snippet::source(visible(&text[cut])).line_start(line);
                elements.push(excerpt.annotation(kind.span(at).label(label)).into());
            }
        }
    }
    if let Some(help) = &diagnostic.help {
        elements.push(Level::HELP.message(help.as_str()).into());
    }
    title.elements(elements)
}

/// A span within one line of the text.
struct Place {
    /// The bytes meant: at most to the end of the first line.
    at: Range<usize>,
    /// The line, without its end.
    line: Range<usize>,
}

fn place(text: &str, span: Span) -> Place {
    let at = floor(text, span.start as usize);
    let start = line_start(text, at);
    let end = text.as_bytes()[at..].iter().position(|&b| b == b'\n').map_or(text.len(), |i| at + i);
    let end = if at < end && text[..end].ends_with('\r') { end - 1 } else { end };
    let end_of_span = floor(text, (span.end as usize).clamp(at, end));
    Place { at: at..end_of_span, line: start..end }
}

/// A part of the text with a mark for everything a terminal would act on; lines and tabs stay.
fn visible(text: &str) -> Cow<'_, str> {
    let acts = |c: char| is_hidden(c) && !matches!(c, '\n' | '\t');
    let text = if text.contains('\r') { Cow::Owned(text.replace("\r\n", "\n")) } else { Cow::Borrowed(text) };
    if text.contains(acts) { Cow::Owned(text.replace(acts, "\u{fffd}")) } else { text }
}

/// The part of a long line around the place.
fn cut(text: &str, place: &Place) -> Range<usize> {
    if place.line.len() <= LINE {
        return place.line.clone();
    }
    let start = place.at.start.saturating_sub(LINE / 2).max(place.line.start);
    let end = (start + LINE).min(place.line.end);
    floor(text, start)..floor(text, end).max(place.at.start)
}

/// The largest character boundary that is not above `byte`.
fn floor(text: &str, byte: usize) -> usize {
    let mut at = byte.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn line_start(text: &str, at: usize) -> usize {
    text.as_bytes()[..at].iter().rposition(|&b| b == b'\n').map_or(0, |i| i + 1)
}
