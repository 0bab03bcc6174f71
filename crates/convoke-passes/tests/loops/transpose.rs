//! Columns of matrices of all sizes, loaded, stored and both, with and without other accesses between, before and after `transpose`.

use std::collections::BTreeSet;

use convoke_ir::loops::{Expr, Program, Stmt};

use crate::harness::{apply, kernel, parse, unchanged_by_passes};

/// Numbers of each buffer.
const LEN: usize = 1024;

/// A small generator of pseudo-random numbers, the same on every machine.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }

    fn of<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }
}

/// A program over `%x` and `%y` of [`LEN`] numbers, `%y` written in full before `body`.
fn program(elem: &str, body: &str) -> String {
    kernel(
        &format!("input %x: {elem}[{LEN}]\noutput %y: {elem}[{LEN}]"),
        &format!("in %x: {elem}[{LEN}], out %y: {elem}[{LEN}]"),
        "%x, %y",
        &format!("for %z in 0..{LEN} step 4 {{ %zero = {elem}x4 7.0 store %y[%z], %zero }}\n{body}"),
    )
}

/// Loads of `columns` columns of `rows` rows, and stores of them in a row each; the other way round for `store`.
fn matrix(elem: &str, n: usize, [rows, columns, stride]: [usize; 3], store: bool) -> String {
    let mut body = String::new();
    for j in 0..columns {
        let (at, wide) = (24 * j + 3, format!("{elem}x{n}"));
        body += &match store {
            false => format!("%v{j} = load {wide} %x[{}] stride {stride} lanes {rows}\nstore %y[{at}], %v{j}\n", j + 2),
            true => format!("%v{j} = load {wide} %x[{at}]\nstore %y[{}], %v{j} stride {stride} lanes {rows}\n", j + 2),
        };
    }
    program(elem, &body)
}

/// Every element that the first kernel loads or stores outside of loops, by its slot.
fn touched(program: &Program) -> BTreeSet<(bool, String, i64)> {
    let func = program.funcs.iter().next().expect("one kernel").1;
    let mut touched = BTreeSet::new();
    for stmt in &func.body {
        let (store, place) = match stmt {
            Stmt::Store(place, ..) => (true, place),
            Stmt::Let(_, Expr::Load(place), _) => (false, place),
            _ => continue,
        };
        let name = &func.slots[place.slot].name;
        touched
            .extend((0..i64::from(place.lanes)).map(|l| (store, name.clone(), place.at.offset() + l * place.stride)));
    }
    touched
}

fn strided(program: &Program) -> usize {
    program.to_string().matches(" stride ").count()
}

/// Checks the program, and gives how many strided accesses `transpose` left of how many.
#[track_caller]
fn transposed(source: &str) -> (usize, usize) {
    unchanged_by_passes(source);
    let before = parse(source);
    let mut after = before.clone();
    apply(&mut after, "transpose");
    // Of `%x`, which is only read, elements between others may be read too.
    let inside = |at: &(bool, String, i64)| {
        let other = |o: &&(bool, String, i64)| o.0 == at.0 && o.1 == at.1 && at.1 == "x";
        let (mut below, mut above) = (touched(&before), touched(&before));
        below.retain(|o| other(&o) && o.2 < at.2);
        above.retain(|o| other(&o) && o.2 > at.2);
        !below.is_empty() && !above.is_empty()
    };
    let (was, is) = (touched(&before), touched(&after));
    assert!(was.is_subset(&is), "elements are missing in\n{after}of\n{before}");
    assert!(is.difference(&was).all(inside), "other elements in\n{after}than in\n{before}");
    (strided(&after), strided(&before))
}

#[test]
fn matrices_of_every_size() {
    for (elem, n) in [("f32", 2usize), ("f32", 4), ("f64", 4), ("f32", 8), ("f32", 16)] {
        for rows in 2..=n {
            for columns in [1, 2, 3, n - 1, n, n + 1, 2 * n, 2 * n + 3] {
                for (stride, store) in [(37, false), (37, true), (columns.max(2), false), (columns.max(2), true)] {
                    let (left, of) = transposed(&matrix(elem, n, [rows, columns, stride], store));
                    assert_eq!(of, columns);
                    // Whole matrices, and those with a tail either way.
                    if stride >= n && rows == n && columns >= n {
                        assert!(left <= columns % n, "{elem}x{n}, {rows}×{columns} by {stride}: {left} are left");
                    }
                }
            }
        }
    }
}

#[test]
fn columns_of_few_rows_overlap() {
    // A kernel with five taps and stride 4: the last tap is transposed with those before once more.
    for n in [8, 16] {
        let (left, of) = transposed(&matrix("f32", n, [n, 5, 4], false));
        assert_eq!((left, of), (0, 5));
    }
    for (n, stride) in [(4, 3), (8, 5), (8, 4), (16, 2), (16, 7)] {
        for columns in 1..2 * n {
            transposed(&matrix("f32", n, [n, columns, stride], false));
        }
    }
}

