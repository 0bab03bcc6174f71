//! Factored convolutions: the same numbers, at the border and inside, and no more error than was allowed.

use convoke_data::Files;
use convoke_ir::elem::Elem;
use convoke_ir::layer::{self, Conv2d, Def, Layer, Op, Source};
use convoke_ir::text;
use convoke_ir::values::Values;
use convoke_machine::Machine;
use convoke_passes::spec::Spec;
use convoke_passes::stats::Stats;
use convoke_passes::{
    Context, Grants, Guarantee, Note, Outcome, PassError, PassManager, Rewritten, SkipReason, Stage, State, registry,
};
use ndarray::ArrayD;

/// A convolution `%y` of `%x` with weights `%w`.
fn conv(x: &str, y: &str, w: &str, attrs: &str) -> Layer {
    let source = format!(
        "layer @l(%x: f32[{x}]) -> f32[{y}] {{\n%w = const f32[{w}] = unbound\n%y = conv2d %x, %w {{ {attrs} }}\nreturn %y\n}}\n"
    );
    let mut module = text::parse_and_verify(&source).unwrap_or_else(|e| panic!("{e:?} in\n{source}"));
    module.layers.remove(0)
}

/// The layer with these weights.
fn bind(mut layer: Layer, weights: Vec<f64>) -> Layer {
    let numbers: Vec<f64> = weights.into_iter().map(|v| f64::from(v as f32)).collect();
    let w = layer.values.ids().find(|&id| layer.values[id].name == "w").expect("`%w`");
    layer.values[w].def = Def::Const(Source::Computed(Values::of(Elem::F64, &numbers)));
    layer
}

fn weights(layer: &Layer) -> Vec<f64> {
    let w = layer.values.ids().find(|&id| layer.values[id].name == "w").expect("`%w`");
    let Def::Const(Source::Computed(numbers)) = &layer.values[w].def else { panic!("bound") };
    numbers.wide()
}

fn tolerant(tolerance: f64) -> Grants {
    Grants { tolerance: Some(tolerance), ..Grants::default() }
}

fn structural() -> Grants {
    Grants { structural: true, ..Grants::default() }
}

fn run(passes: &str, layer: &Layer, grants: Grants) -> Result<(Layer, Vec<Note>), PassError> {
    let passes = registry::chosen(&Spec::parse_list(passes)?, Stage::Layer, Stage::Layer)?;
    let (machine, files) = (Machine::x86_64_v3(), Files::none());
    let mut manager = PassManager::new(Context { machine: &machine, files: &files, grants });
    let state = manager.run(State::Layer(layer.clone()), &passes)?;
    let notes = manager.records().iter().flat_map(|record| record.notes.clone()).collect();
    let State::Layer(layer) = state else { panic!("the passes were to stop before lowering") };
    Ok((layer, notes))
}

/// The layer after the passes and what was said of the one convolution that was rewritten.
fn rewritten(passes: &str, layer: &Layer, grants: Grants) -> (Layer, Rewritten) {
    let (after, notes) = run(passes, layer, grants).expect("the passes run");
    match &notes[..] {
        [Note { outcome: Outcome::Rewritten(new), .. }] => (after, Rewritten::clone(new)),
        notes => panic!("{passes}: {notes:?} of\n{layer}"),
    }
}

/// Why the one convolution was left.
fn left(passes: &str, layer: &Layer, grants: Grants) -> SkipReason {
    let (after, notes) = run(passes, layer, grants).expect("the passes run");
    assert_eq!(after.to_string(), layer.to_string(), "{passes}");
    match &notes[..] {
        [Note { outcome: Outcome::Skipped(why), .. }] => why.clone(),
        notes => panic!("{passes}: {notes:?} of\n{layer}"),
    }
}

fn interpret(layer: &Layer, seed: i64) -> ArrayD<f64> {
    let files = Files::none();
    let input = |&id| convoke_data::random(layer.ty(id), seed, &files).expect("small inputs");
    let inputs: Vec<_> = layer.params.iter().map(input).collect();
    let verified = layer::verify(layer).expect("the manager verified it");
    convoke_interp::run_layer(verified, &inputs, &files).expect("the layer runs").remove(0)
}

/// The largest |a − b| over the largest |b|, of pixels within two of the edge and of the others; nchw.
fn border_and_interior(a: &ArrayD<f64>, b: &ArrayD<f64>) -> [f64; 2] {
    assert_eq!(a.shape(), b.shape());
    let (h, w) = (a.shape()[2], a.shape()[3]);
    let largest = b.iter().fold(0.0f64, |most, v| most.max(v.abs()));
    let mut worst = [0.0f64; 2];
    for (index, a) in a.indexed_iter() {
        let (i, j) = (index[2], index[3]);
        let inside = usize::from(i >= 2 && i + 2 < h && j >= 2 && j + 2 < w);
        worst[inside] = worst[inside].max((a - b[index.clone()]).abs() / largest);
    }
    worst
}

/// ‖a − b‖ / ‖b‖.
fn distance(a: &ArrayD<f64>, b: &ArrayD<f64>) -> f64 {
    assert_eq!(a.shape(), b.shape());
    let norm = |v: &mut dyn Iterator<Item = f64>| v.map(|v| v * v).sum::<f64>().sqrt();
    norm(&mut a.iter().zip(b).map(|(a, b)| a - b)) / norm(&mut b.iter().copied())
}

/// Asserts that both give the same at the border and inside, up to the rounding of weights.
fn same(before: &Layer, after: &Layer) {
    let [border, interior] = border_and_interior(&interpret(after, 1), &interpret(before, 1));
    assert!(
        border < 2e-6 && interior < 2e-6,
        "{border:e} at the border, {interior:e} inside: of\n{before}\ncame\n{after}"
    );
}

/// A sequence of numbers on [−1, 1), the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 40) as f64 / f64::from(1 << 23) - 1.0
    }

    fn some(&mut self, n: usize) -> Vec<f64> {
        (0..n).map(|_| self.next()).collect()
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[((self.next() + 1.0) / 2.0 * of.len() as f64) as usize]
    }
}

