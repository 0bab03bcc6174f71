//! Mistakes that no text can have, because names resolve when it is read: only Rust code can build them.

use convoke_ir::arena::Id;
use convoke_ir::diagnostic::{Code, Diagnostic};
use convoke_ir::elem::Elem;
use convoke_ir::layer::{self, Layer};
use convoke_ir::loops::{self, FuncBuilder, Marks, Program, ProgramBuilder, Role};
use convoke_ir::text;
use convoke_ir::types::{Layout, TensorType};

fn layer(change: impl FnOnce(&mut Layer)) -> Vec<String> {
    let source = "layer @l(%x: f32[1, 4, 8, 8]) -> f32[1, 4, 8, 8] {
  %w = const f32[4, 4, 1, 1] = zeros
  %0 = conv2d %x, %w then relu
  %1 = relu %0
  return %1
}
";
    let mut layer = text::parse_and_verify(source).expect("the layer is right").layers.remove(0);
    change(&mut layer);
    lines(layer::verify(&layer).map(|_| ()))
}

fn program(change: impl FnOnce(&mut Program)) -> Vec<String> {
    let mut f = FuncBuilder::kernel("copy");
    let (x, y) = (f.input("x", Elem::F32, 64), f.output("y", Elem::F32, 64));
    f.for_("i", 0..64, Marks::default(), |f, i| {
        let v = f.load(x, i);
        f.store(y, i, v);
    });
    let mut p = ProgramBuilder::new("p");
    let ty = TensorType::new(Elem::F32, [64], Layout::Nchw).expect("a type");
    let (x, y) = (p.buffer("x", ty.clone(), Role::Input), p.buffer("y", ty, Role::Output));
    let copy = p.func(f.finish());
    p.run(copy, &[x, y]);
    let mut program = p.finish();
    loops::verify(&program).expect("the program is right");
    change(&mut program);
    lines(loops::verify(&program).map(|_| ()))
}

fn lines(result: Result<(), Vec<Diagnostic>>) -> Vec<String> {
    result.expect_err("the change is a mistake").iter().map(Diagnostic::to_string).collect()
}

#[test]
fn a_type_that_the_op_does_not_give() {
    let found = layer(|l| {
        let x = l.params[0];
        let (id, _) = l.values.iter().last().expect("values");
        l.values[id].ty = TensorType::new(Elem::F32, [4, 4], Layout::Nchw).expect("a type");
        assert_ne!(id, x);
    });
    assert_eq!(found, ["error[E0208]: `relu` gives `f32[1, 4, 8, 8]`, `%1` is `f32[4, 4]`"]);
}

#[test]
fn names_that_cannot_be_written() {
    let [help, of_value] = ["letters, digits, `_` and `.`", "bytes without `\"`, `\\` and control characters"]
        .map(|characters| format!("; help: names are 1 to 200 {characters}"));
    let found = layer(|l| {
        l.name = "a b\u{1b}".into();
        let x = l.params[0];
        l.values[x].name = String::new();
    });
    let expected = [("the layer has the name `a b\\u{1b}`", &help), ("the value has the name ``", &of_value)];
    assert_eq!(found, expected.map(|(message, help)| format!("error[E0301]: {message}{help}")));
    let found = program(|p| p.name = "a-b".into());
    assert_eq!(found, [format!("error[E0401]: the program has the name `a-b`{help}")]);
}

#[test]
fn two_of_one_name() {
    let found = layer(|l| {
        let x = l.params[0];
        l.values[x].name = "w".into();
    });
    assert_eq!(found, ["error[E0302]: there are two values `%w`"]);
    let found = program(|p| {
        let id = p.buffers.ids().next().expect("buffers");
        p.buffers[id].name = "y".into();
        let id = p.funcs.ids().next().expect("a function");
        let slot = p.funcs[id].slots.ids().next().expect("parameters");
        p.funcs[id].slots[slot].name = "y".into();
    });
    assert_eq!(
        found,
        ["error[E0402]: there are two buffers of the name `y`", "error[E0402]: there are two buffers of the name `y`"]
    );
}

#[test]
fn definitions_out_of_order_or_twice() {
    assert_eq!(layer(|l| l.body.swap(0, 1)), ["error[E0303]: `%0` is read before it is defined"]);
    assert_eq!(
        layer(|l| {
            l.body.remove(1);
        }),
        ["error[E0303]: `%1` is read before it is defined"]
    );
    let found = layer(|l| {
        let again = l.body[0].clone();
        l.body.insert(1, again);
    });
    assert_eq!(found, ["error[E0304]: `%0` is defined twice"]);
    let found = layer(|l| l.params.clear());
    assert_eq!(found, ["error[E0303]: `%x` is read before it is defined"]);
    let found = layer(|l| {
        let x = l.params[0];
        l.values[x].def = layer::Def::Instr;
    });
    assert_eq!(found, ["error[E0304]: `%x` is listed as a parameter and defined otherwise"]);
}

