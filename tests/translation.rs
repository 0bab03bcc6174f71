//! `opt --verify-each`: wrong passes are caught and named, right ones pass, on every example and on every text test of a pass.

use std::fs;

use convoke::check::{InputKind, PassCheck, Translation};
use convoke::ir::layer::{Layer as Ir, Op};
use convoke::ir::loops::{BinOp, Expr, Program, Stmt};
use convoke::{Compiler, Error, Layer};
use convoke_passes::note::Log;
use convoke_passes::registry::{self, Pass};
use convoke_passes::{Changed, Context, Exact, Granted, LayerPass, LoopPass, PassError, Stage, State};
use convoke_tests::tree::{files, has_extension, root};

/// Multiplications of the largest layer or program that is run here.
const MOST: u64 = 5_000_000;

/// Says that it has changed nothing, and takes the pads of a convolution from its other end.
#[derive(Debug, Default)]
struct WrongPads;

impl LayerPass for WrongPads {
    type Needs = Exact;
    const NAME: &'static str = "wrong-pads";
    const SUMMARY: &'static str = "begins where a convolution ends";

    fn run(&self, layer: &mut Ir, _: &Context<'_>, _: Granted<Exact>, _: &mut Log) -> Result<Changed, PassError> {
        for instr in &mut layer.body {
            if let Op::Conv2d(conv) = &mut instr.op {
                conv.pads.rotate_left(2);
            }
        }
        Ok(Changed::No)
    }
}

/// Gives up infinities.
#[derive(Debug, Default)]
struct LosesInfinities;

impl LayerPass for LosesInfinities {
    type Needs = Exact;
    const NAME: &'static str = "loses-infinities";
    const SUMMARY: &'static str = "clips what is larger than any number";

    fn run(&self, layer: &mut Ir, _: &Context<'_>, _: Granted<Exact>, _: &mut Log) -> Result<Changed, PassError> {
        for instr in &mut layer.body {
            if let Op::Relu(_) = instr.op {
                instr.op = convoke::ir::layer::Clip { min: 0.0, max: 1e30 }.into();
            }
        }
        Ok(Changed::Yes)
    }
}

/// Forgets what a multiply-add adds to.
#[derive(Debug, Default)]
struct WrongSum;

impl LoopPass for WrongSum {
    const NAME: &'static str = "wrong-sum";
    const SUMMARY: &'static str = "multiplies where a multiply-add was";

    fn run(&self, program: &mut Program, _: &Context<'_>) -> Result<Changed, PassError> {
        for id in program.funcs.ids().collect::<Vec<_>>() {
            each(&mut program.funcs[id].body, &mut |expr| {
                if let Expr::Fma(a, b, _) = *expr {
                    *expr = Expr::Binary(BinOp::Mul, a, b);
                }
            });
        }
        Ok(Changed::Yes)
    }
}

fn each(body: &mut [Stmt], change: &mut impl FnMut(&mut Expr)) {
    for stmt in body {
        match stmt {
            Stmt::For(inner) => each(&mut inner.body, change),
            Stmt::Let(_, expr, _) | Stmt::Reg(_, expr, _) | Stmt::Set(_, expr, _) => change(expr),
            _ => {}
        }
    }
}

fn layer() -> Layer {
    Layer::parse(
        "layer @l(%x: f32[1, 2, 8, 9]) -> f32[1, 2, 8, 9] {
           %w = const f32[2, 2, 3, 3] = normal(seed = 1)
           %a = conv2d %x, %w { pads = [2, 1, 0, 1] }
           %y = relu %a
           return %y
         }",
    )
    .expect("a valid layer")
}

