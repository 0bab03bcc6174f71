//! Whole programs through the whole pipeline.

use crate::harness::{kernel, unchanged_by_passes};

/// A product of tiles: `c[4, n] += aᵀ[k, 4] · b[k, n]`, `c` with rows of 64.
fn gemm(k: usize, n: usize, elem: &str) -> String {
    let (a, b) = (4 * k, n * k);
    kernel(
        &format!("input %a: {elem}[{a}]\ninput %b: {elem}[{b}]\noutput %c: {elem}[256]"),
        &format!("in %a: {elem}[{a}], in %b: {elem}[{b}], out %c: {elem}[256]"),
        "%a, %b, %c",
        &format!(
            "for %z in 0..256 {{
               %0 = {elem} 2.0
               store %c[%z], %0
             }}
             for %k in 0..{k} unroll(4) {{
               for %i in 0..4 unroll {{
                 for %j in 0..{n} vector(4) unroll {{
                   %1 = load {elem} %a[4*%k + %i]
                   %2 = load {elem} %b[{n}*%k + %j]
                   %3 = load {elem} %c[64*%i + %j]
                   %4 = fma %1, %2, %3
                   store %c[64*%i + %j], %4
                 }}
               }}
             }}"
        ),
    )
}

/// How many lines hold this.
fn count(text: &str, what: &str) -> usize {
    text.lines().filter(|line| line.contains(what)).count()
}

#[test]
fn gemm_keeps_its_tile_in_registers() {
    let program = unchanged_by_passes(&gemm(256, 8, "f32")).to_string();
    let inner = program.split("for %k").nth(1).and_then(|rest| rest.split("\n    }").next()).expect("the loop over k");
    assert_eq!(count(&program, "= reg "), 8, "{program}");
    assert_eq!(count(inner, "fma"), 4 * 8, "{program}");
    assert_eq!(count(inner, "load f32x4 %b"), 4 * 2, "{program}");
    assert_eq!(count(inner, "load f32x4 %a"), 4 * 4, "{program}");
    assert_eq!(count(inner, "store"), 0, "{program}");
    assert_eq!(count(inner, "%c["), 0, "{program}");
    assert_eq!(count(&program, "store %c["), 8 + 1, "{program}");
}

#[test]
fn gemm_with_tails() {
    for (k, n) in [(1, 8), (3, 8), (27, 7), (5, 9), (6, 3), (9, 2), (4, 1), (2, 13)] {
        for elem in ["f32", "f64"] {
            unchanged_by_passes(&gemm(k, n, elem));
        }
    }
}

#[test]
fn elementwise_with_tail() {
    for n in [1, 3, 4, 7, 64, 67] {
        unchanged_by_passes(&kernel(
            &format!("input %x: f32[{n}]\noutput %y: f32[{n}]"),
            &format!("in %x: f32[{n}], out %y: f32[{n}]"),
            "%x, %y",
            &format!(
                "for %i in 0..{n} tile(16) vector(4) unroll(2) {{
                   %0 = load f32 %x[%i]
                   %1 = f32 0.0
                   %2 = max %0, %1
                   store %y[%i], %2
                 }}"
            ),
        ));
    }
}

#[test]
fn strided_loads_and_stores() {
    for n in [4, 9, 14] {
        let (from, to) = (2 * n, 3 * n);
        unchanged_by_passes(&kernel(
            &format!("input %x: f32[{from}]\noutput %y: f32[{to}]"),
            &format!("in %x: f32[{from}], out %y: f32[{to}]"),
            "%x, %y",
            &format!(
                "for %i in 0..{n} vector(4) {{
                   %0 = load f32 %x[2*%i]
                   %1 = load f32 %x[2*%i + 1]
                   %2 = add %0, %1
                   store %y[3*%i], %0
                   store %y[3*%i + 1], %1
                   store %y[3*%i + 2], %2
                 }}"
            ),
        ));
    }
}

