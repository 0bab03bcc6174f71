//! The registry and the manager: what is listed, in which order things run, what is refused.

mod support;

use std::collections::HashSet;

use convoke_data::Files;
use convoke_ir::layer::{Layer, LayerBuilder, Relu};
use convoke_ir::types::{Layout, TensorType};
use convoke_ir::{diagnostic, elem::Elem, text};
use convoke_machine::Machine;
use convoke_passes::spec::Spec;
use convoke_passes::{Context, Grants, Guarantee, PassError, PassManager, Stage, State, registry};
use support::{run, same};

const BLOCK: &str = "layer @block(%x: f32[1, 4, 6, 6]) -> f32[1, 4, 6, 6] {\n\
    %w = const f32[4, 4, 3, 3] = normal(seed = 1)\n%s = const f32[4] = uniform(seed = 2, low = 0.5, high = 1.5)\n\
    %b = const f32[4] = normal(seed = 3)\n%p = pad %x { pads = [1, 1, 1, 1] }\n%a = conv2d %p, %w\n\
    %n = batch_norm %a, %s, %b, %b, %s\n%r = add %n, %x\n%y = clip %r { min = 0.0 }\nreturn %y\n}\n";

/// The verified layer of a text.
fn parse(source: &str) -> Layer {
    match text::parse_and_verify(source) {
        Ok(mut module) => module.layers.remove(0),
        Err(found) => panic!("{}", diagnostic::render(&found, "test", source, false)),
    }
}

fn names(passes: &[registry::Pass]) -> Vec<&'static str> {
    passes.iter().map(registry::Pass::name).collect()
}