/// Runs passes, each compared with the state before it: what was found of each, up to the first that is wrong.
fn verified(compiler: &Compiler, layer: &Layer, passes: &[Pass]) -> (Vec<(&'static str, PassCheck)>, Option<Error>) {
    let state = State::Layer(layer.ir().clone());
    let files = compiler.files(layer);
    let mut translation = Translation::new(compiler, &state, &files, MOST).expect("the interpreter runs it");
    let (mut found, mut wrong) = (Vec::new(), None);
    let observer = |record: &convoke_passes::Record, state: &State| {
        if wrong.is_none() {
            match translation.observe(record, state) {
                Ok(check) => found.push((record.pass, check)),
                Err(error) => wrong = Some(error),
            }
        }
    };
    compiler.run_passes(state, passes, &files, observer).expect("no pass is refused");
    (found, wrong)
}

fn named(name: &str) -> Pass {
    registry::find(name).expect("a pass").make(&[]).expect("no options")
}

#[test]
fn a_wrong_pass_is_named_with_the_inputs_the_result_and_the_place() {
    let passes = [named("fuse-epilogue"), Pass::Layer(Box::new(WrongPads)), named("select")];
    let (found, wrong) = verified(&Compiler::host(), &layer(), &passes);
    assert!(matches!(found[..], [("fuse-epilogue", PassCheck::Same { inputs: 6, .. })]), "{found:?}");
    let Some(Error::Translation(mismatch)) = wrong else { panic!("{wrong:?}") };
    assert_eq!((mismatch.pass, mismatch.inputs, mismatch.result.as_str()), ("wrong-pads", InputKind::Random, "y"));
    assert!(mismatch.at.len() == 4 && (mismatch.found - mismatch.expected).abs() > mismatch.allowed, "{mismatch:?}");
    let text = mismatch.to_string();
    assert!(text.contains("`wrong-pads` changes the results: on random numbers, `%y` at [0, "), "{text}");
}

#[test]
fn a_wrong_pass_over_loops_is_named() {
    let mut passes = Compiler::host().pipeline(Stage::Loops).expect("the passes of a level");
    let at = passes.iter().position(|pass| pass.name() == "tile").expect("it is among them");
    passes.insert(at, Pass::Loops(Box::new(WrongSum)));
    let (found, wrong) = verified(&Compiler::host(), &layer(), &passes);
    assert!(found.iter().any(|(pass, check)| *pass == "lower" && matches!(check, PassCheck::Same { .. })), "{found:?}");
    let Some(Error::Translation(mismatch)) = wrong else { panic!("{wrong:?}") };
    assert_eq!(mismatch.pass, "wrong-sum");
}

#[test]
fn infinities_are_tried_with_ieee_alone() {
    let passes = || [Pass::Layer(Box::new(LosesInfinities))];
    let (found, wrong) = verified(&Compiler::host(), &layer(), &passes());
    assert!(wrong.is_none() && matches!(found[..], [(_, PassCheck::Same { inputs: 6, .. })]), "{found:?} {wrong:?}");
    let (_, wrong) = verified(&Compiler::host().with_ieee(true), &layer(), &passes());
    let Some(Error::Translation(mismatch)) = wrong else { panic!("{wrong:?}") };
    assert_eq!((mismatch.inputs, mismatch.expected), (InputKind::NotFinite, f64::INFINITY));
}

#[test]
fn what_is_too_large_or_has_no_numbers_is_left_out_with_the_reason() {
    let large = Layer::parse(
        "layer @l(%x: f32[1, 32, 64, 64]) -> f32[1, 32, 64, 64] {
           %w = const f32[32, 32, 3, 3] = normal(seed = 1)
           %y = conv2d %x, %w { pads = [1, 1, 1, 1] }
           return %y
         }",
    )
    .expect("a valid layer");
    let (found, _) = verified(&Compiler::host(), &large, &[named("select")]);
    let why = "not verified: it does 37748736 multiplications, and the interpreter runs up to 5000000";
    assert_eq!(found[0].1.to_string(), why);
    let text = layer().ir().to_string().replace("normal(seed = 1)", "unbound");
    let (found, _) = verified(&Compiler::host(), &Layer::parse(&text).expect("a valid layer"), &[named("select")]);
    assert!(found[0].1.to_string().starts_with("not verified: constant `%w`"), "{found:?}");
}

#[test]
fn the_passes_of_every_example_are_right() {
    let examples = files(&root().join("ir-examples"), |path| has_extension(path, &["conv"]));
    let mut same = 0;
    for ieee in [false, true] {
        let compiler = Compiler::host().with_ieee(ieee);
        for path in &examples {
            let text = fs::read_to_string(path).expect("it can be read");
            let layer = Layer::parse(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            let passes = compiler.pipeline(Stage::Loops).expect("the passes of a level");
            let (found, wrong) = verified(&compiler, &layer, &passes);
            assert!(wrong.is_none(), "{}: {}", path.display(), wrong.expect("looked at"));
            same += found.iter().filter(|(_, check)| matches!(check, PassCheck::Same { .. })).count();
        }
    }
    assert!(same > 100, "only {same} passes were run");
}

#[test]
fn the_command_says_what_it_found_of_each_pass_of_a_text_test() {
    let texts = files(&root().join("tests/text/passes"), |path| has_extension(path, &["conv"]));
    let mut same = 0;
    for path in &texts {
        let text = fs::read_to_string(path).expect("it can be read");
        for command in text.lines().filter_map(|line| line.strip_prefix("// test: opt ")) {
            let file = path.display().to_string();
            let args: Vec<&str> = ["convoke", "opt"].into_iter().chain(command.split_whitespace()).collect();
            let run = |more: &[&str]| convoke_cli::capture(&[&args[..], more, &[&file]].concat(), &[]);
            let (plain, verified) = (run(&[]), run(&["--verify-each"]));
            assert!(!verified.stderr.contains("a bug in convoke"), "{file}: {}", verified.stderr);
            assert_eq!(
                (verified.status, &verified.stdout),
                (plain.status, &plain.stdout),
                "{file}: {}",
                verified.stderr
            );
            let lines: Vec<&str> = verified.stderr.lines().filter(|line| line.starts_with("verify ")).collect();
            assert!(plain.status != 0 || !lines.is_empty(), "{file}: {}", verified.stderr);
            same += lines.iter().filter(|line| line.contains(": the same on ")).count();
        }
    }
    assert!(same > 100, "only {same} passes were run");
}
