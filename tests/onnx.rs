//! ONNX's own test cases: each model is imported, compiled and run, and its outputs are compared with those of the case.
//!
//! A small set of cases is in `tests/onnx/cases/`. `CONVOKE_ONNX_CASES` names a folder with all of them, which `tests/onnx/cases.py` writes. A case
//! passes, is refused for a reason, or fails; none may fail.

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use convoke::half::{bf16, f16};
use convoke::onnx::{Data, DataType, ImportError, Options};
use convoke::{Compiler, Error, Files, Layer, Model};
use ndarray::{ArrayD, IxDyn};

const BUDGET: u64 = 1 << 30;

/// How a case ends.
enum End {
    Passed,
    Unsupported(String),
    Failed(String),
}

/// The folders of cases below `folder`.
fn cases(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut todo = vec![folder.to_path_buf()];
    while let Some(folder) = todo.pop() {
        if folder.join("model.onnx").is_file() {
            found.push(folder);
            continue;
        }
        let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        todo.extend(entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_dir()));
    }
    found.sort();
    found
}

/// The arrays of a data set, in order. One that is no tensor ends the list.
fn arrays(folder: &Path, prefix: &str) -> Vec<Data> {
    let files = (0..).map(|i| folder.join(format!("test_data_set_0/{prefix}_{i}.pb"))).take_while(|file| file.exists());
    files.map_while(|file| Data::read(&file, BUDGET).ok()).collect()
}

fn array(data: &Data) -> ArrayD<f64> {
    ArrayD::from_shape_vec(IxDyn(data.dims()), data.numbers()).expect("as many as the extents say")
}

/// The layer of a case, with the inputs of `constant` as constants.
fn imported(
    case: &Path,
    inputs: &[Data],
    constant: impl Fn(usize) -> bool,
) -> Result<(Layer, Vec<ArrayD<f64>>), Error> {
    let model = convoke_onnx::Model::read(&case.join("model.onnx"), BUDGET)?;
    let mut options = Options::default();
    let mut arrays = Vec::new();
    for (i, (declared, data)) in model.inputs()?.iter().zip(inputs).enumerate() {
        if constant(i) {
            options = options.with_constant(&declared.name, data.clone());
        } else {
            options = options.with_input_shape(&declared.name, data.dims());
            arrays.push(array(data));
        }
    }
    let imported = model.import(&options)?;
    Ok((Layer::from_ir(imported.layer, Files::none())?, arrays))
}

fn run(case: &Path) -> End {
    let inputs = arrays(case, "input");
    let outputs = arrays(case, "output");
    if outputs.is_empty() {
        return End::Unsupported("its outputs are no dense tensors of numbers".into());
    }
    // Whole numbers are sizes and indices, which the net must know.
    let whole = |i: usize| !inputs[i].ty().is_float() && inputs[i].ty() != DataType::Bool;
    let mut layer = imported(case, &inputs, whole);
    if matches!(&layer, Err(Error::Import(error)) if matches!(**error, ImportError::Unsupported { .. })) {
        layer = imported(case, &inputs, |i| i > 0);
    }
    let (layer, arrays) = match layer {
        Ok(layer) => layer,
        Err(Error::Import(error)) => return refused(*error),
        Err(error) => return End::Failed(error.to_string()),
    };
    let compiled = match Compiler::host().compile(&layer) {
        Ok(compiled) => compiled,
        Err(error) => return End::Failed(format!("compile: {error}")),
    };
    let found = compiled.buffers(&arrays).and_then(|mut buffers| {
        compiled.run_buffers(&mut buffers)?;
        buffers.outputs()
    });
    let found = match found {
        Ok(found) => found,
        Err(error) => return End::Failed(format!("run: {error}")),
    };
    let tolerance = fs::read_to_string(case.join("tolerance")).unwrap_or_default();
    let tolerance: Vec<f64> = tolerance.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [relative, absolute] = tolerance.try_into().unwrap_or([1e-3, 1e-7]);
    for (i, (found, expected)) in found.iter().zip(&outputs).enumerate() {
        if found.shape() != expected.dims() {
            return End::Failed(format!("output {i} has shape {:?}, {:?} is expected", found.shape(), expected.dims()));
        }
        // Types of two bytes may be carried as `f32`, and are then not rounded between ops.
        let relative = relative.max(match expected.ty() {
            DataType::Float16 => 2.0 * f64::from(f16::EPSILON),
            DataType::Bfloat16 => 2.0 * f64::from(bf16::EPSILON),
            _ => 0.0,
        });
        for (at, (&y, &r)) in found.iter().zip(&expected.numbers()).enumerate() {
            // The same infinity, and NaN for NaN, are right.
            let right = y == r || (y.is_nan() && r.is_nan()) || (y - r).abs() <= absolute + relative * r.abs();
            if !right {
                return End::Failed(format!("output {i}: element {at} is {y}, {r} is expected"));
            }
        }
    }
    End::Passed
}

