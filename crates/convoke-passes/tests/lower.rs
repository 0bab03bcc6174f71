//! Lowered programs compute what their layers mean: both interpreters agree, before and after the loop passes.
//!
//! Numbers are `f64` in both, so the agreement is close whatever the element type; what is tested is every address.

mod common;

use common::{agree, agree_on};
use convoke_machine::Machine;

/// A convolution of this shape in each layout and by each algorithm that applies.
fn conv(x: [usize; 4], w: [usize; 4], attributes: &str, algorithms: &[&str]) {
    let [n, c, h, wd] = x;
    for (layout, dims) in [("", [n, c, h, wd]), (" nhwc", [n, h, wd, c])] {
        for algorithm in algorithms {
            let text = format!(
                "layer @l(%x: f32{dims:?}{layout}) -> {{result}} {{\n\
                 %w = const f32{w:?} = normal(seed = 3)\n\
                 %0 = conv2d %x, %w {{ {attributes}, algorithm = {algorithm} }}\n\
                 return %0\n}}\n"
            );
            agree(&text);
        }
    }
}

const DENSE: &[&str] = &["direct", "im2col", "im2col(explicit)"];

#[test]
fn plain_padded_and_uneven() {
    conv([1, 3, 8, 8], [8, 3, 3, 3], "pads = [0, 0, 0, 0]", DENSE);
    conv([1, 5, 5, 5], [5, 5, 3, 3], "pads = [1, 1, 1, 1]", DENSE);
    conv([2, 3, 7, 9], [6, 3, 3, 5], "pads = [0, 2, 1, 3]", DENSE);
    conv([1, 4, 6, 6], [9, 4, 2, 2], "auto_pad = SAME_UPPER", DENSE);
    conv([1, 4, 6, 6], [9, 4, 2, 2], "auto_pad = SAME_LOWER", DENSE);
}

#[test]
fn strided_and_dilated() {
    conv([1, 3, 17, 19], [10, 3, 3, 3], "pads = [1, 1, 1, 1], strides = [2, 2]", DENSE);
    conv([1, 3, 17, 19], [4, 3, 2, 2], "strides = [5, 3]", DENSE);
    conv([1, 2, 13, 13], [3, 2, 3, 3], "pads = [2, 2, 2, 2], dilations = [2, 3]", DENSE);
    conv([1, 2, 12, 12], [3, 2, 3, 3], "pads = [4, 4, 4, 4], dilations = [4, 4], strides = [2, 3]", DENSE);
}

/// Each form is told by a kernel or an operation that only it has.
#[test]
fn strided_and_dilated_forms() {
    for (x, w, attributes, telling) in [
        ("[1, 130, 13, 13]", "[40, 130, 3, 3]", "pads = [6, 6, 6, 6], dilations = [6, 6]", "kernel @conv_regions"),
        (
            "[1, 260, 13, 13]",
            "[80, 130, 3, 3]",
            "pads = [6, 6, 6, 6], dilations = [6, 6], group = 2",
            "kernel @conv_regions",
        ),
        ("[2, 24, 14, 15]", "[40, 24, 1, 1]", "strides = [2, 2]", "kernel @compact"),
        ("[2, 9, 15, 38]", "[9, 1, 3, 5]", "pads = [1, 2, 1, 2], strides = [2, 2], group = 9", " = pick "),
    ] {
        let text = format!(
            "layer @l(%x: f32{x}) -> {{result}} {{\n\
             %w = const f32{w} = normal(seed = 3)\n\
             %0 = conv2d %x, %w {{ {attributes}, algorithm = direct }} then relu\n\
             return %0\n}}\n"
        );
        let program = agree_on(&text, &Machine::x86_64_v3());
        assert!(program.to_string().contains(telling), "{program}");
    }
}

#[test]
fn one_by_one() {
    conv([1, 16, 7, 7], [24, 16, 1, 1], "group = 1", DENSE);
    conv([1, 7, 1, 1], [11, 7, 1, 1], "group = 1", DENSE);
    conv([2, 6, 9, 5], [13, 6, 1, 1], "strides = [2, 2]", DENSE);
    conv([1, 3, 4, 5], [2, 3, 1, 1], "pads = [1, 0, 2, 1]", DENSE);
}

#[test]
fn planes_whose_lines_meet_in_the_cache_are_packed() {
    let mut small = Machine::x86_64_v3();
    small.caches[1].bytes = 4096;
    for (width, packed) in [(16, true), (15, false)] {
        let text = format!(
            "layer @l(%x: f32[2, 9, 8, {width}], %r: f32[2, 35, 8, {width}]) -> {{result}} {{\n\
             %w = const f32[35, 9, 1, 1] = normal(seed = 3)\n\
             %0 = conv2d %x, %w {{ algorithm = direct }} then add %r then relu\n\
             return %0\n}}\n"
        );
        let program = agree_on(&text, &small);
        assert_eq!(program.funcs.iter().any(|(_, func)| func.name.starts_with("block")), packed, "{program}");
    }
}

