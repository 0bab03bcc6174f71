//! Elementwise functions in every engine: at the edges, and over all magnitudes within their bounds.
//!
//! The interpreter of layers, that of loops, and native code at every width, for numbers computed with and stored ones.

use convoke::check::{Reference, Share};
use convoke::ir::elem::Elem;
use convoke::{Compiler, Layer, Machine, Subnormals};
use convoke_interp::run_program;
use convoke_tests::Random;
use convoke_tests::native::sanitized;
use ndarray::ArrayD;

/// Every function of one number, with its attributes.
const UNARY: &[&str] = &[
    "relu %x",
    "relu6 %x",
    "clip %x { min = -1.5, max = 40.0 }",
    "hardswish %x",
    "leaky_relu %x",
    "leaky_relu %x { alpha = 0.0 }",
    "leaky_relu %x { alpha = -0.3 }",
    "exp %x",
    "sigmoid %x",
    "silu %x",
    "log %x",
    "sqrt %x",
    "abs %x",
    "neg %x",
    "reciprocal %x",
    "tanh %x",
    "erf %x",
    "floor %x",
    "ceil %x",
    "round %x",
    "softplus %x",
    "elu %x",
    "elu %x { alpha = -0.3 }",
    "elu %x { alpha = 2.5 }",
    "gelu %x",
    "gelu %x { tanh = true }",
];

/// Every function of more, of operands that one op stretches and another does not.
const MORE: &[&str] = &[
    "sub %x, %y",
    "div %x, %y",
    "min %x, %y",
    "max %x, %y",
    "pow %x, %y",
    "less %x, %y",
    "less_equal %x, %y",
    "select %x, %y, %x",
    "select %y, %x, %y",
    "sub %y, %x",
    "div %y, %x",
    "pow %y, %x",
    "less %y, %x",
    "less_equal %y, %x",
];

const ELEMS: [Elem; 4] = [Elem::F32, Elem::F64, Elem::F16, Elem::Bf16];

/// Columns: a vector of every kind, and one more.
const COLUMNS: usize = 33;

fn parse(text: &str) -> Layer {
    Layer::parse(text).unwrap_or_else(|e| panic!("{text}\n{}", e.render(false)))
}

/// A layer that returns what each op gives.
fn each(ops: &[&str], elem: Elem, params: &[(&str, [usize; 4])]) -> Layer {
    let params: Vec<_> = params.iter().map(|(name, dims)| format!("%{name}: {elem}{dims:?}")).collect();
    let largest: Vec<_> = (0..ops.len()).map(|_| params[0].split_once(": ").expect("a type").1).collect();
    let body: Vec<_> = ops.iter().enumerate().map(|(i, op)| format!("  %r{i} = {op}\n")).collect();
    let names: Vec<_> = (0..ops.len()).map(|i| format!("%r{i}")).collect();
    let (params, results, names) = (params.join(", "), largest.join(", "), names.join(", "));
    parse(&format!("layer @l({params}) -> ({results}) {{\n{}  return {names}\n}}\n", body.concat()))
}

/// Every kind of number: zeros, halves, subnormal, where exponentials overflow, whole, infinite.
fn edges(elem: Elem) -> Vec<f64> {
    let computed = elem.compute();
    let overflow = computed.largest().ln();
    let some = [0.0, 0.5, 1.0, 1.5, 2.5, 3.0, 4.0, 1e-3, 0.1, 0.7, 40.0, 1e9, f64::INFINITY];
    let of_type = [
        elem.largest(),
        elem.smallest_normal(),
        elem.smallest_normal() / 4.0,
        elem.smallest(),
        computed.smallest_normal().sqrt(),
        overflow * 0.999,
        overflow * 1.01,
        overflow * 1.3,
    ];
    let all = some.into_iter().chain(of_type).flat_map(|x| [x, -x]).chain([f64::NAN]);
    all.map(|x| elem.round(x)).collect()
}

