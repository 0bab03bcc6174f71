//! Inputs that broke software of this kind elsewhere and are too large, or too many, to be text tests: bombs, cut files,
//! arrays that do not fit, threads, many layers. Each stands for its class.

use std::time::{Duration, Instant};

use convoke::{Algorithm, Compiler, Error, Generator, Layer, Layout};
use convoke_cli::{Captured, capture};
use convoke_tests::Random;
use ndarray::{Array1, Array4, s};

fn on_stdin(args: &[&str], text: &[u8]) -> Captured {
    let mut all = vec!["convoke"];
    all.extend(args);
    capture(&all, text)
}

/// Status 1, a short message, nothing on standard output, in little time.
fn refused(args: &[&str], text: &[u8], within: Duration) -> String {
    let start = Instant::now();
    let result = on_stdin(args, text);
    assert_eq!(result.status, 1, "{}", result.stderr);
    assert_eq!(result.stdout, "");
    assert!(start.elapsed() < within, "{:?}", start.elapsed());
    result.stderr
}

#[test]
fn bytes_that_are_no_utf8_are_named_with_their_place() {
    let stderr = refused(&["opt", "-"], b"// a\n// b\n// caf\xff\nlayer", Duration::from_secs(1));
    assert!(stderr.contains("FF") && stderr.contains("line 3, column 7"), "{stderr}");
}

#[test]
fn depth_is_limited() {
    let text = format!("layer @l(%x: f32[1]) -> f32[1] {{\n  %0 = relu %x {{ pads = {} }}\n", "[".repeat(100_000));
    let stderr = refused(&["opt", "-"], text.as_bytes(), Duration::from_secs(1));
    assert!(stderr.len() < 4096, "{} bytes", stderr.len());
}

#[test]
fn a_line_of_20_mib_gives_a_short_message() {
    let mut text = String::from("layer @l(%x: f32[1]) -> f32[1] { ");
    text += &" ".repeat(15_000_000 - text.len());
    text += "?";
    text += &" ".repeat((20 << 20) - text.len());
    let stderr = refused(&["opt", "-"], text.as_bytes(), Duration::from_secs(2));
    assert!(stderr.len() < 2048 && stderr.contains(":1:15000001"), "{} bytes: {stderr}", stderr.len());
}

#[test]
fn every_example_cut_at_every_byte_is_refused_or_valid() {
    for entry in std::fs::read_dir("../ir-examples").expect("the examples are there") {
        let text = std::fs::read(entry.expect("an entry").path()).expect("an example can be read");
        for end in 0..text.len() {
            let cut = std::str::from_utf8(&text[..end]);
            // What counts is that there is an answer; a cut between two layers is a valid text.
            if let Ok(cut) = cut {
                let _ = convoke::ir::text::parse_and_verify(cut);
            }
        }
    }
}

#[test]
fn a_long_chain_takes_time_in_proportion() {
    let chain = |n: usize| {
        let mut text = String::from("layer @l(%x: f32[1, 1, 2, 2]) -> f32[1, 1, 2, 2] {\n  %0 = sigmoid %x\n");
        (1..n).for_each(|i| text += &format!("  %{i} = sigmoid %{}\n", i - 1));
        text + &format!("  return %{}\n}}\n", n - 1)
    };
    let time = |n: usize| {
        let text = chain(n);
        let start = Instant::now();
        let result = on_stdin(&["opt", "-"], text.as_bytes());
        assert_eq!(result.status, 0, "{}", &result.stderr[..result.stderr.len().min(2000)]);
        start.elapsed().as_secs_f64()
    };
    // Other work on the machine disturbs single measurements.
    let best = |n: usize| (0..3).map(|_| time(n)).fold(f64::INFINITY, f64::min);
    let (short, long) = (best(2_000), best(4_000));
    assert!(long < 3.5 * short + 0.05, "{short} s, then {long} s for twice as many");
}

#[test]
fn a_kernel_of_four_million_taps_compiles_to_little_code() {
    let layer =
        Layer::conv2d([1, 1, 4000, 4000], [1, 1, 2000, 2000]).weights(Generator::Zeros {}).build().expect("valid");
    let start = Instant::now();
    let compiled = Compiler::host().compile(&layer).expect("it fits the memory limit");
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    assert!(compiled.report().code_bytes < 8 << 20, "{} bytes", compiled.report().code_bytes);
}

