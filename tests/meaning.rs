//! Edges of the meaning, where back ends are most likely to differ: weights that are not finite over padding, signs of zeros, pads that
//! crop, steps longer than the image. The interpreter of layers, that of loops, and native code at every width.

use convoke::check::Reference;
use convoke::ir::layer::Source;
use convoke::{Algorithm, Compiler, Error, Layer, Layout, Machine, Subnormals};
use convoke_conv::SelectError;
use convoke_interp::run_program;
use convoke_passes::PassError;
use convoke_tests::native::sanitized;
use convoke_tests::{ConvShape, Random};
use ndarray::ArrayD;

fn parse(text: &str) -> Layer {
    Layer::parse(text).unwrap_or_else(|e| panic!("{text}\n{}", e.render(false)))
}

fn array(layer: &Layer, numbers: impl Iterator<Item = f64>) -> ArrayD<f64> {
    let shape = layer.inputs()[0].1.shape.dims().to_vec();
    let count = shape.iter().product();
    ArrayD::from_shape_vec(shape, numbers.take(count).collect()).expect("as many numbers as asked for")
}

/// What all engines give by a compiler: the loops as they are lowered, the loops after all passes, native code. `None` where its algorithm
/// does not apply.
fn engines(compiler: &Compiler, layer: &Layer, inputs: &[ArrayD<f64>]) -> Option<[ArrayD<f64>; 2]> {
    let lowered = match compiler.lower(layer) {
        Err(Error::Pass(PassError::Select(SelectError::Plan { .. }))) => return None,
        lowered => lowered.unwrap_or_else(|e| panic!("{}\n{}", layer.ir(), e.render(false))),
    };
    let mut loops = run_program(lowered.verified(), inputs, layer.files()).expect("a verified program");
    let compiled = compiler.compile(layer).unwrap_or_else(|e| panic!("{}\n{}", layer.ir(), e.render(false)));
    let mut native = compiled.run_rounded(inputs).expect("inputs of its types");
    sanitized(compiler, layer, (inputs, &native)).unwrap_or_else(|why| panic!("{why}"));
    Some([loops.remove(0), native.remove(0)])
}

/// For this CPU with vectors of every kind it has, and what those are.
fn widths() -> impl Iterator<Item = (Compiler, String)> {
    let widths = Machine::host().widths().into_iter();
    widths.map(|machine| (Compiler::host().with_machine(machine.clone()), machine.name))
}

/// Equal, NaN where the other is, and with the sign of the other.
fn same(found: &ArrayD<f64>, expected: &ArrayD<f64>, sign: bool) -> bool {
    let equal = |f: f64, e: f64| f == e && (!sign || f.is_sign_negative() == e.is_sign_negative());
    found.iter().zip(expected).all(|(&f, &e)| equal(f, e) || (f.is_nan() && e.is_nan()))
}

#[test]
fn a_weight_that_is_not_finite_counts_over_padding_in_every_plain_algorithm() {
    // Groups, channels and output channels of each, rows, columns, kernel, strides, pads, dilations.
    type Case = ([usize; 3], [usize; 2], [usize; 2], [usize; 2], [usize; 4], [usize; 2]);
    let cases: &[Case] = &[
        ([1, 1, 1], [2, 2], [3, 3], [1, 1], [1; 4], [1, 1]),
        ([1, 1, 4], [9, 20], [3, 5], [1, 1], [1, 2, 1, 2], [1, 1]),
        ([1, 16, 48], [6, 9], [3, 3], [1, 1], [1; 4], [1, 1]),
        ([5, 1, 1], [8, 21], [5, 5], [1, 1], [2; 4], [1, 1]),
        ([9, 1, 2], [11, 11], [3, 3], [2, 2], [0, 1, 2, 1], [1, 1]),
        ([1, 8, 8], [9, 9], [3, 3], [1, 1], [6; 4], [6, 6]),
        ([1, 24, 16], [7, 7], [1, 1], [2, 2], [1; 4], [1, 1]),
    ];
    let mut ran = 0;
    for (seed, &([g, cg, kg], [h, w], [r, s], strides, pads, dilations)) in (0..).zip(cases) {
        let shape = ConvShape { n: 1, g, c: g * cg, h, w, k: g * kg, r, s, strides, pads, dilations };
        for (odd, layout) in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY]
            .into_iter()
            .flat_map(|odd| [Layout::Nchw, Layout::Nhwc].map(|layout| (odd, layout)))
        {
            let mut random = Random::new(seed);
            let mut weights: Vec<f64> = (0..shape.k * cg * r * s).map(|_| random.between(0, 8) as f64 - 4.0).collect();
            let at = random.between(0, weights.len() - 1);
            weights[at] = odd;
            let layer = shape.layer(layout, Source::Numbers(weights), false).expect("a valid shape");
            let x = array(&layer, (0..).map(|i| f64::from(i * 7 % 11) - 3.0));
            let reference = Reference::new(&layer, vec![x], Subnormals::default()).expect("the interpreter runs it");
            let expected = &reference.outputs()[0].value;
            for (at_width, machine) in widths() {
                for &algorithm in Algorithm::ALL {
                    let compiler = at_width.clone().with_algorithm(algorithm);
                    let Some(found) = engines(&compiler, &layer, reference.inputs()) else { continue };
                    let plain = compiler.select(&layer).expect("it compiled").ir().body.iter().all(
                        |instr| matches!(&instr.op, convoke::ir::layer::Op::Conv2d(conv) if conv.plan.is_plain_sum()),
                    );
                    for (by, found) in ["loops", "native code"].into_iter().zip(&found) {
                        let what = format!("{shape} {layout}, {odd} at {at}: {algorithm}, {by} of {machine}");
                        // Fast algorithms spread it further.
                        let spread = || found.iter().zip(expected).all(|(f, e)| e.is_finite() || !f.is_finite());
                        assert!(if plain { same(found, expected, false) } else { spread() }, "{what}:\n{found}");
                    }
                    let checked = reference.by(&compiler, &layer).expect("it applies").compare(&found[1..]);
                    assert!(checked.passes(), "{shape} {layout}, {odd} at {at}: {algorithm}: {checked:?}");
                    ran += usize::from(plain);
                }
            }
        }
    }
    assert!(ran > 300, "only {ran} runs by plain algorithms");
}

