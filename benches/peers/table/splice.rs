//! Puts tables into a document, between markers that name what stands there:
//!
//! ```text
//! <!-- peers: threads = 1 -->
//! …
//! <!-- end of peers -->
//! ```

const END: &str = "<!-- end of peers -->";

/// `document` with `report` in place of what stood between the markers for `threads`.
///
/// # Errors
///
/// A marker that is not there.
pub(crate) fn splice(document: &str, threads: usize, report: &str) -> Result<String, String> {
    let begin = format!("<!-- peers: threads = {threads} -->");
    let missing = |marker: &str| format!("there is no `{marker}`");
    let (before, rest) = document.split_once(&begin).ok_or_else(|| missing(&begin))?;
    let (_, after) = rest.split_once(END).ok_or_else(|| missing(END))?;
    Ok(format!("{before}{begin}\n\n{report}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_markers_changes() {
        let document = "a\n<!-- peers: threads = 1 -->\nold\n<!-- end of peers -->\nb\n<!-- peers: threads = 2 -->\n<!-- end of peers -->\n";
        let spliced = splice(document, 1, "new\n").expect("the markers are there");
        assert!(
            spliced.starts_with("a\n<!-- peers: threads = 1 -->\n\nnew\n\n<!-- end of peers -->\nb\n"),
            "{spliced}"
        );
        assert_eq!(splice(&spliced, 1, "new\n").as_deref(), Ok(&*spliced));
        let two = splice(&spliced, 2, "two\n").expect("the markers are there");
        assert!(two.contains("new\n") && two.ends_with("\n\ntwo\n\n<!-- end of peers -->\n"), "{two}");
        assert!(splice(document, 4, "").is_err());
    }
}
