//! The same bits for every number of threads: layers of every lowering, in both layouts, each large enough to be split.

use convoke::{Compiler, Files, Layer, Module};
use convoke_data as data;
use ndarray::ArrayD;

/// Input channels, height, width; output channels, kernel, stride, padding, dilation, groups; how.
type Row = ([usize; 3], [usize; 6], &'static str);

const ROWS: [Row; 22] = [
    // Counted through: tiles of pixels, tiles of output channels, one image of each.
    ([64, 28, 28], [64, 1, 1, 0, 1, 1], "direct"),
    ([256, 7, 7], [300, 1, 1, 0, 1, 1], "direct"),
    ([300, 5, 3], [520, 1, 1, 0, 1, 1], "direct"),
    // Rows that differ at the edges, a single output channel, groups.
    ([3, 40, 40], [33, 3, 1, 1, 1, 1], "direct"),
    ([16, 60, 60], [1, 5, 1, 2, 1, 1], "direct"),
    ([1, 130, 70], [20, 5, 1, 2, 1, 1], "direct"),
    ([96, 14, 14], [96, 3, 1, 1, 1, 12], "direct"),
    ([72, 14, 14], [72, 3, 2, 1, 1, 9], "direct"),
    // Strips of rows, fewer than threads, and tiles of channels.
    ([128, 7, 7], [80, 3, 1, 1, 1, 1], "direct"),
    ([160, 13, 13], [96, 3, 1, 2, 2, 1], "direct"),
    ([96, 17, 17], [50, 1, 2, 0, 1, 1], "im2col"),
    ([96, 20, 20], [48, 3, 1, 1, 1, 1], "im2col(explicit)"),
    ([64, 20, 20], [64, 3, 1, 1, 1, 1], "strassen(1)"),
    // Depthwise: pixels and channels in the lanes, more channels than whole vectors.
    ([70, 60, 60], [70, 3, 1, 1, 1, 70], "depthwise"),
    ([520, 14, 14], [520, 3, 1, 1, 1, 520], "depthwise"),
    ([200, 28, 28], [200, 5, 2, 2, 1, 200], "depthwise"),
    // Blocks of tiles, and steps of single blocks.
    ([64, 14, 14], [96, 3, 1, 1, 1, 1], "winograd(4x4)"),
    ([40, 56, 56], [24, 3, 1, 1, 1, 1], "winograd(6x6)"),
    ([64, 28, 28], [40, 3, 2, 1, 1, 1], "winograd(2x2)"),
    ([32, 20, 20], [32, 3, 1, 2, 2, 2], "winograd(2x2)"),
    ([48, 17, 17], [48, 5, 1, 2, 1, 1], "fft(16x16)"),
    ([64, 28, 28], [64, 9, 1, 4, 1, 64], "fft(32x32)"),
];

fn text(([c, h, w], [k, kernel, stride, pad, dilation, groups], algorithm): Row, images: usize, nhwc: bool) -> String {
    let out = |extent: usize| (extent + 2 * pad - (kernel - 1) * dilation - 1) / stride + 1;
    let ty = |c: usize, h: usize, w: usize| match nhwc {
        true => format!("f32[{images}, {h}, {w}, {c}] nhwc"),
        false => format!("f32[{images}, {c}, {h}, {w}]"),
    };
    format!(
        "layer @l(%x: {}) -> {} {{
  %w = const f32[{k}, {}, {kernel}, {kernel}] = normal(seed = 1)
  %b = const f32[{k}] = normal(seed = 2)
  %0 = conv2d %x, %w {{ strides = [{stride}, {stride}], pads = [{pad}, {pad}, {pad}, {pad}], \
         dilations = [{dilation}, {dilation}], group = {groups}, algorithm = {algorithm} }} then bias %b then relu
  return %0
}}",
        ty(c, h, w),
        ty(k, out(h), out(w)),
        c / groups
    )
}

