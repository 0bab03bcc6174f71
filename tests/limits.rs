//! Each limit: a value that is just enough, and one less, whose error names the limit and its flag. And the deadline, on layers that take long.

use std::time::{Duration, Instant};

use convoke::{Compiler, Error, Exceeded, Generator, Layer, Limit, Limits};
use convoke_cli::{Captured, capture};

/// Three ops, brackets nested twice, a tensor of 128 elements.
const TEXT: &str = "layer @l(%x: f32[1, 2, 8, 8]) -> f32[1, 2, 6, 6] {
  %w = const f32[2, 2, 3, 3] = normal(seed = 1, std = 0.1)
  %0 = conv2d %x, %w { algorithm = direct(lanes = pixels, input = in_place, tile = [1, 1, 1]) }
  %1 = sigmoid %0
  %2 = softplus %1
  return %2
}
";

fn opt(text: &str, flags: &[&str]) -> Captured {
    capture(&[&["convoke", "opt", "-"], flags].concat(), text.as_bytes())
}

fn layer() -> Layer {
    Layer::parse(TEXT).expect("a valid text")
}

/// The limit that a layer exceeds.
fn exceeded(layer: &Layer, limits: Limits) -> Option<Exceeded> {
    let error = Compiler::host().with_limits(limits).compile(layer).err()?;
    let found = error.exceeded().unwrap_or_else(|| panic!("{error}"));
    let message = error.to_string();
    assert!(message.contains(&format!("--{}", found.limit.flag())), "{message}");
    assert!(message.contains(&found.limit.shown(u128::from(found.most))), "{message}");
    Some(found.clone())
}

#[test]
fn what_is_read_is_limited() {
    let bytes = TEXT.len() as u64;
    for (limit, enough) in [(Limit::Source, bytes), (Limit::Nesting, 2), (Limit::Ops, 3), (Limit::Elements, 128)] {
        let flag = format!("--{}", limit.flag());
        let within = opt(TEXT, &[&flag, &enough.to_string()]);
        assert_eq!((within.status, within.stderr.as_str()), (0, ""), "{flag} {enough}");
        let beyond = opt(TEXT, &[&flag, &(enough - 1).to_string()]);
        let expected = format!("the limit is {}", enough - 1);
        assert_eq!(beyond.status, 1, "{flag}: {}", beyond.stdout);
        assert!(beyond.stderr.contains(&flag) && beyond.stderr.contains(&expected), "{}", beyond.stderr);
    }
}

#[test]
fn layers_built_in_rust_keep_the_limits_of_texts() {
    for (limit, enough) in [(Limit::Ops, 3), (Limit::Elements, 128)] {
        assert_eq!(exceeded(&layer(), Limits::default().with(limit, enough)), None);
        let found = exceeded(&layer(), Limits::default().with(limit, enough - 1)).expect("one too few");
        assert_eq!((found.limit, found.found, found.most), (limit, u128::from(enough), enough - 1));
    }
}

/// What the code of a layer takes, found by asking for less.
#[test]
fn code_is_limited() -> Result<(), Error> {
    // Nothing is packed, so that all code is that of a run; the sum is kept between two kernels.
    let layer = Layer::parse(
        "layer @l(%x: f32[1, 4, 32, 32]) -> f32[1, 1, 32, 1] {
  %0 = reduce_sum %x { axes = [1] }
  %1 = reduce_max %0 { axes = [3] }
  return %1
}",
    )?;
    let compiled = Compiler::host().compile(&layer)?;
    let report = compiled.report();
    for (limit, needed) in [(Limit::Scratch, report.scratch_bytes), (Limit::Code, report.code_bytes)] {
        let needed = needed as u64;
        assert!(needed > 0, "{limit:?}");
        assert_eq!(exceeded(&layer, Limits::default().with(limit, needed)), None);
        let found = exceeded(&layer, Limits::default().with(limit, needed - 1)).expect("a byte too few");
        assert_eq!((found.limit, found.found), (limit, u128::from(needed)));
    }
    // The largest function is the last that is refused.
    let mut most = 1;
    while let Some(found) = exceeded(&layer, Limits::default().with(Limit::Instructions, most)) {
        assert!(found.limit == Limit::Instructions && found.found > u128::from(most), "{found}");
        most = found.found as u64;
    }
    assert!(exceeded(&layer, Limits::default().with(Limit::Instructions, most - 1)).is_some());
    Ok(())
}

#[test]
fn objects_and_listings_keep_the_limits() {
    for flags in [["--max-code", "1"], ["--max-instructions", "1"], ["--max-compile-seconds", "0"]] {
        for emit in ["obj", "asm"] {
            let args = [&["convoke", "compile", "-", "--emit", emit, "-o", "-"][..], &flags].concat();
            let result = capture(&args, TEXT.as_bytes());
            assert_eq!((result.status, result.stdout.as_str()), (1, ""), "{emit} {flags:?}");
            assert!(result.stderr.contains(flags[0]), "{}", result.stderr);
        }
    }
}

