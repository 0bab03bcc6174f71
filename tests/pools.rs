//! Poolings beside ONNX's: every line of `corpus/onnx_pools.csv`, by the interpreter and by native code. See `corpus/README.md`.

use convoke::check::Reference;
use convoke::{Compiler, Layer, Layout, Machine, Subnormals};
use convoke_tests::native::sanitized;
use ndarray::ArrayD;

/// The columns, in order.
const HEADER: &str = "op,image,kernel_shape,strides,dilations,pads,ceil_mode,count_include_pad,result_shape,result";
/// Channel c holds the image times c + 1, so that channels last fill vectors too.
const CHANNELS: usize = 3;

fn list(field: &str) -> String {
    field.replace(' ', ", ")
}

/// The planes of an image, each the first times its place, in storage order.
fn channels(plane: &[f64], layout: Layout) -> Vec<f64> {
    let times = |c: usize, x: f64| (c + 1) as f64 * x;
    match layout {
        Layout::Nchw => (0..CHANNELS).flat_map(|c| plane.iter().map(move |&x| times(c, x))).collect(),
        Layout::Nhwc => plane.iter().flat_map(|&x| (0..CHANNELS).map(move |c| times(c, x))).collect(),
    }
}

fn shape(extents: &str, layout: Layout) -> [usize; 4] {
    let (h, w) = extents.split_once(' ').expect("rows and columns");
    let [h, w] = [h, w].map(|extent| extent.parse().expect("a number"));
    match layout {
        Layout::Nchw => [1, CHANNELS, h, w],
        Layout::Nhwc => [1, h, w, CHANNELS],
    }
}

/// The layer of a line; its result is nchw in any case, by the shape that the line says.
fn layer(fields: &[&str], layout: Layout) -> Layer {
    let &[op, image, kernel, strides, dilations, pads, ceil, count, result, _] = fields else { panic!("{fields:?}") };
    let count = if op == "avg_pool" { format!(", count_include_pad = {}", count == "1") } else { String::new() };
    let text = format!(
        "layer @l(%x: f32{:?} {layout}) -> f32{:?} {layout} {{\n  %y = {op} %x {{ kernel_shape = [{}], strides = [{}], \
         dilations = [{}], pads = [{}], ceil_mode = {}{count} }}\n  return %y\n}}\n",
        shape(image, layout),
        shape(result, layout),
        list(kernel),
        list(strides),
        list(dilations),
        list(pads),
        ceil == "1",
    );
    Layer::parse(&text).unwrap_or_else(|e| panic!("{text}{}", e.render(false)))
}

#[test]
fn every_pooling_gives_what_onnx_gives() {
    let text = include_str!("corpus/onnx_pools.csv");
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some(HEADER));
    let mut cases = 0;
    let widths = Machine::host().widths();
    for (i, line) in lines.enumerate() {
        let fields: Vec<&str> = line.split(',').collect();
        let layout = [Layout::Nchw, Layout::Nhwc][i % 2];
        let layer = layer(&fields, layout);
        let input = shape(fields[1], layout);
        let plane: Vec<f64> =
            (0..input.iter().product::<usize>() / CHANNELS).map(|i| (37 * i % 101) as f64 - 50.0).collect();
        let x = ArrayD::from_shape_vec(input.to_vec(), channels(&plane, layout)).expect("as many");
        let result: Vec<f64> = fields[9].split(' ').map(|y| y.parse().expect("a number")).collect();
        let expected = channels(&result, layout);

        let reference = Reference::new(&layer, vec![x], Subnormals::default()).expect("the interpreter runs it");
        let machine = widths[i % widths.len()].clone();
        let compiler = Compiler::host().with_machine(machine);
        let compiled = compiler.compile(&layer).expect("it compiles");
        let native = compiled.run_rounded(reference.inputs()).expect("inputs of its types");
        sanitized(&compiler, &layer, (reference.inputs(), &native)).unwrap_or_else(|why| panic!("{why}"));
        let interpreted = reference.outputs()[0].value.iter().copied().collect::<Vec<_>>();
        for (by, found) in [("interpreter", interpreted), ("native code", native[0].iter().copied().collect())] {
            let same = |(found, expected): (&f64, &f64)| (found - expected).abs() <= 1e-5 * expected.abs().max(1.0);
            assert_eq!(found.len(), expected.len(), "{by}: {line}");
            assert!(found.iter().zip(&expected).all(same), "{by}, {layout}: {line}\n{found:?}");
        }
        cases += 1;
    }
    assert!(cases >= 600, "only {cases} cases were found");
}