/// Kernels that are sums of `rank` separable ones, for each group `[m, c]` of them through `rank` channels.
fn separable(random: &mut Random, [k, c, r, s]: [usize; 4], groups: usize, rank: usize) -> Vec<f64> {
    let m = k / groups;
    let mut all = Vec::new();
    for _ in 0..groups {
        let (v, h) = (random.some(rank * c * r), random.some(m * rank * s));
        for at in 0..m * c * r * s {
            let (o, i, p, q) = (at / (c * r * s), at / (r * s) % c, at / s % r, at % s);
            all.push((0..rank).map(|t| v[(t * c + i) * r + p] * h[(o * rank + t) * s + q]).sum());
        }
    }
    all
}

const GAUSS: &str = "layer @l(%x: f32[1, 1, 12, 14]) -> f32[1, 1, 12, 14] {
  %w = const f32[1, 1, 5, 5] = gaussian(sigma = 1.0)
  %y = conv2d %x, %w { pads = [2, 2, 2, 2] }
  return %y
}
";

fn parse(source: &str) -> Layer {
    text::parse_and_verify(source).unwrap_or_else(|e| panic!("{e:?} in\n{source}")).layers.remove(0)
}

#[test]
fn separable_kernels_of_any_stride_dilation_and_group_are_factored() {
    let mut random = Random(1);
    let (mut several, mut grouped) = (0, 0);
    for case in 0..120 {
        let group = random.pick(&[1, 1, 2, 3]);
        let (c, m) =
            if case % 2 == 0 { (1, random.pick(&[1, 1, 2])) } else { (random.pick(&[2, 3]), random.pick(&[2, 4])) };
        let [r, s] = [random.pick(&[2, 3, 5]), random.pick(&[2, 3, 4])];
        let strides = [random.pick(&[1, 1, 2, 3]), random.pick(&[1, 2])];
        let dilations = [random.pick(&[1, 1, 2]), random.pick(&[1, 1, 3])];
        let pads: Vec<usize> = (0..4).map(|_| random.pick(&[0, 1, 2])).collect();
        let (h, w) = (13, 15);
        let out = |n: usize, k: usize, i: usize| {
            let read = n + pads[i] + pads[i + 2];
            (read - ((k - 1) * dilations[i] + 1)) / strides[i] + 1
        };
        let extents = [group * m, c, r, s];
        let layer = conv(
            &format!("2, {}, {h}, {w}", group * c),
            &format!("2, {}, {}, {}", group * m, out(h, r, 0), out(w, s, 1)),
            &format!("{}, {c}, {r}, {s}", group * m),
            &format!("pads = {pads:?}, strides = {strides:?}, dilations = {dilations:?}, group = {group}"),
        );
        let rank = random.pick(&[1, 1, 2]);
        let layer = bind(layer, separable(&mut random, extents, group, rank));
        let (after, new) = rewritten("factor-separable(always=true)", &layer, Grants::default());
        assert_eq!(new.sense, Guarantee::Rounding, "{layer}");
        assert!(new.deviation.expect("bound").frobenius < 4e-7, "{new:?}");
        same(&layer, &after);
        several += usize::from(rank > 1);
        grouped += usize::from(group > 1);
    }
    assert!(several > 20 && grouped > 30, "{several} {grouped}");
}

#[test]
fn channels_last_are_factored_too() {
    let source = GAUSS.replace("1, 1, 12, 14]", "1, 12, 14, 1] nhwc");
    let layer = parse(&source);
    let (after, _) = rewritten("factor-separable(always=true)", &layer, Grants::default());
    assert!(distance(&interpret(&after, 1), &interpret(&layer, 1)) < 1e-6);
}

#[test]
fn biases_and_epilogues_stay_behind_the_last_factor() {
    let with_bias = GAUSS.replace("  %y =", "  %b = const f32[1] = [0.25]\n  %y =");
    let layer =
        parse(&with_bias.replace("{ pads = [2, 2, 2, 2] }", "{ auto_pad = SAME_UPPER } then bias %b then relu"));
    let (after, _) = rewritten("factor-separable(always=true)", &layer, Grants::default());
    let last = after.body.last().expect("instructions");
    assert_eq!((after.body.len(), last.then.len()), (2, 2), "{after}");
    same(&layer, &after);
}

#[test]
fn integers_are_factored_to_the_bit() {
    let mut random = Random(2);
    for _ in 0..20 {
        let (v, h) = ([0; 3].map(|_| (random.next() * 9.0).round()), [0; 5].map(|_| (random.next() * 9.0).round()));
        let kernel: Vec<f64> = v.iter().flat_map(|v| h.iter().map(move |h| v * h)).collect();
        if kernel.iter().all(|&v| v == 0.0) {
            continue;
        }
        let layer = bind(conv("1, 1, 9, 9", "1, 1, 9, 9", "1, 1, 3, 5", "pads = [1, 2, 1, 2]"), kernel);
        let (_, new) = rewritten("factor-separable(always=true)", &layer, Grants::default());
        assert_eq!(new.sense, Guarantee::Exact);
        assert_eq!(new.deviation.expect("bound").frobenius, 0.0);
    }
}

/// A kernel whose second singular value is `ratio` of the norm.
fn nearly_separable(ratio: f64) -> Vec<f64> {
    // Two orthogonal pairs of columns and rows, as the Walsh functions are.
    let (v, u) = ([1.0, 1.0, 1.0, 1.0], [1.0, -1.0, 1.0, -1.0]);
    (0..16).map(|at| v[at / 4] * v[at % 4] + ratio * u[at / 4] * u[at % 4]).collect()
}

/// u of `f32`.
const UNIT: f64 = 1.0 / (1u64 << 24) as f64;