/// Forms of a lowering that shapes alone do not tell, with what tells them in a program.
const FORMS: [(&str, &str); 6] = [
    // Taps of a long row picked from registers.
    (
        "pick",
        "layer @l(%x: f32[1, 2, 150, 400]) -> f32[1, 2, 150, 400] {
  %w = const f32[2, 1, 1, 31] = normal(seed = 1)
  %0 = conv2d %x, %w { pads = [0, 15, 0, 15], group = 2, algorithm = depthwise } then relu
  return %0
}",
    ),
    // A dense copy of what a stride reads, of several images.
    (
        "kernel @compact",
        "layer @l(%x: f32[2, 96, 56, 56]) -> f32[2, 96, 28, 28] {
  %w = const f32[96, 96, 1, 1] = normal(seed = 1)
  %0 = conv2d %x, %w { strides = [2, 2], algorithm = direct } then relu
  return %0
}",
    ),
    // No taps on padding: several tiles of channels, of which the last is smaller; images and groups of one tile.
    (
        "kernel @conv_regions",
        "layer @l(%x: f32[1, 64, 33, 33]) -> f32[1, 200, 33, 33] {
  %w = const f32[200, 64, 3, 3] = normal(seed = 1)
  %0 = conv2d %x, %w { pads = [12, 12, 12, 12], dilations = [12, 12], algorithm = direct(input = regions) } then relu
  return %0
}",
    ),
    (
        "kernel @conv_regions",
        "layer @l(%x: f32[3, 256, 33, 33]) -> f32[3, 32, 33, 33] {
  %w = const f32[32, 128, 3, 3] = normal(seed = 1)
  %0 = conv2d %x, %w { pads = [12, 12, 12, 12], dilations = [12, 12], group = 2, algorithm = direct(input = regions) } then relu
  return %0
}",
    ),
    // Strided rows taken apart in registers.
    (
        " = pick ",
        "layer @l(%x: f32[4, 3, 150, 150]) -> f32[4, 3, 75, 75] {
  %w = const f32[3, 1, 5, 5] = normal(seed = 1)
  %0 = conv2d %x, %w { strides = [2, 2], pads = [2, 2, 2, 2], group = 3, algorithm = depthwise } then relu
  return %0
}",
    ),
    // A chain by row strips, of wider numbers.
    (
        ".strips.",
        "layer @l(%x: f64[1, 12, 61, 50]) -> f64[1, 20, 61, 50] {
  %v = const f64[24, 12, 1, 1] = normal(seed = 1)
  %w = const f64[20, 24, 3, 3] = normal(seed = 2)
  %0 = conv2d %x, %v { algorithm = direct } then relu
  %1 = conv2d %0, %w { pads = [1, 1, 1, 1], algorithm = direct, band = 6 } then relu
  return %1
}",
    ),
];

fn layer(source: &str) -> Layer {
    let module = Module::from_bytes("layer", source.as_bytes(), Files::none()).expect("it parses");
    module.layer(None).expect("one layer")
}

fn input(layer: &Layer) -> ArrayD<f64> {
    let (_, ty) = layer.inputs().remove(0);
    data::random(ty, 7, layer.files()).expect("it fits")
}

fn same_bits(source: &str) {
    let layer = layer(source);
    let input = input(&layer);
    let run = |threads| {
        let compiled = Compiler::host().with_threads(threads).compile(&layer);
        let compiled = compiled.unwrap_or_else(|e| panic!("{e}\n{source}"));
        compiled.run_rounded(std::slice::from_ref(&input)).expect("an input of its type")
    };
    let one = run(1);
    for threads in [2, 3, 5] {
        assert!(run(threads) == one, "{threads} threads give other bits\n{source}");
    }
}

#[test]
fn the_same_bits_on_one_two_three_and_five_threads() {
    for row in ROWS {
        for nhwc in [false, true] {
            same_bits(&text(row, 1, nhwc));
        }
    }
}

#[test]
fn the_same_bits_where_images_are_shared_out() {
    for row in [ROWS[2], ROWS[8], ROWS[14], ROWS[16]] {
        for (images, nhwc) in [(8, false), (3, true)] {
            same_bits(&text(row, images, nhwc));
        }
    }
}

#[test]
fn the_same_bits_in_every_form() {
    for (telling, source) in FORMS {
        let lowered = Compiler::host().lower(&layer(source)).expect("it lowers");
        let program = lowered.program().to_string();
        assert!(program.contains(telling) && program.contains(" parallel "), "no `{telling}` in\n{program}");
        same_bits(source);
    }
}

#[test]
fn callers_at_once_get_what_each_gets_alone() {
    let layer = layer(FORMS[2].1);
    let compiled = Compiler::host().with_threads(3).compile(&layer).expect("it compiles");
    let input = input(&layer);
    let run = || compiled.run_rounded(std::slice::from_ref(&input)).expect("an input of its type");
    let alone = run();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..10).for_each(|_| assert!(run() == alone)));
        }
    });
}
