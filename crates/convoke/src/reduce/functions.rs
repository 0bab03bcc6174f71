//! Fewer layers and programs in a text.

use super::search::{Search, Stop};

/// Drops layers and programs, those at the end first.
pub(super) fn shrink(search: &mut Search<'_>) -> Result<(), Stop> {
    // All others at once, for each that may be the one.
    for keep in 0..search.best().layers.len() {
        let mut candidate = search.best().clone();
        candidate.layers = vec![candidate.layers.swap_remove(keep)];
        candidate.programs.clear();
        if search.offer(candidate)? {
            return Ok(());
        }
    }
    for at in (0..search.best().programs.len()).rev() {
        let mut candidate = search.best().clone();
        candidate.programs.remove(at);
        search.offer(candidate)?;
    }
    for at in (0..search.best().layers.len()).rev() {
        let mut candidate = search.best().clone();
        candidate.layers.remove(at);
        // A text without a layer is no net, unless it had none.
        if !candidate.layers.is_empty() || !candidate.programs.is_empty() {
            search.offer(candidate)?;
        }
    }
    Ok(())
}
