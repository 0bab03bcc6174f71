//! Chains by bands as native code: within the interpreter's bound at every width, the same bits on one, two and three threads.

use convoke::check::Reference;
use convoke::{Compiler, Layer, Machine, Subnormals};
use convoke_data as data;
use convoke_tests::native::sanitized;

/// Chains over 33 rows; the last band has one where nothing goes by tiles of several. `X`, `Y` are the types of input and result, `S` that of two channels, `E` the elements.
const CHAINS: [&str; 6] = [
    // A bottleneck, with one number for each channel behind it.
    "layer @l(%x: X) -> Y {
       %v = const E[16, 2, 1, 1] = normal(seed = 1)
       %w = const E[16, 16, 3, 3] = normal(seed = 2, std = 0.1)
       %u = const E[2, 16, 1, 1] = normal(seed = 3)
       %b = const E[16] = normal(seed = 4)
       %s = const S = normal(seed = 5)
       %0 = conv2d %x, %v { algorithm = direct } then bias %b then relu
       %1 = conv2d %0, %w { pads = [1, 1, 1, 1], algorithm = direct, band = 8 } then bias %b
       %2 = conv2d %1, %u { algorithm = im2col, band = 8 } then mul %s
       return %2
     }",
    // Tiles of their own for each band.
    "layer @l(%x: X) -> Y {
       %v = const E[16, 2, 3, 3] = normal(seed = 1)
       %w = const E[2, 16, 3, 3] = normal(seed = 2, std = 0.1)
       %0 = conv2d %x, %v { pads = [1, 1, 1, 1], algorithm = winograd(4x4) } then relu
       %1 = conv2d %0, %w { pads = [1, 1, 1, 1], algorithm = winograd(2x2), band = 10 }
       return %1
     }",
    // Behind a convolution by tiles, the image between which and the chain does not stay in blocks.
    "layer @l(%x: X) -> Y {
       %v = const E[16, 2, 3, 3] = normal(seed = 1)
       %w = const E[16, 16, 3, 3] = normal(seed = 2, std = 0.1)
       %u = const E[2, 16, 3, 3] = normal(seed = 3, std = 0.1)
       %0 = conv2d %x, %v { pads = [1, 1, 1, 1], algorithm = winograd(2x2) }
       %1 = conv2d %0, %w { pads = [1, 1, 1, 1], algorithm = winograd(2x2) }
       %2 = conv2d %1, %u { pads = [1, 1, 1, 1], algorithm = winograd(2x2), band = 12 }
       return %2
     }",
    // A column and a row, transposed between: where a band has as many rows as vectors have lanes whole vectors are turned, in the last it has not.
    "layer @l(%x: X) -> Y {
       %v = const E[2, 1, 9, 1] = normal(seed = 1)
       %w = const E[2, 1, 1, 25] = normal(seed = 2)
       %s = const S = normal(seed = 3)
       %0 = conv2d %x, %v { pads = [4, 0, 4, 0], group = 2, algorithm = depthwise }
       %1 = conv2d %0, %w { pads = [0, 12, 0, 12], group = 2, algorithm = depthwise, band = 16 } then relu then mul %s
       return %1
     }",
    // Steps along both, apart taps, more padding on one side, bands of another number of rows than vectors have lanes.
    "layer @l(%x: X) -> Y {
       %v = const E[2, 1, 17, 1] = normal(seed = 1)
       %w = const E[2, 1, 1, 11] = normal(seed = 2)
       %b = const E[2] = normal(seed = 4)
       %0 = conv2d %x, %v { pads = [19, 0, 13, 0], dilations = [2, 1], group = 2, algorithm = depthwise } then bias %b then relu
       %1 = conv2d %0, %w { pads = [0, 23, 0, 17], strides = [1, 2], dilations = [1, 2], group = 2, algorithm = depthwise, band = 13 } then bias %b
       return %1
     }",
    // Three in turns, the image transposed between the last two.
    "layer @l(%x: X) -> Y {
       %v = const E[2, 1, 3, 1] = normal(seed = 1)
       %w = const E[2, 1, 31, 1] = normal(seed = 2)
       %u = const E[2, 1, 1, 31] = normal(seed = 3)
       %0 = conv2d %x, %v { pads = [1, 0, 1, 0], group = 2, algorithm = depthwise }
       %1 = conv2d %0, %w { pads = [15, 0, 15, 0], group = 2, algorithm = depthwise, band = 16 } then relu
       %2 = conv2d %1, %u { pads = [0, 15, 0, 15], group = 2, algorithm = depthwise, band = 16 }
       return %2
     }",
];

/// A chain in this layout and element type; with `of_run`, constants are inputs.
fn layer(chain: &str, nhwc: bool, elem: &str, of_run: bool) -> Layer {
    let image = |h: usize, w: usize| match nhwc {
        true => format!("{elem}[1, {h}, {w}, 2] nhwc"),
        false => format!("{elem}[1, 2, {h}, {w}]"),
    };
    let text = chain.replace("E[", &format!("{elem}["));
    let text =
        text.replace("-> Y", &format!("-> {}", image(33, 21))).replace("%x: X", &format!("%x: {}", image(33, 21)));
    let text = text.replace("= const S", &format!("= const {}", image(1, 1)));
    let text = if of_run { constants_given(&text) } else { text };
    Layer::parse(&text).unwrap_or_else(|e| panic!("{text}\n{}", e.render(false)))
}

/// The text with inputs for constants.
fn constants_given(text: &str) -> String {
    let (mut inputs, mut lines) = (String::new(), Vec::new());
    for line in text.lines() {
        match line.split_once(" = const ") {
            Some((name, rest)) => {
                let (ty, _) = rest.split_once(" = ").expect("a constant has a source");
                inputs += &format!(", {}: {ty}", name.trim());
            }
            None => lines.push(line),
        }
    }
    lines.join("\n").replacen(") ->", &format!("{inputs}) ->"), 1)
}

#[test]
fn chains_stay_within_their_bound_with_the_same_bits_on_any_number_of_threads() {
    for chain in CHAINS {
        let kinds = [(false, "f32"), (true, "f32"), (false, "f64"), (true, "f64")];
        for ((nhwc, elem), of_run) in kinds.iter().flat_map(|kind| [(*kind, false), (*kind, true)]) {
            let layer = layer(chain, nhwc, elem, of_run);
            let inputs = layer.inputs().into_iter().map(|(_, ty)| data::random(ty, 7, layer.files()));
            let inputs = inputs.collect::<Result<_, _>>().expect("a small tensor");
            let reference =
                Reference::new(&layer, inputs, Subnormals::Flush).expect("the interpreter runs what verifies");
            for machine in Machine::host().widths() {
                let compiler = || Compiler::host().with_machine(machine.clone());
                let run = |threads: usize| {
                    let compiled = compiler().with_threads(threads).compile(&layer);
                    let compiled = compiled.unwrap_or_else(|e| panic!("{}\n{}", layer.ir(), e.render(false)));
                    compiled.run_rounded(reference.inputs()).expect("inputs of its types")
                };
                let one = run(1);
                let found = reference.by(&compiler(), &layer).expect("it applies").compare(&one);
                assert!(found.passes(), "{}\n{}: {found:?}", layer.ir(), machine.name);
                sanitized(&compiler().with_threads(2), &layer, (reference.inputs(), &one))
                    .unwrap_or_else(|why| panic!("{why}"));
                for threads in [2, 3] {
                    assert!(run(threads) == one, "{threads} threads give other bits\n{}", layer.ir());
                }
            }
        }
    }
}