/// Numbers of every magnitude, most of them moderate.
fn magnitudes(elem: Elem, random: &mut Random, count: usize) -> Vec<f64> {
    let most = elem.largest().log2();
    let number = |random: &mut Random| {
        let range = if random.one_in(4) { most } else { 6.0 };
        let uniform = |random: &mut Random| random.bits() as f64 / u64::MAX as f64;
        let magnitude = ((2.0 * uniform(random) - 1.0) * range).exp2();
        let number = if random.one_in(2) { -magnitude } else { magnitude };
        elem.round(if random.one_in(9) { number.round() } else { number })
    };
    (0..count).map(|_| number(random)).collect()
}

fn array(dims: [usize; 4], numbers: impl IntoIterator<Item = f64>) -> ArrayD<f64> {
    ArrayD::from_shape_vec(dims.to_vec(), numbers.into_iter().collect()).expect("as many numbers as asked for")
}

/// With the longest vectors and with the shortest.
fn some_compilers() -> Vec<(String, Compiler)> {
    let mut compilers = compilers();
    let last = compilers.pop().expect("two for each machine");
    vec![compilers.swap_remove(1), last]
}

/// All compilers: at every width, plain and optimised.
fn compilers() -> Vec<(String, Compiler)> {
    let named = Machine::NAMES.iter().map(|name| Machine::named(name).expect("a name of the list"));
    let widths =
        Machine::host().widths().into_iter().chain(named.filter(|machine| machine.name != Machine::host().name));
    let levels = |machine: Machine| {
        [0, 2].map(|level| {
            (format!("{} at -O{level}", machine.name), Compiler::for_machine(machine.clone()).with_level(level))
        })
    };
    widths.filter(|machine| machine.runs_on_host().is_ok()).flat_map(levels).collect()
}

