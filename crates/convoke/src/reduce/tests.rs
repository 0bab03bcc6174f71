//! Nets reduced for predicates that look at the net.

use std::convert::Infallible;

use convoke_data::Files;
use convoke_ir::layer::{Layer, Op};

use super::{ReduceError, reduce};
use crate::module::Module;

fn module(text: &str) -> Module {
    Module::from_bytes("test", text.as_bytes(), Files::none()).expect("a text without mistakes")
}

/// The text to which `given` is reduced, where a net fails if one of its layers does.
fn reduced(given: &str, fails: impl Fn(&Layer) -> bool) -> String {
    let asked = |module: &Module| Ok::<_, Infallible>(module.layers().iter().any(|layer| fails(layer.ir())));
    let small = reduce(&module(given), asked).expect("the net fails");
    let again = reduce(&small, asked).expect("the result fails");
    assert_eq!(small.to_string(), again.to_string(), "the result can be reduced");
    small.to_string()
}

fn has(layer: &Layer, op: impl Fn(&Op) -> bool) -> bool {
    layer.body.iter().any(|instr| op(&instr.op) || instr.then.iter().any(|step| op(&step.op)))
}

/// A block with groups, strides, a residual and two results, beside a layer and a weight that matter to nothing.
const BLOCK: &str = "
layer @other(%x: f32[4]) -> f32[4] {
  %y = relu %x
  return %y
}
layer @block(%x: f32[2, 8, 20, 20] in [0.5, 1], %side: f32[2, 12, 10, 10]) -> (f32[2, 12, 10, 10], f32[2, 8, 20, 20]) {
  %w0 = const f32[8, 8, 3, 3] = normal(seed = 3, std = 0.1)
  %a = conv2d %x, %w0 { pads = [1, 1, 1, 1] } then relu
  %w1 = const f32[12, 2, 3, 3] = normal(seed = 4)
  %b1 = const f32[12] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]
  %b = conv2d %a, %w1 { pads = [1, 1, 1, 1], strides = [2, 2], group = 4 } then bias %b1 then silu
  %c = add %b, %side
  %d = add %a, %x
  return %c, %d
}
";

#[test]
fn a_strided_convolution_with_groups_is_all_that_stays() {
    let fails = |layer: &Layer| has(layer, |op| matches!(op, Op::Conv2d(op) if op.strides == [2, 2] && op.group > 1));
    assert_eq!(
        reduced(BLOCK, fails),
        "layer @block(%x: f32[1, 2, 1, 1]) -> f32[1, 2, 1, 1] {
  %w1 = const f32[2, 1, 1, 1] = zeros
  %b = conv2d %x, %w1 { strides = [2, 2], group = 2 }
  return %b
}
"
    );
}

#[test]
fn a_step_of_an_epilogue_keeps_its_instruction() {
    let fails = |layer: &Layer| layer.body.iter().any(|i| i.then.iter().any(|step| matches!(step.op, Op::Silu(_))));
    assert_eq!(
        reduced(BLOCK, fails),
        "layer @block(%x: f32[1, 1, 1, 1]) -> f32[1, 1, 1, 1] {
  %w1 = const f32[1, 1, 1, 1] = zeros
  %b = conv2d %x, %w1 then silu
  return %b
}
"
    );
}

/// Neither of the two additions can go, and their extents are tied through the convolution with its pads.
#[test]
fn a_residual_shrinks_with_the_branch_it_is_added_to() {
    let fails = |layer: &Layer| {
        let big = |id| layer.ty(id).shape.dims().get(2).is_some_and(|&rows| rows >= 5);
        layer.body.iter().any(|instr| matches!(instr.op, Op::Conv2d(_)) && big(instr.args[0]))
            && layer.body.iter().filter(|instr| matches!(instr.op, Op::Add(_))).count() == 2
    };
    assert_eq!(
        reduced(BLOCK, fails),
        "layer @block(%x: f32[1, 1, 5, 1], %side: f32[1, 1, 1, 1]) -> (f32[1, 1, 1, 1], f32[1, 1, 5, 1]) {
  %w0 = const f32[1, 1, 1, 1] = zeros
  %a = conv2d %x, %w0
  %c = add %side, %side
  %d = add %a, %x
  return %c, %d
}
"
    );
}

#[test]
fn shapes_that_are_written_follow() {
    let text = "layer @head(%x: f32[2, 8, 6, 6]) -> f32[2, 10] {
  %p = max_pool %x { kernel_shape = [2, 2], strides = [2, 2] }
  %up = resize %p { size = [6, 6] }
  %cat = concat %up, %x
  %cut = slice %cat { starts = [0, 2, 0, 0], sizes = [2, 12, 6, 6] }
  %flat = reshape %cut { shape = [2, 432] }
  %w = const f32[432, 10] = normal
  %y = matmul %flat, %w
  return %y
}";
    let names = ["max_pool", "resize", "concat", "slice", "reshape", "matmul"];
    let small = reduced(text, |layer| names.iter().all(|name| has(layer, |op| op.name() == *name)));
    assert_eq!(
        small,
        "layer @head(%x: f32[1, 1, 1, 1]) -> f32[1, 1] {
  %p = max_pool %x
  %up = resize %p { size = [1, 1] }
  %cat = concat %up
  %cut = slice %cat { starts = [0, 0, 0, 0], sizes = [1, 1, 1, 1] }
  %flat = reshape %cut { shape = [1, 1] }
  %w = const f32[1, 1] = zeros
  %y = matmul %flat, %w
  return %y
}
"
    );
}

