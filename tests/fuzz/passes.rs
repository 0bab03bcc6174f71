//! A list of passes that is read prints, and reads back as the same; making them gives passes or an error.

use convoke::passes::{Grants, Spec, Stage};
use convoke_passes::registry;

pub(super) fn run(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let Ok(list) = Spec::parse_list(text) else { return false };
    let printed = list.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let again = Spec::parse_list(&printed).unwrap_or_else(|error| panic!("`{printed}` is not read back: {error}"));
    assert_eq!(again, list, "{printed}");
    for last in [Stage::Layer, Stage::Loops] {
        let _ = registry::pipeline(2, last, &Grants::default(), &list);
        let _ = registry::chosen(&list, Stage::Layer, last);
    }
    true
}