#[test]
fn kernels_as_large_as_the_image_and_larger() {
    conv([1, 3, 4, 4], [5, 3, 4, 4], "group = 1", DENSE);
    conv([1, 2, 3, 3], [4, 2, 7, 7], "pads = [3, 3, 3, 3]", DENSE);
    conv([1, 2, 1, 40], [4, 2, 1, 9], "pads = [0, 4, 0, 4]", DENSE);
}

#[test]
fn long_rows_are_picked_from_registers() {
    for (channels, stride, dilation, then) in [
        (1, 1, 1, "then relu"),
        (2, 1, 1, "then add %r"),
        (1, 2, 1, "then bias %b"),
        (3, 1, 2, "then bias %b then add %r"),
    ] {
        let text = format!(
            "layer @l(%x: f32[1, {channels}, 21, 70], %r: f32[1, {channels}, 21, {}]) -> {{result}} {{\n\
             %w = const f32[{channels}, 1, 1, 25] = normal(seed = 3)\n\
             %b = const f32[{channels}] = normal(seed = 4)\n\
             %0 = conv2d %x, %w {{ pads = [0, 9, 0, 40], strides = [1, {stride}], dilations = [1, {dilation}], group = {channels}, \
             algorithm = depthwise }} {then}\n\
             return %0\n}}\n",
            (119 - 24 * dilation - 1) / stride + 1
        );
        let program = agree(&text);
        assert!(program.to_string().contains("pick"), "{program}");
    }
}

#[test]
fn deep_reductions_take_several_blocks() {
    conv([1, 130, 5, 6], [17, 130, 3, 3], "pads = [1, 1, 1, 1]", DENSE);
    conv([1, 700, 3, 3], [9, 700, 1, 1], "group = 1", DENSE);
}

#[test]
fn wide_images_take_several_strips() {
    conv([1, 3, 40, 50], [8, 3, 3, 3], "pads = [1, 1, 1, 1]", DENSE);
    conv([1, 3, 37, 41], [8, 3, 1, 1], "group = 1", DENSE);
}

#[test]
fn grouped() {
    conv([1, 12, 6, 7], [18, 4, 3, 3], "group = 3, pads = [1, 1, 1, 1]", DENSE);
    conv([2, 8, 5, 5], [8, 2, 1, 1], "group = 4", DENSE);
}

#[test]
fn depthwise_with_and_without_multiplier() {
    let all = &["direct", "im2col", "depthwise"];
    conv([1, 10, 9, 11], [10, 1, 3, 3], "group = 10, pads = [1, 1, 1, 1]", all);
    conv([2, 5, 9, 23], [15, 1, 3, 5], "group = 5, pads = [1, 2, 1, 2], strides = [2, 2]", all);
    conv([1, 3, 40, 40], [3, 1, 31, 31], "group = 3, pads = [15, 15, 15, 15]", &["depthwise"]);
    conv([1, 9, 6, 6], [9, 1, 3, 3], "group = 9, dilations = [2, 2], pads = [2, 2, 2, 2]", all);
}

#[test]
fn epilogues_of_every_kind() {
    for (layout, x, r, s) in [
        ("", "[1, 6, 7, 9]", "[1, 10, 7, 9]", "[1, 10, 1, 1]"),
        (" nhwc", "[1, 7, 9, 6]", "[1, 7, 9, 10]", "[1, 1, 1, 10]"),
    ] {
        for algorithm in DENSE {
            agree(&format!(
                "layer @l(%x: f32{x}{layout}, %r: f32{r}{layout}, %s: f32{s}{layout}) -> {{result}} {{\n\
                 %w = const f32[10, 6, 3, 3] = normal(seed = 3)\n\
                 %b = const f32[10] = normal(seed = 4)\n\
                 %v = const f32[10] = uniform(seed = 5, low = 0.5, high = 2)\n\
                 %0 = conv2d %x, %w {{ pads = [1, 1, 1, 1], algorithm = {algorithm} }} then bias %b \
                 then batch_norm %b, %b, %b, %v then add %r then silu then mul %s then hardswish \
                 then leaky_relu {{ alpha = 0.2 }} then clip {{ min = -1, max = 4 }} then sigmoid then relu6 then relu\n\
                 return %0\n}}\n"
            ));
        }
    }
}

#[test]
fn an_operand_broadcast_along_rows_is_not_fused_into_flattened_pixels() {
    agree(
        "layer @l(%x: f32[1, 2, 4, 5], %r: f32[1, 1, 4, 1]) -> {result} {\n\
         %w = const f32[3, 2, 3, 3] = normal(seed = 3)\n\
         %0 = conv2d %x, %w { pads = [1, 1, 1, 1], algorithm = im2col } then mul %r\n\
         return %0\n}\n",
    );
}