#[test]
fn threads_beyond_the_limit_are_not_started() {
    let run = |threads, limits| Compiler::host().with_threads(threads).with_limits(limits).compile(&layer());
    let two = Limits::default().with(Limit::Threads, 2);
    run(2, two).expect("two threads");
    for (threads, limits) in [(3, two), (100_000, Limits::default()), (usize::MAX, Limits::default())] {
        let error = run(threads, limits).expect_err("too many threads");
        let found = error.exceeded().unwrap_or_else(|| panic!("{error}"));
        assert_eq!((found.limit, found.found), (Limit::Threads, threads as u128));
    }
    // No flag allows them.
    let all = Limits::default().with(Limit::Threads, u64::MAX);
    assert!(run(100_000, all).is_err_and(|error| error.to_string().contains("allows no more")));
}

/// Layers whose choice of an algorithm took as long as they are large, and the time that they were given.
fn large() -> Vec<String> {
    let layer = |x: [usize; 4], w: [usize; 4], attributes: &str, y: [usize; 4]| {
        let body = format!("%w = const f32{w:?} = zeros\n  %y = conv2d %x, %w {{ {attributes} }}");
        format!("layer @l(%x: f32{x:?}) -> f32{y:?} {{\n  {body}\n  return %y\n}}\n")
    };
    vec![
        // One row of 2^40 pixels, dilated by a quarter of it.
        layer([1, 1, 1, 1 << 40], [1, 1, 1, 3], "dilations = [1, 274877906944]", [1, 1, 1, 1 << 39]),
        // The same as a column, and as an image, with padding.
        layer(
            [1, 1, 1 << 36, 1],
            [1, 1, 3, 1],
            "dilations = [1073741824, 1], pads = [1073741824, 0, 1073741824, 0]",
            [1, 1, 1 << 36, 1],
        ),
        layer(
            [1, 4, 1 << 18, 1 << 18],
            [4, 4, 3, 3],
            "dilations = [65537, 65537], pads = [65537, 65537, 65537, 65537]",
            [1, 4, 1 << 18, 1 << 18],
        ),
        // As many taps as pixels.
        layer(
            [1, 1, 2, 1 << 22],
            [1, 1, 1, 1 << 21],
            "dilations = [1, 1], pads = [0, 2097152, 0, 2097152]",
            [1, 1, 2, (1 << 22) + (1 << 21) + 1],
        ),
        layer(
            [1, 1, 1 << 24, 2],
            [1, 1, 1 << 23, 1],
            "dilations = [1, 1], pads = [8388608, 0, 8388608, 0]",
            [1, 1, (1 << 24) + (1 << 23) + 1, 2],
        ),
    ]
}

#[test]
fn the_deadline_is_kept() {
    for text in large() {
        for seconds in ["0", "0.02", "0.5"] {
            let start = Instant::now();
            let flags = ["--max-compile-seconds", seconds, "--passes", "select,lower"];
            let result = opt(&text, &flags);
            let took = start.elapsed();
            assert!(took < Duration::from_secs(5), "{took:?} with a limit of {seconds} s\n{text}");
            assert!(!result.stderr.contains("bug in convoke"), "{}", result.stderr);
            let late = result.stderr.contains("--max-compile-seconds");
            assert!(result.status == 0 || late || result.stderr.contains("elements"), "{}", result.stderr);
            assert!(seconds != "0" || late, "{}\n{text}", result.stderr);
        }
    }
}

/// Wherever the time ends, in whatever pass or stage, the error says so, and soon.
#[test]
fn every_stage_stops() {
    let weights = Generator::Normal { seed: 1, mean: 0.0, std: 0.1 };
    let layer = Layer::conv2d([1, 64, 40, 40], [128, 64, 3, 3]).pads([1; 4]).weights(weights).relu().build();
    let layer = layer.expect("valid");
    let mut stages = std::collections::BTreeSet::new();
    let mut millis = 0;
    loop {
        let start = Instant::now();
        let limits = Limits::default().with_time(Duration::from_millis(millis));
        let Some(found) = exceeded(&layer, limits) else { break };
        assert_eq!(found.limit, Limit::Time);
        let late = start.elapsed().saturating_sub(Duration::from_millis(millis));
        assert!(late < Duration::from_secs(5), "{late:?} late: {found}");
        stages.insert(found.what);
        millis += 1 + millis / 8;
    }
    assert!(stages.len() > 1, "{stages:?}");
}
