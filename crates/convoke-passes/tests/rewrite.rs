//! Each rewrite: before and after, what it leaves, and the same numbers.

mod support;

use convoke_ir::layer::{LayerBuilder, Relu};
use convoke_ir::{elem::Elem, types::*};
use convoke_passes::stats::Stats;
use convoke_passes::{Grants, PassError};
use support::{check, parse, run, same, unchanged};

/// A layer from an image of 2 channels, 6 × 6, to a type.
fn l(result: &str, body: &str) -> String {
    format!("layer @l(%x: f32[1, 2, 6, 6]) -> {result} {{\n{body}\n}}\n")
}

const IMAGE: &str = "f32[1, 2, 6, 6]";

#[test]
fn fold_pad_adds_to_the_pads_of_the_convolution() {
    let w = "%w = const f32[2, 2, 3, 3] = normal(seed = 1)\n";
    check(
        "fold-pad",
        &l(
            IMAGE,
            &format!(
                "%p = pad %x {{ pads = [1, 0, 0, 1] }}\n{w}%y = conv2d %p, %w {{ pads = [0, 1, 1, 0] }}\nreturn %y"
            ),
        ),
        &l(IMAGE, &format!("{w}%y = conv2d %x, %w {{ pads = [1, 1, 1, 1] }}\nreturn %y")),
    );
}

#[test]
fn fold_pad_writes_out_an_auto_pad() {
    let w = "%w = const f32[2, 2, 3, 3] = normal(seed = 1)\n";
    for (auto, strides, rows) in [("SAME_UPPER", 2, 4), ("SAME_LOWER", 2, 4), ("SAME_UPPER", 1, 8), ("VALID", 1, 6)] {
        let result = format!("f32[1, 2, {rows}, {rows}]");
        let body = format!(
            "%p = pad %x {{ pads = [1, 1, 1, 1] }}\n{w}%y = conv2d %p, %w {{ auto_pad = {auto}, strides = [{strides}, {strides}] }}\nreturn %y"
        );
        let before = parse(&l(&result, &body));
        let (after, _) = run("fold-pad", &before, Grants::default()).unwrap();
        assert_eq!(after.body.len(), 1, "{after}");
        same(&before, &after);
    }
}

#[test]
fn fold_pad_folds_pad_after_pad() {
    let w = "%w = const f32[2, 2, 5, 5] = normal(seed = 1)\n";
    check(
        "fold-pad",
        &l(
            IMAGE,
            &format!(
                "%p = pad %x {{ pads = [1, 1, 1, 1] }}\n%q = pad %p {{ pads = [1, 1, 1, 1] }}\n{w}%y = conv2d %q, %w\nreturn %y"
            ),
        ),
        &l(IMAGE, &format!("{w}%y = conv2d %x, %w {{ pads = [2, 2, 2, 2] }}\nreturn %y")),
    );
}

#[test]
fn fold_pad_leaves_what_is_not_zeros_and_what_others_read() {
    let w = "%w = const f32[2, 2, 3, 3] = normal(seed = 1)\n";
    for mode in ["reflect", "replicate", "circular"] {
        unchanged(
            "fold-pad",
            &l(
                IMAGE,
                &format!("%p = pad %x {{ pads = [1, 1, 1, 1], mode = {mode} }}\n{w}%y = conv2d %p, %w\nreturn %y"),
            ),
        );
    }
    let two = "(f32[1, 2, 6, 6], f32[1, 2, 8, 8])";
    unchanged(
        "fold-pad",
        &l(two, &format!("%p = pad %x {{ pads = [1, 1, 1, 1] }}\n{w}%y = conv2d %p, %w\nreturn %y, %p")),
    );
    unchanged(
        "fold-pad",
        &l(two, &format!("%p = pad %x {{ pads = [1, 1, 1, 1] }}\n{w}%y = conv2d %p, %w\n%r = relu %p\nreturn %y, %r")),
    );
    unchanged("fold-pad", &l("f32[1, 2, 8, 8]", "%p = pad %x { pads = [1, 1, 1, 1] }\n%y = max_pool %p\nreturn %y"));
}

#[test]
fn drop_dead_drops_what_no_result_needs() {
    check(
        "drop-dead",
        &l(IMAGE, "%c = const f32[2] = [1.0, 2.0]\n%a = bias %x, %c\n%b = relu %a\n%y = relu %x\nreturn %y"),
        &l(IMAGE, "%y = relu %x\nreturn %y"),
    );
    unchanged("drop-dead", "layer @l(%x: f32[4], %unread: f32[4]) -> f32[4] {\n%y = relu %x\nreturn %y\n}\n");
}