#[test]
fn pooling() {
    for (layout, x) in [("", "[2, 5, 11, 13]"), (" nhwc", "[2, 11, 13, 5]")] {
        for op in [
            "max_pool %x { kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1] }",
            "max_pool %x { kernel_shape = [2, 2], strides = [2, 2], ceil_mode = true }",
            "max_pool %x { kernel_shape = [2, 3], dilations = [3, 2], pads = [1, 2, 0, 1] }",
            "avg_pool %x { kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1] }",
            "avg_pool %x { kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1], count_include_pad = true, ceil_mode = true }",
            "avg_pool %x { kernel_shape = [2, 2], strides = [3, 3], ceil_mode = true } then relu",
            "avg_pool %x { kernel_shape = [1, 20], auto_pad = SAME_UPPER }",
            "global_avg_pool %x then relu",
        ] {
            agree(&format!("layer @l(%x: f32{x}{layout}) -> {{result}} {{\n%0 = {op}\nreturn %0\n}}\n"));
        }
    }
}

#[test]
fn pads_of_every_mode() {
    for (layout, x) in [("", "[2, 3, 5, 4]"), (" nhwc", "[2, 5, 4, 3]")] {
        for mode in ["zeros", "reflect", "symmetric", "replicate", "circular"] {
            for pads in ["[1, 2, 3, 0]", "[0, 0, 0, 3]", "[4, 3, 4, 3]", "[0, 0, 0, 0]"] {
                agree(&format!(
                    "layer @l(%x: f32{x}{layout}) -> {{result}} {{\n\
                     %0 = pad %x {{ pads = {pads}, mode = {mode} }} then relu\nreturn %0\n}}\n"
                ));
            }
        }
    }
}

#[test]
fn movement() {
    for body in [
        "%0 = concat %x, %x, %y { axis = 1 } then relu\nreturn %0",
        "%0 = concat %x, %y { axis = 3 }\nreturn %0",
        "%0 = reshape %x { shape = [6, -1] }\n%1 = relu %0\nreturn %1",
        "%0 = reshape %x { shape = [120] }\nreturn %0",
        "%0 = transpose %x { perm = [3, 1, 0, 2] }\nreturn %0",
        "%0 = to_layout %x { layout = nhwc }\n%1 = to_layout %0 { layout = nchw } then relu\nreturn %1",
    ] {
        agree(&format!("layer @l(%x: f32[2, 3, 4, 5], %y: f32[2, 3, 4, 5]) -> {{result}} {{\n{body}\n}}\n"));
    }
}

#[test]
fn elementwise_of_every_shape() {
    for (a, b) in [
        ("[2, 3, 4, 5]", "[2, 3, 4, 5]"),
        ("[2, 3, 4, 5]", "[1, 3, 1, 1]"),
        ("[1, 3, 1, 5]", "[2, 1, 4, 1]"),
        ("[7]", "[7]"),
        ("[3, 20000]", "[3, 20000]"),
        ("[1]", "[1]"),
    ] {
        agree(&format!(
            "layer @l(%a: f32{a}, %b: f32{b}) -> {{result}} {{\n%0 = add %a, %b\n%1 = mul %0, %b then relu\nreturn %1\n}}\n"
        ));
    }
}

#[test]
fn products_of_matrices() {
    for (m, k, n) in [(1, 1, 1), (5, 7, 9), (1, 64, 10), (4, 16, 8), (13, 3, 33)] {
        agree(&format!(
            "layer @l(%a: f32[{m}, {k}], %r: f32[{m}, {n}]) -> {{result}} {{\n\
             %b = const f32[{k}, {n}] = normal(seed = 1)\n%c = const f32[{n}] = normal(seed = 2)\n\
             %0 = matmul %a, %b then bias %c then add %r then relu\nreturn %0\n}}\n"
        ));
        agree(&format!(
            "layer @l(%a: f32[{m}, {k}], %b: f32[{k}, {n}]) -> {{result}} {{\n%0 = matmul %a, %b\nreturn %0\n}}\n"
        ));
    }
}

#[test]
fn results_that_no_instruction_writes() {
    agree("layer @l(%x: f32[3]) -> {result} {\n%c = const f32[2] = [1, 2]\n%0 = relu %x\nreturn %x, %c, %0, %0\n}\n");
}

#[test]
fn f64_rides_the_same_road() {
    agree(
        "layer @l(%x: f64[1, 4, 9, 9]) -> {result} {\n%w = const f64[5, 4, 3, 3] = normal(seed = 1)\n\
         %0 = conv2d %x, %w { algorithm = direct } then sigmoid\n\
         %v = const f64[6, 5, 1, 1] = normal(seed = 2)\n%1 = conv2d %0, %v { algorithm = im2col }\nreturn %1\n}\n",
    );
}
