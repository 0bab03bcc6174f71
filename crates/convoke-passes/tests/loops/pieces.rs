//! The loop passes on random programs: each alone and all in order give the numbers of the interpreter before.
//!
//! A program is rendered as text from a short description that proptest can shrink. Loops marked `vector` have
//! independent iterations by construction, or reduce into a register.

use convoke_data::Files;
use convoke_ir::{diagnostic, loops, text};
use convoke_machine::Machine;
use convoke_passes::{Context, Grants, PassManager, State, registry};
use ndarray::ArrayD;
use proptest::prelude::*;

/// Elements of every buffer of the random programs.
const LEN: i64 = 256;

fn parse(source: &str) -> loops::Program {
    match text::parse(source) {
        Ok(mut module) => module.programs.remove(0),
        Err(found) => panic!("{}", diagnostic::render(&found, "test", source, false)),
    }
}

fn apply(program: &loops::Program, passes: &[registry::Pass]) -> loops::Program {
    let (machine, files) = (Machine::x86_64_v3(), Files::none());
    let cx = Context { machine: &machine, files: &files, grants: Grants::default() };
    match PassManager::new(cx).run(State::Loops(program.clone()), passes) {
        Ok(State::Loops(after)) => after,
        Ok(State::Layer(_)) => unreachable!("loop passes give loops"),
        Err(error) => panic!("{error}\n{program}"),
    }
}

fn values(program: &loops::Program) -> Vec<f64> {
    let files = Files::none();
    let inputs: Vec<ArrayD<f64>> = (program.buffers.iter())
        .filter(|(_, buffer)| buffer.role == loops::Role::Input)
        .zip(1..)
        .map(|((_, buffer), seed)| convoke_data::random(&buffer.ty, seed, &files).expect("small inputs"))
        .collect();
    let verified = loops::verify(program).unwrap_or_else(|found| panic!("{found:?}\n{program}"));
    let results = convoke_interp::run_program(verified, &inputs, &files).expect("the program runs");
    results.iter().flat_map(|result| result.iter().copied().collect::<Vec<_>>()).collect()
}

/// Asserts that every pass alone, and all of them one after another, leave the results as they are.
fn agree(program: &loops::Program) {
    let expected = values(program);
    let same = |after: &loops::Program, stage: &str| {
        for (at, (f, e)) in values(after).into_iter().zip(&expected).enumerate() {
            let close = f == *e || f.is_nan() && e.is_nan() || (f - e).abs() <= 1e-9 * (1.0 + e.abs());
            assert!(close, "{stage}, element {at}: {f} is not {e}\nbefore:\n{program}\nafter:\n{after}");
        }
    };
    let mut state = program.clone();
    for entry in registry::LOOPS {
        let pass = || [entry.make(&[]).expect("no options")];
        same(&apply(program, &pass()), entry.name);
        state = apply(&state, &pass());
        same(&state, &format!("all up to {}", entry.name));
    }
}

/// A statement, whose numbers choose among what is in sight where it is rendered.
#[derive(Clone, Debug)]
enum Piece {
    Load { from_y: bool, coefficients: [i64; 2], offset: i64 },
    Wide { lanes: usize, touch: usize, stride: i64, offset: i64, store: bool },
    Number(i8),
    Unary(usize, usize),
    Binary(usize, usize, usize),
    Fma(usize, usize, usize),
    Store { val: usize, coefficient: i64, offset: i64 },
    Call { x: i64, y: i64, when: Option<(bool, i64)> },
    Register { op: usize, val: usize },
    Reduction { op: usize, trips: i64, step: i64, mark: usize },
    Map { trips: i64, step: i64, back: bool, mark: usize, op: usize, local: bool },
    Loop { trips: i64, step: i64, mark: usize, body: Vec<Piece> },
}