#[test]
fn a_weight_that_arrives_with_the_data_counts_over_padding_too() {
    let layer = parse(
        "layer @l(%x: f32[1, 3, 5, 9], %w: f32[3, 1, 3, 3]) -> f32[1, 3, 5, 9] {\n\
         %y = conv2d %x, %w { pads = [1, 1, 1, 1], group = 3 }\nreturn %y\n}\n",
    );
    let x = array(&layer, (0..).map(|i| f64::from(i % 7)));
    let mut w = ArrayD::from_elem(vec![3, 1, 3, 3], 1.0);
    w[[1, 0, 0, 0]] = f64::NAN;
    w[[2, 0, 1, 0]] = f64::INFINITY;
    let reference = Reference::new(&layer, vec![x, w], Subnormals::default()).expect("the interpreter runs it");
    for (at_width, machine) in widths() {
        for found in engines(&at_width, &layer, reference.inputs()).expect("it applies") {
            assert!(same(&found, &reference.outputs()[0].value, false), "{machine}:\n{found}");
        }
    }
}

#[test]
fn clamps_keep_the_sign_of_a_zero() {
    let numbers = [-0.0, 0.0, -1.5, 1.5, 7.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN];
    for elem in ["f16", "bf16", "f32", "f64"] {
        for clamp in [
            "relu",
            "relu6",
            "clip { min = 0 }",
            "clip { max = 0 }",
            "clip { min = 0, max = 0 }",
            "clip { min = inf }",
            "clip { max = -inf }",
        ] {
            let (op, attributes) = clamp.split_once(' ').unwrap_or((clamp, ""));
            for body in [
                format!("%y = {op} %x {attributes}"),
                format!("%t = const {elem}[1, 1, 1, 1] = 2\n%m = mul %x, %t\n%y = {op} %m {attributes}"),
            ] {
                let layer = parse(&format!(
                    "layer @l(%x: {elem}[1, 1, 5, 9]) -> {elem}[1, 1, 5, 9] {{\n{body}\nreturn %y\n}}\n"
                ));
                let x = array(&layer, numbers.into_iter().cycle());
                let reference =
                    Reference::new(&layer, vec![x], Subnormals::default()).expect("the interpreter runs it");
                let expected = &reference.outputs()[0].value;
                if op.starts_with("relu") {
                    assert!(expected[[0, 0, 0, 0]].is_sign_negative() && expected[[0, 0, 0, 1]].is_sign_positive());
                }
                for (at_width, machine) in widths() {
                    for level in [0, 2] {
                        for found in engines(&at_width.clone().with_level(level), &layer, reference.inputs())
                            .expect("it applies")
                        {
                            assert!(same(&found, expected, true), "{clamp}, {elem}, {machine}:\n{found}\n{expected}");
                        }
                    }
                }
            }
        }
    }
}

/// The places that a padded axis reads, cropped first and then extended, `None` for a zero.
fn places(extent: i64, [begin, end]: [i64; 2], mode: &str) -> Vec<Option<i64>> {
    let left: Vec<i64> = (-begin.min(0)..extent + end.min(0)).collect();
    let n = left.len() as i64;
    (-begin.max(0)..n + end.max(0))
        .map(|i| match mode {
            "zeros" => (0..n).contains(&i).then(|| left[i as usize]),
            "replicate" => Some(left[i.clamp(0, n - 1) as usize]),
            "circular" => Some(left[i.rem_euclid(n) as usize]),
            "symmetric" if i < 0 => Some(left[(-1 - i) as usize]),
            "symmetric" if i >= n => Some(left[(2 * n - 1 - i) as usize]),
            // As far as one reflection goes.
            _ => Some(
                left[if i < 0 {
                    -i
                } else if i >= n {
                    2 * n - 2 - i
                } else {
                    i
                } as usize],
            ),
        })
        .collect()
}