#[test]
fn nearly_separable_is_not_separable() {
    let layer = conv("1, 1, 9, 9", "1, 1, 6, 6", "1, 1, 4, 4", "");
    // The kernel has numbers that `f64` holds and `f32` does not: the element type decides what is rounding.
    let f64s = |ratio: f64| {
        let source = layer.to_string().replace("f32", "f64");
        let mut layer = parse(&source);
        let w = layer.values.ids().find(|&id| layer.values[id].name == "w").expect("`%w`");
        layer.values[w].def = Def::Const(Source::Computed(Values::of(Elem::F64, &nearly_separable(ratio))));
        layer
    };
    // In f32 the next number above 1 is 2u away: a residual of 2u·‖k‖ is twice what rounding explains.
    let above = bind(layer.clone(), nearly_separable(2.0 * UNIT));
    assert!(weights(&above).iter().any(|&v| v != 1.0));
    assert!(matches!(
        left("factor-separable(always=true, rank=1)", &above, Grants::default()),
        SkipReason::Error { .. }
    ));
    // In f64 the kernel is what it says, and the threshold is what a decomposition can tell: 1e-15.
    for (ratio, is) in [(0.5e-15, true), (1.5e-15, false), (1e-12, false), (1e-4, false)] {
        let (_, notes) = run("factor-separable(always=true, rank=1)", &f64s(ratio), Grants::default()).expect("runs");
        let found = matches!(&notes[..], [Note { outcome: Outcome::Rewritten(_), .. }]);
        assert_eq!(found, is, "{ratio:e}: {notes:?}");
    }
    // In f32 it is u = 2^-24. Of a kernel of ones, n taps of the diagonal are p last places (2u each) up. What no product takes in, D without its part along
    // ones on both sides, is to first order 2up·√(n(1 − 1/s)² + n(n − 1)/s²), and the norm is s.
    for (s, n, p, is) in [(3, 3, 1.0, true), (5, 2, 2.0, true), (4, 2, 2.0, false), (3, 2, 2.0, false)] {
        let mut kernel = vec![1.0; s * s];
        (0..n).for_each(|i| kernel[i * s + i] = 1.0 + p * 2.0 * UNIT);
        let layer = bind(conv(&format!("1, 1, {s}, {s}"), "1, 1, 1, 1", &format!("1, 1, {s}, {s}"), ""), kernel);
        let (size, n) = (s as f64, n as f64);
        let left = 2.0 * p * (n * (1.0 - 1.0 / size).powi(2) + n * (n - 1.0) / (size * size)).sqrt() / size;
        assert!((0.9..1.5).contains(&left) && (left < 1.0) == is, "{left} u");
        let (_, notes) = run("factor-separable(always=true, rank=1)", &layer, Grants::default()).expect("runs");
        match &notes[..] {
            [Note { outcome: Outcome::Rewritten(_), .. }] if is => {}
            [Note { outcome: Outcome::Skipped(SkipReason::Error { error, .. }), .. }] if !is => {
                assert!((error / UNIT / left - 1.0).abs() < 1e-3, "{error:e}")
            }
            notes => panic!("{left} u: {notes:?}"),
        }
    }
    // With a tolerance that covers it, and only then, the kernel above is a product.
    let near = bind(layer.clone(), nearly_separable(1e-3));
    for (tolerance, is) in [(0.9e-3, false), (1.1e-3, true)] {
        let (_, notes) = run("factor-separable(always=true, rank=1)", &near, tolerant(tolerance)).expect("runs");
        match &notes[..] {
            [Note { outcome: Outcome::Rewritten(new), .. }] if is => {
                assert_eq!(new.sense, Guarantee::Approximate);
                let d = new.deviation.expect("bound");
                assert!((d.frobenius - 1e-3).abs() < 1e-5 && (d.measured / d.frobenius - 1.0).abs() < 0.5, "{d:?}");
            }
            [Note { outcome: Outcome::Skipped(SkipReason::Error { error, .. }), .. }] if !is => {
                assert!((error - 1e-3).abs() < 1e-5)
            }
            notes => panic!("{tolerance}: {notes:?}"),
        }
    }
    // An option of the pass grants as much as the command's.
    assert!(
        run("factor-separable(always=true, rank=1, tolerance=0.002)", &near, Grants::default()).expect("runs").1.len()
            == 1
    );
    rewritten("factor-separable(always=true, rank=1, tolerance=0.002)", &near, Grants::default());
}

#[test]
fn the_bound_of_the_output_holds() {
    let mut random = Random(3);
    let layer = bind(conv("1, 1, 16, 16", "1, 1, 16, 16", "1, 1, 5, 5", "pads = [2, 2, 2, 2]"), random.some(25));
    let (after, new) = rewritten("factor-separable(always=true, rank=2)", &layer, tolerant(1.0));
    let bound = new.deviation.expect("bound").output_bound;
    let (a, b) = (interpret(&after, 1), interpret(&layer, 1));
    let worst = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(worst <= bound && worst > bound / 20.0, "{worst} {bound}");
}