fn piece() -> impl Strategy<Value = Piece> {
    let leaf = prop_oneof![
        (any::<bool>(), [-3i64..4, -3i64..4], 0i64..6).prop_map(|(from_y, coefficients, offset)| Piece::Load {
            from_y,
            coefficients,
            offset
        }),
        (1usize..4, 1usize..9, -3i64..4, 0i64..6, any::<bool>()).prop_map(|(lanes, touch, stride, offset, store)| {
            Piece::Wide { lanes: 1 << lanes, touch: touch.min(1 << lanes), stride, offset, store }
        }),
        (-8i8..9).prop_map(Piece::Number),
        (0usize..3, any::<usize>()).prop_map(|(op, a)| Piece::Unary(op, a)),
        (0usize..6, any::<usize>(), any::<usize>()).prop_map(|(op, a, b)| Piece::Binary(op, a, b)),
        (any::<usize>(), any::<usize>(), any::<usize>()).prop_map(|(a, b, c)| Piece::Fma(a, b, c)),
        (any::<usize>(), -2i64..3, 0i64..6).prop_map(|(val, coefficient, offset)| Piece::Store {
            val,
            coefficient,
            offset
        }),
        (0i64..6, 0i64..6, prop::option::of((any::<bool>(), 0i64..12))).prop_map(|(x, y, when)| Piece::Call {
            x,
            y,
            when
        }),
        (0usize..4, any::<usize>()).prop_map(|(op, val)| Piece::Register { op, val }),
        (0usize..4, 0i64..80, 1i64..3, 0usize..8).prop_map(|(op, trips, step, mark)| Piece::Reduction {
            op,
            trips,
            step,
            mark
        }),
        (0i64..24, 1i64..4, any::<bool>(), 0usize..8, 0usize..6, any::<bool>())
            .prop_map(|(trips, step, back, mark, op, local)| Piece::Map { trips, step, back, mark, op, local }),
    ];
    leaf.prop_recursive(3, 16, 5, |inner| {
        (0i64..6, 1i64..3, 0usize..5, prop::collection::vec(inner, 1..5))
            .prop_map(|(trips, step, mark, body)| Piece::Loop { trips, step, mark, body })
    })
}

const UNARY: [&str; 3] = ["neg", "abs", "nearest"];
const BINARY: [&str; 6] = ["add", "sub", "mul", "div", "min", "max"];
/// The first five never claim that iterations are independent.
const MARKS: [&str; 8] =
    ["", " unroll", " unroll(2)", " tile(2)", " tile(3)", " vector(2)", " vector(4)", " tile(8) vector(4)"];

/// Renders pieces as text.
struct Render {
    elem: &'static str,
    text: String,
    next: usize,
    /// Scalars in sight.
    vals: Vec<String>,
    /// Variables in sight, with the last value of each.
    vars: Vec<(String, i64)>,
}

impl Render {
    fn fresh(&mut self) -> String {
        self.next += 1;
        format!("%t{}", self.next)
    }

    fn line(&mut self, text: String) {
        self.text += &text;
        self.text.push('\n');
    }

    /// A scalar in sight.
    fn val(&self, choice: usize) -> String {
        self.vals[choice % self.vals.len()].clone()
    }

    /// `Σ c·v + offset` over the innermost variables, moved so that all of `low..=high` beside it is in the buffer.
    fn address(&self, coefficients: &[i64], offset: i64, low: i64) -> String {
        let mut least = low;
        let mut text = String::new();
        for (c, (var, last)) in coefficients.iter().zip(self.vars.iter().rev()).filter(|(c, _)| **c != 0) {
            text += &format!("{c}*{var} + ");
            least += (c * last).min(0);
        }
        format!("{text}{}", offset - least)
    }

    fn define(&mut self, expr: &str) {
        let (val, elem) = (self.fresh(), self.elem);
        let typed = expr.starts_with("load") || expr.parse::<f64>().is_ok();
        let expr = match expr.strip_prefix("load") {
            Some(place) => format!("load {elem}{place}"),
            None if typed => format!("{elem} {expr}"),
            None => expr.to_owned(),
        };
        self.line(format!("{val} = {expr}"));
        self.vals.push(val);
    }

    fn pieces(&mut self, pieces: &[Piece]) {
        pieces.iter().for_each(|piece| self.piece(piece));
    }

