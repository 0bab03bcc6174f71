//! Factoring passes on hostile numbers, ranks and sizes: a convolution is left with a reason, or rewritten within what was allowed.

use std::sync::{Arc, Mutex};

use convoke_data::Files;
use convoke_ir::elem::Elem;
use convoke_ir::layer::{Def, Layer, Source};
use convoke_ir::text;
use convoke_ir::values::Values;
use convoke_machine::Machine;
use convoke_passes::spec::Spec;
use convoke_passes::{Context, Grants, Note, Outcome, PassManager, SkipReason, Stage, State, Watch, registry};

const PASSES: [&str; 10] = [
    "factor-separable(always=true)",
    "factor-separable(always=true, rank=1)",
    "asymmetric(always=true)",
    "bottleneck(always=true)",
    "bottleneck(always=true, ranks=[2, 2])",
    "bottleneck(always=true, ranks=bayes)",
    "bottleneck(always=true, form=cp)",
    "bottleneck(always=true, form=cp, rank=3)",
    "stack-small-kernels(always=true)",
    "approximate(always=true)",
];

/// A convolution of 5 × 5 taps over 4 channels, with or without groups, whose weights repeat these.
fn conv(elem: &str, group: usize, attrs: &str, weights: &[f64]) -> Layer {
    let c = 4 / group;
    let source = format!(
        "layer @l(%x: {elem}[1, 4, 9, 9]) -> {elem}[1, 4, 9, 9] {{\n%w = const {elem}[4, {c}, 5, 5] = unbound\n\
         %y = conv2d %x, %w {{ {attrs}, group = {group} }}\nreturn %y\n}}\n"
    );
    let mut layer = text::parse_and_verify(&source).expect("valid").layers.remove(0);
    let numbers: Vec<f64> = weights.iter().copied().cycle().take(4 * c * 25).collect();
    let w = layer.values.ids().find(|&id| layer.values[id].name == "w").expect("`%w`");
    layer.values[w].def = Def::Const(Source::Computed(Values::of(Elem::F64, &numbers)));
    layer
}

fn outcome(pass: &str, layer: Layer, tolerance: f64, watch: Watch) -> Outcome {
    let passes =
        registry::chosen(&Spec::parse_list(pass).expect("a list"), Stage::Layer, Stage::Layer).expect("passes");
    let (machine, files) = (Machine::x86_64_v3(), Files::none());
    let grants = Grants { tolerance: Some(tolerance), ..Grants::default() };
    let mut manager = PassManager::new(Context { machine: &machine, files: &files, grants }).watch(watch);
    manager.run(State::Layer(layer), &passes).unwrap_or_else(|e| panic!("{pass}: {e}"));
    let notes: Vec<Note> = manager.records().iter().flat_map(|record| record.notes.clone()).collect();
    let [note] = &notes[..] else { panic!("{pass}: {notes:?}") };
    note.outcome.clone()
}

#[test]
fn numbers_that_are_not_finite_are_named() {
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        for (pass, group) in PASSES.iter().flat_map(|pass| [(pass, 1), (pass, 4)]) {
            let layer = conv("f32", group, "pads = [2, 2, 2, 2]", &[1.0, 2.0, bad]);
            let found = outcome(pass, layer, 0.5, Watch::default());
            assert_eq!(found, Outcome::Skipped(SkipReason::NotFinite), "{pass}");
        }
    }
}

#[test]
fn numbers_of_all_sizes_are_factored_within_the_tolerance_or_left() {
    let (least, most) = (f64::from(f32::from_bits(1)), f64::from(f32::MAX));
    for (elem, weights) in [
        ("f32", vec![0.0]),
        ("f32", vec![least, -3.0 * least, 7.0 * least]),
        ("f32", vec![most, -most, most / 2.0, most / 3.0]),
        ("f32", vec![most, least, 0.0]),
        ("f64", vec![f64::MAX, -f64::MAX, f64::MAX / 3.0, f64::MAX / 7.0, f64::MAX]),
        ("f64", vec![1e-300, 3e-300, -7e-301, 1e-308, 5e-324, 2e-300]),
        ("f64", vec![f64::MAX, 5e-324, 1.0]),
    ] {
        for (pass, group) in PASSES.iter().flat_map(|pass| [(pass, 1), (pass, 4)]) {
            match outcome(pass, conv(elem, group, "pads = [2, 2, 2, 2]", &weights), 0.5, Watch::default()) {
                Outcome::Rewritten(new) => {
                    let deviation = new.deviation.expect("bound");
                    assert!(deviation.frobenius <= 0.5, "{pass} of {elem} {weights:?}: {deviation:?}");
                }
                Outcome::Skipped(SkipReason::Error { error, .. } | SkipReason::Bound { error, .. }) => {
                    assert!(error > 0.0, "{pass} of {elem} {weights:?}: off by {error}");
                }
                Outcome::Skipped(_) => {}
            }
        }
    }
}