#[test]
fn cse_joins_ops_and_constants() {
    check(
        "cse",
        &l(
            IMAGE,
            "%c = const f32[2] = [1.0, 2.0]\n%d = const f32[2] = [1.0, 2.0]\n%a = bias %x, %c\n%b = bias %x, %d\n%y = add %a, %b\nreturn %y",
        ),
        &l(IMAGE, "%c = const f32[2] = [1.0, 2.0]\n%a = bias %x, %c\n%y = add %a, %a\nreturn %y"),
    );
    // Operands of a sum in any order; attributes and epilogues must agree.
    check(
        "cse",
        &l(IMAGE, "%a = relu %x\n%b = add %a, %x\n%c = add %x, %a\n%y = mul %b, %c\nreturn %y"),
        &l(IMAGE, "%a = relu %x\n%b = add %a, %x\n%y = mul %b, %b\nreturn %y"),
    );
    unchanged("cse", &l(IMAGE, "%a = relu %x then sigmoid\n%b = relu %x\n%y = add %a, %b\nreturn %y"));
    unchanged(
        "cse",
        &l(IMAGE, "%a = leaky_relu %x { alpha = 0.1 }\n%b = leaky_relu %x { alpha = 0.2 }\n%y = add %a, %b\nreturn %y"),
    );
}

#[test]
fn cse_keeps_results_apart_and_unbound_weights_too() {
    unchanged("cse", &l("(f32[1, 2, 6, 6], f32[1, 2, 6, 6])", "%a = relu %x\n%b = relu %x\nreturn %a, %b"));
    // One of the two is a result: the name of the result stays.
    check(
        "cse",
        &l("(f32[1, 2, 6, 6], f32[1, 2, 6, 6])", "%a = relu %x\n%b = relu %x\n%c = sigmoid %a\nreturn %b, %c"),
        &l("(f32[1, 2, 6, 6], f32[1, 2, 6, 6])", "%b = relu %x\n%c = sigmoid %b\nreturn %b, %c"),
    );
    let text = l(
        IMAGE,
        "%v = const f32[2] = unbound\n%w = const f32[2] = unbound\n%a = bias %x, %v\n%b = bias %x, %w\n%y = add %a, %b\nreturn %y",
    );
    let before = parse(&text);
    assert_eq!(run("cse", &before, Grants::default()).unwrap().0.to_string(), before.to_string());
}

#[test]
fn drop_identity_knows_neutral_operands() {
    for op in [
        "%c = const f32[2] = zeros\n%a = bias %x, %c",
        "%c = const f32[1, 2, 6, 6] = zeros\n%a = add %c, %x",
        "%c = const f32[1, 1, 1, 1] = [1]\n%a = mul %x, %c",
        "%a = pad %x",
        "%a = clip %x",
        "%a = leaky_relu %x { alpha = 1.0 }",
        "%a = concat %x",
        "%a = reshape %x { shape = [1, 2, -1, 6] }",
        "%a = transpose %x { perm = [0, 1, 2, 3] }",
        "%a = to_layout %x { layout = nchw }",
        "%a = max_pool %x",
        "%a = avg_pool %x",
    ] {
        check(
            "drop-identity",
            &l(IMAGE, &format!("{op}\n%y = sigmoid %a\nreturn %y")),
            &l(IMAGE, "%y = sigmoid %x\nreturn %y"),
        );
    }
}

#[test]
fn drop_identity_knows_ranges() {
    check(
        "drop-identity",
        &l(
            IMAGE,
            "%a = relu %x\n%m = max_pool %a { kernel_shape = [3, 3], pads = [1, 1, 1, 1] }\n%y = relu %m then sigmoid then clip { max = 2.0 }\nreturn %y",
        ),
        &l(
            IMAGE,
            "%a = relu %x\n%m = max_pool %a { kernel_shape = [3, 3], pads = [1, 1, 1, 1] }\n%y = sigmoid %m\nreturn %y",
        ),
    );
    // The name of a result moves to the op that stays.
    check("drop-identity", &l(IMAGE, "%a = relu6 %x\n%y = relu %a\nreturn %y"), &l(IMAGE, "%y = relu6 %x\nreturn %y"));
    unchanged("drop-identity", &l(IMAGE, "%a = relu %x\n%y = relu6 %a\nreturn %y"));
}