    fn piece(&mut self, piece: &Piece) {
        let elem = self.elem;
        match piece {
            Piece::Load { from_y, coefficients, offset } => {
                let at = self.address(coefficients, *offset, 0);
                self.define(&format!("load {}[{at}]", if *from_y { "%y" } else { "%x" }));
            }
            Piece::Wide { lanes, touch, stride, offset, store } => {
                let stride = if *stride == 0 { 1 } else { *stride };
                let at = self.address(&[1], *offset, (stride * (*touch as i64 - 1)).min(0));
                let lanes_at = format!("stride {stride} lanes {touch}");
                let (wide, sum) = (self.fresh(), self.fresh());
                self.line(format!("{wide} = load {elem}x{lanes} %y[{at}] {lanes_at}"));
                self.line(format!("{sum} = add {wide}, {wide}"));
                if *store {
                    self.line(format!("store %y[{at}], {sum} {lanes_at}"));
                    let again = self.fresh();
                    self.line(format!("{again} = load {elem}x{lanes} %y[{at}] {lanes_at}"));
                    self.define(&format!("reduce add {again}"));
                }
                self.define(&format!("reduce max {sum}"));
            }
            Piece::Number(n) => self.define(&format!("{:?}", f64::from(*n) / 4.0)),
            Piece::Unary(op, a) => self.define(&format!("{} {}", UNARY[*op], self.val(*a))),
            Piece::Binary(op, a, b) => self.define(&format!("{} {}, {}", BINARY[*op], self.val(*a), self.val(*b))),
            Piece::Fma(a, b, c) => self.define(&format!("fma {}, {}, {}", self.val(*a), self.val(*b), self.val(*c))),
            Piece::Store { val, coefficient, offset } => {
                let (at, val) = (self.address(&[*coefficient], *offset, 0), self.val(*val));
                self.line(format!("store %y[{at}], {val}"));
            }
            Piece::Call { x, y, when: None } => self.line(format!("call @leaf(%x[{x}], %y[{y}])")),
            Piece::Call { x, y, when: Some((zero, at)) } => {
                if *zero {
                    let none = self.fresh();
                    self.line(format!("{none} = {elem} 0.0\nstore %y[{at}], {none}"));
                }
                self.line(format!("call @leaf(%x[{x}], %y[{y}]) if %y[{at}]"));
            }
            Piece::Register { op, val } => {
                let expr = match op {
                    0 => format!("add %r, {}", self.val(*val)),
                    1 => format!("max %r, {}", self.val(*val)),
                    2 => self.val(*val),
                    _ => "neg %r".to_owned(),
                };
                self.line(format!("%r <- {expr}"));
                self.define("%r");
            }
            Piece::Reduction { op, trips, step, mark } => {
                let (reg, var, a) = (self.fresh(), self.fresh(), self.fresh());
                self.line(format!("{reg} = reg {elem} 0.5"));
                let (end, mark) = (trips * step, MARKS[*mark]);
                self.line(format!("for {var} in 0..{end} step {step}{mark} {{\n{a} = load {elem} %x[{var} + 1]"));
                let expr = ["add {r}, {a}", "fma {a}, {a}, {r}", "max {a}, {r}", "min {r}, {a}"][*op];
                let expr = expr.replace("{r}", &reg).replace("{a}", &a);
                self.line(format!("{reg} <- {expr}\n}}"));
                self.define(&reg.clone());
            }
            Piece::Map { trips, step, back, mark, op, local } => {
                let (var, a, b) = (self.fresh(), self.fresh(), self.fresh());
                let at = if *back { format!("-1*{var} + 100") } else { format!("2*{var}") };
                let (end, other, op) = (trips * step, self.val(*op), BINARY[*op]);
                let to = if *local { "%l" } else { "%y" };
                self.line(format!("for {var} in 0..{end} step {step}{} {{", MARKS[*mark]));
                self.line(format!("{a} = load {elem} %x[{at}]\n{b} = {op} {other}, {a}\nstore {to}[{at}], {b}\n}}"));
                if *local && *trips > 0 {
                    self.define(&format!("load %l[{}]", if *back { 100 } else { 0 }));
                }
            }
            Piece::Loop { trips, step, mark, body } => {
                let var = self.fresh();
                self.line(format!("for {var} in 0..{} step {step}{} {{", trips * step, MARKS[*mark]));
                let seen = self.vals.len();
                self.vars.push((var, (trips - 1).max(0) * step));
                self.pieces(body);
                self.vars.pop();
                self.vals.truncate(seen);
                self.line("}".into());
            }
        }
    }
}

