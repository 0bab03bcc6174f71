//! Kernels larger than a transform, which an FFT cuts into blocks: natively beside the interpreter's sums as they are written, at every width and on
//! two threads. Small transforms cut small kernels.

use convoke::check::{Reference, stages};
use convoke::ir::layer::{Generator, Source};
use convoke::{Algorithm, Compiler, Error, Layer, Layout, Machine, Subnormals};
use convoke_data as data;
use convoke_tests::ConvShape;
use convoke_tests::native::{none, sanitized};

/// Images; groups, channels and output channels of each; rows and columns; kernel; pads; dilations.
type Row = (usize, [usize; 3], [usize; 2], [usize; 2], [usize; 4], [usize; 2], &'static [&'static str]);

const ROWS: &[Row] = &[
    // One channel, whose tiles are in the lanes: one row, one column, both; odd sizes and pads that differ.
    (1, [1, 1, 1], [1, 200], [1, 37], [0; 4], [1, 1], &["fft(1x8)", "fft(1x16)", "fft(1x4)"]),
    (2, [1, 1, 1], [70, 3], [40, 1], [7, 0, 30, 0], [1, 1], &["fft(16x1)"]),
    (1, [1, 1, 1], [41, 53], [19, 23], [9, 11, 9, 11], [1, 1], &["fft(8x8)", "fft(16x16)", "fft(16x8)", "fft(4x32)"]),
    (1, [1, 1, 1], [150, 150], [9, 9], [4; 4], [1, 1], &["fft(8x8)"]),
    // An axis that is not cut.
    (1, [1, 1, 1], [60, 45], [27, 3], [13, 1, 13, 1], [1, 1], &["fft(8x8)", "fft(16x4)"]),
    (1, [3, 1, 1], [30, 70], [2, 33], [0, 3, 1, 40], [1, 1], &["fft(2x16)", "fft(8x16)"]),
    // Kernels larger than the image; an image of one pixel.
    (1, [1, 1, 1], [7, 5], [25, 31], [12, 15, 12, 15], [1, 1], &["fft(8x8)", "fft(16x8)"]),
    (2, [2, 1, 1], [1, 1], [9, 12], [8, 11, 8, 11], [1, 1], &["fft(8x8)", "fft(2x4)"]),
    // Channels in the lanes, more than whole vectors; groups of several channels.
    (2, [19, 1, 1], [20, 17], [9, 13], [4, 6, 4, 6], [1, 1], &["fft(8x8)", "fft(4x4)"]),
    (1, [40, 1, 1], [1, 90], [1, 21], [0, 10, 0, 10], [1, 1], &["fft(1x8)"]),
    (1, [2, 3, 5], [23, 26], [9, 10], [4, 5, 4, 4], [1, 1], &["fft(8x8)", "fft(8x4)"]),
    // Products that are summed over channels: fewer and more than a vector, one of either kind.
    (2, [1, 5, 3], [18, 40], [11, 9], [5, 4, 5, 4], [1, 1], &["fft(8x8)", "fft(16x8)", "fft(8x16)"]),
    (1, [1, 20, 18], [15, 33], [1, 19], [0, 9, 0, 9], [1, 1], &["fft(1x8)", "fft(2x16)"]),
    (1, [1, 33, 1], [29, 11], [17, 2], [8, 0, 8, 1], [1, 1], &["fft(8x4)"]),
    (1, [1, 1, 20], [12, 100], [10, 11], [0; 4], [1, 1], &["fft(8x8)"]),
    // Dilations, which make a convolution of each residue.
    (1, [1, 1, 1], [50, 61], [9, 11], [8, 10, 8, 10], [2, 2], &["fft(8x8)"]),
    (1, [18, 1, 1], [3, 80], [1, 13], [0, 18, 0, 18], [1, 3], &["fft(1x8)"]),
    (2, [1, 4, 6], [40, 30], [9, 9], [12, 8, 12, 8], [3, 2], &["fft(4x8)"]),
];

fn layer(row: &Row, layout: Layout) -> Layer {
    let &(n, [g, c, k], [h, w], [r, s], pads, dilations, _) = row;
    let shape = ConvShape { n, g, c: g * c, h, w, k: g * k, r, s, strides: [1, 1], pads, dilations };
    let weights = Source::Generate(Generator::Normal { seed: 3, mean: 0.0, std: 0.3 });
    shape.layer(layout, weights, false).expect("a valid shape")
}

fn reference(layer: &Layer) -> Reference {
    let inputs = layer.inputs().into_iter().map(|(_, ty)| data::random(ty, 5, layer.files()));
    let inputs = inputs.collect::<Result<Vec<_>, _>>().expect("a small tensor");
    Reference::new(layer, inputs, Subnormals::Flush).expect("the interpreter runs it")
}

fn by(name: &str) -> Algorithm {
    name.parse().expect("an algorithm with its sizes")
}

