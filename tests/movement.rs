//! Ops that move elements, reduce over axes or sample an image: shapes that break things and random ones, native code at every width on one
//! thread and on two against the interpreter, loops as they are lowered too.

use convoke::check::Reference;
use convoke::ir::attr::{Coordinates, PadMode, ResizeMode, Rounding};
use convoke::ir::layer::*;
use convoke::ir::types::TensorType;
use convoke::{Compiler, Elem, Layer, Layout, Machine, Subnormals};
use convoke_data as data;
use convoke_interp::run_program;
use convoke_tests::Random;
use convoke_tests::native::{none, sanitized};

fn ty(dims: &[usize]) -> TensorType {
    TensorType::new(Elem::F32, dims, Layout::Nchw).expect("a small shape")
}

/// A layer of one op, or `None` if it does not fit. The operands from number `inputs` on are constants.
fn layer(op: &Op, types: &[TensorType], inputs: usize, then: bool) -> Option<Layer> {
    let mut b = LayerBuilder::new("l").expect("a name");
    let operands = types.iter().enumerate().map(|(i, ty)| {
        let source = Source::Generate(Generator::Normal { seed: i as i64, mean: 0.0, std: 1.0 });
        let name = format!("x{i}");
        let made = if i < inputs { b.param(&name, ty.clone()) } else { b.constant(&name, ty.clone(), source) };
        made.expect("a fresh name")
    });
    let operands: Vec<_> = operands.collect();
    let y = b.op(op.clone(), &operands).ok()?;
    if then {
        let same = b.constant("e", b.ty(y).expect("just made").clone(), Source::Generate(Generator::Ones {}));
        b.then(Add {}, &[same.expect("a fresh name")]).expect("of the same type");
        b.then(Relu {}, &[]).expect("elementwise");
    }
    let text = b.finish(&[y]).expect("a result").to_string();
    Some(Layer::parse(&text).unwrap_or_else(|e| panic!("{text}\n{}", e.render(false))))
}

/// What is wrong with a layer, if something is: native code of every width and loops as they are lowered, on seeded numbers, of which some are
/// not finite if `odd`.
fn complaint(layer: &Layer, odd: bool) -> Option<String> {
    let inputs = layer.inputs().into_iter().enumerate();
    let inputs = inputs.map(|(i, (_, ty))| {
        let mut x = data::random(ty, i as i64 + 3, layer.files()).expect("a small tensor");
        if odd {
            let (len, special) = (x.len(), [f64::NAN, f64::INFINITY, f64::NEG_INFINITY]);
            special.iter().enumerate().for_each(|(i, &v)| *x.iter_mut().nth(len * (2 * i + 1) / 7).expect("in it") = v);
        }
        x
    });
    let inputs: Vec<_> = inputs.collect();
    let reference = Reference::new(layer, inputs, Subnormals::Flush).expect("the interpreter runs what verifies");
    for machine in Machine::host().widths() {
        let compiler = Compiler::host().with_machine(machine.clone());
        let lowered = match compiler.lower(layer) {
            Ok(lowered) => lowered,
            Err(error) => return Some(format!("{}\n{}", error.render(false), layer.ir())),
        };
        let loops = run_program(lowered.verified(), reference.inputs(), layer.files()).expect("a verified program");
        let native = [1, 2].map(|threads| {
            let compiled = compiler.clone().with_threads(threads).compile(layer);
            compiled.unwrap_or_else(|e| panic!("{}\n{}", layer.ir(), e.render(false)))
        });
        let [one, two] = native.map(|native| native.run_rounded(reference.inputs()).expect("inputs of its types"));
        let bits = |outputs: &[ndarray::ArrayD<f64>]| outputs[0].iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        if bits(&one) != bits(&two) {
            return Some(format!("{}: other bits on two threads\n{}", machine.name, layer.ir()));
        }
        if let Err(why) = sanitized(&compiler.clone().with_threads(2), layer, (reference.inputs(), &one)) {
            return Some(why);
        }
        for (by, outputs) in [("loops", loops), ("native code", one)] {
            let found = reference.compare(&outputs);
            if !found.passes() {
                return Some(format!("{}, {by}: {found:?}\n{}", machine.name, layer.ir()));
            }
        }
    }
    None
}

fn resize(size: [i64; 2], mode: ResizeMode, coordinates: Coordinates) -> Resize {
    Resize { size, mode, coordinates, ..Resize::default() }
}

