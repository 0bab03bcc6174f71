//! Scratch buffers that are live at once never share a byte.

use convoke_codegen::plan::{Lifetime, pack};
use proptest::prelude::*;

fn lifetimes() -> impl Strategy<Value = Vec<Lifetime>> {
    let one = (0usize..10_000, 0usize..20, 0usize..8)
        .prop_map(|(bytes, first, length)| Lifetime { bytes, runs: first..=first + length });
    proptest::collection::vec(one, 0..40)
}

proptest! {
    #[test]
    fn live_buffers_are_apart(buffers in lifetimes()) {
        let (offsets, total) = pack(&buffers);
        let mut largest_sum = 0;
        for run in 0..32 {
            let live = buffers.iter().zip(&offsets).filter(|(b, _)| b.runs.contains(&run));
            let mut spans: Vec<(usize, usize)> = live.map(|(b, &at)| (at, at + b.bytes)).collect();
            spans.sort_unstable();
            prop_assert!(spans.windows(2).all(|pair| pair[0].1 <= pair[1].0), "{spans:?}");
            prop_assert!(spans.iter().all(|&(at, end)| at % 64 == 0 && end <= total));
            largest_sum = largest_sum.max(spans.iter().map(|(at, end)| (end - at).next_multiple_of(64)).sum());
        }
        let all: usize = buffers.iter().map(|b| b.bytes.next_multiple_of(64)).sum();
        prop_assert!(largest_sum <= total && total <= all);
    }
}

#[test]
fn buffers_that_follow_each_other_share_bytes() {
    let buffers = [0..=1, 1..=2, 2..=3, 3..=4].map(|runs| Lifetime { bytes: 1000, runs });
    assert_eq!(pack(&buffers).1, 2 * 1024);
}