#[test]
fn sums_of_blocks_are_the_sums_as_written() {
    let (mut complaints, mut ran) = (Vec::new(), 0);
    for (i, row) in ROWS.iter().enumerate() {
        for layout in [Layout::Nchw, Layout::Nhwc] {
            let layer = layer(row, layout);
            let reference = reference(&layer);
            for machine in Machine::host().widths() {
                for name in row.6 {
                    let compiler = Compiler::host().with_machine(machine.clone()).with_algorithm(by(name));
                    let compiler = compiler.with_threads(1 + (i + ran) % 2);
                    let compiled = compiler.compile(&layer).unwrap_or_else(|e| panic!("{name}: {}", e.render(false)));
                    assert_eq!(compiled.report().choices[0].algorithm.algorithm, by(name));
                    let outputs = compiled.run_rounded(reference.inputs()).expect("inputs of its types");
                    let found = reference.by(&compiler, &layer).expect("it applies").compare(&outputs);
                    if !(found.passes() && found.is_expected()) {
                        complaints.push(format!("{row:?} {layout:?} by {name}, {}: {found:?}", machine.name));
                    }
                    complaints.extend(sanitized(&compiler, &layer, (reference.inputs(), &outputs)).err());
                    ran += 1;
                }
            }
        }
    }
    none(complaints);
}

/// The loops of every stage run in the interpreter too.
#[test]
fn every_stage_computes_the_same() {
    let mut complaints = Vec::new();
    for row in ROWS.iter().step_by(3) {
        let layer = layer(row, Layout::Nchw);
        let compiler = Compiler::host().with_algorithm(by(row.6[0]));
        let stages = stages(&compiler, &layer, &reference(&layer), u64::MAX, |_| {});
        for stage in stages.unwrap_or_else(|e| panic!("{}", e.render(false))) {
            let comparison = stage.comparison.expect("nothing is left out without a limit");
            if !comparison.passes() {
                complaints.push(format!("{row:?}, {} ({}): {comparison:?}", stage.stage, stage.engine));
            }
        }
    }
    none(complaints);
}

/// Blocks of several rows and columns of tiles, on threads: the same bits as on one.
#[test]
fn threads_give_the_same_bits() {
    // Channels, output channels, groups.
    for ([c, k, group], algorithm) in [
        ([1, 1, 1], "fft(16x16, block = [3, 16])"),
        ([12, 9, 1], "fft(32x32, block = [2, 2])"),
        ([24, 24, 24], "fft(32x32, block = [2, 3])"),
    ] {
        let (x, y, w) = (
            format!("f32[1, {c}, 190, 80]"),
            format!("f32[1, {k}, 190, 80]"),
            format!("f32[{k}, {}, 33, 33]", c / group),
        );
        let text = format!(
            "layer @l(%x: {x}) -> {y} {{
               %w = const {w} = normal(seed = 1, std = 0.1)
               %y = conv2d %x, %w {{ pads = [16, 16, 16, 16], group = {group}, algorithm = {algorithm} }}
               return %y
             }}"
        );
        let layer = Layer::parse(&text).unwrap_or_else(|e| panic!("{text}\n{}", e.render(false)));
        let inputs = layer.inputs().into_iter().map(|(_, ty)| data::random(ty, 5, layer.files()));
        let inputs = inputs.collect::<Result<Vec<_>, _>>().expect("a small tensor");
        let run = |threads: usize| {
            let compiled = Compiler::host().with_threads(threads).compile(&layer).expect("it compiles");
            compiled.run_rounded(&inputs).expect("inputs of its types")
        };
        assert_eq!(run(1), run(3), "{algorithm}");
    }
}

