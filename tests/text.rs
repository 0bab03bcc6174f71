//! Text tests: every `text/**/*.conv` is a test, and adding a file adds one.
//!
//! ```text
//! // test: opt --passes fold-pad              the command, without its file
//! // test: check --seed 1                     as many as wanted
//! layer @l(%x: f32[1, 3, 7, 7]) -> … {
//!   %0 = conv2d %x, %w // error: reads 3      an error that must be reported on this line, with these words
//! ```
//!
//! Where only a few lines of the output matter, `// check:` lines say which ([`convoke_tests::checks`]). Else what the commands print is kept
//! in a `.snap` beside the file. `INSTA_UPDATE=always cargo test -p convoke-tests` writes
//! them anew; the diff is the review. Commands run in process, with the folder of this package as working folder.

use std::fs;
use std::path::{Path, PathBuf};

use convoke_tests::checks;
use convoke_tests::tree::{files, has_extension};
use libtest_mimic::{Arguments, Failed, Trial};

fn main() {
    let files = files(Path::new("text"), |_| true);
    let (tests, others): (Vec<_>, Vec<_>) = files.into_iter().partition(|file| has_extension(file, &["conv"]));
    let mut trials: Vec<Trial> = tests
        .into_iter()
        .map(|file| Trial::test(file.display().to_string(), move || run(&file).map_err(Failed::from)))
        .collect();
    trials.push(Trial::test("text: every snapshot has its test", move || orphans(&others).map_err(Failed::from)));
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

/// Files that are no tests: snapshots of tests, and data that a test reads.
fn orphans(files: &[PathBuf]) -> Result<(), String> {
    for file in files {
        let of_test = has_extension(file, &["snap"]) && file.with_extension("conv").exists();
        let data = has_extension(file, &["npy", "npz", "safetensors", "png"]);
        if !of_test && !data {
            return Err(format!("{} belongs to no test", file.display()));
        }
    }
    Ok(())
}

fn run(file: &Path) -> Result<(), String> {
    let bytes = fs::read(file).map_err(|e| e.to_string())?;
    let text = String::from_utf8_lossy(&bytes);
    let commands = checks::commands(&text)?;
    let expected = expected_errors(&text);
    let mut shown = String::new();
    for command in &commands {
        let (output, stderr) = output(&command.arguments, file)?;
        meets(&expected, &stderr)?;
        checks::hold(&command.checks, &output)?;
        shown += &format!("$ convoke {}\n{output}", command.arguments);
    }
    if commands.iter().any(|command| !command.checks.is_empty()) {
        return match file.with_extension("snap").exists() {
            true => Err("what has `// check:` lines needs no snapshot; remove the `.snap`".into()),
            false => Ok(()),
        };
    }
    let mut settings = insta::Settings::new();
    settings.set_snapshot_path(
        std::env::current_dir().map_err(|e| e.to_string())?.join(file.parent().expect("a file is in a folder")),
    );
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        insta::assert_snapshot!(file.file_stem().expect("a file has a name").to_string_lossy().as_ref(), shown)
    });
    Ok(())
}

/// What a command prints, with its status where it is not 0; and its standard error alone.
fn output(command: &str, file: &Path) -> Result<(String, String), String> {
    let known = ["run", "opt", "compile", "check", "explain", "analyze", "bench"];
    if !known.iter().any(|known| command.split(' ').next() == Some(*known)) {
        return Err(format!("`// test: {command}` is no command of convoke that takes a file"));
    }
    let name = file.display().to_string();
    let mut args = vec!["convoke"];
    args.extend(command.split_whitespace());
    args.push(&name);
    let result = convoke_cli::capture(&args, &[]);
    let mut shown = result.stdout;
    if !result.stderr.is_empty() {
        shown += &format!("--- stderr\n{}", result.stderr);
    }
    if result.status != 0 {
        shown += &format!("--- status {}\n", result.status);
    }
    Ok((shown, result.stderr))
}

/// Line numbers, from 1, with the words of the error expected there.
fn expected_errors(text: &str) -> Vec<(usize, &str)> {
    let errors =
        text.lines().enumerate().filter_map(|(i, line)| Some((i + 1, line.split_once("// error: ")?.1.trim())));
    errors.collect()
}

/// Whether the errors are those expected, one for one, if the file says which.
fn meets(expected: &[(usize, &str)], stderr: &str) -> Result<(), String> {
    if expected.is_empty() {
        return Ok(());
    }
    let reported: Vec<&str> = stderr.split("error[").skip(1).collect();
    for (line, words) in expected {
        if !reported.iter().any(|r| r.contains(words) && r.contains(&format!(".conv:{line}:"))) {
            return Err(format!("no error on line {line} says `{words}`:\n{stderr}"));
        }
    }
    if reported.len() != expected.len() {
        return Err(format!("{} errors were expected, {} reported:\n{stderr}", expected.len(), reported.len()));
    }
    Ok(())
}
