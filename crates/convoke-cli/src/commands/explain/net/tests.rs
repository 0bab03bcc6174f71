//! The report of a small net: three convolutions, one fused with a batch norm and one with a sum, a concatenation, a pooling.

use convoke::explain::{Explanation, explain};
use convoke::{Compiler, Layer, Machine};

use super::{Net, is_net, json, page, text};
use crate::commands::explain::facts::Report;

const NET: &str = "layer @small(%x: f32[1, 8, 16, 16]) -> f32[1, 16, 8, 8] {
  %w0 = const f32[8, 8, 3, 3] = normal(seed = 1, std = 0.1)
  %w1 = const f32[8, 8, 3, 3] = normal(seed = 2, std = 0.1)
  %w2 = const f32[8, 8, 3, 3] = normal(seed = 3, std = 0.1)
  %scale = const f32[8] = ones
  %shift = const f32[8] = zeros
  %a0 = conv2d %x, %w0 { pads = [1, 1, 1, 1] }
  %a1 = batch_norm %a0, %scale, %shift, %shift, %scale
  %a = silu %a1
  %b0 = conv2d %a, %w1 { pads = [1, 1, 1, 1] }
  %b = add %b0, %x
  %c = conv2d %b, %w2 { pads = [1, 1, 1, 1] }
  %d = concat %b, %c
  %e = max_pool %d { kernel_shape = [2, 2], strides = [2, 2] }
  return %e
}
";

/// Gives a report of the net, with these times of its ops, to `check`.
fn with_report(ops_measured: Option<&[Option<f64>]>, check: impl Fn(&Report<'_>, &Net<'_>)) {
    let compiler = Compiler::for_machine(Machine::x86_64_v3());
    let layer = Layer::parse(NET).expect("a valid layer");
    let explanation: Explanation = explain(&compiler, &layer).expect("explained");
    let report = Report {
        compiler: &compiler,
        layer: &layer,
        explanation: &explanation,
        only: None,
        measured: None,
        ops_measured,
        stages_measured: None,
        ranged: None,
        bounds: None,
        no_times: false,
    };
    check(&report, &Net::new(&report));
}

#[test]
fn each_op_of_the_compiled_layer_has_a_row() {
    with_report(None, |report, net| {
        let rows: Vec<_> = net.rows.iter().map(|row| (row.value, row.op, row.shape.as_str())).collect();
        assert_eq!(
            rows,
            [
                ("a", "conv2d", "3x3 8→8, 16x16"),
                ("b", "conv2d", "3x3 8→8, 16x16"),
                ("c", "conv2d", "3x3 8→8, 16x16"),
                ("d", "concat", "16, 16x16"),
                ("e", "max_pool", "2x2/2 16, 8x8"),
            ]
        );
        let fused: Vec<_> = net.rows.iter().map(|row| row.fused.join(", ")).collect();
        assert_eq!(fused, ["batch_norm folded, bias, silu", "add", "", "", ""]);
        let shares: f64 = net.rows.iter().filter_map(|row| row.share).sum();
        assert!((shares - 1.0).abs() < 1e-9, "{shares}");
        let predicted = report.explanation.stages().last().and_then(|stage| stage.cost.cycles).expect("predicted");
        assert!((net.sums.predicted / report.in_seconds(predicted) - 1.0).abs() < 1e-9);
        assert!(net.rows.iter().all(|row| row.error.is_some() == row.selection.is_some()));
        let kinds = net.kinds();
        assert_eq!(kinds.iter().map(|kind| kind.ops).sum::<usize>(), 5, "{kinds:?}");
        let told = text(report, net);
        for part in ["5 ops as compiled", "in all", "kinds of ops", "cost of the layer, from pass to pass", "--of %"] {
            assert!(told.contains(part), "no {part} in\n{told}");
        }
        assert!(told.lines().any(|line| line.starts_with("%a ") && line.contains("batch_norm folded")), "{told}");
        assert!(told.lines().all(|line| line.chars().count() <= 150), "{told}");
    });
}

#[test]
fn shares_are_of_measured_times_where_there_are_any() {
    let times = [Some(3e-3), Some(1e-3), None, Some(0.0), Some(0.0)];
    with_report(Some(&times), |report, net| {
        assert_eq!(
            net.rows.iter().map(|row| row.share).collect::<Vec<_>>(),
            [Some(0.75), Some(0.25), None, Some(0.0), Some(0.0)]
        );
        assert_eq!(net.sums.measured, Some(4e-3));
        assert!(text(report, net).contains("measured"));
        let measured = super::measured(net);
        assert_eq!(measured.as_array().map(Vec::len), Some(2), "{measured:#}");
    });
}

#[test]
fn json_has_a_net_with_ops_and_sums() {
    with_report(None, |report, net| {
        let value = json(net);
        let ops = value["ops"].as_array().expect("a list");
        assert_eq!(ops.len(), 5);
        let keys = [
            "value",
            "op",
            "shape",
            "algorithm",
            "fused",
            "multiplications",
            "predicted_seconds",
            "measured_seconds",
            "share",
            "expected_error",
        ];
        for op in ops {
            assert!(keys.iter().all(|key| op.get(key).is_some()), "{op:#}");
        }
        assert!(
            ops[0]["algorithm"].is_string() && ops[3]["algorithm"].is_null() && ops[0]["expected_error"].is_number()
        );
        assert_eq!(value["sums"]["ops"].as_u64(), Some(5));
        let whole = super::super::json::json(report);
        assert_eq!(whole["net"], value);
        assert_eq!(whole["convolutions"].as_array().map(Vec::len), Some(3));
    });
}

#[test]
fn the_page_has_a_box_for_each_op_and_a_report_for_each_convolution() {
    with_report(None, |report, net| {
        let page = page(report, net);
        // The input and the output have a box too.
        assert_eq!(page.matches("<g class=\"op ").count(), 7);
        assert_eq!(page.matches("<g class=\"line\">").count(), 6, "a group of lines for each value that is read");
        // The last two have the same numbers, and one report: the first reads an input, which lies elsewhere than values do.
        assert_eq!(page.matches("<b>Roofline.</b>").count(), 2);
        assert!(page.contains("The same holds for %"));
        let opened = |name: &str| page.contains(&format!("<a href=\"#{name}\"><g class=\"op "));
        assert!(opened("a") && (opened("b") || opened("c")));
        assert!(!page.contains("http") && !page.contains("src="), "something is fetched");
        let boxes: Vec<[f64; 4]> = page.split("<rect class=\"paper\"").skip(1).map(place).collect();
        assert_eq!(boxes.len(), 7);
        for (i, [x, y, w, h]) in boxes.iter().enumerate() {
            for [a, b, c, d] in &boxes[..i] {
                assert!(a + c <= *x || x + w <= *a || b + d <= *y || y + h <= *b, "{boxes:?}");
            }
        }
    });
}

/// Left, top, width and height of a rectangle.
fn place(rect: &str) -> [f64; 4] {
    ["x", "y", "width", "height"].map(|name| {
        let value = rect.split(&format!(" {name}=\"")).nth(1).and_then(|rest| rest.split('"').next());
        value.and_then(|value| value.parse().ok()).expect("a number")
    })
}

#[test]
fn several_convolutions_or_many_ops_are_a_net() {
    assert!(!is_net(1, 8) && !is_net(0, 1) && is_net(2, 2) && is_net(1, 9));
}