/// The largest tensors that are valid. What is multiplied for them is counted in numbers that do not fit 64 bits.
#[test]
fn the_largest_layers_are_lowered_or_refused() {
    for (x, w, attributes) in [
        ("1, 4194304, 2048, 2048", "4194304, 4194304, 1, 1", ""),
        ("1, 1048576, 4096, 4096", "1048576, 1048576, 3, 3", "pads = [1, 1, 1, 1], "),
        ("4194304, 2097152, 1, 2", "2097152, 2097152, 1, 3", "pads = [0, 1, 0, 1], "),
        ("1, 4194304, 2048, 2048", "4194304, 1, 3, 3", "pads = [1, 1, 1, 1], group = 4194304, "),
    ] {
        for algorithm in ["auto", "direct", "im2col", "depthwise", "strassen(1)", "winograd(2x2)"] {
            let text = format!(
                "layer @l(%x: f32[{x}]) -> f32[{x}] {{
  %w = const f32[{w}] = zeros
  %0 = conv2d %x, %w {{ {attributes}algorithm = {algorithm} }}
  return %0
}}
"
            );
            let result = on_stdin(&["opt", "-", "--passes", "select,lower"], text.as_bytes());
            assert!(result.status <= 1 && !result.stderr.contains("bug in convoke"), "{}\n{text}", result.stderr);
        }
    }
}

fn small() -> Layer {
    let weights = Generator::Normal { seed: 1, mean: 0.0, std: 0.3 };
    Layer::conv2d([1, 5, 9, 7], [6, 5, 3, 3]).pads([1; 4]).weights(weights).relu().build().expect("valid")
}

#[test]
fn arrays_that_do_not_fit_are_refused_and_nothing_is_written() {
    let compiled = Compiler::host().compile(&small()).expect("it compiles");
    let x = Array4::<f32>::ones([1, 5, 9, 7]);
    for shape in [[1, 5, 9, 6], [1, 5, 9, 8], [1, 5, 7, 9], [1, 9, 7, 5], [5, 1, 9, 7]] {
        let wrong = Array4::<f32>::ones(shape);
        assert!(matches!(compiled.run::<f32>(&[&wrong]), Err(Error::Array { .. })), "{shape:?}");
    }
    assert!(matches!(compiled.run::<f32>(&[]), Err(Error::Count { .. })));
    assert!(matches!(compiled.run::<f32>(&[&x, &x]), Err(Error::Count { .. })));
    assert!(matches!(compiled.run::<f32>(&[&x.mapv(f64::from)]), Err(Error::Element { .. })));
    for shape in [[1, 6, 9, 6], [1, 6, 9, 8], [1, 6, 7, 9]] {
        let mut y = Array4::<f32>::from_elem(shape, 7.0);
        assert!(matches!(compiled.run_into(&[&x], &mut [&mut y]), Err(Error::Array { .. })), "{shape:?}");
        assert!(y.iter().all(|&v| v == 7.0), "{shape:?}: something was written");
    }
    let mut y = Array4::<f32>::from_elem([1, 6, 9, 14], 7.0);
    let mut gaps = y.slice_mut(s![.., .., .., ..;2]);
    assert!(matches!(compiled.run_into(&[&x], &mut [&mut gaps]), Err(Error::Strides { .. })));
    assert!(y.iter().all(|&v| v == 7.0), "something was written");
}

#[test]
fn inputs_of_any_strides_mean_the_same() {
    let compiled = Compiler::host().compile(&small()).expect("it compiles");
    let x = Array4::from_shape_fn([1, 5, 9, 7], |(_, c, h, w)| (c * 63 + h * 7 + w) as f32 * 0.01);
    let plain = compiled.run::<f32>(&[&x]).expect("it runs");
    let permuted = Array4::from_shape_fn([7, 9, 5, 1], |(w, h, c, n)| x[[n, c, h, w]]);
    assert_eq!(compiled.run::<f32>(&[&permuted.t()]).expect("it runs"), plain);
    let wide = Array4::from_shape_fn([1, 5, 18, 14], |(n, c, h, w)| x[[n, c, h / 2, w / 2]]);
    assert_eq!(compiled.run::<f32>(&[&wide.slice(s![.., .., ..;2, ..;2])]).expect("it runs"), plain);
    let mirrored = Array4::from_shape_fn([1, 5, 9, 7], |(n, c, h, w)| x[[n, c, 8 - h, w]]);
    assert_eq!(compiled.run::<f32>(&[&mirrored.slice(s![.., .., ..;-1, ..])]).expect("it runs"), plain);
}

