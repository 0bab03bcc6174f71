//! Random loop nests with random marks compute the same after each pass, alone and in the pipeline.
//!
//! A nest adds products to elements of `y`, one for each combination of its free loops, over its summed loops; in memory
//! or in a register. Only free loops, and summed loops around a register, are marked `vector`: their iterations are
//! independent.

use crate::harness::{kernel, unchanged_by_passes};

/// A small generator of pseudo-random numbers, the same on every machine.
struct Dice(u64);

impl Dice {
    /// A number below `n`.
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }

    fn of<'a>(&mut self, items: &[&'a str]) -> &'a str {
        items[self.below(items.len())]
    }
}

struct Axis {
    name: String,
    begin: usize,
    trips: usize,
    step: usize,
    summed: bool,
}

impl Axis {
    /// The head of its loop.
    fn head(&self, marks: &str) -> String {
        let end = self.begin + (self.trips - 1) * self.step + 1;
        let step = if self.step == 1 { String::new() } else { format!(" step {}", self.step) };
        format!("for %{} in {}..{end}{step} {marks} {{\n", self.name, self.begin)
    }

    fn last(&self) -> usize {
        self.begin + (self.trips - 1) * self.step
    }
}

/// `3*%i + %j + 2`, and one more than the largest value it takes.
fn address(terms: &[(usize, &Axis)], offset: usize) -> (String, usize) {
    let used = terms.iter().filter(|(by, _)| *by > 0);
    let mut text: Vec<_> = used.map(|(by, axis)| format!("{by}*%{}", axis.name)).collect();
    text.push(offset.to_string());
    (text.join(" + "), terms.iter().map(|(by, axis)| by * axis.last()).sum::<usize>() + offset + 1)
}

const UNROLLS: &[&str] = &["", "", "unroll", "unroll(2)", "unroll(3)"];
const TILES: &[&str] = &["", "", "tile(2)", "tile(3)", "tile(4)"];
const VECTORS: &[&str] = &["", "vector(2)", "vector(4)"];

fn program(seed: u64) -> String {
    let mut dice = Dice(seed);
    let elem = dice.of(&["f32", "f64"]);
    let depth = 1 + dice.below(4);
    let in_register = dice.below(3) == 0;
    let axes: Vec<Axis> = (0..depth)
        .map(|i| Axis {
            name: format!("i{i}"),
            begin: dice.below(3),
            trips: 1 + dice.below(9),
            step: 1 + dice.below(2),
            summed: i > 0 && dice.below(2) == 0,
        })
        .collect();
    // With a register, the summed loops must be the inner ones.
    let (mut nest, summed): (Vec<&Axis>, Vec<&Axis>) = axes.iter().partition(|axis| !axis.summed);
    let free = nest.clone();
    if in_register {
        nest.extend(&summed);
    } else {
        nest = axes.iter().collect();
    }

    // Each combination of the free loops has its own element, and there may be gaps.
    let mut stride = 1 + dice.below(3);
    let mut to = Vec::new();
    for axis in &free {
        to.push((stride, *axis));
        stride *= axis.last() + 1;
    }
    let (y_at, y_len) = address(&to, dice.below(3));
    let mut read = || {
        let terms: Vec<_> = nest.iter().map(|axis| (dice.below(4), *axis)).collect();
        address(&terms, dice.below(5))
    };
    let ((a, a_len), (b, b_len)) = (read(), read());

    let mut body = format!("for %z in 0..{y_len} {{ %0 = {elem} 1.0 store %y[%z], %0 }}\n");
    for (i, axis) in nest.iter().enumerate() {
        if in_register && i == free.len() {
            body += &format!("%s = reg load {elem} %y[{y_at}]\n");
        }
        let vector = if !axis.summed || in_register && i == free.len() { dice.of(VECTORS) } else { "" };
        body += &axis.head(&format!("{} {vector} {}", dice.of(TILES), dice.of(UNROLLS)));
    }
    body += &format!("%1 = load {elem} %a[{a}]\n%2 = load {elem} %b[{b}]\n");
    let sums = in_register && !summed.is_empty();
    body += &match sums {
        true => "%s <- fma %1, %2, %s\n".to_owned(),
        false => format!("%3 = load {elem} %y[{y_at}]\n%4 = fma %1, %2, %3\nstore %y[{y_at}], %4\n"),
    };
    for i in (0..nest.len()).rev() {
        if sums && i + 1 == free.len() {
            body += &format!("store %y[{y_at}], %s\n");
        }
        body += "}\n";
    }
    kernel(
        &format!("input %a: {elem}[{a_len}]\ninput %b: {elem}[{b_len}]\noutput %y: {elem}[{y_len}]"),
        &format!("in %a: {elem}[{a_len}], in %b: {elem}[{b_len}], out %y: {elem}[{y_len}]"),
        "%a, %b, %y",
        &body,
    )
}

#[test]
fn passes_do_not_change_what_is_computed() {
    for seed in 0..400 {
        unchanged_by_passes(&program(seed));
    }
}
