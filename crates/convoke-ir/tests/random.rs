//! Generated layers and programs print and parse back to themselves.

use convoke_ir::attr::{Algorithm, AutoPad, Coordinates, PadMode, ResizeMode, Rounding};
use convoke_ir::elem::Elem;
use convoke_ir::layer::*;
use convoke_ir::loops::{
    Affine, BinOp, Expr, For, FuncBuilder, FuncId, Half, Induction, Marks, Pick, Place, Program, ProgramBuilder, Role,
    SlotId, Stmt, UnOp, ValId, VarId, VecType,
};
use convoke_ir::text;
use convoke_ir::types::{Layout, TensorType};
use proptest::prelude::*;

/// Answers questions from a list of random numbers, and with 0 when it is used up.
struct Choices(std::vec::IntoIter<u32>);

impl Choices {
    fn below(&mut self, n: usize) -> usize {
        self.0.next().unwrap_or(0) as usize % n
    }

    fn of<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }

    fn number(&mut self) -> f64 {
        let odd = [0.0, -0.0, 1.0, -2.5, 3e38, -1e-300, f64::INFINITY, f64::NEG_INFINITY, f64::MIN_POSITIVE, 0.1, 3e20];
        match self.below(2) {
            0 => self.of(&odd),
            _ => f64::from(self.0.next().unwrap_or(0)) / 1024.0 - 7.0,
        }
    }

    /// One that a type has room for.
    fn number_of(&mut self, elem: Elem) -> f64 {
        let number = self.number();
        if elem.holds(number) { number } else { 1.0 }
    }

    fn int(&mut self) -> i64 {
        let odd = [0, 1, -1, 7, i64::MAX, i64::MIN, 1 << 40];
        self.of(&odd)
    }

    fn text(&mut self) -> String {
        (0..self.below(6)).map(|_| self.of(&['a', '"', '\\', '\n', '\u{202e}', 'é', '/', '\0', '%'])).collect()
    }

    fn ty(&mut self) -> TensorType {
        let rank = self.below(5);
        let dims: Vec<usize> = (0..rank).map(|_| 1 + self.below(3)).collect();
        let layout = if rank == 4 { self.of(Layout::ALL) } else { Layout::Nchw };
        TensorType::new(self.of(Elem::ALL), dims, layout).expect("small extents")
    }

    fn source(&mut self, ty: &TensorType) -> Source {
        match self.below(5) {
            0 => Source::Unbound,
            1 => Source::Numbers((0..ty.elements()).map(|_| self.number_of(ty.elem)).collect()),
            2 => Source::Numbers(vec![self.number_of(ty.elem); ty.elements()]),
            3 => {
                let path = self.text();
                Source::File { path, name: (self.below(2) == 0).then(|| self.text()) }
            }
            _ => {
                let (seed, low) = (self.int(), self.number_of(ty.elem).abs().min(ty.elem.largest() / 4.0));
                self.of(&[0, 1, 2]);
                Source::Generate(match self.below(3) {
                    0 => Generator::Normal { seed, mean: -low, std: low },
                    1 => Generator::Uniform { seed, low: -low, high: low },
                    _ => Generator::Ones {},
                })
            }
        }
    }

    fn layer(&mut self) -> Layer {
        let mut b = LayerBuilder::new("net").expect("a name");
        let mut values = Vec::new();
        for i in 0..1 + self.below(3) {
            let ty = self.ty();
            values.push(b.param(&format!("x.{i}"), ty).expect("a fresh name"));
        }
        for i in 0..self.below(12) {
            let (x, y) = (self.of(&values), self.of(&values));
            let op: Op = match self.below(18) {
                0 | 1 => {
                    let ty = self.ty();
                    let source = self.source(&ty);
                    values.extend(b.constant(&format!("w{i}"), ty, source));
                    continue;
                }
                2 => Relu {}.into(),
                3 => Clip { min: -self.number().abs(), max: self.number().abs() }.into(),
                4 => LeakyRelu { alpha: self.number() }.into(),
                5 => Add {}.into(),
                6 => Pad { pads: [1, 0, 0, 1], mode: self.of(PadMode::ALL), ..Pad::default() }.into(),
                7 => MaxPool { ceil_mode: self.below(2) == 0, strides: [2, 1], ..MaxPool::default() }.into(),
                8 => Conv2d {
                    auto_pad: self.of(AutoPad::ALL),
                    plan: self.of(Algorithm::ALL).into(),
                    dilations: [1, 2],
                    ..Conv2d::default()
                }
                .into(),
                9 => Reshape { shape: vec![-1] }.into(),
                12 => {
                    let dims = b.ty(x).expect("a value of this layer").shape.dims().to_vec();
                    let step = self.of(&[-1, 1]);
                    let starts = dims.iter().map(|&d| if step < 0 { d as i64 - 1 } else { 0 }).collect();
                    let sizes = dims.iter().map(|&d| d as i64).collect();
                    Slice { starts, sizes, steps: vec![step; dims.len()] }.into()
                }
                13 => Broadcast { shape: b.ty(x).expect("one of it").shape.dims().iter().map(|&d| d as i64).collect() }
                    .into(),
                14 => Gather { axis: self.below(3) as i64, indices: vec![0; 1 + self.below(3)] }.into(),
                15 => {
                    let axes = vec![self.below(4) as i64];
                    match self.below(4) {
                        0 => ReduceMean { axes }.into(),
                        1 => ReduceSum { axes }.into(),
                        2 => ReduceMax { axes }.into(),
                        _ => ReduceMin { axes }.into(),
                    }
                }
                16 => {
                    let scales = if self.below(2) == 0 { vec![] } else { vec![self.number().abs(), 1.5] };
                    let size = [1 + self.below(9) as i64, 3];
                    Resize {
                        size,
                        mode: self.of(ResizeMode::ALL),
                        coordinates: self.of(Coordinates::ALL),
                        rounding: self.of(Rounding::ALL),
                        cubic_a: self.number(),
                        exclude_outside: self.below(2) == 0,
                        scales,
                    }
                    .into()
                }
                17 => Pad { pads: [0, 2, 1, 0], value: self.number(), ..Pad::default() }.into(),
                10 => ToLayout { layout: self.of(Layout::ALL) }.into(),
                _ => Concat { axis: self.below(4) as i64 }.into(),
            };
            let args = match op {
                Op::Add(_) | Op::Conv2d(_) | Op::Concat(_) => vec![x, y],
                _ => vec![x],
            };
            // What does not fit is left out.
            if let Ok(value) = b.op(op, &args) {
                values.push(value);
                if self.below(3) == 0 {
                    b.then(Sigmoid {}, &[]).expect("a unary op follows everything");
                }
            }
        }
        let results: Vec<ValueId> = (0..1 + self.below(3)).map(|_| self.of(&values)).collect();
        b.finish(&results).expect("at least one result")
    }

    fn affine(&mut self, vars: &[VarId]) -> Affine {
        let terms: Vec<_> = vars.iter().map(|&v| (v, self.of(&[0, 1, -1, 4, -64, i64::MIN]))).collect();
        Affine::new(terms, self.int())
    }

    fn place(&mut self, slots: &[SlotId], vars: &[VarId], lanes: u8) -> Place {
        let slot = self.of(slots);
        let lanes = if self.below(3) == 0 { 1 + self.below(usize::from(lanes)) as u8 } else { lanes };
        Place { slot, at: self.affine(vars), stride: self.of(&[1, 1, 0, 2, -3]), lanes }
    }

    fn statements(
        &mut self,
        f: &mut FuncBuilder,
        slots: &[SlotId],
        vars: &[VarId],
        vals: &[ValId],
        callee: Option<FuncId>,
        depth: usize,
    ) {
        let mut vals = vals.to_vec();
        for _ in 0..1 + self.below(4) {
            let ty = VecType { elem: self.of(Elem::ALL), lanes: self.of(VecType::LANES) };
            let expr = if vals.is_empty() {
                Expr::Const(self.number_of(ty.elem))
            } else {
                let (a, b, c) = (self.of(&vals), self.of(&vals), self.of(&vals));
                match self.below(12) {
                    0 => Expr::Const(self.number_of(ty.elem)),
                    1 => Expr::Load(self.place(slots, vars, ty.lanes)),
                    2 => Expr::Splat(a),
                    3 => Expr::Unary(self.of(UnOp::ALL), a),
                    4 => Expr::Binary(self.of(BinOp::ALL), a, b),
                    5 if self.below(2) == 0 => Expr::Select(a, b, c),
                    5 => Expr::Fma(a, b, c),
                    6 => Expr::Convert(a),
                    7 => Expr::Reduce(self.of(BinOp::ALL), a),
                    8 => Expr::Zip(self.of(Half::ALL), a, b),
                    9 => Expr::Pick(Pick { from: self.below(17) as u8, by: self.below(4) as u8 }, a, b),
                    10 => Expr::Part(self.below(9) as u8, a),
                    _ => Expr::Copy(a),
                }
            };
            // The types of these are those of their operands.
            let ty = match expr {
                Expr::Copy(a) => f.ty(a),
                Expr::Reduce(_, a) => VecType::scalar(f.ty(a).elem),
                _ => ty,
            };
            match self.below(4) {
                0 => {
                    let reg = f.reg(ty, expr);
                    let next = self.number_of(ty.elem);
                    f.set(reg, Expr::Const(next));
                    vals.push(reg);
                }
                _ => vals.push(f.define(ty, expr)),
            }
            match self.below(4) {
                0 => {
                    let val = self.of(&vals);
                    let place = self.place(slots, vars, f.ty(val).lanes);
                    f.store_to(place, val);
                }
                1 if depth > 0 => {
                    let marks = Marks {
                        parallel: self.below(2) == 0,
                        tile: self.of(&[None, Some(8)]),
                        vector: self.of(&[None, Some(4)]),
                        unroll: self.of(&[None, Some(0), Some(3)]),
                    };
                    let (step, inner) = (1 + self.below(3), self.below(3));
                    f.for_step("i", inner..inner + 5, step, marks, |f, var| {
                        let vars: Vec<_> = vars.iter().copied().chain([var]).collect();
                        self.statements(f, slots, &vars, &vals, callee, depth - 1);
                    });
                }
                2 => {
                    if let Some(callee) = callee {
                        let args: Vec<_> = (0..2).map(|_| (self.of(slots), self.affine(vars))).collect();
                        f.call(callee, args);
                    }
                }
                _ => {}
            }
        }
    }

    fn program(&mut self) -> Program {
        let mut p = ProgramBuilder::new("generated");
        let mut buffers = Vec::new();
        for _ in 0..1 + self.below(5) {
            let ty = self.ty();
            let role = match self.below(5) {
                0 => Role::Input,
                1 => Role::Output,
                2 => Role::Const(self.source(&ty)),
                3 => Role::Prepared,
                _ => Role::Scratch,
            };
            buffers.push(p.buffer("b", ty, role));
        }
        let mut callee = None;
        for i in 0..1 + self.below(3) {
            let mut f = if i == 0 { FuncBuilder::codelet("f") } else { FuncBuilder::kernel("f") };
            let slots = [f.input("x", Elem::F32, 64), f.inout("y", Elem::F64, 7), f.local("t", Elem::F32, 1)];
            self.statements(&mut f, &slots, &[], &[], callee, 3);
            let mut func = f.finish();
            if let Some(Stmt::For(first)) = func.body.iter_mut().find(|s| matches!(s, Stmt::For(_))) {
                self.induction(first, &mut func.vars);
            }
            let func = p.func(func);
            callee = callee.or(Some(func));
            let args: Vec<_> = (0..self.below(4)).map(|_| self.of(&buffers)).collect();
            if self.below(2) == 0 { p.run(func, &args) } else { p.prepare(func, &args) }
        }
        p.finish()
    }

    /// Adds an induction to a loop. Its variable is the last of the table, which a text would number in between: the
    /// loop must be the last one.
    fn induction(&mut self, inner: &mut For, vars: &mut convoke_ir::arena::Arena<convoke_ir::loops::Var>) {
        if vars.len() == 1 {
            let var = vars.push(convoke_ir::loops::Var { name: "beside".into() });
            inner.inductions.push(Induction { var, init: Affine::constant(self.int()), by: self.int() });
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn layers(choices in proptest::collection::vec(any::<u32>(), 0..200)) {
        let layer = Choices(choices.into_iter()).layer();
        verify(&layer).expect("a builder's layer is right");
        let printed = layer.to_string();
        let module = text::parse_and_verify(&printed).unwrap_or_else(|e| panic!("{e:?}\n{printed}"));
        // Values without a reader are in the table of both; the order is that of the text.
        prop_assert_eq!(&module.layers[0], &layer.compact(), "{}", printed);
        prop_assert_eq!(module.to_string(), printed);
    }

    #[test]
    fn programs(choices in proptest::collection::vec(any::<u32>(), 0..400)) {
        let program = Choices(choices.into_iter()).program();
        let printed = program.to_string();
        let module = text::parse(&printed).unwrap_or_else(|e| panic!("{e:?}\n{printed}"));
        prop_assert_eq!(&module.programs[0], &program, "{}", printed);
        prop_assert_eq!(module.to_string(), printed);
        // Wrong as it may be, the verifier says so.
        let _: Result<_, Vec<_>> = convoke_ir::loops::verify(&program).map(|_| ());
    }

    /// Any text is read or refused.
    #[test]
    fn soup(words in proptest::collection::vec(proptest::sample::select(WORDS), 0..60)) {
        let source = words.concat();
        if let Err(found) = text::parse_and_verify(&source) {
            prop_assert!(!found.is_empty());
            convoke_ir::diagnostic::render(&found, "soup.conv", &source, true);
        }
    }
}

const WORDS: &[&str] = &[
    "layer @l(%x: f32[1, 4]) -> f32[1, 4] {\n",
    "program @p {\n",
    "kernel @k(in %x: f32[4], out %y: f32[4]) {\n",
    "}\n",
    "for %i in 0..4 {\n",
    "%v = ",
    "load f32x4 %x[%i]",
    "store %y[0], %v\n",
    "return %x\n",
    "relu %x",
    " then ",
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    ",",
    ":",
    "=",
    "<-",
    "->",
    "..",
    "-",
    "+",
    "*",
    "%",
    "@",
    "\"",
    "\\",
    "é",
    "\u{202e}",
    "\n",
    " ",
    "1",
    "9e99",
    "99999999999999999999",
    "x4",
    "const f32[2] = ",
    "[1, 2]",
    "entry {\n",
    "run @k(%x, %x)\n",
    "//",
    "input %x: f32[4]\n",
];