#[test]
fn weights_of_another_shape_are_refused() {
    let conv = || Layer::conv2d([1, 5, 9, 7], [6, 5, 3, 3]);
    assert!(matches!(conv().weights(Array4::<f32>::ones([6, 5, 3, 4])).build(), Err(Error::Weights { .. })));
    assert!(matches!(conv().weights(Array4::<f32>::ones([5, 6, 3, 3])).build(), Err(Error::Weights { .. })));
    assert!(matches!(conv().bias(Array1::<f32>::ones([5])).build(), Err(Error::Weights { .. })));
    assert!(matches!(conv().group(0).build(), Err(Error::Build(_))));
    assert!(matches!(conv().layout(Layout::Nhwc).build(), Err(Error::Build(_))));
    assert!(Compiler::host().compile(&conv().build().expect("weights may come later")).is_err());
}

#[test]
fn many_threads_share_one_layer() {
    let compiled = std::sync::Arc::new(Compiler::host().with_threads(2).compile(&small()).expect("it compiles"));
    let input = |seed: usize| Array4::from_shape_fn([1, 5, 9, 7], |(_, c, h, w)| (seed + c * h + w) as f32 * 0.1);
    std::thread::scope(|scope| {
        for seed in 0..16 {
            let compiled = compiled.clone();
            scope.spawn(move || {
                let x = input(seed);
                let alone = compiled.run::<f32>(&[&x]).expect("it runs");
                for _ in 0..100 {
                    assert_eq!(compiled.run::<f32>(&[&x]).expect("it runs"), alone);
                }
            });
        }
    });
}

#[test]
fn layers_keep_their_own_weights() {
    let layer = |seed: i64| {
        let weights = Generator::Normal { seed, mean: 0.0, std: 0.3 };
        Layer::conv2d([1, 5, 9, 7], [6, 5, 3, 3]).weights(weights).build().expect("valid")
    };
    let [a, b, c] = [1, 2, 1].map(|seed| Compiler::host().compile(&layer(seed)).expect("it compiles"));
    let x = Array4::<f32>::ones([1, 5, 9, 7]);
    let [a, b, c] = [a, b, c].map(|conv| conv.run::<f32>(&[&x]).expect("it runs"));
    assert_eq!(a, c);
    assert_ne!(a, b);
}

#[test]
fn no_rounding_error_allowed_is_still_a_layer() {
    let compiled = Compiler::host().with_max_error(0.0).compile(&small()).expect("a plain sum is what a layer means");
    let x = Array4::<f32>::ones([1, 5, 9, 7]);
    assert_eq!(compiled.run::<f32>(&[&x]).expect("it runs")[0].shape(), [1, 6, 9, 7]);
}

#[test]
fn memory_beyond_the_limit_is_refused() {
    let error = Compiler::host()
        .with_algorithm(Algorithm::Im2col { explicit: false })
        .with_max_memory(6_000)
        .compile(&small())
        .expect_err("3852 bytes of tensors, and as much packed and scratch");
    let error = error.render(false);
    assert!(error.contains("limit"), "{error}");
    let layer = Layer::conv2d([1, 64, 512, 512], [64, 64, 1, 1]).weights(Generator::Zeros {}).build().expect("valid");
    let error = Compiler::host().with_max_memory(1 << 20).compile(&layer).expect_err("two tensors of 64 MiB");
    assert!(matches!(error, Error::Memory { .. }), "{error}");
}

