//! Facts about memory at a point of a block, by place.
//!
//! Places are grouped by slot and by the variable part of their address, and sorted by the constant part. A store looks at one group and clears
//! the other groups of its slot, whose distance to it is unknown. Over a block of n accesses this takes O(n log n).

use std::collections::BTreeMap;

use convoke_ir::loops::{Place, SlotId, VarId};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::alias;

/// Facts `T` about places.
pub(in crate::loops) struct Memory<T> {
    slots: FxHashMap<SlotId, FxHashMap<Terms, Group<T>>>,
}

/// An address without its constant part.
type Terms = SmallVec<[(VarId, i64); 1]>;

struct Group<T> {
    /// The farthest that a place of the group extends to either side of its address.
    reach: i64,
    at: BTreeMap<i64, SmallVec<[(Place, T); 1]>>,
}

impl<T> Default for Memory<T> {
    fn default() -> Self {
        Memory { slots: FxHashMap::default() }
    }
}

impl<T> Memory<T> {
    /// The facts about places with the address of this one.
    pub(in crate::loops) fn at(&self, place: &Place) -> impl Iterator<Item = &(Place, T)> {
        let group = self.slots.get(&place.slot).and_then(|groups| groups.get(place.at.terms()));
        group.and_then(|group| group.at.get(&place.at.offset())).into_iter().flatten()
    }

    /// Adds a fact.
    pub(in crate::loops) fn add(&mut self, place: Place, fact: T) {
        let groups = self.slots.entry(place.slot).or_default();
        let group = groups.entry(place.at.terms().into()).or_insert_with(|| Group { reach: 0, at: BTreeMap::new() });
        let (low, high) = alias::extent(&place);
        group.reach = group.reach.max(high).max(low.saturating_neg());
        group.at.entry(place.at.offset()).or_default().push((place, fact));
    }

    /// Forgets the facts about places that `place` may overlap.
    pub(in crate::loops) fn clear(&mut self, place: &Place) {
        let Some(groups) = self.slots.get_mut(&place.slot) else { return };
        groups.retain(|terms, _| terms[..] == *place.at.terms());
        let Some(group) = groups.values_mut().next() else { return };
        let (low, high) = alias::extent(place);
        let at = place.at.offset();
        let first = at.saturating_add(low).saturating_sub(group.reach);
        let last = at.saturating_add(high).saturating_add(group.reach);
        let mut empty = Vec::new();
        for (offset, facts) in group.at.range_mut(first..=last) {
            facts.retain(|(other, _)| !alias::may_overlap(place, other));
            if facts.is_empty() {
                empty.push(*offset);
            }
        }
        empty.iter().for_each(|offset| drop(group.at.remove(offset)));
    }

    /// Forgets everything about a slot.
    pub(in crate::loops) fn clear_slot(&mut self, slot: SlotId) {
        self.slots.remove(&slot);
    }
}
