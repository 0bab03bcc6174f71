//! The convolution that `--of` names.

use convoke::explain::Explanation;
use convoke::ir::diagnostic::shown;
use convoke_passes::edit_distance;

use crate::failure::Failure;

/// Names that an error lists.
const LISTED: usize = 12;
/// Characters of a name that are compared.
const COMPARED: usize = 256;

/// The place of the convolution that computes the value `name`, with or without `%`, among the selections.
pub(super) fn convolution(name: &str, explanation: &Explanation) -> Result<usize, Failure> {
    let bare = name.strip_prefix('%').unwrap_or(name);
    let mut names: Vec<&str> = explanation.selections().iter().map(|selection| selection.value.as_str()).collect();
    if let Some(place) = names.iter().position(|known| *known == bare) {
        return Ok(place);
    }
    if names.is_empty() {
        return Err(Failure::Usage(format!("--of: there is no convolution `{}`, nor any other", shown(bare))));
    }
    let near: String = bare.chars().take(COMPARED).collect();
    names.sort_by_cached_key(|known| far(&near, known));
    let listed = names.iter().take(LISTED).map(|name| format!("%{name}")).collect::<Vec<_>>().join(", ");
    let more = names.len().saturating_sub(LISTED);
    let more = if more > 0 { format!(" and {more} others") } else { String::new() };
    Err(Failure::Usage(format!(
        "--of: there is no convolution `{}`; nearest first, there are {listed}{more}",
        shown(bare)
    )))
}

/// How far a name is from the one asked for: names that contain it come first, then those of the fewest edits.
fn far(asked: &str, name: &str) -> (bool, usize) {
    (asked.is_empty() || !name.contains(asked), edit_distance(asked, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_first() {
        let mut names = ["block_10_conv", "conv2", "stem", "conv10"];
        names.sort_by_cached_key(|name| far("conv1", name));
        assert_eq!(names, ["conv10", "conv2", "stem", "block_10_conv"]);
    }
}