#[test]
fn ids_of_nothing() {
    let found = layer(|l| l.body[1].args[0] = Id::new(77));
    assert_eq!(found, ["error[E0304]: value 77 is not of this layer, which has 4"]);
    let found = layer(|l| l.results = vec![Id::new(1000)]);
    assert_eq!(found, ["error[E0304]: value 1000 is not of this layer, which has 4"]);
    let found = program(|p| p.entry[0].args[0] = Id::new(9));
    assert_eq!(found, ["error[E0420]: buffer 9 is not of this program"]);
    let found = program(|p| p.entry[0].func = Id::new(9));
    assert_eq!(found[0], "error[E0420]: function 9 is not of this program");
    // Every id of a statement, one after the other.
    for i in 0..4 {
        let found = program(|p| {
            let id = p.funcs.ids().next().expect("a function");
            let loops::Stmt::For(inner) = &mut p.funcs[id].body[0] else { panic!("a loop") };
            match (i, inner.body.as_mut_slice()) {
                (0, _) => inner.var = Id::new(9),
                (1, [loops::Stmt::Let(val, ..), _]) => *val = Id::new(9),
                (2, [loops::Stmt::Let(_, loops::Expr::Load(place), _), _]) => place.slot = Id::new(9),
                (_, [_, loops::Stmt::Store(place, val, _)]) => {
                    place.at = loops::Affine::from(Id::<loops::Var>::new(9));
                    *val = Id::new(0);
                }
                other => panic!("{other:?}"),
            }
        });
        assert!(found.iter().any(|e| e.starts_with("error[E0420]")), "{found:?}");
    }
}

#[test]
fn more_instructions_than_a_layer_may_have() {
    let found = layer(|l| {
        let instr = l.body[1].clone();
        l.body.extend(std::iter::repeat_n(instr, layer::MAX_INSTRS));
    });
    assert_eq!(found, ["error[E0306]: layer `@l` has 1000002 instructions, the limit is 1000000"]);
}

/// What lowering writes: channels last in parallel over channels, rows, and tiles of a matrix through a codelet.
#[test]
fn iterations_that_are_independent() {
    let source = "program @p {
  input %x: f32[4096]
  output %y: f32[4096]
  output %z: f32[4096]
  output %c: f32[4096]

  codelet @tile(in %x: f32[64], inout %c: f32[200]) {
    for %r in 0..4 {
      %v = load f32x8 %c[64*%r]
      %w = load f32x8 %x[8*%r]
      %s = add %v, %w
      store %c[64*%r], %s
    }
  }

  kernel @channels(in %x: f32[4096], out %y: f32[4096]) {
    for %k in 0..8 parallel {
      for %p in 0..64 {
        %v = load f32x8 %x[64*%p + 8*%k]
        store %y[64*%p + 8*%k], %v
      }
    }
  }

  kernel @columns(in %x: f32[4096], out %y: f32[4096]) {
    for %j in 0..8 parallel {
      for %r in 0..16 {
        call @tile(%x[64*%j], %y[256*%r + 8*%j])
      }
    }
  }

  entry {
    run @channels(%x, %y)
    run @channels(%x, %z)
    run @columns(%x, %c)
  }
}
";
    text::parse_and_verify(source).expect("every iteration keeps to channels or columns of its own");
    // The same with the rows of a tile written out, in halves.
    let rows = source.split("for %r in 0..4 {").nth(1).and_then(|rest| rest.split("    }\n").next()).expect("a loop");
    let halves = (0..4)
        .flat_map(|r| [64 * r, 64 * r + 4])
        .map(|at| format!("%v{at} = load f32x4 %x[{}]\nstore %c[{at}], %v{at}\n", at / 8));
    let out = source.replace(&format!("for %r in 0..4 {{{rows}    }}\n"), &halves.collect::<String>());
    assert!(out.contains("store %c[196]"), "{out}");
    text::parse_and_verify(&out).expect("the proof knows rows by their distance too");
    for (own, shared) in [("store %c[196]", "store %c[197]"), ("store %c[64]", "store %c[60]")] {
        text::parse_and_verify(&out.replace(own, shared)).expect_err(shared);
    }
    // One element further, or one nearer, and two iterations meet.
    for (own, shared) in [
        ("store %y[64*%p + 8*%k]", "store %y[64*%p + 7*%k]"),
        ("store %y[64*%p + 8*%k]", "store %y[63*%p + 8*%k]"),
        ("store %y[64*%p + 8*%k]", "store %y[64*%p]"),
        ("%y[256*%r + 8*%j]", "%y[256*%r + 7*%j]"),
        ("%y[256*%r + 8*%j]", "%y[252*%r + 8*%j]"),
        ("load f32x8 %c[64*%r]", "load f32x8 %c[63*%r]"),
    ] {
        assert!(source.contains(own));
        let found = text::parse_and_verify(&source.replace(own, shared)).expect_err(shared);
        assert_eq!(found.len(), 1, "{shared}: {found:?}");
        assert_eq!(found[0].code, Code::Parallel, "{shared}");
    }
}
