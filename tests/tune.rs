//! Tuning: what is measured is remembered, what is not to be trusted is measured again, and the error allowed is kept.

use std::fs;
use std::path::{Path, PathBuf};

use convoke::tune::{Origin, Verdict};
use convoke::{Algorithm, Compiler, Generator, Layer};

fn layer() -> Layer {
    let weights = Generator::Normal { seed: 1, mean: 0.0, std: 0.1 };
    Layer::conv2d([1, 16, 16, 16], [16, 16, 3, 3]).pads([1; 4]).weights(weights).relu().build().expect("a layer")
}

fn tuned(compiler: &Compiler, folder: &Path) -> Verdict {
    let lowered = compiler.clone().with_tuning(Some(folder.into())).lower(&layer()).expect("it lowers");
    let [verdict] = lowered.verdicts() else { panic!("one verdict for one convolution: {:?}", lowered.verdicts()) };
    assert_eq!(lowered.choices()[0].algorithm, verdict.algorithm());
    verdict.clone()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> = fs::read_dir(folder).expect("a folder").map(|e| e.expect("an entry").path()).collect();
    found.sort();
    found
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder for the test")
}

#[test]
fn a_verdict_is_remembered_until_its_folder_is_deleted() {
    let folder = folder();
    let cache = folder.path().join("below/cache");
    let compiler = Compiler::host().with_max_error(0.0);
    let first = tuned(&compiler, &cache);
    assert!(matches!(first.origin(), Origin::Measured));
    assert!(first.times().len() >= 2 && first.times().is_sorted_by(|a, b| a.1 <= b.1), "{:?}", first.times());
    let second = tuned(&compiler, &cache);
    assert!(matches!(second.origin(), Origin::Remembered));
    assert_eq!(second.times(), first.times());
    fs::remove_dir_all(&cache).expect("it may be deleted");
    assert!(matches!(tuned(&compiler, &cache).origin(), Origin::Measured));
}

#[test]
fn the_key_has_all_that_a_verdict_depends_on() {
    let folder = folder();
    // Plain sums alone, of which there are two: that is measured quickly.
    let compiler = Compiler::host().with_max_error(0.0);
    let mut faster = compiler.machine().clone();
    faster.ghz *= 2.0;
    let others = [
        compiler.clone(),
        compiler.clone().with_threads(2),
        compiler.clone().with_level(1),
        compiler.clone().with_max_error(1e-12),
        compiler.clone().with_certified(true),
        compiler.clone().with_ieee(true),
        compiler.with_machine(faster),
    ];
    for (i, other) in others.iter().enumerate() {
        assert!(matches!(tuned(other, folder.path()).origin(), Origin::Measured), "{i}");
        assert_eq!(entries(folder.path()).len(), i + 1);
    }
}

#[test]
fn entries_that_are_corrupt_foreign_or_not_allowed_are_measured_again() {
    let folder = folder();
    // Plain sums alone, of which there are two: that is measured quickly.
    let compiler = Compiler::host().with_max_error(0.0);
    tuned(&compiler, folder.path());
    let [entry] = &entries(folder.path())[..] else { panic!("one file for one convolution") };
    let good = fs::read_to_string(entry).expect("text");
    let (times, key) = good.split_once("\n\n").expect("times, then the key");
    let version = format!("convoke {}", env!("CARGO_PKG_VERSION"));
    assert!(key.starts_with(&version), "{key}");
    for bad in [
        String::new(),
        "\0\u{fffd}".into(),
        good[..good.len() - 1].into(),
        good.replace(&version, "convoke 0.0.0"),
        key.into(),
        format!("\n\n{key}"),
        format!("magic 1e-9\n\n{key}"),
        format!("direct nan\n{times}\n\n{key}"),
        format!("direct -1\n{times}\n\n{key}"),
        // Algorithms that are not for this convolution, or only on request.
        format!("depthwise 1e-9\n{times}\n\n{key}"),
        format!("im2col(explicit) 1e-9\n{times}\n\n{key}"),
        format!("auto 1e-9\n{times}\n\n{key}"),
        format!("winograd(9x9) 1e-9\n{times}\n\n{key}"),
        // Allowed with another error.
        format!("winograd(2x2) 1e-9\n{times}\n\n{key}"),
    ] {
        fs::write(entry, &bad).expect("written");
        assert!(matches!(tuned(&compiler, folder.path()).origin(), Origin::Measured), "{bad}");
        assert!(matches!(tuned(&compiler, folder.path()).origin(), Origin::Remembered), "{bad}");
    }
    // Bytes that are no text, and a folder where the file should be.
    fs::write(entry, [0xff, 0xfe]).expect("written");
    assert!(matches!(tuned(&compiler, folder.path()).origin(), Origin::Measured));
    fs::remove_file(entry).expect("deleted");
    fs::create_dir(entry).expect("made");
    assert!(matches!(tuned(&compiler, folder.path()).origin(), Origin::NotKept(_)));
}