#[test]
fn what_has_no_such_form_is_left_with_its_reason() {
    let mut random = Random(4);
    let line = bind(conv("1, 1, 9, 9", "1, 1, 9, 5", "1, 1, 1, 5", ""), random.some(5));
    assert!(matches!(left("factor-separable", &line, Grants::default()), SkipReason::Shape { rows: 1, .. }));
    let unbound = conv("1, 1, 9, 9", "1, 1, 7, 7", "1, 1, 3, 3", "");
    assert_eq!(left("factor-separable", &unbound, Grants::default()), SkipReason::Unbound);
    let named = bind(conv("1, 1, 9, 9", "1, 1, 7, 7", "1, 1, 3, 3", "algorithm = direct"), vec![1.0; 9]);
    assert_eq!(left("factor-separable", &named, Grants::default()), SkipReason::Algorithm);
    let nan = bind(conv("1, 1, 9, 9", "1, 1, 7, 7", "1, 1, 3, 3", ""), vec![f64::NAN; 9]);
    assert_eq!(left("factor-separable", &nan, Grants::default()), SkipReason::NotFinite);
    let even = bind(conv("1, 1, 9, 9", "1, 1, 6, 6", "1, 1, 4, 4", ""), vec![1.0; 16]);
    assert!(matches!(left("stack-small-kernels", &even, Grants::default()), SkipReason::Shape { .. }));
    let depthwise = bind(conv("1, 2, 9, 9", "1, 2, 7, 7", "2, 1, 3, 3", "group = 2"), vec![1.0; 18]);
    assert!(matches!(left("bottleneck", &depthwise, Grants::default()), SkipReason::Shape { channels: 1, .. }));
    // Of zeros every form is exact.
    let zeros = bind(conv("1, 2, 9, 9", "1, 2, 5, 5", "2, 1, 5, 5", "group = 2"), vec![0.0; 50]);
    for pass in ["factor-separable(always=true)", "stack-small-kernels(always=true)"] {
        let (after, _) = rewritten(pass, &zeros, Grants::default());
        assert!(interpret(&after, 1).iter().all(|&v| v == 0.0), "{pass}");
    }
    let large = bind(conv("1, 1, 15, 15", "1, 1, 1, 1", "1, 1, 15, 15", ""), random.some(225));
    assert!(matches!(
        left("stack-small-kernels(always=true)", &large, tolerant(1.0)),
        SkipReason::LargeKernels { rows: 15, limit: 9, .. }
    ));
    // Two products of small images take longer than one.
    let small = bind(conv("1, 1, 3, 3", "1, 1, 1, 1", "1, 1, 3, 3", ""), vec![1.0; 9]);
    let why = left("factor-separable", &small, Grants::default());
    assert!(matches!(&why, SkipReason::Slower { cycles, .. } if *cycles > 1.0), "{why:?}");
    // Where no rounding is allowed the pass is refused; where too little, the convolution is left.
    let none = Grants { max_error: Some(0.0), ..Grants::default() };
    assert!(matches!(run("factor-separable", &small, none), Err(PassError::NotGranted { .. })));
    let third = bind(conv("1, 1, 9, 9", "1, 1, 7, 7", "1, 1, 3, 3", ""), separable(&mut random, [1, 1, 3, 3], 1, 1));
    let little = Grants { max_error: Some(1e-9), ..Grants::default() };
    assert!(matches!(left("factor-separable(always=true)", &third, little), SkipReason::Rounds { .. }));
    for bad in ["rank=0", "tolerance=-1", "always=1", "ratio=0.5"] {
        assert!(run(&format!("factor-separable({bad})"), &third, Grants::default()).is_err(), "{bad}");
    }
    for bad in ["ratio=0", "ratio=1.5", "ranks=[1]", "ranks=[0, 1]", "ranks=lots", "form=svd", "activation=max_pool"] {
        assert!(run(&format!("bottleneck({bad})"), &third, Grants::default()).is_err(), "{bad}");
    }
}

#[test]
fn a_level_factors_a_large_blur_by_itself() {
    let layer = parse(
        &GAUSS
            .replace("12, 14", "270, 480")
            .replace("5, 5", "31, 31")
            .replace("1.0", "5.0")
            .replace("2, 2, 2, 2", "15, 15, 15, 15"),
    );
    let (machine, files, grants) = (Machine::x86_64_v3(), Files::none(), Grants::default());
    let passes = registry::pipeline(2, Stage::Layer, &grants, &[]).expect("a pipeline");
    let mut manager = PassManager::new(Context { machine: &machine, files: &files, grants });
    let State::Layer(after) = manager.run(State::Layer(layer), &passes).expect("runs") else { panic!("layer IR") };
    let notes: Vec<_> = manager.records().iter().flat_map(|r| &r.notes).collect();
    let [Note { outcome: Outcome::Rewritten(factors), .. }, Note { outcome: Outcome::Rewritten(bands), .. }] =
        notes[..]
    else {
        panic!("{notes:?}")
    };
    assert!(factors.form.starts_with("31x1, then 1x31") && bands.form.contains("fused"), "{notes:?}");
    assert_eq!(Stats::of_layer(&after).multiplications, 2 * 31 * 270 * 480);
}

/// Weights `[k, c, taps]` through `r3` and `r4` channels for each group.
fn through_few(random: &mut Random, [k, c, taps]: [usize; 3], groups: usize, [r3, r4]: [usize; 2]) -> Vec<f64> {
    let m = k / groups;
    let mut all = Vec::new();
    for _ in 0..groups {
        let (e, g, d) = (random.some(m * r3), random.some(r3 * r4 * taps), random.some(r4 * c));
        for at in 0..m * c * taps {
            let (o, i, t) = (at / (c * taps), at / taps % c, at % taps);
            let pairs = (0..r3 * r4).map(|p| e[o * r3 + p / r4] * g[p * taps + t] * d[p % r4 * c + i]);
            all.push(pairs.sum());
        }
    }
    all
}

#[test]
fn channels_that_are_mixtures_go_through_a_bottleneck() {
    let mut random = Random(5);
    for (group, taps, attrs, out) in [
        (1, "3, 3", "pads = [1, 1, 1, 1]", "11, 10"),
        (1, "3, 3", "pads = [2, 0, 1, 1], strides = [2, 1], dilations = [2, 1]", "5, 9"),
        (2, "3, 3", "pads = [1, 1, 1, 1], group = 2", "11, 10"),
        (1, "1, 1", "strides = [2, 2]", "6, 5"),
        (2, "1, 1", "group = 2", "11, 10"),
    ] {
        let n = if taps == "1, 1" { 1 } else { 9 };
        let ranks = if n == 1 { [2, 2] } else { [3, 2] };
        let (k, c) = (8 * group, 6 * group);
        let layer = conv(&format!("1, {c}, 11, 10"), &format!("1, {k}, {out}"), &format!("{k}, 6, {taps}"), attrs);
        let layer = bind(layer, through_few(&mut random, [k, 6, n], group, ranks));
        let (after, new) = rewritten("bottleneck(always=true)", &layer, Grants::default());
        assert_eq!(new.sense, Guarantee::Rounding, "{attrs}: {new:?}");
        let chain = if n == 1 { 6 * 2 + 2 * 8 } else { 6 * 2 + 9 * 6 + 3 * 8 };
        assert_eq!(new.after.parameters, (group * chain) as u128, "{new:?}");
        same(&layer, &after);
        // Fewer channels than there are: an approximation, and refused as long as that is not allowed.
        let fewer = "bottleneck(ranks=[1, 1], always=true)";
        assert!(matches!(left(fewer, &layer, Grants::default()), SkipReason::Error { error, .. } if error > 0.01));
        let (rough, new) = rewritten(fewer, &layer, tolerant(1.0));
        let d = new.deviation.expect("bound");
        let found = distance(&interpret(&rough, 1), &interpret(&layer, 1));
        assert!((0.5..2.0).contains(&(found / d.frobenius)), "{found} {d:?}");
    }
}