/// The loops after lowering, and native code.
fn engines(compiler: &Compiler, layer: &Layer, inputs: &[ArrayD<f64>]) -> [(&'static str, Vec<ArrayD<f64>>); 2] {
    let lowered = compiler.lower(layer).unwrap_or_else(|e| panic!("{}\n{}", layer.ir(), e.render(false)));
    let loops = run_program(lowered.verified(), inputs, layer.files()).expect("a verified program");
    let compiled = compiler.compile(layer).unwrap_or_else(|e| panic!("{}\n{}", layer.ir(), e.render(false)));
    let native = compiled.run_rounded(inputs).expect("inputs of its types");
    // Which of two numbers that are equal, as zeros and flushed ones are, `min` and `max` give is not said.
    if inputs.len() == 1 {
        sanitized(compiler, layer, (inputs, &native)).unwrap_or_else(|why| panic!("{why}"));
    }
    [("loops", loops), ("native code", native)]
}

/// Both NaN, both the same infinity, both finite, or both a zero of the same sign.
fn alike(found: f64, expected: f64) -> bool {
    match (found == expected, found == 0.0) {
        (true, true) => found.is_sign_negative() == expected.is_sign_negative(),
        (true, false) => true,
        _ => (found.is_nan() && expected.is_nan()) || (found.is_finite() && expected.is_finite()),
    }
}

/// How a result must be that of the interpreter, but for its rounding.
#[derive(PartialEq)]
enum Exact {
    /// As [`alike`] says.
    Signed,
    /// Likewise, of the magnitudes.
    Unsigned,
    /// Within its bound.
    No,
}

/// Compares every engine with the interpreter of layers: within bound, and alike as `exact` says of the operands of an element.
fn compare(ops: &[&str], layer: &Layer, elem: Elem, inputs: &[ArrayD<f64>], exact: impl Fn(&str, usize) -> Exact) {
    for (name, compiler) in compilers() {
        let reference = Reference::new(layer, inputs.to_vec(), compiler.subnormals()).expect("the interpreter runs it");
        for (engine, found) in engines(&compiler, layer, inputs) {
            for ((op, found), expected) in ops.iter().zip(&found).zip(reference.outputs()) {
                let numbers = found.iter().zip(&expected.value).zip(&expected.bound).zip(&expected.expected);
                for (i, (((&found, &value), &bound), &typical)) in numbers.enumerate() {
                    let what = || {
                        let at = |array: &ArrayD<f64>| array.iter().nth(i).copied();
                        let operands: Vec<_> = inputs.iter().map(at).collect();
                        format!(
                            "{op}, {elem}, {engine} for {name}, of {operands:?}: {found:?}, not {value:?} ± {bound:?}, {typical:?} expected"
                        )
                    };
                    let same = found == value || (found.is_nan() && value.is_nan());
                    let error = (found - value).abs();
                    assert!(same || error <= bound || bound == f64::INFINITY, "{}", what());
                    assert!(same || error <= typical * Share::LARGEST || bound == f64::INFINITY, "{}", what());
                    let [found, value] = [found, value].map(|number| elem.round(number));
                    let alike = match exact(op, i) {
                        Exact::Signed => alike(found, value),
                        Exact::Unsigned => alike(found.abs(), value.abs()),
                        Exact::No => true,
                    };
                    assert!(alike, "{}", what());
                }
            }
        }
    }
}

#[test]
fn functions_of_one_number_at_their_edges() {
    for elem in ELEMS {
        let numbers = edges(elem);
        let dims = [1, 1, 2, COLUMNS];
        let layer = each(UNARY, elem, &[("x", dims)]);
        let x = array(dims, numbers.iter().copied().cycle().take(2 * COLUMNS));
        // A subnormal number may be read as 0, which has another logarithm.
        let subnormal = |i: usize| {
            let x = numbers[i % numbers.len()].abs();
            x > 0.0 && x < elem.compute().smallest_normal()
        };
        compare(UNARY, &layer, elem, &[x], |op, i| {
            // A gate that is rounded to 0 makes NaN of −∞, one that is not leaves it.
            let gate = op.starts_with("gelu") && numbers[i % numbers.len()] == f64::NEG_INFINITY;
            if subnormal(i) || gate { Exact::No } else { Exact::Signed }
        });
    }
}

#[test]
fn functions_of_several_numbers_at_their_edges() {
    for elem in ELEMS {
        let numbers = edges(elem);
        let pairs: Vec<(f64, f64)> = numbers.iter().flat_map(|&x| numbers.iter().map(move |&y| (x, y))).collect();
        let dims = [1, 1, pairs.len().div_ceil(COLUMNS), COLUMNS];
        let layer = each(MORE, elem, &[("x", dims), ("y", dims)]);
        let count = dims[2] * COLUMNS;
        let of = |of: fn(&(f64, f64)) -> f64| array(dims, pairs.iter().map(of).cycle().take(count));
        let odd = |x: f64| x.abs() > 0.0 && x.abs() < elem.compute().smallest_normal();
        compare(MORE, &layer, elem, &[of(|p| p.0), of(|p| p.1)], |op, i| {
            let (x, y) = pairs[i % pairs.len()];
            // A power may be rounded over the largest number.
            let near_largest = op.starts_with("pow") && x.abs().max(y.abs()) > elem.largest() / 2.0;
            // The sign of what 0 gives to a power is not part of the meaning, nor which of two zeros is the larger.
            let any_sign = ["pow", "min", "max"].iter().any(|name| op.starts_with(name)) && (x == 0.0 || y == 0.0);
            match odd(x) || odd(y) || near_largest {
                true => Exact::No,
                false if any_sign => Exact::Unsigned,
                false => Exact::Signed,
            }
        });
    }
}

#[test]
fn numbers_of_every_magnitude_stay_within_bound() {
    let mut random = Random::new(5);
    for elem in ELEMS {
        let dims = [2, 3, 17, COLUMNS];
        let count: usize = dims.iter().product();
        let x = array(dims, magnitudes(elem, &mut random, count));
        compare(UNARY, &each(UNARY, elem, &[("x", dims)]), elem, std::slice::from_ref(&x), |_, _| Exact::No);
        for other in [dims, [1, 3, 1, 1], [1; 4], [2, 1, 17, 1], [1, 1, 1, COLUMNS]] {
            let y = array(other, magnitudes(elem, &mut random, other.iter().product()));
            let layer = each(MORE, elem, &[("x", dims), ("y", other)]);
            compare(MORE, &layer, elem, &[x.clone(), y], |_, _| Exact::No);
        }
    }
}

/// Errors of a convolution pass through every function that follows it, joined to its store or not.
#[test]
fn functions_follow_a_convolution() {
    for (seed, op) in UNARY.iter().chain(MORE).enumerate() {
        for elem in [Elem::F32, ELEMS[1 + seed % 3]] {
            let mut random = Random::new(seed as u64);
            let dims = [1, 4, 5, COLUMNS];
            let layer = parse(&format!(
                "layer @l(%i: {elem}{dims:?}, %y: {elem}{dims:?}) -> {elem}{dims:?} {{\n\
                 %w = const {elem}[4, 4, 3, 3] = normal(seed = {seed}, std = 0.3)\n\
                 %x = conv2d %i, %w {{ pads = [1, 1, 1, 1] }}\n%z = {op}\n%r = relu %z\nreturn %r\n}}\n"
            ));
            let numbers = |random: &mut Random| {
                let some: Vec<f64> = (0..dims.iter().product())
                    .map(|_| elem.round(random.between(0, 4000) as f64 / 1000.0 - 2.0))
                    .collect();
                array(dims, some)
            };
            let inputs = [numbers(&mut random), numbers(&mut random)];
            for (name, compiler) in some_compilers() {
                let reference = Reference::new(&layer, inputs.to_vec(), compiler.subnormals()).expect("it runs");
                let reference = reference.by(&compiler, &layer).expect("it applies");
                for (engine, found) in engines(&compiler, &layer, &inputs) {
                    let checked = reference.compare(&found);
                    let reference = &reference.outputs()[0];
                    let lost = |(v, e): (&f64, &f64)| v.is_finite() && e.is_infinite();
                    let lost = reference.value.iter().zip(&reference.bound).filter(|&all| lost(all)).count();
                    let what = format!("{op}, {elem}, {engine} for {name}: {checked:?}, {lost} lost");
                    assert!(checked.of_bound <= 1.0 && checked.is_expected(), "{what}");
                    // A negative base may have any exponent near the one it has.
                    assert!(lost < found[0].len() / 8 || *op == "pow %y, %x", "{what}");
                }
            }
        }
    }
}

/// The interpreter's numbers are those of other libraries; see `crates/convoke-interp/tests/reference`.
#[test]
fn powers_of_constant_exponents_are_products_and_roots() {
    for (exponent, expected) in [
        (2.0, "mul %x, %x"),
        (0.5, "sqrt"),
        (-0.5, "sqrt %x then reciprocal"),
        (-1.0, "reciprocal"),
        (3.0, "then mul %x"),
    ] {
        let layer = parse(&format!(
            "layer @l(%x: f32[2, 3, 4, 5]) -> f32[2, 3, 4, 5] {{\n%e = const f32[1, 1, 1, 1] = {exponent}\n%y = pow %x, %e\nreturn %y\n}}\n"
        ));
        let text = Compiler::host().select(&layer).expect("it applies").ir().to_string();
        assert!(text.contains(expected) && !text.contains("pow"), "{exponent}: {text}");
        let x = array([2, 3, 4, 5], (1..=120).map(|i| f64::from(i) / 16.0));
        let reference = Reference::new(&layer, vec![x], Subnormals::default()).expect("it runs");
        for (_, found) in engines(&Compiler::host(), &layer, reference.inputs()) {
            assert!(reference.compare(&found).passes(), "{exponent}");
        }
    }
}
