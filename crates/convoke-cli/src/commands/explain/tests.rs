//! The words of a choice, from plans made up for each case: 3x3, 64 -> 64 channels, 32x32, on a machine of 3 GHz.

use convoke::explain::{Measured, Timing};
use convoke::ir::attr::Extent;
use convoke::{Algorithm, Compiler, Layer, Machine, Plan};
use convoke_conv::{Budget, Conv, Estimate, Origin, PlanCost, Reason, Refusal, Selection, Term};
use convoke_lower::known::Known;

use super::facts::{Standing, View};
use super::verdict::sentences;

const WINOGRAD_2: Algorithm = Algorithm::Winograd { outputs: Some(Extent { h: 2, w: 2 }) };
const WINOGRAD_4: Algorithm = Algorithm::Winograd { outputs: Some(Extent { h: 4, w: 4 }) };
const IM2COL: Algorithm = Algorithm::Im2col { explicit: false };
const EXPLICIT: Algorithm = Algorithm::Im2col { explicit: true };

fn conv() -> Conv {
    let layer = Layer::conv2d([1, 64, 32, 32], [64, 64, 3, 3]).pads([1; 4]).build().expect("a valid layer");
    let ir = layer.ir();
    ir.body.iter().find_map(|instr| Conv::new(ir, &Known::of(ir), instr)).expect("it has a convolution")
}

/// A plan that takes `multiply` and `stream` milliseconds, with `fewer` times fewer multiplications.
fn plan(algorithm: Algorithm, fewer: f64, multiply: f64, stream: f64, error: f64) -> (Plan, Result<Estimate, Refusal>) {
    let plan = Estimate {
        plan: algorithm.into(),
        cost: PlanCost {
            multiplications: (conv().multiplications() as f64 / fewer) as u128,
            bytes_moved: 1 << 20,
            scratch_bytes: 3 << 20,
            terms: [("multiply", multiply), ("stream", stream)]
                .map(|(name, ms)| Term { name, cycles: 3e6 * ms })
                .to_vec(),
            calls: None,
            min_speedup: 1.0,
        },
        error_bound: 100.0 * error,
        error_typical: error,
    };
    (algorithm.into(), Ok(plan))
}

fn selection(candidates: Vec<(Plan, Result<Estimate, Refusal>)>, chosen: Algorithm, reason: Reason) -> Selection {
    let budget = Budget { limit: 1e-6, certified: false, origin: Origin::Default };
    Selection { value: "y".into(), conv: conv(), budget, candidates, chosen: chosen.into(), reason }
}

fn compiler() -> Compiler {
    Compiler::for_machine(Machine::x86_64_v3())
}

/// Why `chosen` is what it is, as selection says it.
fn fastest(chosen: Algorithm) -> Reason {
    Reason::Fastest { cycles: 1.0, next: (chosen.into(), 1.0) }
}

fn said(selection: &Selection, measured: Option<&Measured>) -> Vec<String> {
    sentences(&View::new(selection, &compiler(), measured, false))
}

#[test]
fn a_fast_algorithm_that_wins_says_what_it_saves_and_costs() {
    let all = vec![
        plan(Algorithm::Direct, 1.0, 10.0, 1.0, 1e-7),
        plan(WINOGRAD_4, 4.0, 2.5, 1.5, 5e-7),
        plan(WINOGRAD_2, 2.25, 4.5, 1.0, 2e-7),
        plan(EXPLICIT, 1.0, 2.0, 1.0, 1e-7),
    ];
    assert_eq!(
        said(&selection(all, WINOGRAD_4, fastest(WINOGRAD_2)), None),
        [
            "winograd(4x4) takes 4.00 ms: 4.00 times fewer multiplications than a plain sum leave 2.50 ms of products where direct \
             has 10.00 ms; transforms, copies and memory cost 1.50 ms (stream 1.50 ms). In all it is 2.75 times as fast as direct.",
            "Next is winograd(2x2), 1.38 times as long: 2.00 ms more for multiply.",
            "im2col(explicit) would be 1.33 times as fast with 3.0 MiB of scratch; it is taken on request only.",
            "winograd(4x4) spreads a NaN or an infinity over its tiles; with --ieee it stays where the sum puts it.",
        ]
    );
}

#[test]
fn a_plain_sum_that_wins_says_what_the_fast_would_pay() {
    let all = vec![
        plan(Algorithm::Direct, 1.0, 2.0, 0.5, 1e-7),
        plan(IM2COL, 1.0, 2.0, 0.9, 1e-7),
        plan(WINOGRAD_4, 4.0, 1.5, 2.0, 5e-7),
    ];
    assert_eq!(
        said(&selection(all.clone(), Algorithm::Direct, fastest(IM2COL)), None),
        [
            "direct takes 2.50 ms, 2.00 ms of it products.",
            "The best of the fast algorithms, winograd(4x4), with 4.00 times fewer multiplications, would save 500.0 µs of products \
             but pay stream 1.50 ms: 1.40 times as long.",
            "Next is im2col, 1.16 times as long: 400.0 µs more for stream.",
        ]
    );
    let plain = selection(all[..2].to_vec(), Algorithm::Direct, fastest(IM2COL));
    assert_eq!(said(&plain, None)[1], "No algorithm with fewer multiplications applies.");
    let only = selection(all[..1].to_vec(), Algorithm::Direct, Reason::Only);
    assert_eq!(said(&only, None), ["direct is the only one that applies."]);
}