/// Weights whose singular values over channels decay by a half each.
fn decaying(random: &mut Random, k: usize, c: usize, taps: usize) -> Vec<f64> {
    let (e, d, g) = (random.some(k * k), random.some(c * c), random.some(k * c * taps));
    let mut w = vec![0.0; k * c * taps];
    for o in 0..k {
        for i in 0..c {
            for t in 0..taps {
                let mut sum = 0.0;
                for p in 0..k.min(12) {
                    for q in 0..c.min(12) {
                        let gain = 0.5f64.powi((p + q) as i32);
                        sum += gain * e[o * k + p] * g[(p * c + q) * taps + t] * d[q * c + i];
                    }
                }
                w[(o * c + i) * taps + t] = sum;
            }
        }
    }
    w
}

#[test]
fn a_bottleneck_meets_its_tolerance_on_inputs_it_has_not_seen() {
    let mut random = Random(6);
    let layer = conv("1, 32, 14, 14", "1, 32, 14, 14", "32, 32, 3, 3", "pads = [1, 1, 1, 1]");
    let layer = bind(layer, decaying(&mut random, 32, 32, 9));
    for tolerance in [0.3, 0.1, 0.03] {
        let (after, new) = rewritten(&format!("bottleneck(tolerance={tolerance})"), &layer, Grants::default());
        assert!(new.deviation.expect("bound").frobenius <= tolerance);
        for seed in 10..14 {
            let found = distance(&interpret(&after, seed), &interpret(&layer, seed));
            assert!(found <= tolerance, "{found} of {tolerance}");
        }
        assert!(new.after.multiplications < new.before.multiplications && new.after.cycles < new.before.cycles);
        // The gain in time stands beside that in multiplications.
        let note = Note { value: "y".into(), outcome: Outcome::Rewritten(Box::new(new.clone())) }.to_string();
        assert!(note.contains("multiplications 1806336 -> ") && new.predicted().contains("predicted cycles"), "{note}");
    }
    // Bayes finds what stands out of noise; the tolerance still has the last word.
    let (_, new) = rewritten("bottleneck(ranks=bayes, always=true)", &layer, tolerant(1.0));
    assert!(new.after.parameters < new.before.parameters);
    assert!(matches!(left("bottleneck(ranks=[4, 4])", &layer, tolerant(1e-6)), SkipReason::Error { .. }));
    // The canonical form of few terms.
    let (after, new) = rewritten("bottleneck(form=cp, rank=12, always=true)", &layer, tolerant(1.0));
    let found = distance(&interpret(&after, 3), &interpret(&layer, 3));
    let d = new.deviation.expect("bound");
    assert!((0.5..2.0).contains(&(found / d.frobenius)), "{found} {d:?}");
    assert_eq!(new.after.parameters, 12 * (32 + 32 + 3 + 3));
}

#[test]
fn stacks_are_exact_where_kernels_factor() {
    let binomial: Vec<f64> =
        [1.0, 4.0, 6.0, 4.0, 1.0].iter().flat_map(|a| [1.0, 4.0, 6.0, 4.0, 1.0].map(|b| a * b / 256.0)).collect();
    let layer = bind(conv("1, 1, 14, 14", "1, 1, 14, 14", "1, 1, 5, 5", "pads = [2, 2, 2, 2]"), binomial);
    let (after, new) = rewritten("stack-small-kernels(always=true)", &layer, Grants::default());
    assert_eq!((new.sense, new.deviation.expect("bound").frobenius), (Guarantee::Exact, 0.0));
    assert_eq!((new.before.parameters, new.after.parameters), (25, 18));
    same(&layer, &after);
    // On 14 × 14 a stack of padded layers would be wrong in 52 of 196 pixels.
    let mut wrong = after.clone();
    for instr in &mut wrong.body {
        let Op::Conv2d(conv) = &mut instr.op else { panic!("convolutions") };
        *conv = Conv2d { pads: [1; 4], ..conv.clone() };
    }
    let middle = wrong.body[0].result;
    wrong.values[middle].ty = layer.ty(layer.results[0]).clone();
    let (a, b) = (interpret(&wrong, 1), interpret(&layer, 1));
    assert_eq!(a.iter().zip(&b).filter(|(a, b)| (*a - *b).abs() > 1e-12).count(), 52);

    let mut random = Random(7);
    for (attrs, out, group) in [
        ("pads = [3, 3, 3, 3]", "15, 13", 1),
        ("pads = [1, 3, 0, 2], strides = [2, 3], group = 2", "5, 4", 2),
        ("pads = [6, 6, 6, 6], dilations = [2, 2], group = 2", "15, 13", 2),
    ] {
        let m = if group == 2 { 2 } else { 1 };
        let layer = conv(
            &format!("1, {group}, 15, 13"),
            &format!("1, {}, {out}", group * m),
            &format!("{}, 1, 7, 7", group * m),
            attrs,
        );
        // Separable, and with smooth factors: roots of wild kernels lie far apart, and rounding shows.
        let mut kernels = Vec::new();
        for _ in 0..group * m {
            let smooth = [1.0, 6.0, 15.0, 20.0, 15.0, 6.0, 1.0].map(|v| v + random.next());
            let other = [1.0, 3.0, 5.0, 6.0, 5.0, 3.0, 1.0].map(|v| v + 0.2 * random.next());
            kernels.extend(smooth.iter().flat_map(|a| other.map(|b| a * b / 100.0)));
        }
        let layer = bind(layer, kernels);
        let (after, new) = rewritten("stack-small-kernels(always=true)", &layer, Grants::default());
        assert_eq!(new.sense, Guarantee::Rounding, "{new:?}");
        same(&layer, &after);
    }
}