/// What shows mistakes: extents of 1, reversals, every tail, long rows, several images, whole tensors, indices in no order.
fn hard_cases() -> Vec<(Op, Vec<TensorType>)> {
    use Coordinates::*;
    use ResizeMode::*;
    let slice = |starts: &[i64], sizes: &[i64], steps: &[i64]| -> Op {
        Slice { starts: starts.to_vec(), sizes: sizes.to_vec(), steps: steps.to_vec() }.into()
    };
    let gather = |axis, indices: Vec<i64>| -> Op { Gather { axis, indices }.into() };
    let one = |op: Op, dims: &[usize]| (op, vec![ty(dims)]);
    let product = |a: &[usize], b: &[usize]| (MatMul {}.into(), vec![ty(a), ty(b)]);
    let mut cases = vec![
        one(slice(&[6, 0], &[4, 9], &[-2, 1]), &[7, 9]),
        one(slice(&[0, 32], &[3, 33], &[1, -1]), &[3, 33]),
        one(slice(&[1, 0, 2], &[1, 5, 7], &[1, 1, 3]), &[2, 5, 21]),
        one(slice(&[39_999], &[40_000], &[-1]), &[40_000]),
        one(slice(&[7], &[30_000], &[1]), &[40_000]),
        one(slice(&[1, 1, 1, 1, 1, 0, 0, 1], &[1, 1, 2, 1, 1, 2, 2, 2], &[]), &[2, 2, 3, 2, 2, 2, 2, 3]),
        one(Broadcast { shape: vec![5, 7, 19] }.into(), &[5, 1, 19]),
        one(Broadcast { shape: vec![3, 4, 17] }.into(), &[3, 4, 1]),
        one(Broadcast { shape: vec![2, 30_000] }.into(), &[1, 1]),
        one(Broadcast { shape: vec![9, 5, 3, 8] }.into(), &[1, 5, 1, 8]),
        one(gather(0, vec![3, 3, 0, 1, 2, 5, 4]), &[6, 37]),
        one(gather(1, (0..40).map(|i| i * i % 11).collect()), &[5, 11]),
        one(gather(1, (0..64).map(|i| i / 2).collect()), &[3, 32, 2]),
        one(gather(2, vec![0; 33]), &[2, 3, 4]),
        one(gather(0, (0..30).rev().collect()), &[30, 3000]),
        one(ReduceMean { axes: vec![1] }.into(), &[49, 96]),
        one(ReduceMean { axes: vec![2, 3] }.into(), &[2, 7, 7, 9]),
        one(ReduceMean { axes: vec![1] }.into(), &[2, 13, 7, 9]),
        one(ReduceMax { axes: vec![0, 2] }.into(), &[3, 5, 4, 33]),
        one(ReduceMin { axes: vec![1, 3] }.into(), &[3, 5, 4, 33]),
        one(ReduceSum { axes: vec![0] }.into(), &[70_001]),
        one(ReduceMean { axes: vec![0, 1] }.into(), &[200, 200]),
        one(ReduceSum { axes: vec![0] }.into(), &[40, 515]),
        one(ReduceMax { axes: vec![0, 1] }.into(), &[1, 1]),
        product(&[3, 5, 7], &[3, 7, 33]),
        product(&[2, 1, 20, 16], &[1, 3, 16, 17]),
        product(&[5, 9, 8], &[1, 8, 70]),
        product(&[1, 9, 8], &[4, 8, 5]),
        product(&[6, 1, 33], &[6, 33, 1]),
        product(&[2, 3, 1, 4], &[1, 1, 4, 40]),
        product(&[3, 1, 1, 4], &[1, 2, 4, 40]),
        one(Pad { pads: [1, 0, 2, 3], value: f64::NEG_INFINITY, ..Pad::default() }.into(), &[2, 3, 4, 17]),
        one(Pad { pads: [0, -1, 1, 2], value: -2.5, mode: PadMode::Zeros }.into(), &[1, 2, 5, 9]),
        one(Resize { scales: vec![0.6, 0.6], ..resize([1, 2], Linear, AlignCorners) }.into(), &[1, 1, 2, 4]),
        one(Resize { scales: vec![1.7, 0.8], ..resize([12, 13], Cubic, HalfPixelSymmetric) }.into(), &[1, 2, 7, 17]),
        one(Resize { exclude_outside: true, ..resize([9, 70], Cubic, HalfPixel) }.into(), &[1, 2, 5, 41]),
        one(Resize { exclude_outside: true, ..resize([9, 9], Linear, PytorchHalfPixel) }.into(), &[1, 2, 5, 3]),
    ];
    for size in [[8, 66], [32, 264], [12, 99], [5, 17], [3, 11], [4, 33], [1, 1]] {
        for (mode, coordinates) in [
            (Nearest, HalfPixel),
            (Nearest, Asymmetric),
            (Linear, HalfPixel),
            (Linear, AlignCorners),
            (Cubic, HalfPixel),
        ] {
            cases.push(one(resize(size, mode, coordinates).into(), &[2, 3, 4, 33]));
        }
    }
    cases
}

#[test]
fn hard_shapes_agree_at_every_width_and_on_two_threads() {
    let mut complaints = Vec::new();
    for (i, (op, types)) in hard_cases().into_iter().enumerate() {
        for inputs in 1..=types.len() {
            let layer = layer(&op, &types, inputs, i % 3 == 0).unwrap_or_else(|| panic!("{op:?} fits {types:?}"));
            complaints.extend(complaint(&layer, false));
        }
    }
    none(complaints);
}