#[test]
fn ranks_of_no_use_are_refused_with_the_most_that_is() {
    let weights: Vec<f64> = (0..400).map(|i| f64::from((i * 7919 + 13) % 1009) / 1009.0 - 0.4).collect();
    for (pass, group, expected) in [
        // 400 numbers, 18 for each term.
        ("bottleneck(form=cp, rank=100000)", 1, 22),
        ("bottleneck(form=cp, rank=23)", 1, 22),
        // All axes but one of the longest.
        ("bottleneck(form=cp, rank=9223372036854775807, always=true)", 1, 80),
        ("bottleneck(ranks=[5, 4])", 1, 4),
        ("bottleneck(ranks=[4, 100000])", 1, 4),
        ("asymmetric(rank=9223372036854775807)", 1, 20),
        ("factor-separable(rank=21)", 1, 20),
        ("factor-separable(rank=9223372036854775807)", 4, 5),
    ] {
        let found = outcome(pass, conv("f32", group, "pads = [2, 2, 2, 2]", &weights), 1.0, Watch::default());
        assert!(
            matches!(&found, Outcome::Skipped(SkipReason::Rank { most, .. }) if *most == expected),
            "{pass}: {found:?}"
        );
    }
}

#[test]
fn work_is_limited_and_the_option_is_named() {
    let weights: Vec<f64> = (0..400).map(|i| f64::from((i * 7919 + 13) % 1009) / 1009.0 - 0.4).collect();
    for pass in ["factor-separable", "asymmetric", "bottleneck", "stack-small-kernels", "approximate"] {
        let layer = conv("f32", 1, "pads = [2, 2, 2, 2]", &weights);
        let found = outcome(&format!("{pass}(work=1000, always=true)"), layer, 0.9, Watch::default());
        assert_eq!(found, Outcome::Skipped(SkipReason::TooMuchWork { limit: 1000.0 }), "{pass}");
    }
    let why = SkipReason::TooMuchWork { limit: 5e11 }.to_string();
    assert!(why.contains("5e11") && why.contains("work=5e12"), "{why}");
}

#[test]
fn fits_are_followed_to_their_end() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let own = Arc::clone(&seen);
    let watch = Watch::new(move |progress| own.lock().expect("one thread").push(progress.to_string()));
    let weights: Vec<f64> = (0..400).map(|i| f64::from((i * 7919 + 13) % 1009) / 1009.0 - 0.4).collect();
    let layer = conv("f32", 1, "pads = [2, 2, 2, 2]", &weights);
    outcome("bottleneck(form=cp, rank=4)", layer, 0.99, watch);
    let seen = seen.lock().expect("one thread");
    assert_eq!(seen[..2], ["pass 1 of 1: bottleneck", "bottleneck %y: start 1 of 3, iteration 1"]);
    assert!(seen.iter().any(|line| line.contains("start 3 of 3")), "{seen:?}");
    assert_eq!(seen.last().map(String::as_str), Some("done"));
}

#[test]
fn far_taps_take_no_memory() {
    // Written out, the kernel of one pair of channels would have 16 million places.
    let ones = conv("f32", 1, "pads = [2000, 2000, 2000, 2000], dilations = [1000, 1000]", &[1.0]);
    for pass in PASSES.iter().filter(|pass| !pass.contains("ranks=[2")) {
        let found = outcome(pass, ones.clone(), 0.5, Watch::default());
        assert!(matches!(found, Outcome::Rewritten(_)), "{pass}: {found:?}");
    }
}