#[test]
fn every_pass_is_listed_in_full() {
    let mut seen = HashSet::new();
    for entry in registry::all() {
        assert!(seen.insert(entry.name), "`{}` is listed twice", entry.name);
        assert!(entry.name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{}", entry.name);
        assert!(
            !entry.summary.is_empty() && entry.summary.len() < 120 && !entry.summary.ends_with('.'),
            "{}",
            entry.name
        );
        assert!(entry.level <= 3 || entry.level == registry::BY_NAME);
        let pass = registry::find(entry.name).unwrap().make(&[]).unwrap();
        assert_eq!((pass.name(), pass.stage()), (entry.name, entry.stage));
        for option in entry.options {
            assert!(!option.doc.is_empty(), "{}({})", entry.name, option.name);
        }
    }
}

#[test]
fn pipelines_grow_with_the_level() {
    let at = |level, last| names(&registry::pipeline(level, last, &Grants::default(), &[]).unwrap());
    assert_eq!(at(0, Stage::Layer), ["select", "layouts"]);
    assert!(at(0, Stage::Loops).starts_with(&["select", "layouts", "lower"]));
    for level in 0..3 {
        let (less, more) = (at(level, Stage::Loops), at(level + 1, Stage::Loops));
        assert!(less.iter().all(|name| more.contains(name)));
    }
    assert!(at(1, Stage::Layer).contains(&"fuse-epilogue") && !at(1, Stage::Layer).contains(&"fold-batch-norm"));
    assert!(at(2, Stage::Layer).contains(&"fold-batch-norm") && !at(2, Stage::Layer).contains(&"lower"));
}

#[test]
fn a_pipeline_leaves_out_what_is_not_granted() {
    let strict = Grants { max_error: Some(0.0), ..Grants::default() };
    let passes = names(&registry::pipeline(2, Stage::Loops, &strict, &[]).unwrap());
    let exact = |name: &&str| registry::find(name).unwrap().guarantee == Guarantee::Exact;
    assert!(passes.iter().all(exact) && passes.contains(&"select"));
}

#[test]
fn lowering_is_put_where_it_is_needed() {
    let chosen = |text: &str, first, last| {
        registry::chosen(&Spec::parse_list(text).unwrap(), first, last)
            .map(|passes| names(&passes))
            .map_err(|e| e.to_string())
    };
    use Stage::{Layer, Loops};
    assert_eq!(chosen("cse,select", Layer, Layer).unwrap(), ["cse", "select"]);
    assert_eq!(chosen("select", Layer, Loops).unwrap(), ["select", "lower"]);
    assert_eq!(chosen("select,unroll", Layer, Loops).unwrap(), ["select", "lower", "unroll"]);
    assert_eq!(chosen("select,lower,unroll", Layer, Loops).unwrap(), ["select", "lower", "unroll"]);
    assert_eq!(chosen("unroll", Loops, Loops).unwrap(), ["unroll"]);
    assert_eq!(
        chosen("unroll", Layer, Layer).unwrap_err(),
        "`unroll` is a pass over loop IR and cannot run on layer IR"
    );
    assert_eq!(
        chosen("unroll,cse", Layer, Loops).unwrap_err(),
        "`cse` is a pass over layer IR and cannot run on loop IR"
    );
}

#[test]
fn unknown_names_offer_the_nearest() {
    let layer = parse("layer @l(%x: f32[4]) -> f32[4] {\n%y = relu %x\nreturn %y\n}\n");
    let message = |passes: &str| run(passes, &layer, Grants::default()).unwrap_err().to_string();
    assert_eq!(message("fold_pad"), "there is no pass `fold_pad`; did you mean `fold-pad`?");
    assert_eq!(message("winograd-everything"), "there is no pass `winograd-everything`");
    assert_eq!(
        message("select(algoritm=direct)"),
        "`select` has no option `algoritm`; did you mean `algorithm`? (it has `algorithm`)"
    );
    assert_eq!(message("cse(n=1)"), "`cse` has no option `n`; it has none");
    assert_eq!(
        message("select(algorithm=toom)"),
        "`algorithm` of `select` is one of `auto`, `direct`, `im2col`, `im2col(explicit)`, `depthwise`, `winograd`, `fft`, \
         `strassen`; with sizes up to 128, `winograd(4x4)` or `fft(16x16)`; `strassen(1)` to `strassen(2)`; with parameters of its schedule, \
         `direct(lanes = pixels)`, of lanes, input, tile, strip, depth, block, weights, not `toom`"
    );
}

#[test]
fn the_manager_records_and_shows_each_pass() {
    let (machine, files) = (Machine::x86_64_v3(), Files::none());
    let cx = Context { machine: &machine, files: &files, grants: Grants::default() };
    let layer = parse(BLOCK);
    let passes = registry::pipeline(2, Stage::Layer, &cx.grants, &[]).unwrap();
    let mut seen = Vec::new();
    let mut manager = PassManager::new(cx).observe(|record, state| seen.push((record.pass, state.stage())));
    let state = manager.run(State::Layer(layer.clone()), &passes).unwrap();
    let records = manager.records().to_vec();
    drop(manager);
    assert_eq!(seen, names(&passes).into_iter().map(|name| (name, Stage::Layer)).collect::<Vec<_>>());
    let State::Layer(after) = state else { panic!("lowered") };
    same(&layer, &after);

    let [first, .., last] = &records[..] else { panic!("too few passes") };
    assert_eq!((first.before.ops, last.after.ops), (5, 3));
    assert_eq!(first.before.multiplications, 36 * 4 * 4 * 9);
    assert_eq!((first.before.parameters, last.after.parameters), (144 + 8, 144 + 4));
    assert_eq!((first.before.weight_bytes, last.after.weight_bytes), (4 * 152, 4 * 148));
    // x, the padded image and four values of the image's size; then x and the result.
    assert_eq!((first.before.activation_bytes, last.after.activation_bytes), (4 * (5 * 144 + 256), 4 * 2 * 144));
    let changed: Vec<_> = records.iter().filter(|r| r.changed.is_yes()).map(|r| r.pass).collect();
    assert_eq!(changed, ["normalise", "fold-pad", "fold-batch-norm", "merge-branches", "fuse-epilogue", "select"]);
}

#[test]
fn a_whole_block_becomes_one_instruction() {
    let layer = parse(BLOCK);
    let all = "normalise,fold-pad,fold-batch-norm,fuse-epilogue,drop-dead,select(algorithm=im2col)";
    let (after, _) = run(all, &layer, Grants::default()).unwrap();
    let text = after.to_string();
    let line = "%y = conv2d %x, %w.bn { pads = [1, 1, 1, 1], algorithm = im2col(tile = [4, 2], depth = 4, block = [36]) } \
         then bias %w.bn.bias then add %x then relu";
    assert!(text.contains(line), "{text}");
}

#[test]
fn every_level_lowers_to_the_same_numbers() {
    let (machine, files) = (Machine::x86_64_v3(), Files::none());
    let cx = Context { machine: &machine, files: &files, grants: Grants::default() };
    let layer = parse(BLOCK);
    let x = convoke_data::random(layer.ty(layer.params[0]), 1, &files).unwrap();
    let verified = convoke_ir::layer::verify(&layer).unwrap();
    let expected = convoke_interp::run_layer(verified, std::slice::from_ref(&x), &files).unwrap();
    for level in 0..=3 {
        let passes = registry::pipeline(level, Stage::Loops, &cx.grants, &[]).unwrap();
        let State::Loops(program) = PassManager::new(cx).run(State::Layer(layer.clone()), &passes).unwrap() else {
            panic!("not lowered")
        };
        let verified = convoke_ir::loops::verify(&program).unwrap();
        let found = convoke_interp::run_program(verified, std::slice::from_ref(&x), &files).unwrap();
        for (e, f) in expected[0].iter().zip(&found[0]) {
            assert!((e - f).abs() <= 1e-5 * (1.0 + e.abs()), "-O{level}: {f} is not {e}");
        }
    }
}

#[test]
fn a_layer_that_does_not_verify_is_refused() {
    let mut layer = parse("layer @l(%x: f32[4]) -> f32[4] {\n%y = relu %x\nreturn %y\n}\n");
    layer.body[0].args.clear();
    let error = run("cse", &layer, Grants::default()).unwrap_err();
    assert!(matches!(error, PassError::Invalid(_)), "{error}");
}

#[test]
fn select_says_why_an_algorithm_does_not_apply() {
    let text = |a: &str| {
        format!(
            "layer @l(%x: f32[1, 8, 14, 14]) -> f32[1, 8, 12, 12] {{\n%w = const f32[8, 4, 3, 3] = normal\n%y = conv2d %x, %w {{ group = 2{a} }}\nreturn %y\n}}\n"
        )
    };
    let refused =
        "`%y`: depthwise: needs one input channel per group, got 4; leave the algorithm out to have one chosen";
    let error = run("select(algorithm=depthwise)", &parse(&text("")), Grants::default()).unwrap_err();
    assert_eq!(error.to_string(), refused);
    let error = run("select", &parse(&text(", algorithm = depthwise")), Grants::default()).unwrap_err();
    assert_eq!(error.to_string(), refused);
}

#[test]
fn selections_give_numbers_for_every_candidate() {
    use convoke_conv::select::selections;
    use convoke_conv::{Allowed, Reason, Refusal, Selection};
    use convoke_ir::attr::{Algorithm, Plan};
    let vgg = "layer @vgg(%x: f32[1, 256, 56, 56]) -> f32[1, 256, 56, 56] {\n%w = const f32[256, 256, 3, 3] = normal\n\
        %y = conv2d %x, %w { pads = [1, 1, 1, 1] }\nreturn %y\n}\n";
    let mut found = selections(&parse(vgg), Plan::default(), &Machine::x86_64_v3(), &Allowed::default()).unwrap();
    found.iter_mut().for_each(Selection::certify);
    let [selection] = &found[..] else { panic!("one convolution") };
    let direct: u128 = 256 * 56 * 56 * 256 * 9;
    for (algorithm, plan) in &selection.candidates {
        match plan {
            Err(refusal) => {
                assert_eq!((algorithm.algorithm, *refusal), (Algorithm::Depthwise, Refusal::InputChannels { got: 256 }))
            }
            Ok(plan) => {
                let saved = direct as f64 / plan.cost.multiplications as f64;
                // Of plain sums, taps on padding may be left out, and tiles may be filled up.
                assert_eq!((0.9..1.1).contains(&saved), algorithm.is_plain_sum(), "{algorithm}: {saved}");
                // Between the peak of 16 multiply-adds a cycle and a tenth of it.
                let peak = plan.cost.multiplications as f64 / 16.0;
                assert!(plan.cycles() > peak && plan.cycles() < 10.0 * peak, "{algorithm}: {}", plan.cycles() / peak);
                assert!(plan.error_bound > plan.error_typical && plan.error_bound.is_finite(), "{algorithm}");
                if algorithm.is_plain_sum() {
                    // γ_2304.
                    assert!((plan.error_bound - 2305.0 * 2f64.powi(-24)).abs() < 1e-7);
                }
            }
        }
    }
    let plan = |algorithm: &str| {
        let asked: Plan = algorithm.parse().unwrap();
        selection.candidates.iter().find(|c| c.0.agrees(asked)).and_then(|c| c.1.clone().ok()).unwrap()
    };
    // The explicit matrix is nine inputs, and there is one with its halo.
    assert!(plan("im2col(explicit)").cost.scratch_bytes > (9 * 56 * 56 + 58 * 58) * 256 * 4);
    // Lavin and Gray 2015, table 1: 36 products for 16 outputs of 9 taps, 16 for 4.
    assert_eq!(plan("winograd(4x4)").cost.multiplications * 4, direct);
    assert_eq!(plan("winograd(2x2)").cost.multiplications * 9, direct * 4);
    // Parts of 128 channels are whole tiles of 6 rows, 132.
    assert_eq!(plan("strassen(1)").cost.multiplications * 8 * 128, direct * 7 * 132);
    assert!(matches!(selection.reason, Reason::Fastest { .. }) && !selection.chosen.is_plain_sum());
}

/// The pass computes no more errors than it needs, and chooses what is chosen from all of them.
#[test]
fn the_pass_chooses_as_selections_do() {
    use convoke_conv::select::selections;
    use convoke_ir::attr::Plan;
    use convoke_ir::layer::Op;
    for (c, k, image, kernel) in [(64, 64, 28, 3), (3, 16, 40, 5), (1, 1, 90, 15), (256, 128, 14, 1), (32, 32, 33, 4)] {
        let layer = parse(&format!(
            "layer @l(%x: f32[1, {c}, {image}, {image}]) -> f32[1, {k}, {image}, {image}] {{\n\
            %w = const f32[{k}, {c}, {kernel}, {kernel}] = normal\n\
            %y = conv2d %x, %w {{ auto_pad = SAME_UPPER }}\nreturn %y\n}}\n"
        ));
        for (max_error, certified) in [(None, false), (Some(0.0), false), (Some(1e-7), false), (Some(1e-4), true)] {
            let grants = Grants { max_error, certified, ..Grants::default() };
            let expected =
                selections(&layer, Plan::default(), &Machine::x86_64_v3(), &grants.rounding()).unwrap()[0].chosen;
            let (after, _) = run("select", &layer, grants).unwrap();
            let Op::Conv2d(conv) = &after.body[0].op else { panic!("not a convolution") };
            assert_eq!(conv.plan, expected, "{c} {k} {image} {kernel} {max_error:?}");
        }
    }
}

/// What the user allows decides which of the fast algorithms may be chosen.
#[test]
fn errors_are_held_against_the_budget() {
    use convoke_conv::select::selections;
    use convoke_conv::{Refusal, SelectError, Selection};
    use convoke_ir::attr::Plan;
    let vgg = "layer @vgg(%x: f32[1, 256, 56, 56]) -> f32[1, 256, 56, 56] {\n%w = const f32[256, 256, 3, 3] = normal\n\
        %y = conv2d %x, %w { pads = [1, 1, 1, 1] }\nreturn %y\n}\n";
    let select = |asked: &str, grants: Grants| -> Result<Selection, Refusal> {
        let asked: Plan = asked.parse().unwrap();
        selections(&parse(vgg), asked, &Machine::x86_64_v3(), &grants.rounding()).map(|mut all| all.remove(0)).map_err(
            |error| match error {
                SelectError::Plan { refusal, .. } => *refusal,
                late => panic!("{late}"),
            },
        )
    };
    let at_most = |e: f64| Grants { max_error: Some(e), ..Grants::default() };
    // Nothing rounds less than a plain sum's 0.
    assert!(select("auto", at_most(0.0)).unwrap().chosen.is_plain_sum());
    // With less and less allowed, the error of what is chosen is never more than allowed.
    for exponent in -9..-4 {
        let limit = 10f64.powi(exponent);
        let chosen = select("auto", at_most(limit)).unwrap();
        let plan = chosen.estimate().unwrap();
        assert!(plan.plan.is_plain_sum() || plan.error_typical <= limit, "{limit:e}: {}", plan.plan);
        let certified = select("auto", Grants { certified: true, ..at_most(limit) }).unwrap();
        let plan = certified.estimate().unwrap();
        assert!(plan.plan.is_plain_sum() || plan.error_bound <= limit, "{limit:e}: {}", plan.plan);
    }
    // Ten times a plain sum's estimate, if nobody says anything.
    let chosen = select("auto", Grants::default()).unwrap();
    assert!(chosen.estimate().unwrap().error_typical <= 10.0 * chosen.conv.error_typical());
    // What is asked for by name is only held against the user's own limit.
    let big = "winograd(6x6)";
    assert!(select(big, Grants::default()).is_ok());
    assert!(matches!(select(big, at_most(1e-9)), Err(Refusal::Budget { limit: 1e-9, .. })));
}

#[test]
fn long_chains_take_linear_time() {
    let chain = |n: usize| {
        let ty = TensorType::new(Elem::F32, [4], Layout::Nchw).unwrap();
        let mut layer = LayerBuilder::new("chain").unwrap();
        let x = layer.param("x", ty).unwrap();
        let one = layer.op(Relu {}, &[x]).unwrap();
        let mut layer = layer.finish(&[one]).unwrap();
        // By hand: the builder looks through all names for each new one.
        for i in 1..n {
            let mut value = layer.values[one].clone();
            value.name = format!("v{i}");
            let result = layer.values.push(value);
            let mut instr = layer.body[0].clone();
            instr.args = vec![layer.body.last().unwrap().result];
            instr.result = result;
            layer.body.push(instr);
        }
        layer.results = vec![layer.body.last().unwrap().result];
        layer
    };
    let all = "normalise,fold-constants,drop-identity,cse,recognise,fold-pad,fold-batch-norm,merge-branches,fuse-epilogue,drop-dead";
    let (after, _) = run(all, &chain(20_000), Grants::default()).unwrap();
    assert_eq!(after.body.len(), 1);
    for pass in all.split(',') {
        let start = std::time::Instant::now();
        run(pass, &chain(20_000), Grants::default()).unwrap();
        // Quadratic would be minutes.
        assert!(start.elapsed().as_secs() < 10, "{pass} took {:?}", start.elapsed());
    }
}

#[test]
fn a_pass_that_is_not_granted_is_refused_with_its_flag() {
    let layer = parse("layer @l(%x: f32[4]) -> f32[4] {\n%y = relu %x\nreturn %y\n}\n");
    let strict = Grants { max_error: Some(0.0), ..Grants::default() };
    for pass in ["recognise", "fold-batch-norm", "merge-branches"] {
        let error = run(pass, &layer, strict).unwrap_err();
        assert!(matches!(error, PassError::NotGranted { .. }));
        assert_eq!(
            error.to_string(),
            format!("`{pass}` may change floating-point rounding; allow it with --max-error E with E > 0")
        );
        assert!(run(pass, &layer, Grants::default()).is_ok());
    }
}