#[test]
fn drop_identity_leaves_what_changes_shape_or_must_be_copied() {
    unchanged("drop-identity", &l(IMAGE, "%y = pad %x\nreturn %y"));
    unchanged(
        "drop-identity",
        &l("f32[3, 2, 6, 6]", "%c = const f32[3, 1, 1, 1] = zeros\n%a = add %x, %c\n%y = relu %a\nreturn %y"),
    );
    unchanged("drop-identity", &l(IMAGE, "%a = transpose %x { perm = [0, 1, 3, 2] }\n%y = relu %a\nreturn %y"));
}

#[test]
fn normalise_has_one_spelling() {
    check(
        "normalise",
        &l(IMAGE, "%y = clip %x { min = 0.0, max = 6.0 }\nreturn %y"),
        &l(IMAGE, "%y = relu6 %x\nreturn %y"),
    );
    check(
        "normalise",
        &l(IMAGE, "%y = sigmoid %x then clip { min = 0.0 }\nreturn %y"),
        &l(IMAGE, "%y = sigmoid %x then relu\nreturn %y"),
    );
    check(
        "normalise,drop-dead",
        &l(IMAGE, "%a = clip %x { min = -1.0, max = 2.0 }\n%y = relu %a\nreturn %y"),
        &l(IMAGE, "%y = clip %x { min = 0.0, max = 2.0 }\nreturn %y"),
    );
    check(
        "normalise,drop-dead",
        &l(IMAGE, "%s = sigmoid %x\n%y = mul %s, %x\nreturn %y"),
        &l(IMAGE, "%y = silu %x\nreturn %y"),
    );
    check(
        "normalise",
        &l(
            "f32[1, 2, 3, 3]",
            "%y = max_pool %x { kernel_shape = [3, 3], strides = [2, 2], auto_pad = SAME_UPPER }\nreturn %y",
        ),
        &l(
            "f32[1, 2, 3, 3]",
            "%y = max_pool %x { kernel_shape = [3, 3], strides = [2, 2], pads = [0, 0, 1, 1] }\nreturn %y",
        ),
    );
    check(
        "normalise",
        &l("f32[1, 2, 1, 1]", "%y = avg_pool %x { kernel_shape = [6, 6], auto_pad = VALID }\nreturn %y"),
        &l("f32[1, 2, 1, 1]", "%y = global_avg_pool %x\nreturn %y"),
    );
    check(
        "normalise,drop-dead",
        &l("f32[72]", "%a = reshape %x { shape = [2, 36] }\n%y = reshape %a { shape = [72] }\nreturn %y"),
        &l("f32[72]", "%y = reshape %x { shape = [72] }\nreturn %y"),
    );
}

#[test]
fn fold_constants_computes_each_op() {
    let c = "%c = const f32[1, 2, 2, 2] = [-2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0, 7.0]\n%v = const f32[2] = [0.5, 2.0]\n";
    for op in [
        "relu %c",
        "relu6 %c",
        "clip %c { min = -1.5 }",
        "sigmoid %c",
        "silu %c",
        "hardswish %c",
        "leaky_relu %c",
        "add %c, %c",
        "mul %c, %c",
        "bias %c, %v",
        "batch_norm %c, %v, %v, %v, %v",
        "transpose %c { perm = [3, 1, 0, 2] }",
        "reshape %c { shape = [2, 1, 2, 2] }",
        "to_layout %c { layout = nhwc }",
        "relu %c then bias %v then mul %c",
    ] {
        // As an operand of a sum, so that the constant is no result; any type is stretched from 1.
        let ty = match op.split(' ').next() {
            Some("transpose") => "f32[2, 2, 1, 2]",
            Some("reshape") => "f32[2, 1, 2, 2]",
            Some("to_layout") => "f32[1, 2, 2, 2] nhwc",
            _ => "f32[1, 2, 2, 2]",
        };
        let text = format!("layer @l(%x: {ty}) -> {ty} {{\n{c}%a = {op}\n%y = add %x, %a\nreturn %y\n}}\n");
        let before = parse(&text);
        let (after, _) = run("fold-constants", &before, Grants::default()).unwrap();
        assert_eq!(after.body.len(), 1, "{after}");
        same(&before, &after);
    }
}