fn refused(error: ImportError) -> End {
    match error {
        ImportError::Unsupported { refusals, .. } => {
            let refusal = &refusals[0];
            End::Unsupported(format!("{}: {}", refusal.op, refusal.reason))
        }
        error => {
            let text = error.to_string();
            // Types and values that are outside of what a net of tensors has.
            match ["no dense tensor", "which convoke does not read", "is 0; every dimension", "has no elements"]
                .iter()
                .find(|why| text.contains(**why))
            {
                Some(why) => End::Unsupported((*why).into()),
                None => End::Failed(text),
            }
        }
    }
}

/// Runs every case below `folder`, prints the counts, and gives the number that passed and the failures.
fn run_all(folder: &Path) -> (usize, Vec<String>) {
    let mut passed = 0;
    let mut refused: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut failed = Vec::new();
    for case in cases(folder) {
        let name = case.strip_prefix(folder).expect("it is below").to_string_lossy().into_owned();
        match run(&case) {
            End::Passed => passed += 1,
            End::Unsupported(reason) => refused.entry(reason).or_default().push(name),
            End::Failed(why) => failed.push(format!("{name}: {why}")),
        }
    }
    let unsupported: usize = refused.values().map(Vec::len).sum();
    println!("{}: {passed} passed, {unsupported} unsupported, {} failed", folder.display(), failed.len());
    for (reason, names) in &refused {
        println!("  {:4} {reason}", names.len());
    }
    for failure in &failed {
        println!("  FAILED {failure}");
    }
    (passed, failed)
}

#[test]
fn the_cases_that_travel_with_the_project_pass() {
    let (passed, failed) = run_all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("onnx/cases"));
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(passed >= 30, "{passed} passed");
}

#[test]
fn all_cases_of_the_onnx_package_pass_or_are_refused() {
    let Some(folder) = std::env::var_os("CONVOKE_ONNX_CASES") else {
        eprintln!("SKIPPED: CONVOKE_ONNX_CASES names no folder; tests/onnx/cases.py writes one");
        return;
    };
    let (passed, failed) = run_all(Path::new(&folder));
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(passed >= 600, "{passed} passed");
}

#[test]
fn a_model_compiles_a_shape_once_and_keeps_the_last_few() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("onnx/bad/symbolic.onnx");
    let model =
        Model::from_onnx(file).expect("its sizes are bound by the arrays").with_kept(NonZeroUsize::new(2).expect("2"));
    assert_eq!(model.inputs()[0].dims.as_ref().map(Vec::len), Some(4));
    assert_eq!(model.outputs(), ["y"]);
    let first = [2, 3, 5, 8];
    let compiled = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| model.compile(&[&first]).expect("compiled"))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no thread panics")).collect::<Vec<_>>()
    });
    assert!(compiled.iter().all(|other| Arc::ptr_eq(other, &compiled[0])));
    let x = ArrayD::from_elem(IxDyn(&first), -1.5f32);
    assert_eq!(model.run::<f32>(&[&x]).expect("run")[0], x.mapv(|v| v.max(0.0)));
    for rows in [6, 7] {
        model.compile(&[&[1, 3, rows, 8]]).expect("compiled");
    }
    // Two other shapes have taken the place of the first.
    assert!(!Arc::ptr_eq(&model.compile(&[&first]).expect("compiled"), &compiled[0]));
    for wrong in [&[2, 4, 5, 8][..], &[2, 3, 5], &[0, 3, 5, 8]] {
        let error = model.compile(&[wrong]).expect_err("a shape that the model does not have");
        assert!(matches!(error, Error::Import(_)), "{error}");
    }
    assert!(matches!(model.compile(&[]), Err(Error::Count { .. })));
}

/// The message of a model that is refused.
fn refusal(file: &Path, content: Option<Vec<u8>>) -> String {
    let model = match content {
        None => convoke_onnx::Model::read(file, BUDGET),
        Some(content) => convoke_onnx::Model::from_bytes("cut", content, Files::none()),
    };
    match model.and_then(|model| model.import(&Options::default())) {
        Ok(_) => format!("{}: it was taken", file.display()),
        Err(error) => error.to_string(),
    }
}

#[test]
fn what_is_wrong_with_a_model_is_said() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("onnx/bad");
    let words = fs::read_to_string(folder.join("words.txt")).expect("the words that messages hold");
    let words: BTreeMap<&str, &str> = words.lines().filter_map(|line| line.split_once(": ")).collect();
    assert!(words.len() >= 30, "{} models", words.len());
    for (name, expected) in words {
        let message = refusal(&folder.join(format!("{name}.onnx")), None);
        assert!(message.contains(expected), "{name}: `{expected}` is not in: {message}");
    }
}

#[test]
fn a_model_that_is_cut_short_is_refused() {
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("onnx/cases/node/test_group_normalization_example/model.onnx");
    let whole = fs::read(&file).expect("a case");
    for i in 0..64 {
        let message = refusal(&file, Some(whole[..whole.len() * i / 64].to_vec()));
        // Between two nodes a file can be cut so that what is left is a graph without outputs.
        let said = ["no ONNX model", "no output", "which nothing gives", "given by no node"];
        assert!(said.iter().any(|said| message.contains(said)), "{i}/64: {message}");
    }
}
