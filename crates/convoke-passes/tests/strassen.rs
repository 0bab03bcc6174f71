//! Strassen's product lowered: both interpreters agree, before and after the loop passes, wherever parts end unevenly.

mod common;

use common::{agree, layer, planned};
use convoke_conv::SelectError;
use convoke_machine::Machine;
use convoke_passes::PassError;

/// A convolution of this shape in each layout, with each number of levels, and an epilogue that reads every output element.
fn conv(x: [usize; 4], w: [usize; 4], out: [usize; 2], attributes: &str, levels: &[u8]) {
    let ([n, c, h, wd], [k, ..], [p, q]) = (x, w, out);
    for (layout, dims, y) in [("", [n, c, h, wd], [n, k, p, q]), (" nhwc", [n, h, wd, c], [n, p, q, k])] {
        for levels in levels {
            agree(&format!(
                "layer @l(%x: f32{dims:?}{layout}, %r: f32{y:?}{layout}) -> {{result}} {{\n\
                 %w = const f32{w:?} = normal(seed = 3)\n%b = const f32[{k}] = normal(seed = 4)\n\
                 %0 = conv2d %x, %w {{ {attributes}, algorithm = strassen({levels}) }} then bias %b then add %r\n\
                 return %0\n}}\n"
            ));
        }
    }
}

#[test]
fn flattened_pixels() {
    conv([1, 16, 7, 7], [24, 16, 1, 1], [7, 7], "group = 1", &[1, 2]);
    conv([2, 5, 9, 5], [13, 5, 1, 1], [9, 5], "group = 1", &[1, 2]);
    // A single row is flat, whatever the kernel.
    conv([1, 6, 1, 40], [9, 6, 1, 9], [1, 40], "pads = [0, 4, 0, 4]", &[1, 2]);
    // As few channels and pixels as there are parts.
    conv([1, 2, 1, 2], [2, 2, 1, 1], [1, 2], "group = 1", &[1]);
    conv([1, 4, 2, 2], [4, 4, 1, 1], [2, 2], "group = 1", &[2]);
}

#[test]
fn rows_as_units() {
    conv([1, 4, 8, 8], [8, 4, 3, 3], [6, 6], "group = 1", &[1, 2]);
    conv([1, 5, 7, 9], [7, 5, 3, 5], [6, 10], "pads = [0, 2, 1, 3]", &[1, 2]);
    conv([2, 7, 5, 5], [5, 7, 3, 3], [5, 5], "pads = [1, 1, 1, 1]", &[1, 2]);
    conv([1, 4, 6, 1], [6, 4, 3, 1], [6, 1], "pads = [1, 0, 1, 0]", &[1, 2]);
}

#[test]
fn rows_too_few_to_be_parts() {
    conv([1, 6, 4, 21], [9, 6, 3, 3], [2, 19], "group = 1", &[2]);
    conv([1, 4, 5, 9], [4, 4, 3, 3], [3, 7], "group = 1", &[2]);
}

#[test]
fn strided_and_dilated() {
    conv([1, 3, 17, 19], [10, 3, 3, 3], [9, 10], "pads = [1, 1, 1, 1], strides = [2, 2]", &[1]);
    conv([2, 6, 9, 5], [13, 6, 1, 1], [5, 3], "strides = [2, 2]", &[1, 2]);
    conv([1, 4, 12, 12], [6, 4, 3, 3], [6, 4], "pads = [4, 4, 4, 4], dilations = [4, 4], strides = [2, 3]", &[1, 2]);
}

#[test]
fn grouped() {
    conv([1, 12, 6, 7], [18, 4, 3, 3], [6, 7], "group = 3, pads = [1, 1, 1, 1]", &[1, 2]);
    conv([2, 8, 5, 5], [8, 2, 1, 1], [5, 5], "group = 4", &[1]);
}

#[test]
fn several_chunks_and_blocks() {
    conv([1, 130, 5, 6], [17, 130, 3, 3], [5, 6], "pads = [1, 1, 1, 1]", &[1]);
    conv([1, 701, 3, 3], [9, 701, 1, 1], [3, 3], "group = 1", &[1]);
    // On this machine a block has at most 224 pixels for each 512 output channels.
    conv([1, 8, 17, 19], [512, 8, 1, 1], [17, 19], "group = 1", &[1]);
    conv([1, 4, 13, 33], [600, 4, 2, 2], [12, 32], "group = 1", &[1]);
}

#[test]
fn an_operand_broadcast_along_rows_is_not_fused_into_flattened_pixels() {
    agree(
        "layer @l(%x: f32[1, 2, 4, 5], %r: f32[1, 1, 4, 1]) -> {result} {\n\
         %w = const f32[3, 2, 3, 3] = normal(seed = 3)\n\
         %0 = conv2d %x, %w { pads = [1, 1, 1, 1], algorithm = strassen(1) } then mul %r\n\
         return %0\n}\n",
    );
}

#[test]
fn f64_rides_the_same_road() {
    agree(
        "layer @l(%x: f64[1, 4, 9, 9]) -> {result} {\n%w = const f64[5, 4, 3, 3] = normal(seed = 1)\n\
         %0 = conv2d %x, %w { algorithm = strassen(2) } then sigmoid\nreturn %0\n}\n",
    );
}

#[test]
fn what_cannot_be_cut_is_refused_with_numbers() {
    for (x, w, levels, expected) in [
        ("[1, 3, 8, 8]", "[8, 3, 3, 3]", 2, "needs 4 or more input channels per group, got 3"),
        ("[1, 8, 8, 8]", "[3, 8, 3, 3]", 2, "needs 4 or more output channels per group, got 3"),
        ("[1, 8, 1, 3]", "[8, 8, 1, 1]", 2, "needs 4 or more output pixels, got 3"),
        ("[1, 8, 5, 4]", "[8, 8, 3, 3]", 2, "needs 4 or more output rows or columns, got 3"),
    ] {
        let layer = layer(&format!(
            "layer @l(%x: f32{x}) -> {{result}} {{\n%w = const f32{w} = normal(seed = 3)\n\
             %0 = conv2d %x, %w {{ algorithm = strassen({levels}) }}\nreturn %0\n}}\n"
        ));
        match planned(&layer, &Machine::x86_64_v3()) {
            Err(PassError::Select(SelectError::Plan { refusal, .. })) => assert_eq!(refusal.to_string(), expected),
            other => panic!("{x}, {w}: {other:?}"),
        }
    }
}