#[test]
fn fold_constants_never_makes_more_than_it_reads() {
    // 64 GiB from 4 KiB; and a constant that does not fit in memory at all.
    let bomb = "layer @l(%x: f32[1, 1024, 4096, 4096]) -> f32[1, 1024, 4096, 4096] {\n\
        %a = const f32[1, 1024, 1, 1] = ones\n%b = const f32[1, 1, 4096, 4096] = zone_plate\n\
        %m = mul %a, %b\n%y = add %x, %m\nreturn %y\n}\n";
    let large = "layer @l(%x: f32[1, 1024, 4096, 4096]) -> f32[1, 1024, 4096, 4096] {\n\
        %a = const f32[1, 1024, 4096, 4096] = normal\n%m = relu %a\n%y = add %x, %m\nreturn %y\n}\n";
    for text in [bomb, large] {
        let before = parse(text);
        let (after, changed) = run("fold-constants", &before, Grants::default()).unwrap();
        assert_eq!((after.to_string(), changed), (before.to_string(), vec![false]));
    }
}

#[test]
fn fold_batch_norm_folds_biases_and_norms() {
    let bn = "%s = const f32[2] = [2.0, 0.5]\n%m = const f32[2] = [1.0, -1.0]\n%v = const f32[2] = [4.0, 0.25]\n";
    check(
        "fold-batch-norm",
        &l(
            "f32[1, 2, 6, 6]",
            &format!(
                "%w = const f32[2, 2, 1, 1] = [1.0, 2.0, 3.0, 4.0]\n{bn}%a = conv2d %x, %w\n%b = bias %a, %m\n%c = batch_norm %b, %s, %m, %m, %v {{ epsilon = 0.0 }}\n%y = relu %c\nreturn %y"
            ),
        ),
        &l(
            "f32[1, 2, 6, 6]",
            "%w.bn = const f32[2, 2, 1, 1] = [1.0, 2.0, 3.0, 4.0]\n%a = conv2d %x, %w.bn\n%w.bn.bias = const f32[2] = [1.0, -1.0]\n%c = bias %a, %w.bn.bias\n%y = relu %c\nreturn %y",
        ),
    );
    for body in [
        "%a = conv2d %x, %w then batch_norm %s, %m, %m, %v then relu\nreturn %a",
        "%a = conv2d %x, %w then bias %m\n%b = batch_norm %a, %s, %m, %m, %v then batch_norm %s, %s, %m, %v then relu\nreturn %b",
        "%a = conv2d %x, %w\n%b = bias %a, %m then batch_norm %s, %m, %m, %v then bias %m\n%c = relu %b\nreturn %c",
        "%a = conv2d %x, %w\n%b = batch_norm %a, %s, %m, %m, %v\n%c = batch_norm %b, %m, %s, %m, %v\nreturn %c",
    ] {
        let before =
            parse(&l("f32[1, 2, 4, 4]", &format!("%w = const f32[2, 2, 3, 3] = normal(seed = 3)\n{bn}{body}")));
        let (after, _) = run("fold-batch-norm", &before, Grants::default()).unwrap();
        assert!(!after.to_string().contains("batch_norm"), "{after}");
        same(&before, &after);
    }
}

#[test]
fn fold_batch_norm_leaves_what_it_may_not_know() {
    let bn = "%s = const f32[2] = [2.0, 0.5]\n%v = const f32[2] = [4.0, 0.25]\n%z = const f32[2] = zeros\n%n = const f32[2] = [-1.0, 1.0]\n";
    for (w, body, result) in [
        ("unbound", "%a = conv2d %x, %w\n%b = batch_norm %a, %s, %s, %s, %v\nreturn %b", IMAGE),
        ("normal", "%a = conv2d %x, %w\n%b = relu %a\n%c = batch_norm %b, %s, %s, %s, %v\nreturn %c", IMAGE),
        (
            "normal",
            "%a = conv2d %x, %w\n%b = batch_norm %a, %s, %s, %s, %v\nreturn %b, %a",
            "(f32[1, 2, 6, 6], f32[1, 2, 6, 6])",
        ),
        ("normal", "%a = conv2d %x, %w\n%b = batch_norm %a, %s, %s, %s, %z { epsilon = 0.0 }\nreturn %b", IMAGE),
        ("normal", "%a = conv2d %x, %w\n%b = batch_norm %a, %s, %s, %s, %n\nreturn %b", IMAGE),
    ] {
        let before = parse(&l(result, &format!("%w = const f32[2, 2, 1, 1] = {w}\n{bn}{body}")));
        let (after, changed) = run("drop-dead,fold-batch-norm", &before, Grants::default()).unwrap();
        assert!(!changed[1] && after.to_string().contains("batch_norm"), "{after}");
    }
}

