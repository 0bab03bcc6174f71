//! Shapes of ops in a few characters: `3x3/2 16→32, 160x160`.

use convoke::ir::layer::{Instr, Layer, Op, ValueId, Window};

/// The shape of an op: its window, and its result.
pub(super) fn short(layer: &Layer, instr: &Instr) -> String {
    let result = of_value(layer, instr.result);
    match (&instr.op, &instr.args[..]) {
        (Op::Conv2d(conv), &[x, w]) => {
            let window = conv.window(layer.ty(x), layer.ty(w)).map(|window| taps(&window)).unwrap_or_default();
            let (Some(from), Some(to)) = (layer.ty(x).as_image(), layer.ty(instr.result).as_image()) else {
                return result;
            };
            let channels = match (usize::try_from(conv.group).unwrap_or(1), from.c, to.c) {
                (1, c, k) => format!("{c}→{k}"),
                (group, c, k) if group == c && c == k => format!("depthwise {c}"),
                (group, c, k) => format!("{c}→{k} in {group} groups"),
            };
            format!("{window} {channels}, {}", extents(to.n, to.h, to.w))
        }
        (Op::MatMul(_), &[a, b]) => {
            let last = |id: ValueId, back: usize| layer.ty(id).shape.dims().iter().rev().nth(back).copied();
            match (last(a, 1), last(a, 0), last(b, 0)) {
                (Some(m), Some(k), Some(n)) => {
                    let products = layer.ty(instr.result).elements() / (m * n).max(1);
                    let times = if products > 1 { format!("{products} times ") } else { String::new() };
                    format!("{times}{m}x{k} by {k}x{n}")
                }
                _ => result,
            }
        }
        (Op::MaxPool(pool), &[x]) => pooled(pool.window(layer.ty(x)).ok(), result),
        (Op::AvgPool(pool), &[x]) => pooled(pool.window(layer.ty(x)).ok(), result),
        _ => result,
    }
}

fn pooled(window: Option<Window>, result: String) -> String {
    window.map_or_else(|| result.clone(), |window| format!("{} {result}", taps(&window)))
}

/// Rows and columns of a window, with its strides and dilations: `3x3/2`, `3x3 dilated 2`.
fn taps(window: &Window) -> String {
    let both = |a: usize, b: usize| if a == b { a.to_string() } else { format!("{a}x{b}") };
    let (h, w) = (window.h, window.w);
    let mut text = format!("{}x{}", h.kernel, w.kernel);
    if [h.stride, w.stride] != [1, 1] {
        text += &format!("/{}", both(h.stride, w.stride));
    }
    if [h.dilation, w.dilation] != [1, 1] {
        text += &format!(" dilated {}", both(h.dilation, w.dilation));
    }
    text
}

fn extents(n: usize, h: usize, w: usize) -> String {
    if n == 1 { format!("{h}x{w}") } else { format!("{h}x{w}, batch {n}") }
}

/// A value: of an image its channels, rows and columns, of another its extents.
pub(super) fn of_value(layer: &Layer, id: ValueId) -> String {
    let ty = layer.ty(id);
    match ty.as_image() {
        Some(image) => format!("{}, {}", image.c, extents(image.n, image.h, image.w)),
        None if ty.shape.dims().is_empty() => "1".into(),
        None => ty.shape.dims().iter().map(ToString::to_string).collect::<Vec<_>>().join("x"),
    }
}