#[test]
fn a_fit_is_used_within_the_tolerance_only() {
    let mut random = Random(8);
    let layer = bind(conv("1, 1, 9, 9", "1, 1, 5, 5", "1, 1, 5, 5", ""), random.some(25));
    let SkipReason::Error { error, .. } = left("stack-small-kernels(always=true)", &layer, tolerant(0.01)) else {
        panic!("an error")
    };
    assert!((0.05..0.5).contains(&error), "{error}");
    let (after, new) = rewritten("stack-small-kernels(always=true)", &layer, tolerant(error * 1.01));
    assert_eq!(new.sense, Guarantee::Approximate);
    let found = distance(&interpret(&after, 1), &interpret(&layer, 1));
    assert!((0.3..3.0).contains(&(found / error)), "{found} {error}");
}

/// Weights of two layers of small kernels as one, for each group `m` channels of `c`.
fn composed(random: &mut Random, [m, c]: [usize; 2], [[r1, s1], [r2, s2]]: [[usize; 2]; 2], groups: usize) -> Vec<f64> {
    let (rows, columns) = (r1 + r2 - 1, s1 + s2 - 1);
    let mut all = Vec::new();
    for _ in 0..groups {
        let (a, b) = (random.some(m * c * r1 * s1), random.some(m * m * r2 * s2));
        let mut whole = vec![0.0; m * c * rows * columns];
        for at in 0..m * m * r2 * s2 * c * r1 * s1 {
            let (of_b, of_a) = (at / (c * r1 * s1), at % (c * r1 * s1));
            let (o, j, u, v) = (of_b / (m * r2 * s2), of_b / (r2 * s2) % m, of_b / s2 % r2, of_b % s2);
            let (i, p, q) = (of_a / (r1 * s1), of_a / s1 % r1, of_a % s1);
            whole[((o * c + i) * rows + u + p) * columns + v + q] += b[of_b] * a[((j * c + i) * r1 + p) * s1 + q];
        }
        all.extend(whole);
    }
    all
}

#[test]
fn mixed_channels_are_stacked_within_the_tolerance_only() {
    let mut random = Random(21);
    for (attrs, out, group, sizes) in [
        ("pads = [2, 2, 2, 2]", "13, 12", 1, [[3, 3], [3, 3]]),
        ("pads = [1, 2, 0, 2], strides = [2, 1], group = 2", "5, 12", 2, [[3, 3], [3, 3]]),
        ("pads = [4, 1, 4, 1], dilations = [2, 1]", "13, 12", 1, [[3, 3], [3, 1]]),
    ] {
        let (m, c) = (4, 6);
        let [rows, columns] = [sizes[0][0] + sizes[1][0] - 1, sizes[0][1] + sizes[1][1] - 1];
        let layer = conv(
            &format!("1, {}, 13, 12", c * group),
            &format!("1, {}, {out}", m * group),
            &format!("{}, {c}, {rows}, {columns}", m * group),
            attrs,
        );
        let layer = bind(layer, composed(&mut random, [m, c], sizes, group));
        let (after, new) = rewritten("stack-small-kernels(always=true, tolerance=1e-4)", &layer, Grants::default());
        assert!(new.deviation.expect("bound").frobenius < 2e-6 && new.form.contains("fitted"), "{new:?}");
        let [border, interior] = border_and_interior(&interpret(&after, 1), &interpret(&layer, 1));
        assert!(border < 1e-5 && interior < 1e-5, "{border:e} {interior:e}: {after}");
    }
    // Weights of no structure: the error is told, and what was measured is what was promised.
    let layer = bind(conv("1, 4, 9, 9", "1, 4, 9, 9", "4, 4, 5, 5", "pads = [2, 2, 2, 2]"), random.some(400));
    let SkipReason::Error { error, form, .. } = left("stack-small-kernels(always=true)", &layer, tolerant(0.01)) else {
        panic!("an error")
    };
    assert!((0.1..0.5).contains(&error) && form.contains("fitted"), "{error} {form}");
    let (after, new) = rewritten("stack-small-kernels(always=true)", &layer, tolerant(error * 1.01));
    assert_eq!(new.sense, Guarantee::Approximate);
    let found = distance(&interpret(&after, 1), &interpret(&layer, 1));
    assert!((0.5..2.0).contains(&(found / error)), "{found} {error}");
    assert_eq!(new.after.parameters, 2 * 9 * 16);
    // Three layers are not fitted, nor are many channels.
    let seven = bind(conv("1, 2, 9, 9", "1, 2, 3, 3", "2, 2, 7, 7", ""), random.some(196));
    assert!(matches!(left("stack-small-kernels(always=true)", &seven, tolerant(0.5)), SkipReason::Shape { .. }));
    let many = bind(conv("1, 80, 9, 9", "1, 80, 5, 5", "80, 80, 5, 5", ""), random.some(160_000));
    assert!(matches!(left("stack-small-kernels(always=true)", &many, tolerant(0.5)), SkipReason::TooMuchWork { .. }));
}

#[test]
fn asymmetric_pairs_are_the_same_at_the_border() {
    let mut random = Random(22);
    for (attrs, out, group, [r, s]) in [
        ("pads = [1, 1, 1, 1]", "11, 10", 1, [3, 3]),
        ("pads = [2, 3, 0, 1], strides = [2, 1]", "6, 10", 1, [3, 5]),
        ("pads = [1, 1, 1, 1], strides = [1, 2], group = 2", "11, 5", 2, [3, 3]),
    ] {
        let (m, c) = (4, 3);
        let layer = conv(
            &format!("1, {}, 11, 10", c * group),
            &format!("1, {}, {out}", m * group),
            &format!("{}, {c}, {r}, {s}", m * group),
            attrs,
        );
        // Across first: a column and a row exchanged.
        let turned = separable(&mut random, [m * group, c, s, r], group, 3);
        let weights = (0..turned.len()).map(|at| turned[at / (r * s) * r * s + at % s * r + at / s % r]).collect();
        let layer = bind(layer, weights);
        let (after, new) = rewritten("asymmetric(always=true)", &layer, Grants::default());
        assert_eq!(new.sense, Guarantee::Rounding, "{attrs}: {new:?}");
        same(&layer, &after);
        let (rough, new) = rewritten("asymmetric(always=true, rank=1)", &layer, tolerant(1.0));
        let (d, found) = (new.deviation.expect("bound"), distance(&interpret(&rough, 1), &interpret(&layer, 1)));
        assert!((0.5..2.0).contains(&(found / d.frobenius)), "{found} {d:?}");
    }
}