fn render(elem: &'static str, pieces: &[Piece]) -> String {
    let mut render = Render { elem, text: String::new(), next: 0, vals: vec!["%first".into()], vars: vec![] };
    render.pieces(pieces);
    format!(
        "program @random {{\ninput %x: {elem}[{LEN}]\noutput %y: {elem}[{LEN}]\n\
         codelet @leaf(in %x: {elem}[4], inout %y: {elem}[4]) {{\n%a = load {elem}x4 %x[0]\n%b = load {elem}x4 %y[0]\n\
         %c = fma %a, %a, %b\nstore %y[0], %c\n}}\n\
         kernel @main(in %x: {elem}[{LEN}], out %y: {elem}[{LEN}]) {{\nlocal %l: {elem}[{LEN}]\n\
         for %start in 0..{LEN} vector(4) {{\n%z = load {elem} %x[%start]\nstore %y[%start], %z\n}}\n\
         %first = load {elem} %x[7]\n%r = reg {elem} 1.0\n{}store %y[255], %r\n}}\n\
         entry {{\nrun @main(%x, %y)\n}}\n}}\n",
        render.text
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn passes_keep_what_random_programs_compute(
        double in any::<bool>(),
        pieces in prop::collection::vec(piece(), 1..8),
    ) {
        agree(&parse(&render(if double { "f64" } else { "f32" }, &pieces)));
    }
}

/// A program of one kernel over `%x` and `%y` of 64 elements.
fn kernel(body: &str) -> loops::Program {
    parse(&format!(
        "program @p {{\ninput %x: f64[64]\noutput %y: f64[64]\nkernel @k(in %x: f64[64], out %y: f64[64]) {{\n\
         for %all in 0..64 {{\n%zero = f64 0.0\nstore %y[%all], %zero\n}}\n{body}\n}}\nentry {{\nrun @k(%x, %y)\n}}\n}}\n"
    ))
}

#[test]
fn lanes_beyond_a_remainder_do_not_leak() {
    for trips in 0..20 {
        for op in BINARY {
            agree(&kernel(&format!(
                "for %i in 0..{trips} vector(4) {{\n%a = load f64 %x[%i]\n%b = load f64 %x[2*%i + 1]\n\
                 %c = {op} %a, %b\nstore %y[3*%i], %c\n}}"
            )));
        }
        for op in ["add", "min", "max"] {
            agree(&kernel(&format!(
                "%r = reg f64 0.25\nfor %i in 0..{trips} vector(8) {{\n%a = load f64 %x[-2*%i + 40]\n%b = div %a, %a\n\
                 %c = sub %b, %a\n%r <- {op} %r, %c\n}}\nstore %y[0], %r"
            )));
        }
    }
}

#[test]
fn long_blocks_take_linear_time() {
    let mut body = String::from("%v0 = load f64 %x[0]\n");
    for i in 1..20_000 {
        body += &match i % 3 {
            0 => format!("%v{i} = load f64 %y[{}]\n", i % 64),
            1 => format!("%v{i} = fma %v{0}, %v{0}, %v{0}\n", i - 1),
            _ => format!("store %y[{}], %v{}\n%v{i} = %v{}\n", i % 61, i - 1, i - 1),
        };
    }
    let program = kernel(&body);
    let (machine, files) = (Machine::x86_64_v3(), Files::none());
    let cx = Context { machine: &machine, files: &files, grants: Grants::default() };
    let passes: Vec<_> = registry::LOOPS.iter().map(|entry| entry.make(&[]).expect("no options")).collect();
    let mut manager = PassManager::new(cx);
    manager.run(State::Loops(program), &passes).unwrap_or_else(|error| panic!("{error}"));
    for record in manager.records() {
        assert!(record.elapsed.as_secs_f64() < 2.0, "{} takes {:?}", record.pass, record.elapsed);
    }
}

#[test]
fn a_step_beyond_the_end_is_no_overflow() {
    agree(&kernel("for %i in 0..1 step 281474976710656 {\n%a = load f64 %x[4096*%i + 1]\nstore %y[2*%i], %a\n}"));
}

#[test]
fn a_register_does_not_stand_for_its_first_value() {
    agree(&kernel("%r = reg f64 1.0\n%a = load f64 %x[0]\n%r <- add %r, %a\n%one = f64 1.0\nstore %y[0], %one"));
    agree(&kernel(
        "%r = reg f64 1.0\n%a = load f64 %x[0]\nfor %i in 0..3 {\n%one = f64 1.0\n%b = sub %one, %a\n\
         store %y[%i], %b\n%r <- %a\n}\nstore %y[9], %r",
    ));
}