#[test]
fn columns_between_may_be_missing_where_nobody_writes() {
    // Every second element alone is left to the code generator.
    for (n, stride, pays) in [(4, 4, false), (8, 4, true), (16, 4, true), (16, 3, false), (8, 2, false), (16, 2, false)]
    {
        for rows in 2..=n {
            let (left, of) = transposed(&matrix("f32", n, [rows, 1, stride], false));
            assert!(of == 1 && (rows < n || (left == 0) == pays), "{rows} of {n} by {stride}: {left} are left");
            // What this function has written itself may be written by others.
            let own = matrix("f32", n, [rows, 1, stride], false).replace(&format!("x{n} %x"), &format!("x{n} %y"));
            assert_eq!(transposed(&own), (1, 1));
        }
    }
}

#[test]
fn what_pays_is_transposed() {
    let pays = |n, rows, columns, store| transposed(&matrix("f32", n, [rows, columns, 40], store)).0 == 0;
    assert!(!pays(4, 4, 1, false) && !pays(16, 16, 1, false) && !pays(16, 16, 1, true));
    assert!(pays(4, 4, 4, false) && pays(4, 4, 4, true) && pays(16, 16, 4, true) && pays(16, 6, 16, false));
    assert!(!pays(4, 2, 1, true) && !pays(16, 2, 8, false));
}

/// Loads and stores of columns in any order, of one buffer and of both, with others between that may overlap.
#[test]
fn nothing_moves_across_what_may_overlap() {
    for seed in 0..300 {
        let mut dice = Dice(seed);
        let (elem, n) = (dice.of(&["f32", "f64"]), dice.of(&[2usize, 4, 8, 16]));
        let stride = dice.of(&[2usize, 3, n, n + 1, 31]);
        let mut body = format!("%v0 = load {elem}x{n} %x[0]\n%r = reg {elem}x{n} 1.0\n");
        let mut vals = 1;
        for i in 0..4 + dice.below(3 * n) {
            let lanes = if dice.below(3) > 0 { n } else { 2 + dice.below(n - 1) };
            let at = dice.below(n + 2) + dice.of(&[0, 0, stride, 7]);
            let access = match dice.below(6) {
                0 => format!("lanes {lanes}"),
                1 => format!("stride -{stride} lanes {lanes}"),
                _ => format!("stride {stride} lanes {lanes}"),
            };
            let at = if access.contains('-') { at + stride * lanes } else { at };
            let val = if dice.below(8) == 0 { "r".to_owned() } else { format!("v{}", dice.below(vals)) };
            body += &match dice.below(12) {
                0 => format!("%r <- add %r, %{val}\n"),
                1 => format!("for %i{i} in 0..3 {{ store %y[%i{i} + {at}], %{val} lanes 2 }}\n"),
                2..=6 => format!("store %y[{at}], %{val} {access}\n"),
                _ => {
                    vals += 1;
                    let from = dice.of(&["x", "y"]);
                    format!("%v{} = load {elem}x{n} %{from}[{at}] {access}\n", vals - 1)
                }
            };
        }
        for val in 0..vals {
            body += &format!("store %y[{}], %v{val}\n", 16 * (val % 16) + 600);
        }
        transposed(&program(elem, &body));
    }
}

#[test]
fn registers_are_stored_where_they_are_known() {
    let mut body = "%r = reg f32x4 1.0\n%v = load f32x4 %x[0]\n".to_owned();
    for j in 0..4 {
        body += &format!("store %y[{j}], %r stride 9\n%r <- add %r, %v\n");
    }
    assert_eq!(transposed(&program("f32", &body)), (4, 4));
}

#[test]
fn groups_in_loops() {
    for (n, width) in [(4, 4), (4, 7), (8, 16), (8, 5), (16, 16), (16, 20)] {
        // A picture of 20 channels, turned to channels last, in squares of n by n and what is left.
        let (c, wide) = (20, 29);
        let mut body = String::new();
        for begin in (0..c).step_by(n) {
            let channels = n.min(c - begin);
            body += &format!(
                "for %j{begin} in 0..{width} unroll({n}) {{
                   for %c{begin} in {begin}..{} vector({n}) unroll {{
                     %v{begin} = load f32 %x[{wide}*%c{begin} + %j{begin}]
                     store %y[{c}*%j{begin} + %c{begin}], %v{begin}
                   }}
                 }}\n",
                begin + channels
            );
        }
        let program = unchanged_by_passes(&program("f32", &body)).to_string();
        assert!(program.contains("zip"), "{program}");
    }
}