#[test]
fn merge_branches_makes_one_convolution_of_a_repvgg_block() {
    let text = l(
        IMAGE,
        "\
        %w3 = const f32[2, 2, 3, 3] = normal(seed = 3)\n%w1 = const f32[2, 2, 1, 1] = normal(seed = 4)\n\
        %b = const f32[2] = [0.5, -1.0]\n%v = const f32[2] = [4.0, 0.25]\n\
        %a = conv2d %x, %w3 { pads = [1, 1, 1, 1] } then bias %b\n%c = conv2d %x, %w1\n%d = bias %c, %b\n\
        %e = batch_norm %x, %b, %b, %b, %v\n%s = add %a, %d\n%t = add %s, %e\n%y = add %t, %x then relu\nreturn %y",
    );
    let before = parse(&text);
    let (after, _) = run("merge-branches", &before, Grants::default()).unwrap();
    assert_eq!(after.body.len(), 2, "{after}");
    assert!(after.body[1].then.len() == 1 && after.body[1].op.name() == "bias", "{after}");
    same(&before, &after);
    let (before, after) = (Stats::of_layer(&before), Stats::of_layer(&after));
    assert_eq!((before.multiplications, after.multiplications), (72 * 20, 72 * 18));
}

#[test]
fn merge_branches_puts_taps_where_they_fall() {
    for (result, first, second, merges) in [
        (
            "f32[1, 4, 6, 6]",
            "[4, 1, 3, 3] = normal(seed = 1)|pads = [1, 1, 1, 1], group = 2",
            "[4, 1, 1, 3] = normal(seed = 2)|pads = [0, 1, 0, 1], group = 2",
            true,
        ),
        (
            "f32[1, 4, 6, 6]",
            "[4, 2, 3, 3] = normal(seed = 1)|pads = [1, 1, 1, 1]",
            "[4, 1, 3, 3] = normal(seed = 2)|pads = [1, 1, 1, 1], group = 2",
            true,
        ),
        (
            "f32[1, 4, 6, 6]",
            "[4, 1, 3, 3] = normal(seed = 1)|pads = [1, 1, 1, 1], group = 2",
            "[4, 2, 1, 1] = normal(seed = 2)|pads = [0, 0, 0, 0]",
            false,
        ),
        (
            "f32[1, 4, 3, 3]",
            "[4, 2, 3, 3] = normal(seed = 1)|pads = [1, 1, 1, 1], strides = [2, 2]",
            "[4, 2, 1, 1] = normal(seed = 2)|strides = [2, 2]",
            true,
        ),
        (
            "f32[1, 4, 6, 6]",
            "[4, 2, 3, 3] = normal(seed = 1)|pads = [2, 2, 2, 2], dilations = [2, 2]",
            "[4, 2, 1, 1] = normal(seed = 2)|pads = [0, 0, 0, 0]",
            true,
        ),
        (
            "f32[1, 4, 6, 6]",
            "[4, 2, 3, 3] = normal(seed = 1)|pads = [2, 2, 2, 2], dilations = [2, 2]",
            "[4, 2, 3, 3] = normal(seed = 2)|pads = [1, 1, 1, 1]",
            false,
        ),
        (
            "f32[1, 4, 6, 6]",
            "[4, 2, 3, 3] = normal(seed = 1)|pads = [2, 1, 0, 1]",
            "[4, 2, 1, 1] = normal(seed = 2)|pads = [0, 0, 0, 0]",
            true,
        ),
        (
            "f32[1, 4, 6, 6]",
            "[4, 2, 1, 3] = normal(seed = 1)|pads = [0, 1, 0, 1]",
            "[4, 2, 3, 1] = normal(seed = 2)|pads = [1, 0, 1, 0]",
            false,
        ),
    ] {
        let part = |text: &str| {
            let (w, a) = text.split_once('|').unwrap();
            (w.to_owned(), a.to_owned())
        };
        let ((v, a), (w, b)) = (part(first), part(second));
        let text = l(
            result,
            &format!(
                "%v = const f32{v}\n%w = const f32{w}\n%a = conv2d %x, %v {{ {a} }}\n%b = conv2d %x, %w {{ {b} }}\n%y = add %b, %a\nreturn %y"
            ),
        );
        let before = parse(&text);
        let (after, _) = run("merge-branches", &before, Grants::default()).unwrap();
        assert_eq!(after.body.len(), if merges { 1 } else { 3 }, "{after}");
        same(&before, &after);
    }
}