/// Beside what surrounds a convolution: weights that are known in the run alone, row strips of two convolutions, operands of every shape that are
/// stored with the result, other element types.
#[test]
fn surroundings_do_not_matter() {
    let texts = [
        "layer @l(%x: f32[2, 1, 40, 30], %w: f32[1, 1, 19, 11]) -> f32[2, 1, 22, 20] {
           %y = conv2d %x, %w { algorithm = fft(8x8) } return %y }",
        "layer @l(%x: f32[1, 20, 30, 30], %w: f32[20, 1, 9, 11]) -> f32[1, 20, 22, 20] {
           %y = conv2d %x, %w { group = 20, algorithm = fft(4x8) } return %y }",
        "layer @l(%x: f32[1, 6, 30, 30], %w: f32[20, 3, 9, 11]) -> f32[1, 20, 22, 20] {
           %y = conv2d %x, %w { group = 2, algorithm = fft(8x8) } return %y }",
        "layer @l(%x: f32[1, 12, 40, 30]) -> f32[1, 12, 40, 30] {
           %v = const f32[12, 12, 1, 1] = normal(seed = 1)
           %w = const f32[12, 1, 9, 9] = normal(seed = 2, std = 0.2)
           %0 = conv2d %x, %v { algorithm = direct } then relu
           %1 = conv2d %0, %w { pads = [4, 4, 4, 4], group = 12, algorithm = fft(4x4), band = 10 } then relu
           return %1 }",
        "layer @l(%x: f32[2, 2, 30, 40], %a: f32[2, 2, 30, 40]) -> f32[2, 2, 30, 40] {
           %w = const f32[2, 1, 13, 13] = normal(seed = 2, std = 0.2)
           %b = const f32[2] = normal(seed = 3)
           %y = conv2d %x, %w { pads = [6, 6, 6, 6], group = 2, algorithm = fft(8x8) } then bias %b then add %a then relu
           return %y }",
        "layer @l(%x: f32[2, 20, 13, 40], %a: f32[2, 20, 13, 40]) -> f32[2, 20, 13, 40] {
           %w = const f32[20, 1, 13, 13] = normal(seed = 2, std = 0.2)
           %b = const f32[20] = normal(seed = 3)
           %y = conv2d %x, %w { pads = [6, 6, 6, 6], group = 20, algorithm = fft(8x8) } then bias %b then add %a then relu
           return %y }",
        "layer @l(%x: f16[1, 3, 30, 40]) -> f16[1, 3, 30, 40] {
           %w = const f16[3, 1, 13, 13] = normal(seed = 2, std = 0.1)
           %y = conv2d %x, %w { pads = [6, 6, 6, 6], group = 3, algorithm = fft(8x8) }
           return %y }",
        "layer @l(%x: f64[1, 3, 30, 40]) -> f64[1, 5, 30, 40] {
           %w = const f64[5, 3, 13, 13] = normal(seed = 2, std = 0.1)
           %y = conv2d %x, %w { pads = [6, 6, 6, 6], algorithm = fft(8x8) }
           return %y }",
        "layer @l(%x: f64[1, 1, 30, 140]) -> f64[1, 1, 30, 140] {
           %w = const f64[1, 1, 13, 13] = normal(seed = 2, std = 0.1)
           %y = conv2d %x, %w { pads = [6, 6, 6, 6], algorithm = fft(8x8) }
           return %y }",
    ];
    let mut complaints = Vec::new();
    for text in texts {
        let layer = Layer::parse(text).unwrap_or_else(|e| panic!("{text}\n{}", e.render(false)));
        let reference = reference(&layer);
        for machine in Machine::host().widths() {
            let compiler = Compiler::host().with_machine(machine.clone()).with_threads(2);
            let compiled = compiler.compile(&layer).unwrap_or_else(|e| panic!("{text}\n{}", e.render(false)));
            let outputs = compiled.run_rounded(reference.inputs()).expect("inputs of its types");
            let found = reference.by(&compiler, &layer).expect("it applies").compare(&outputs);
            if !(found.passes() && found.is_expected()) {
                complaints.push(format!("{text}, {}: {found:?}", machine.name));
            }
            complaints.extend(sanitized(&compiler, &layer, (reference.inputs(), &outputs)).err());
        }
    }
    none(complaints);
}

/// A NaN reaches more outputs than read it, as in any tile.
#[test]
fn ieee_forbids_it() {
    let layer = layer(&ROWS[2], Layout::Nchw);
    let compiler = Compiler::host().with_ieee(true).with_algorithm(by("fft(8x8)"));
    let refused = compiler.compile(&layer).err().map(|error| Error::render(&error, false)).expect("it is refused");
    assert!(refused.contains("ieee"), "{refused}");
}

/// Filters of the size of an image and long signals: chosen by themselves.
#[test]
fn large_kernels_are_cut() {
    for (text, blocks) in [
        (
            "(%x: f32[1, 1, 1024, 1024]) -> f32[1, 1, 1024, 1024] { %w = const f32[1, 1, 255, 255] = normal(seed = 1)
           %y = conv2d %x, %w { pads = [127, 127, 127, 127] } return %y }",
            "fft(128x128",
        ),
        (
            "(%x: f32[1, 1, 1, 1048576]) -> f32[1, 1, 1, 1047576] { %w = const f32[1, 1, 1, 1001] = normal(seed = 1)
           %y = conv2d %x, %w return %y }",
            "fft(1x128",
        ),
    ] {
        let layer = Layer::parse(&format!("layer @l{text}")).unwrap_or_else(|e| panic!("{}", e.render(false)));
        for machine in [Machine::named("x86-64-v3"), Machine::named("x86-64-v4")] {
            let machine = machine.expect("listed");
            let compiler = Compiler::host().with_machine(machine.clone());
            let explained = convoke::explain::explain(&compiler, &layer).expect("it compiles");
            let chosen = explained.selections()[0].chosen.to_string();
            assert!(chosen.starts_with(blocks), "{chosen} on {}", machine.name);
        }
    }
}