#[test]
fn pooling_with_a_register() {
    for q in [3, 8, 11] {
        let n = 3 * (2 * q + 1);
        unchanged_by_passes(&kernel(
            &format!("input %x: f32[{n}]\noutput %y: f32[{q}]"),
            &format!("in %x: f32[{n}], out %y: f32[{q}]"),
            "%x, %y",
            &format!(
                "for %q in 0..{q} vector(4) unroll {{
                   %m = reg load f32 %x[2*%q]
                   for %r in 0..3 unroll {{
                     for %s in 0..3 unroll {{
                       %0 = load f32 %x[{row}*%r + 2*%q + %s]
                       %m <- max %m, %0
                     }}
                   }}
                   store %y[%q], %m
                 }}",
                row = 2 * q + 1
            ),
        ));
    }
}

#[test]
fn sums_and_maxima_over_everything() {
    for (n, op, first) in [(49, "add", "0.0"), (64, "max", "-100.0"), (3, "min", "100.0"), (4, "add", "1.0")] {
        for elem in ["f32", "f64"] {
            let program = unchanged_by_passes(&kernel(
                &format!("input %x: {elem}[{n}]\noutput %y: {elem}[1]"),
                &format!("in %x: {elem}[{n}], out %y: {elem}[1]"),
                "%x, %y",
                &format!(
                    "%s = reg {elem} {first}
                     for %i in 0..{n} vector(2) unroll(4) {{
                       %0 = load {elem} %x[%i]
                       %s <- {op} %s, %0
                     }}
                     store %y[0], %s"
                ),
            ));
            assert!(program.to_string().contains("reduce"), "{program}");
        }
    }
}

#[test]
fn nested_reductions() {
    for (c, q) in [(1, 4), (3, 10), (5, 7)] {
        let (w, n) = (q + 2, 3 * (q + 2) * c);
        unchanged_by_passes(&kernel(
            &format!(
                "input %x: f64[{n}]\ninput %w: f64[{weights}]\noutput %y: f64[{out}]",
                weights = 9 * c,
                out = 2 * q
            ),
            &format!("in %x: f64[{n}], in %w: f64[{weights}], out %y: f64[{out}]", weights = 9 * c, out = 2 * q),
            "%x, %w, %y",
            &format!(
                "for %h in 0..2 {{
                   for %z in 0..{q} tile(4) vector(2) {{
                     %0 = f64 0.0
                     store %y[{q}*%h + %z], %0
                   }}
                   for %c in 0..{c} {{
                     for %r in 0..3 {{
                       for %s in 0..3 unroll {{
                         for %q in 0..{q} vector(2) unroll {{
                           %1 = load f64 %x[{plane}*%c + {w}*%r + %s + %q]
                           %2 = load f64 %w[9*%c + 3*%r + %s]
                           %3 = load f64 %y[{q}*%h + %q]
                           %4 = fma %1, %2, %3
                           store %y[{q}*%h + %q], %4
                         }}
                       }}
                     }}
                   }}
                 }}",
                plane = 3 * w
            ),
        ));
    }
}

#[test]
fn code_stays_within_its_cap() {
    let program = unchanged_by_passes(&kernel(
        "input %x: f32[300]\noutput %y: f32[16]",
        "in %x: f32[300], out %y: f32[16]",
        "%x, %y",
        "for %z in 0..16 vector(4) unroll {
           %0 = f32 0.0
           store %y[%z], %0
         }
         for %r in 0..60 unroll {
           for %s in 0..240 step 3 unroll {
             %1 = load f32 %x[%r + %s]
             for %j in 0..16 vector(4) unroll {
               %2 = load f32 %y[%j]
               %3 = add %1, %2
               store %y[%j], %3
             }
           }
         }",
    ));
    let lines = program.to_string().lines().count();
    assert!(lines < 2 * convoke_passes::loops::unroll::MAX_STATEMENTS, "{lines} lines");
}