#[test]
fn one_budget_is_spent_over_the_net() {
    let mut random = Random(9);
    let source = "layer @l(%x: f32[1, 32, 14, 14]) -> f32[1, 32, 14, 14] {
  %w = const f32[32, 32, 3, 3] = unbound
  %v = const f32[32, 32, 3, 3] = unbound
  %a = conv2d %x, %w { pads = [1, 1, 1, 1] }
  %b = relu %a
  %y = conv2d %b, %v { pads = [1, 1, 1, 1] }
  return %y
}
";
    let mut layer = bind(parse(source), decaying(&mut random, 32, 32, 9));
    let v = layer.values.ids().find(|&id| layer.values[id].name == "v").expect("`%v`");
    let other: Vec<f64> = decaying(&mut random, 32, 32, 9).into_iter().map(|v| f64::from(v as f32)).collect();
    layer.values[v].def = Def::Const(Source::Computed(Values::of(Elem::F64, &other)));
    for passes in ["approximate", "bottleneck", "bottleneck,factor-separable,approximate"] {
        let (after, notes) = run(passes, &layer, tolerant(0.2)).expect("runs");
        let spent: f64 = notes
            .iter()
            .filter_map(|note| match &note.outcome {
                Outcome::Rewritten(new) if new.sense == Guarantee::Approximate => new.deviation,
                _ => None,
            })
            .map(|d| d.frobenius)
            .sum();
        assert!(spent <= 0.2 && spent > 0.1, "{passes}: {spent} of {notes:?}");
        let found = distance(&interpret(&after, 5), &interpret(&layer, 5));
        assert!(found < 0.25, "{passes}: {found}");
    }
    // No level approximates unless it is told to, and `approximate` is refused.
    assert!(matches!(run("approximate", &layer, Grants::default()), Err(PassError::NotGranted { .. })));
    let grants = Grants::default();
    assert!(
        registry::pipeline(2, Stage::Layer, &grants, &[]).expect("passes").iter().all(|p| p.name() != "approximate")
    );
}

#[test]
fn what_was_factored_can_be_composed_again() {
    let mut random = Random(10);
    for (attrs, out, group) in [
        ("pads = [1, 2, 1, 2], strides = [2, 1]", "7, 13", 1),
        ("pads = [2, 2, 2, 2], dilations = [2, 1], group = 2", "13, 13", 2),
    ] {
        let layer = conv(
            &format!("1, {}, 13, 13", 2 * group),
            &format!("1, {}, {out}", 3 * group),
            &format!("{}, 2, 3, 5", 3 * group),
            attrs,
        );
        let layer = bind(layer, separable(&mut random, [3 * group, 2, 3, 5], group, 2));
        let (factored, _) = rewritten("factor-separable(always=true)", &layer, Grants::default());
        let (composed, new) = rewritten("compose(always=true)", &factored, Grants::default());
        assert_eq!(composed.body.len(), 1, "{composed}");
        assert_eq!(new.after.parameters, (3 * group * 2 * 15) as u128);
        same(&layer, &composed);
        let (Op::Conv2d(a), Op::Conv2d(b)) = (&layer.body[0].op, &composed.body[0].op) else { panic!("convolutions") };
        assert_eq!([a.strides, a.dilations], [b.strides, b.dilations]);
    }
}

#[test]
fn pairs_are_composed_where_that_is_the_same() {
    let two = |first: &str, between: &str, second: &str, out: &str| {
        parse(&format!(
            "layer @l(%x: f32[1, 3, 12, 13]) -> f32[1, 4, {out}] {{
  %v = const f32[2, 3, 3, 3] = normal(seed = 1)
  %w = const f32[4, 2, 3, 3] = normal(seed = 2)
  %c = const f32[2] = normal(seed = 3)
  %a = conv2d %x, %v {{ {first} }}
  {between}
  %y = conv2d %b, %w {{ {second} }} then relu
  return %y
}}
"
        ))
    };
    let plain = "%b = bias %a, %c";
    for (first, second, out) in [
        ("pads = [1, 1, 1, 1]", "", "10, 11"),
        ("pads = [3, 0, 2, 1], strides = [2, 1]", "strides = [1, 2]", "6, 5"),
        ("pads = [4, 4, 4, 4], dilations = [2, 2]", "dilations = [2, 1]", "12, 15"),
    ] {
        let layer = two(first, plain, second, out);
        let (after, _) = rewritten("compose(always=true)", &layer, Grants::default());
        assert_eq!(after.body.len(), 1, "{after}");
        same(&layer, &after);
    }
    let padded = two("pads = [1, 1, 1, 1]", plain, "pads = [1, 1, 1, 1]", "12, 13");
    assert!(matches!(left("compose(always=true)", &padded, Grants::default()), SkipReason::Pair(_)));
    let slower = two("", plain, "", "8, 9");
    assert!(matches!(left("compose", &slower, Grants::default()), SkipReason::Slower { .. }), "5x5 of few channels");
    let active = two("", "%b = relu %a", "", "8, 9");
    let (after, notes) = run("compose(always=true)", &active, Grants::default()).expect("runs");
    assert!(notes.is_empty() && after.body == active.body);
}

/// Weights and multiplications of one convolution of `c` channels by the passes, over those of before.
fn counts(c: usize, k: usize, pads: usize, passes: &str) -> [u128; 2] {
    let layer = conv(
        &format!("1, {c}, 16, 16"),
        &format!("1, {c}, 16, 16"),
        &format!("{c}, {c}, {k}, {k}"),
        &format!("pads = {:?}", [pads; 4]),
    );
    let (after, new) = rewritten(passes, &layer, structural());
    assert_eq!(new.sense, Guarantee::Structural);
    assert!(after.values.iter().any(|(_, v)| v.def == Def::Const(Source::Unbound)));
    assert_eq!(new.after.parameters, Stats::of_layer(&after).parameters);
    [new.before.parameters, new.after.parameters]
}

