//! Chains by fused row strips compute what their layers mean, by any algorithm, and no value between them is stored as a whole.

mod common;
#[path = "bands/passes.rs"]
mod passes;

use common::agree;
use convoke_data::Files;
use convoke_ir::loops::{Program, Role};
use convoke_machine::Machine;
use convoke_passes::loops::DepthFirst;
use convoke_passes::{Context, Grants, LoopPass};

/// The program after `depth-first`.
fn depth_first(mut program: Program) -> Program {
    let cx = Context { machine: &Machine::x86_64_v3(), files: &Files::none(), grants: Grants::default() };
    LoopPass::run(&DepthFirst, &mut program, &cx).expect("the pass runs");
    program
}

/// A chain of three convolutions in both layouts, with each algorithm in the middle, by strips of four and of five rows.
fn chain(rows_of_x: usize, [kernel, stride, dilation, pad]: [usize; 4], group: usize, algorithms: &[&str]) {
    for (layout, x) in [("", [1, 6, rows_of_x, 11]), (" nhwc", [1, rows_of_x, 11, 6])] {
        for algorithm in algorithms {
            for rows in [4, 5] {
                let text = format!(
                    "layer @l(%x: f32{x:?}{layout}) -> {{result}} {{\n\
                     %u = const f32[8, 6, 1, 1] = normal(seed = 1)\n\
                     %v = const f32[8, {}, {kernel}, {kernel}] = normal(seed = 2)\n\
                     %w = const f32[3, 8, 2, 1] = normal(seed = 3)\n\
                     %b = const f32[8] = normal(seed = 4)\n\
                     %a = conv2d %x, %u {{ algorithm = direct }} then bias %b then relu\n\
                     %c = conv2d %a, %v {{ pads = [{pad}, {pad}, {pad}, {pad}], strides = [{stride}, {stride}], \
                     dilations = [{dilation}, {dilation}], group = {group}, algorithm = {algorithm}, band = {rows} }} then bias %b\n\
                     %y = conv2d %c, %w {{ pads = [1, 0, 1, 0], algorithm = im2col, band = {rows} }}\n\
                     return %y\n}}\n",
                    8 / group
                );
                let program = depth_first(agree(&text));
                assert!(program.funcs.iter().any(|(_, func)| func.name.contains("fused")), "{program}");
                let own = |name: &str| name.starts_with("a") || name.starts_with("c");
                let scratch = program.buffers.iter().map(|(_, buffer)| buffer);
                let between = scratch.filter(|buffer| buffer.role == Role::Scratch && own(&buffer.name));
                let most = between.map(|buffer| buffer.ty.elements()).max().unwrap_or(0);
                assert!(most < 8 * rows_of_x * 11, "{program}");
            }
        }
    }
}

#[test]
fn bottlenecks_by_any_algorithm() {
    chain(31, [3, 1, 1, 1], 1, &["direct", "im2col", "im2col(explicit)", "winograd(2x2)", "strassen(1)"]);
}

#[test]
fn strided_dilated_and_grouped() {
    chain(41, [3, 2, 1, 1], 1, &["direct", "im2col", "winograd(2x2)"]);
    chain(41, [3, 1, 2, 2], 2, &["direct", "im2col"]);
    chain(30, [5, 1, 1, 2], 8, &["depthwise", "fft(8x8)"]);
}

#[test]
fn without_padding() {
    chain(33, [3, 1, 1, 0], 1, &["direct", "winograd(2x2)"]);
}

/// The first result is made and read by tiles over the same channels: without row strips it would be stored in blocks of them.
#[test]
fn behind_a_convolution_by_tiles() {
    agree(
        "layer @l(%x: f32[1, 16, 12, 6]) -> {result} {\n\
         %u = const f32[16, 16, 3, 3] = normal(seed = 1)\n\
         %p = conv2d %x, %u { pads = [1, 1, 1, 1], algorithm = winograd(2x2) }\n\
         %a = conv2d %p, %u { pads = [1, 1, 1, 1], algorithm = winograd(2x2) }\n\
         %y = conv2d %a, %u { pads = [1, 1, 1, 1], algorithm = winograd(2x2), band = 8 }\n\
         return %y\n}\n",
    );
}

/// An operand with one number for each channel, broadcast over a last strip of one row.
#[test]
fn operands_broadcast_over_one_row() {
    for columns in [9, 1] {
        for (layout, x, s) in [("", [1, 2, 33, columns], [1, 3, 1, 1]), (" nhwc", [1, 33, columns, 2], [1, 1, 1, 3])] {
            for algorithm in ["direct", "im2col", "im2col(explicit)"] {
                agree(&format!(
                    "layer @l(%x: f32{x:?}{layout}) -> {{result}} {{\n\
                     %v = const f32[4, 2, 1, 1] = normal(seed = 1)\n\
                     %w = const f32[3, 4, 3, 3] = normal(seed = 2)\n\
                     %s = const f32{s:?}{layout} = normal(seed = 3)\n\
                     %t = conv2d %x, %v {{ algorithm = direct }}\n\
                     %y = conv2d %t, %w {{ pads = [1, 1, 1, 1], algorithm = {algorithm}, band = 8 }} then mul %s\n\
                     return %y\n}}\n",
                ));
            }
        }
    }
}

/// Kernels of one row, whose taps are picked from registers, with an operand of one number for each channel, and of one for all.
#[test]
fn operands_broadcast_over_long_rows() {
    for s in [2, 1] {
        for band in [0, 13] {
            agree(&format!(
                "layer @l(%x: f32[1, 2, 40, 30]) -> {{result}} {{\n\
                 %v = const f32[2, 1, 3, 1] = normal(seed = 1)\n\
                 %w = const f32[2, 1, 1, 25] = normal(seed = 2)\n\
                 %s = const f32[1, {s}, 1, 1] = normal(seed = 3)\n\
                 %t = conv2d %x, %v {{ pads = [1, 0, 1, 0], group = 2, algorithm = depthwise }}\n\
                 %y = conv2d %t, %w {{ pads = [0, 12, 0, 12], group = 2, algorithm = depthwise, band = {band} }} then relu then mul %s\n\
                 return %y\n}}\n"
            ));
        }
    }
}
