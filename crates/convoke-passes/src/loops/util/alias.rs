//! The alias test: whether two places of one function may overlap.
//!
//! Different slots never do. Places of one slot whose addresses differ by a constant are compared element by element;
//! any other two places of one slot may overlap.

use convoke_ir::loops::Place;

/// The elements a place touches, as a closed range of distances from its address.
pub(in crate::loops) fn extent(place: &Place) -> (i64, i64) {
    let last = place.stride.saturating_mul(i64::from(place.lanes.max(1)) - 1);
    (last.min(0), last.max(0))
}

/// Whether two places may share an element, when the variables in both addresses have the same values.
pub(in crate::loops) fn may_overlap(a: &Place, b: &Place) -> bool {
    if a.slot != b.slot {
        return false;
    }
    if a.at.terms() != b.at.terms() {
        return true;
    }
    let distance = b.at.offset().saturating_sub(a.at.offset());
    let ((a_low, a_high), (b_low, b_high)) = (extent(a), extent(b));
    let apart = distance.saturating_add(b_low) > a_high || distance.saturating_add(b_high) < a_low;
    // Every distance between an element of a and one of b is `distance` plus a multiple of `step`.
    let step = num_integer::gcd(step_of(a), step_of(b));
    let interleaved = if step == 0 { distance != 0 } else { !distance.unsigned_abs().is_multiple_of(step) };
    !apart && !interleaved
}

/// The distance between neighbouring elements; 0 for a single element.
fn step_of(place: &Place) -> u64 {
    if place.lanes > 1 { place.stride.unsigned_abs() } else { 0 }
}

#[cfg(test)]
mod tests {
    use convoke_ir::arena::Id;
    use convoke_ir::loops::Affine;

    use super::*;

    fn place(slot: usize, at: Affine, stride: i64, lanes: u8) -> Place {
        Place { slot: Id::new(slot), at, stride, lanes }
    }

    #[test]
    fn agrees_with_listing_the_elements() {
        let elements = |p: &Place| (0..i64::from(p.lanes)).map(|l| p.at.offset() + l * p.stride).collect::<Vec<_>>();
        for (distance, stride, other, lanes) in (-9..10)
            .flat_map(|d| (-3..4).flat_map(move |s| (-3..4).flat_map(move |o| (1..5).map(move |l| (d, s, o, l)))))
        {
            let (a, b) = (place(0, 20_i64.into(), stride, 4), place(0, (20_i64 + distance).into(), other, lanes));
            let shared = elements(&a).iter().any(|e| elements(&b).contains(e));
            // The test may see an overlap that is not there; it must never miss one.
            assert!(may_overlap(&a, &b) || !shared, "{a:?} {b:?}");
            if stride == other || lanes == 1 && stride == 1 {
                assert_eq!(may_overlap(&a, &b), shared, "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn slots_and_unknown_distances() {
        let i = Affine::from(Id::new(0));
        assert!(!may_overlap(&place(0, 0_i64.into(), 1, 4), &place(1, 0_i64.into(), 1, 4)));
        assert!(may_overlap(&place(0, i.clone(), 1, 1), &place(0, 7_i64.into(), 1, 1)));
        assert!(!may_overlap(&place(0, i.clone() + 4_i64, 1, 4), &place(0, i, 1, 4)));
    }
}
