//! Places in a source text. A span never takes part in comparing two programs.

/// A half-open range of bytes in the source text; empty for what no text was written for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// The bytes `start..end`.
    pub fn new(start: usize, end: usize) -> Span {
        // Sources are capped far below 4 GiB before they are parsed.
        Span { start: start as u32, end: end as u32 }
    }

    /// From the start of `self` to the end of `other`.
    pub fn to(self, other: Span) -> Span {
        Span { start: self.start, end: other.end }
    }

    /// Whether nothing was written for this.
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }
}

/// Spans are beside the program, not part of it: all are equal.
impl PartialEq for Span {
    fn eq(&self, _: &Span) -> bool {
        true
    }
}