#[test]
fn fuse_epilogue_joins_elementwise_ops() {
    let w = "%w = const f32[2, 2, 1, 1] = normal(seed = 3)\n%b = const f32[2] = [0.5, -1.0]\n";
    check(
        "fuse-epilogue",
        &l(
            IMAGE,
            &format!(
                "{w}%a = conv2d %x, %w\n%c = bias %a, %b\n%d = conv2d %x, %w\n%e = add %c, %d\n%y = relu %e\nreturn %y"
            ),
        ),
        &l(IMAGE, &format!("{w}%c = conv2d %x, %w then bias %b\n%y = conv2d %x, %w then add %c then relu\nreturn %y")),
    );
    // The residual is made after the convolution, which moves down to it.
    check(
        "fuse-epilogue",
        &l(
            IMAGE,
            &format!(
                "{w}%a = conv2d %x, %w\n%r = max_pool %x {{ kernel_shape = [3, 3], pads = [1, 1, 1, 1] }}\n%y = add %r, %a\nreturn %y"
            ),
        ),
        &l(
            IMAGE,
            &format!(
                "{w}%r = max_pool %x {{ kernel_shape = [3, 3], pads = [1, 1, 1, 1] }}\n%y = conv2d %x, %w then add %r\nreturn %y"
            ),
        ),
    );
}

#[test]
fn fuse_epilogue_leaves_what_others_read_and_what_is_stretched() {
    unchanged("fuse-epilogue", &l(IMAGE, "%a = relu %x\n%y = mul %a, %a\nreturn %y"));
    unchanged(
        "fuse-epilogue",
        &l("(f32[1, 2, 6, 6], f32[1, 2, 6, 6])", "%a = relu %x\n%y = sigmoid %a\nreturn %y, %a"),
    );
    unchanged(
        "fuse-epilogue",
        &l(
            IMAGE,
            "%g = global_avg_pool %x\n%a = max_pool %x { kernel_shape = [3, 3], pads = [1, 1, 1, 1] }\n%y = mul %a, %g\nreturn %y",
        ),
    );
}

#[test]
fn long_chains_take_linear_time() {
    let chain = |n: usize| {
        let ty = TensorType::new(Elem::F32, [4], Layout::Nchw).unwrap();
        let mut layer = LayerBuilder::new("chain").unwrap();
        let x = layer.param("x", ty).unwrap();
        let one = layer.op(Relu {}, &[x]).unwrap();
        let mut layer = layer.finish(&[one]).unwrap();
        // By hand: the builder looks through all names for each new one.
        for i in 1..n {
            let mut value = layer.values[one].clone();
            value.name = format!("v{i}");
            let result = layer.values.push(value);
            let mut instr = layer.body[0].clone();
            instr.args = vec![layer.body.last().unwrap().result];
            instr.result = result;
            layer.body.push(instr);
        }
        layer.results = vec![layer.body.last().unwrap().result];
        layer
    };
    let all =
        "normalise,fold-constants,drop-identity,cse,fold-pad,fold-batch-norm,merge-branches,fuse-epilogue,drop-dead";
    let (after, _) = run(all, &chain(20_000), Grants::default()).unwrap();
    assert_eq!(after.body.len(), 1);
    for pass in all.split(',') {
        let start = std::time::Instant::now();
        run(pass, &chain(20_000), Grants::default()).unwrap();
        // Quadratic would be minutes.
        assert!(start.elapsed().as_secs() < 10, "{pass} took {:?}", start.elapsed());
    }
}

#[test]
fn a_pass_that_is_not_granted_is_refused_with_its_flag() {
    let layer = parse(&l(IMAGE, "%y = relu %x\nreturn %y"));
    let strict = Grants { max_error: Some(0.0), ..Grants::default() };
    for pass in ["fold-batch-norm", "merge-branches"] {
        let error = run(pass, &layer, strict).unwrap_err();
        assert!(matches!(error, PassError::NotGranted { .. }));
        assert_eq!(
            error.to_string(),
            format!("`{pass}` may change floating-point rounding; allow it with --max-error E with E > 0")
        );
        assert!(run(pass, &layer, Grants::default()).is_ok());
    }
}