#[test]
fn a_folder_that_cannot_be_made_is_told_and_no_error() {
    let folder = folder();
    let file = folder.path().join("file");
    fs::write(&file, "not a folder").expect("written");
    assert!(matches!(tuned(&Compiler::host(), &file.join("cache")).origin(), Origin::NotKept(_)));
}

#[test]
fn writers_at_once_leave_one_whole_entry() {
    let folder = folder();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| tuned(&Compiler::host().with_max_error(0.0), folder.path()));
        }
    });
    assert_eq!(entries(folder.path()).len(), 1);
    assert!(matches!(tuned(&Compiler::host().with_max_error(0.0), folder.path()).origin(), Origin::Remembered));
}

#[test]
fn no_error_beyond_the_allowed_is_timed() {
    let folder = folder();
    let verdict = tuned(&Compiler::host().with_max_error(0.0), folder.path());
    assert!(verdict.times().iter().all(|(algorithm, _)| algorithm.is_plain_sum()), "{:?}", verdict.times());
    let verdict = tuned(&Compiler::host().with_max_error(1.0), folder.path());
    assert!(verdict.times().iter().any(|(algorithm, _)| !algorithm.is_plain_sum()), "{:?}", verdict.times());
}

#[test]
fn what_is_asked_for_is_not_tuned() {
    let folder = folder();
    let compiler = Compiler::host().with_algorithm(Algorithm::Direct).with_tuning(Some(folder.path().into()));
    let lowered = compiler.lower(&layer()).expect("it lowers");
    assert!(lowered.verdicts().is_empty());
    assert_eq!(lowered.choices()[0].algorithm.algorithm, Algorithm::Direct);
    assert!(entries(folder.path()).is_empty());
}

#[test]
fn the_command_tunes_and_explains_what_it_measured() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    fs::write(at("l.conv"), layer().ir().to_string()).expect("written");
    let (file, cache) = (at("l.conv"), at("cache"));
    let run = |args: &[&str]| {
        let result = convoke_cli::capture(args, b"");
        assert_eq!((result.status, result.stderr.as_str()), (0, ""), "{args:?}");
        result.stdout
    };
    let text = run(&["convoke", "explain", &file, "--tune", "--tune-cache", &cache]);
    assert!(text.contains("timed"), "{text}");
    assert_eq!(entries(Path::new(&cache)).len(), 1);
    run(&["convoke", "run", &file, "--tune", "--tune-cache", &cache, "--check"]);
    run(&["convoke", "bench", &file, "--tune", "--tune-cache", &cache, "--seconds", "0"]);
    run(&["convoke", "compile", &file, "-o", &at("l.o"), "--tune", "--tune-cache", &cache]);
    assert_eq!(entries(Path::new(&cache)).len(), 1);
    let result = convoke_cli::capture(&["convoke", "run", &file, "--tune-cache", &cache], b"");
    assert_eq!(result.status, 2, "{}", result.stderr);
}