#[test]
fn the_counts_of_the_textbook() {
    let c2 = 64 * 64;
    assert_eq!(counts(64, 7, 3, "stack-small-kernels"), [49 * c2, 27 * c2]);
    assert_eq!(counts(64, 5, 2, "stack-small-kernels"), [25 * c2, 18 * c2]);
    assert_eq!(counts(64, 3, 1, "bottleneck"), [9 * c2, 13 * c2 / 4]);
    assert_eq!(counts(64, 3, 1, "bottleneck(ratio=0.5)"), [9 * c2, 13 * c2 / 4]);
    assert_eq!(counts(64, 3, 1, "asymmetric"), [9 * c2, 6 * c2]);
    // Per pixel, of 16 × 16 that each small kernel pads by itself.
    let layer = conv("1, 64, 16, 16", "1, 64, 16, 16", "64, 64, 7, 7", "pads = [3, 3, 3, 3]");
    let (_, new) = rewritten("stack-small-kernels", &layer, structural());
    assert_eq!([new.before.multiplications, new.after.multiplications], [49 * c2 * 256, 27 * c2 * 256]);
    // Weights that are given are held to the border: the first of two lies on the halo that the second reads.
    let layer = conv("1, 1, 16, 16", "1, 1, 16, 16", "1, 1, 5, 5", "pads = [2, 2, 2, 2]");
    let (_, new) = rewritten("stack-small-kernels(always=true)", &bind(layer, vec![1.0; 25]), Grants::default());
    assert_eq!([new.before.multiplications, new.after.multiplications], [25 * 256, 9 * (18 * 18 + 16 * 16)]);
}

#[test]
fn alexnet_at_the_ranks_of_kim() {
    // arXiv:1511.06530, table 2: conv1 to conv4, ranks R3 and R4 for each group, and the ratio of multiplications.
    for (x, y, w, attrs, ranks, ratio) in [
        ("1, 3, 227, 227", "1, 96, 55, 55", "96, 3, 11, 11", "strides = [4, 4]", "[26, 3]", 2.92),
        ("1, 96, 27, 27", "1, 256, 27, 27", "256, 48, 5, 5", "pads = [2, 2, 2, 2], group = 2", "[59, 25]", 3.37),
        ("1, 256, 13, 13", "1, 384, 13, 13", "384, 256, 3, 3", "pads = [1, 1, 1, 1]", "[112, 105]", 5.03),
        ("1, 384, 13, 13", "1, 384, 13, 13", "384, 192, 3, 3", "pads = [1, 1, 1, 1], group = 2", "[46, 49]", 8.61),
    ] {
        let layer = conv(x, y, w, attrs);
        let (_, new) = rewritten(&format!("bottleneck(ranks={ranks})"), &layer, structural());
        let found = new.before.multiplications as f64 / new.after.multiplications as f64;
        assert!((found - ratio).abs() < 0.005, "{w}: {found}");
    }
}

#[test]
fn architectures_change_by_name_and_grant_only() {
    let layer = conv("1, 8, 9, 9", "1, 8, 9, 9", "8, 8, 5, 5", "pads = [2, 2, 2, 2]");
    for pass in ["factor-separable", "bottleneck", "asymmetric", "stack-small-kernels"] {
        assert_eq!(left(pass, &layer, Grants::default()), SkipReason::Unbound, "{pass}");
        let (after, new) = rewritten(pass, &layer, structural());
        assert_eq!((new.sense, new.deviation), (Guarantee::Structural, None), "{pass}: {after}");
    }
    let (after, _) = rewritten("stack-small-kernels(activation=relu)", &layer, structural());
    let ops: Vec<&str> = after.body.iter().map(|instr| instr.op.name()).collect();
    assert_eq!(ops, ["conv2d", "relu", "conv2d"]);
    let (_, new) = rewritten("bottleneck(form=cp)", &layer, structural());
    assert_eq!(new.after.parameters, 8 * (8 + 8 + 5 + 5));
    // A level leaves them alone even so.
    let (machine, files, grants) = (Machine::x86_64_v3(), Files::none(), structural());
    let passes = registry::pipeline(3, Stage::Layer, &grants, &[]).expect("passes");
    let mut manager = PassManager::new(Context { machine: &machine, files: &files, grants });
    manager.run(State::Layer(layer), &passes).expect("runs");
    assert!(manager.records().iter().all(|r| r.notes.is_empty()));
}

/// A level does not look at what takes long to look at; who names the pass has it.
#[test]
fn a_level_leaves_what_takes_long_to_factor() {
    let grants = Grants::default();
    let level = || registry::pipeline(2, Stage::Layer, &grants, &[]).expect("the passes of -O2");
    let (machine, files) = (Machine::x86_64_v3(), Files::none());
    let left = |layer: &Layer| {
        let mut manager = PassManager::new(Context { machine: &machine, files: &files, grants });
        manager.run(State::Layer(layer.clone()), &level()).expect("it has all it needs");
        let notes: Vec<Note> = manager.records().iter().flat_map(|record| record.notes.clone()).collect();
        notes.iter().any(|note| matches!(note.outcome, Outcome::Skipped(SkipReason::TooLong { .. })))
    };
    let groups = |count: usize| {
        let shape = format!("1, {count}, 4, 4");
        let layer =
            conv(&shape, &shape, &format!("{count}, 1, 3, 3"), &format!("pads = [1, 1, 1, 1], group = {count}"));
        bind(layer, [1.0, 2.0, 1.0, 2.0, 4.0, 2.0, 1.0, 2.0, 1.0].repeat(count))
    };
    assert!(!left(&groups(8)));
    assert!(left(&groups(300_000)));
    let large = conv("1, 1, 1500, 1500", "1, 1, 1, 1", "1, 1, 1500, 1500", "group = 1");
    assert!(left(&bind(large, vec![1.0; 1500 * 1500])));
}