/// Neither the kernel nor the image can become smaller alone: the result would become larger, or have nothing in it.
#[test]
fn a_kernel_shrinks_with_its_image() {
    let text = "layer @l(%x: f32[1, 2, 1, 5]) -> f32[1, 2, 1, 1] {
  %w = const f32[2, 1, 1, 5] = zeros
  %y = conv2d %x, %w { group = 2 }
  return %y
}";
    let fails = |layer: &Layer| has(layer, |op| matches!(op, Op::Conv2d(op) if op.group > 1));
    assert!(reduced(text, fails).contains("%w = const f32[2, 1, 1, 1] = zeros"));
}

#[test]
fn numbers_become_zeros_but_for_those_that_matter() {
    let text = "layer @l(%x: f32[1, 1, 8, 8]) -> f32[1, 2, 6, 6] {
  %w = const f32[2, 1, 3, 3] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13.5, 14, 15, 16, 17, 18]
  %y = conv2d %x, %w
  return %y
}";
    let fails = |layer: &Layer| {
        let constants = layer.values.ids().filter_map(|id| layer.constant(id));
        constants.into_iter().any(|source| format!("{source:?}").contains("13.5"))
    };
    assert_eq!(
        reduced(text, fails),
        "layer @l() -> f32[1, 1, 1, 1] {
  %w = const f32[1, 1, 1, 1] = [[[[13.5]]]]
  return %w
}
"
    );
}

#[test]
fn dead_code_stays_if_it_matters() {
    let text = "layer @l(%x: f32[4, 4], %z: f16[2]) -> f32[4, 4] {
  %a = sigmoid %x
  %d = exp %a
  %b = relu %x
  return %b
}";
    assert_eq!(
        reduced(text, |layer| has(layer, |op| matches!(op, Op::Exp(_)))),
        "layer @l(%x: f32[1, 1]) -> f32[1, 1] {
  %d = exp %x
  return %x
}
"
    );
}

#[test]
fn a_depthwise_convolution_stays_depthwise() {
    let text = "layer @l(%x: f16[1, 9, 9, 32] nhwc) -> f16[1, 9, 9, 64] nhwc {
  %w = const f16[64, 1, 5, 5] = normal(std = 0.5)
  %y = conv2d %x, %w { pads = [2, 2, 2, 2], group = 32, algorithm = direct }
  %z = clip %y { min = 0.5 }
  return %z
}";
    let fails = |layer: &Layer| has(layer, |op| matches!(op, Op::Conv2d(op) if op.group >= 3));
    assert_eq!(
        reduced(text, fails),
        "layer @l(%x: f32[1, 1, 1, 3] nhwc) -> f32[1, 1, 1, 3] nhwc {
  %w = const f32[3, 1, 1, 1] = zeros
  %y = conv2d %x, %w { group = 3 }
  return %y
}
"
    );
}

#[test]
fn a_net_that_does_not_fail_is_refused() {
    let mut asked = 0;
    let result = reduce(&module(BLOCK), |_| {
        asked += 1;
        Ok::<_, Infallible>(false)
    });
    assert!(matches!(result, Err(ReduceError::DoesNotFail)), "{result:?}");
    assert_eq!(asked, 1);
}

/// An error of the predicate ends the search.
#[test]
fn an_error_is_passed_on() {
    let mut asked = 0;
    let result = reduce(&module(BLOCK), |_| {
        asked += 1;
        if asked < 3 { Ok(true) } else { Err("no answer") }
    });
    assert!(matches!(result, Err(ReduceError::Asked("no answer"))), "{result:?}");
    assert_eq!(asked, 3);
}

/// The predicate gets nets that are verified, all different, and each smaller than the last that failed.
#[test]
fn candidates_are_smaller_and_asked_about_once() {
    let (mut seen, mut smallest) = (std::collections::HashSet::new(), None);
    let result = reduce(&module(BLOCK), |module| {
        let (text, size) = (module.to_string(), super::Size::of(module));
        convoke_ir::text::parse_and_verify(&text).expect("it is verified, and reads back");
        assert!(smallest.as_ref().is_none_or(|smallest| size < *smallest), "{text}");
        assert!(seen.insert(text.clone()), "asked twice: {text}");
        let fails = text.contains("silu") && text.contains("group");
        if fails {
            smallest = Some(size);
        }
        Ok::<_, Infallible>(fails)
    });
    assert!(result.is_ok_and(|small| super::Size::of(&small).ops() == 2));
}

/// One op is left of any net, whichever must stay, and nothing is larger than it need be.
#[test]
fn each_op_of_each_example_can_stay_alone() {
    let folder = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../ir-examples"));
    let mut pairs = 0;
    for entry in std::fs::read_dir(folder).expect("the examples are there") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|ending| ending != "conv") {
            continue;
        }
        let module = Module::read(&path).expect("an example without mistakes");
        let layer = module.layers()[0].ir();
        let mut names: Vec<_> = layer.body.iter().map(|instr| instr.op.name()).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let fails = |module: &Module| Ok::<_, Infallible>(has(module.layers()[0].ir(), |op| op.name() == name));
            let small = reduce(&module, fails).expect("the op is there");
            let size = super::Size::of(&small);
            assert!(size.ops() == 1 && size.elements() <= 4, "{}, {name}: {small}", path.display());
            pairs += 1;
        }
    }
    assert!(pairs > 100, "{pairs}");
}