#[test]
fn the_same_in_nhwc() {
    let mut complaints = Vec::new();
    for (op, types) in hard_cases() {
        let Ok(x) = TensorType::new(Elem::F32, types[0].shape.dims(), Layout::Nhwc) else { continue };
        if types.len() == 1 {
            // Pads and sizes are of other axes here, and still fit.
            complaints.extend(layer(&op, &[x], 1, false).and_then(|layer| complaint(&layer, false)));
        }
    }
    none(complaints);
}

#[test]
fn numbers_that_are_not_finite_go_where_they_went() {
    let mut complaints = Vec::new();
    for (op, types) in hard_cases() {
        let layer = layer(&op, &types, types.len(), false).unwrap_or_else(|| panic!("{op:?} fits {types:?}"));
        if types.iter().all(|ty| ty.elements() >= 7) {
            complaints.extend(complaint(&layer, true));
        }
    }
    none(complaints);
}

#[test]
fn halves_are_rounded_once() {
    let mut complaints = Vec::new();
    for elem in [Elem::F16, Elem::Bf16] {
        for (i, (op, types)) in hard_cases().into_iter().enumerate() {
            let types: Vec<_> = types.into_iter().map(|ty| TensorType { elem, ..ty }).collect();
            let layer = layer(&op, &types, types.len(), i % 3 == 1).unwrap_or_else(|| panic!("{op:?} fits {types:?}"));
            complaints.extend(complaint(&layer, false));
        }
    }
    none(complaints);
}

fn random_op(random: &mut Random, dims: &[usize]) -> Op {
    let axis = random.between(0, dims.len() - 1);
    let axes: Vec<i64> = (0..dims.len()).filter(|&a| a == axis || random.one_in(3)).map(|a| a as i64).collect();
    match random.between(0, 7) {
        0 => {
            let (mut starts, mut sizes, mut steps) = (vec![], vec![], vec![]);
            for &extent in dims {
                let (step, start) = (random.between(1, 3), random.between(0, extent - 1));
                let (step, room) =
                    if random.one_in(3) { (-(step as i64), start) } else { (step as i64, extent - 1 - start) };
                starts.push(start as i64);
                steps.push(step);
                sizes.push(1 + random.between(0, room / step.unsigned_abs() as usize) as i64);
            }
            Slice { starts, sizes, steps }.into()
        }
        1 => {
            let shape = dims.iter().map(|&d| if d == 1 { random.between(1, 9) } else { d } as i64).collect();
            Broadcast { shape }.into()
        }
        2 => {
            let count = random.between(1, 40);
            let by = random.between(1, 5);
            let index = |random: &mut Random, i: usize| match by {
                1 => i % dims[axis],
                2 => i / 2 % dims[axis],
                3 => i * 3 % dims[axis],
                _ => random.between(0, dims[axis] - 1),
            };
            Gather { axis: axis as i64, indices: (0..count).map(|i| index(random, i) as i64).collect() }.into()
        }
        3 => match random.between(0, 3) {
            0 => ReduceMean { axes }.into(),
            1 => ReduceSum { axes }.into(),
            2 => ReduceMax { axes }.into(),
            _ => ReduceMin { axes }.into(),
        },
        _ => {
            let size = [random.between(1, 40) as i64, random.between(1, 70) as i64];
            let op = resize(size, random.pick(ResizeMode::ALL), random.pick(Coordinates::ALL));
            let (rounding, exclude_outside) = (random.pick(Rounding::ALL), random.one_in(3));
            Resize { rounding, exclude_outside, cubic_a: random.pick(&[-0.75, -0.5]), ..op }.into()
        }
    }
}

/// `CONVOKE_MOVEMENT_OPS` says how many there are, if not 150.
#[test]
fn random_ops_agree_at_every_width_and_on_two_threads() {
    let count = std::env::var("CONVOKE_MOVEMENT_OPS").map_or(150, |n| n.parse().expect("a number of ops"));
    let mut random = Random::new(11);
    let (mut complaints, mut ran) = (Vec::new(), 0);
    for seed in 0..count {
        let extents = [1, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33];
        let rank = if random.one_in(2) { 4 } else { random.between(1, 5) };
        let dims: Vec<usize> = (0..rank).map(|_| random.pick(&extents[..if rank > 3 { 10 } else { 14 }])).collect();
        let op = random_op(&mut random, &dims);
        let Some(layer) = layer(&op, &[ty(&dims)], 1, random.one_in(3)) else { continue };
        complaints.extend(complaint(&layer, seed % 4 == 0 && layer.inputs()[0].1.elements() >= 7));
        ran += 1;
    }
    none(complaints);
    assert!(ran * 2 > count, "only {ran} of {count} ops fitted");
}