/// Small layers that use every op, to be damaged.
const BASES: &[&str] = &[
    "layer @a(%x: f32[1, 4, 6, 5]) -> f32[1, 8, 6, 5] {
  %w = const f32[8, 2, 3, 3] = normal(seed = 1, std = 0.5)
  %b = const f32[8] = uniform(seed = 2, low = -1.0, high = 1.0)
  %p = pad %x { pads = [1, 1, 1, 1], mode = zeros }
  %0 = conv2d %p, %w { strides = [1, 1], dilations = [1, 1], group = 2, algorithm = auto } then bias %b then relu
  %1 = leaky_relu %0 { alpha = 0.1 }
  %2 = clip %1 { min = -1.0, max = 6.0 }
  return %2
}
",
    "layer @b(%x: f32[2, 5, 4, 3] nhwc, %r: f32[2, 3, 5, 4]) -> f32[2, 120] {
  %s = const f32[3] = ones
  %n = batch_norm %x, %s, %s, %s, %s { epsilon = 0.001 }
  %c = to_layout %n { layout = nchw }
  %d = add %c, %r
  %e = concat %d, %r { axis = 1 }
  %f = transpose %e { perm = [0, 2, 3, 1] }
  %g = reshape %f { shape = [2, -1] }
  return %g
}
",
    "layer @c(%x: f64[1, 3, 7, 7]) -> f64[1, 4] {
  %m = max_pool %x { kernel_shape = [3, 3], pads = [1, 1, 1, 1], strides = [2, 2], ceil_mode = true }
  %a = avg_pool %m { kernel_shape = [2, 2], count_include_pad = false }
  %h = hardswish %a
  %s = sigmoid %h
  %t = mul %h, %s
  %g = global_avg_pool %t
  %f = reshape %g { shape = [1, 3] }
  %w = const f64[3, 4] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]
  %y = matmul %f, %w
  return %y
}
",
];

/// `text` with one to three of its tokens removed, repeated, swapped, or replaced by an awkward number or word.
fn damaged(text: &str, random: &mut Random) -> String {
    let mut tokens: Vec<String> = Vec::new();
    for c in text.chars() {
        match tokens.last_mut() {
            Some(last)
                if (c.is_alphanumeric() || "_.".contains(c))
                    && last.ends_with(|l: char| l.is_alphanumeric() || "_.".contains(l)) =>
            {
                last.push(c)
            }
            _ => tokens.push(c.into()),
        }
    }
    for _ in 0..random.between(1, 3) {
        let at = random.between(0, tokens.len() - 1);
        let other = random.between(0, tokens.len() - 1);
        let numbers = ["0", "1", "2", "3", "7", "-1", "64", "1e400", "nan", "9223372036854775807", "4294967296", "0.5"];
        let words =
            ["relu", "conv2d", "x", "w", "nhwc", "f64", "depthwise", "im2col", "direct", "reflect", "unbound", "auto"];
        match random.between(0, 7) {
            0 => drop(tokens.remove(at)),
            1 => tokens.insert(at, tokens[other].clone()),
            2 => tokens.swap(at, other),
            3 => tokens[at] = random.pick(&words).into(),
            _ => {
                // Numbers are where the damage goes deep.
                let digits: Vec<usize> =
                    (0..tokens.len()).filter(|&i| tokens[i].starts_with(|c: char| c.is_ascii_digit())).collect();
                tokens[random.pick(&digits)] = random.pick(&numbers).into();
            }
        }
        if tokens.is_empty() {
            break;
        }
    }
    tokens.concat()
}

#[test]
fn damaged_layers_are_refused_or_right() {
    let mut random = Random::new(5);
    let mut sound = 0;
    for i in 0..1_500 {
        let text = damaged(BASES[i % BASES.len()], &mut random);
        let result = on_stdin(&["check", "-", "--max-memory", "1M"], text.as_bytes());
        assert!(result.status <= 1, "status {}: {}\n{text}", result.status, result.stderr);
        assert!(
            !result.stderr.contains("bug in convoke") && !result.stdout.contains("FAILED"),
            "{}{}\n{text}",
            result.stderr,
            result.stdout
        );
        sound += usize::from(result.status == 0);
    }
    assert!(sound > 100, "only {sound} of 1500 were sound: the damage tests the parser alone");
}

#[test]
fn damaged_programs_are_refused_or_stay_valid() {
    let mut random = Random::new(6);
    let lowered =
        |text: &&str| on_stdin(&["opt", "-", "--passes", "select,lower", "--cpu", "x86-64-v3"], text.as_bytes()).stdout;
    let programs: Vec<String> = BASES.iter().map(lowered).collect();
    let mut sound = 0;
    for i in 0..600 {
        let text = damaged(&programs[i % programs.len()], &mut random);
        let result = on_stdin(&["opt", "-", "--cpu", "x86-64-v3"], text.as_bytes());
        assert!(result.status <= 1, "status {}: {}\n{text}", result.status, result.stderr);
        assert!(!result.stderr.contains("bug in convoke"), "{}\n{text}", result.stderr);
        sound += usize::from(result.status == 0);
    }
    assert!(sound > 30, "only {sound} of 600 were sound: the damage tests the parser alone");
}
