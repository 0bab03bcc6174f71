//! Inputs that broke software of this kind elsewhere and are too large, or too many, to be text tests: bombs, cut files,
//! arrays that do not fit, threads, many layers. Each stands for its class.

use std::time::{Duration, Instant};

use convoke::{Compiler, Error, Generator, Layer, Layout};
use convoke_cli::{Captured, capture};
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
    let layer = Layer::conv2d([1, 1, 4000, 4000], [1, 1, 2000, 2000]).weights(Generator::Zeros {}).build().expect("valid");
    let start = Instant::now();
    let compiled = Compiler::host().compile(&layer).expect("it fits the memory limit");
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    assert!(compiled.report().code_bytes < 8 << 20, "{} bytes", compiled.report().code_bytes);
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
        assert!(matches!(compiled.run(&[wrong.view()]), Err(Error::Array { .. })), "{shape:?}");
    }
    assert!(matches!(compiled.run::<f32, ndarray::Ix4>(&[]), Err(Error::Count { .. })));
    assert!(matches!(compiled.run(&[x.view(), x.view()]), Err(Error::Count { .. })));
    assert!(matches!(compiled.run(&[x.mapv(f64::from).view()]), Err(Error::Element { .. })));
    for shape in [[1, 6, 9, 6], [1, 6, 9, 8], [1, 6, 7, 9]] {
        let mut y = Array4::<f32>::from_elem(shape, 7.0);
        assert!(matches!(compiled.run_into(&[x.view()], &mut [y.view_mut()]), Err(Error::Array { .. })), "{shape:?}");
        assert!(y.iter().all(|&v| v == 7.0), "{shape:?}: something was written");
    }
    let mut y = Array4::<f32>::from_elem([1, 6, 9, 14], 7.0);
    let gaps = y.slice_mut(s![.., .., .., ..;2]);
    assert!(matches!(compiled.run_into(&[x.view()], &mut [gaps]), Err(Error::Strides { .. })));
    assert!(y.iter().all(|&v| v == 7.0), "something was written");
}

#[test]
fn inputs_of_any_strides_mean_the_same() {
    let compiled = Compiler::host().compile(&small()).expect("it compiles");
    let x = Array4::from_shape_fn([1, 5, 9, 7], |(_, c, h, w)| (c * 63 + h * 7 + w) as f32 * 0.01);
    let plain = compiled.run(&[x.view()]).expect("it runs");
    let permuted = Array4::from_shape_fn([7, 9, 5, 1], |(w, h, c, n)| x[[n, c, h, w]]);
    assert_eq!(compiled.run(&[permuted.t()]).expect("it runs"), plain);
    let wide = Array4::from_shape_fn([1, 5, 18, 14], |(n, c, h, w)| x[[n, c, h / 2, w / 2]]);
    assert_eq!(compiled.run(&[wide.slice(s![.., .., ..;2, ..;2])]).expect("it runs"), plain);
    let mirrored = Array4::from_shape_fn([1, 5, 9, 7], |(n, c, h, w)| x[[n, c, 8 - h, w]]);
    assert_eq!(compiled.run(&[mirrored.slice(s![.., .., ..;-1, ..])]).expect("it runs"), plain);
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
    let compiled = std::sync::Arc::new(Compiler::host().threads(2).compile(&small()).expect("it compiles"));
    let input = |seed: usize| Array4::from_shape_fn([1, 5, 9, 7], |(_, c, h, w)| (seed + c * h + w) as f32 * 0.1);
    std::thread::scope(|scope| {
        for seed in 0..16 {
            let compiled = compiled.clone();
            scope.spawn(move || {
                let x = input(seed);
                let alone = compiled.run(&[x.view()]).expect("it runs");
                for _ in 0..100 {
                    assert_eq!(compiled.run(&[x.view()]).expect("it runs"), alone);
                }
            });
        }
    });
}

#[cfg(target_os = "linux")]
#[test]
fn dropped_layers_give_their_memory_back() {
    let resident = || {
        let status = std::fs::read_to_string("/proc/self/statm").expect("Linux has it");
        status.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).expect("the second number") * 4096
    };
    let compile = |i: usize| {
        let weights = Generator::Normal { seed: i as i64, mean: 0.0, std: 0.3 };
        let layer = Layer::conv2d([1, 1, 4 + i % 5, 4], [1, 1, 3, 3]).weights(weights).build().expect("valid");
        Compiler::host().compile(&layer).expect("it compiles")
    };
    (0..50).for_each(|i| drop(compile(i)));
    let before = resident();
    (0..500).for_each(|i| drop(compile(i)));
    let grown = resident().saturating_sub(before);
    assert!(grown < 20 << 20, "500 layers left {grown} bytes behind");
}

#[test]
fn layers_keep_their_own_weights() {
    let layer = |seed: i64| {
        let weights = Generator::Normal { seed, mean: 0.0, std: 0.3 };
        Layer::conv2d([1, 5, 9, 7], [6, 5, 3, 3]).weights(weights).build().expect("valid")
    };
    let [a, b, c] = [1, 2, 1].map(|seed| Compiler::host().compile(&layer(seed)).expect("it compiles"));
    let x = Array4::<f32>::ones([1, 5, 9, 7]);
    let [a, b, c] = [a, b, c].map(|conv| conv.run(&[x.view()]).expect("it runs"));
    assert_eq!(a, c);
    assert_ne!(a, b);
}

#[test]
fn no_rounding_error_allowed_is_still_a_layer() {
    let compiled = Compiler::host().max_error(0.0).compile(&small()).expect("a plain sum is what a layer means");
    let x = Array4::<f32>::ones([1, 5, 9, 7]);
    assert_eq!(compiled.run(&[x.view()]).expect("it runs")[0].shape(), [1, 6, 9, 7]);
}

#[test]
fn memory_beyond_the_limit_is_refused() {
    let error = Compiler::host().max_memory(10_000).compile(&small()).expect_err("1260 + 1080 + 1512 bytes, and scratch");
    let error = error.render(false);
    assert!(error.contains("10000"), "{error}");
    let layer = Layer::conv2d([1, 64, 512, 512], [64, 64, 1, 1]).weights(Generator::Zeros {}).build().expect("valid");
    let error = Compiler::host().max_memory(1 << 20).compile(&layer).expect_err("two tensors of 64 MiB");
    assert!(matches!(error, Error::Memory { .. }), "{error}");
}