#[test]
fn negative_pads_crop_before_the_mode_extends() {
    for mode in ["zeros", "reflect", "symmetric", "replicate", "circular"] {
        let mut ran = 0;
        for [top, left, bottom, right] in
            [[-1, 0, 0, 0], [0, -2, -1, 2], [-2, 3, 2, -1], [-4, -1, -1, -3], [2, -3, -3, 2]]
        {
            let (h, w) = ((6 + top + bottom) as usize, (7 + left + right) as usize);
            for layout in [Layout::Nchw, Layout::Nhwc] {
                let shape = |h: usize, w: usize| match layout {
                    Layout::Nchw => [1, 2, h, w],
                    Layout::Nhwc => [1, h, w, 2],
                };
                let (from, to) = (shape(6, 7), shape(h, w));
                let text = format!(
                    "layer @l(%x: f32{from:?} {layout}) -> f32{to:?} {layout} {{\n%y = pad %x {{ pads = [{top}, {left}, {bottom}, \
                     {right}], mode = {mode} }}\nreturn %y\n}}\n",
                );
                let layer = match Layer::parse(&text) {
                    Ok(layer) => layer,
                    // Modes but zeros reach no further than the image that is left.
                    Err(_) if mode != "zeros" => continue,
                    Err(error) => panic!("{text}\n{}", error.render(false)),
                };
                let (rows, columns) = (places(6, [top, bottom], mode), places(7, [left, right], mode));
                assert_eq!((rows.len(), columns.len()), (h, w));
                let x = array(&layer, (0..).map(f64::from));
                let at = |c: usize, i: i64, j: i64| match layout {
                    Layout::Nchw => x[[0, c, i as usize, j as usize]],
                    Layout::Nhwc => x[[0, i as usize, j as usize, c]],
                };
                let expected = ArrayD::from_shape_fn(to.to_vec(), |place| {
                    let (c, i, j) = match layout {
                        Layout::Nchw => (place[1], place[2], place[3]),
                        Layout::Nhwc => (place[3], place[1], place[2]),
                    };
                    rows[i].zip(columns[j]).map_or(0.0, |(i, j)| at(c, i, j))
                });
                let reference =
                    Reference::new(&layer, vec![x.clone()], Subnormals::default()).expect("the interpreter runs it");
                assert!(same(&reference.outputs()[0].value, &expected, false), "{text}");
                for found in engines(&Compiler::host(), &layer, reference.inputs()).expect("it applies") {
                    assert!(same(&found, &expected, false), "{text}\n{found}");
                }
                ran += 1;
            }
        }
        assert!(ran >= 6, "{mode}: only {ran} ran");
    }
}

#[test]
fn steps_may_be_longer_than_the_image() {
    let long = 1_i64 << 40;
    for (op, y) in [
        (format!("conv2d %x, %w {{ strides = [{long}, {long}], pads = [1, 1, 1, 1] }}"), "1, 4, 1, 1"),
        (format!("conv2d %x, %w {{ strides = [{long}, 1] }}"), "1, 4, 1, 5"),
        (format!("conv2d %x, %w {{ strides = [1, {long}], auto_pad = same_upper }}"), "1, 4, 5, 1"),
        (format!("conv2d %x, %v {{ strides = [1, {long}], dilations = [{long}, {long}], group = 4 }}"), "1, 4, 5, 1"),
        (
            format!("max_pool %x {{ kernel_shape = [2, 9], strides = [{long}, {long}], ceil_mode = true }}"),
            "1, 4, 1, 1",
        ),
        (
            format!("avg_pool %x {{ kernel_shape = [2, 3], strides = [2, {long}], auto_pad = SAME_LOWER }}"),
            "1, 4, 3, 1",
        ),
    ] {
        let layer = parse(&format!(
            "layer @l(%x: f32[1, 4, 5, 7]) -> f32[{y}] {{\n%w = const f32[4, 4, 3, 3] = normal(seed = 1)\n\
             %v = const f32[4, 1, 1, 1] = normal(seed = 2)\n%y = {op}\nreturn %y\n}}\n"
        ));
        let reference = Reference::new(&layer, vec![array(&layer, (0..).map(f64::from))], Subnormals::default())
            .expect("the interpreter runs it");
        let mut ran = 0;
        for &algorithm in Algorithm::ALL {
            let compiler = Compiler::host().with_algorithm(algorithm);
            let Some([_, native]) = engines(&compiler, &layer, reference.inputs()) else { continue };
            let found = reference.by(&compiler, &layer).expect("it applies").compare(&[native]);
            assert!(found.passes(), "{} by {algorithm}: {found:?}", layer.ir());
            ran += 1;
        }
        assert!(ran >= 3, "{}", layer.ir());
    }
}