#[test]
fn what_is_faster_but_over_the_limit_is_told_with_the_limit_that_admits_it() {
    let all = vec![plan(Algorithm::Direct, 1.0, 10.0, 1.0, 1e-7), plan(WINOGRAD_4, 4.0, 2.5, 1.5, 2.1e-6)];
    let selection = selection(all, Algorithm::Direct, Reason::Only);
    let over = "winograd(4x4) would be 2.75 times as fast, but its error to expect, 2.1e-6, is over the 1.0e-6 allowed; \
                --max-error 3e-6 would admit it.";
    assert_eq!(said(&selection, None)[1], over);
    // The bound is what counts where it is asked for: 2.1e-4.
    let certified = Selection { budget: Budget { limit: 1e-5, certified: true, origin: Origin::Given }, ..selection };
    let over = "winograd(4x4) would be 2.75 times as fast, but its certified bound, 2.1e-4, is over the 1.0e-5 allowed; \
                --max-error 3e-4 would admit it.";
    assert_eq!(said(&certified, None)[1], over);
    let compiler = compiler();
    let view = View::new(&certified, &compiler, None, false);
    let standings: Vec<_> = view.rows.iter().map(|row| row.standing).collect();
    assert_eq!(standings, [Standing::Over, Standing::Chosen]);
}

#[test]
fn what_was_asked_for_is_compared_with_what_would_have_been() {
    let all = vec![plan(Algorithm::Direct, 1.0, 10.0, 1.0, 1e-7), plan(WINOGRAD_4, 4.0, 2.5, 1.5, 5e-7)];
    assert_eq!(
        said(&selection(all.clone(), Algorithm::Direct, Reason::Asked), None),
        [
            "direct was asked for, by the text or by --algorithm.",
            "winograd(4x4) would take 4.00 ms, 2.75 times as fast.",
        ]
    );
    let asked = selection(all, WINOGRAD_4, Reason::Asked);
    assert_eq!(said(&asked, None)[1], "No other that is allowed is predicted to be faster.");
}

#[test]
fn the_clock_has_the_last_word() {
    let all = vec![
        plan(Algorithm::Direct, 1.0, 10.0, 1.0, 1e-7),
        plan(WINOGRAD_4, 4.0, 2.5, 1.5, 5e-7),
        plan(WINOGRAD_2, 2.25, 4.5, 1.0, 2e-7),
    ];
    let selection = selection(all, WINOGRAD_4, fastest(WINOGRAD_2));
    let time = |seconds| Ok(Timing { seconds, median: seconds, turns: 3 });
    let measured = Measured {
        value: "y".into(),
        times: vec![(WINOGRAD_4.into(), time(6e-3)), (WINOGRAD_2.into(), time(5e-3))],
        skipped: vec![Algorithm::Direct.into()],
    };
    let all = said(&selection, Some(&measured));
    assert_eq!(
        all[all.len() - 3..],
        [
            "Measured, winograd(4x4) takes 6.00 ms, 150 % of the prediction.",
            "winograd(2x2) is really the best, with 5.00 ms: the choice costs 20 %.",
            "Not measured, being predicted to take more than 6 times the least: direct.",
        ]
    );
    let compiler = compiler();
    let view = View::new(&selection, &compiler, Some(&measured), false);
    assert!(view.regret().is_some_and(|regret| (regret - 0.2).abs() < 1e-9), "{:?}", view.regret());
}

#[test]
fn like_refusals_stand_together() {
    let channels = |got| Err(Refusal::InputChannels { got });
    let all = vec![
        plan(Algorithm::Direct, 1.0, 10.0, 1.0, 1e-7),
        (Algorithm::Depthwise.into(), channels(64)),
        (WINOGRAD_2.into(), channels(2)),
        (WINOGRAD_4.into(), channels(4)),
        (EXPLICIT.into(), channels(64)),
    ];
    let selection = selection(all, Algorithm::Direct, Reason::Only);
    let compiler = compiler();
    let view = View::new(&selection, &compiler, None, false);
    let told: Vec<_> = view.refused.iter().map(|(whom, why)| format!("{whom}: {why}")).collect();
    assert_eq!(
        told,
        [
            "depthwise, im2col(explicit): needs one input channel per group, got 64",
            "winograd(2x2): needs one input channel per group, got 2; likewise winograd(4x4)",
        ]
    );
}
