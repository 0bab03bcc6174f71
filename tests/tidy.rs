//! Habits, held by tests: words about the tree are compared with the tree.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use convoke::ir::layer::OPS;
use convoke_passes::registry;
use convoke_tests::module_graph::{circles, uses};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this package is in the workspace").to_owned()
}

/// Files below `folder` that satisfy `keep`, without those cargo or git made.
fn files(folder: &Path, keep: impl Fn(&Path) -> bool + Copy) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder of the workspace can be read") {
        let path = entry.expect("an entry of it too").path();
        let name = path.file_name().expect("an entry has a name").to_string_lossy().into_owned();
        if path.is_dir() {
            if !["target", ".git"].contains(&name.as_str()) {
                found.extend(files(&path, keep));
            }
        } else if keep(&path) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    path.extension().is_some_and(|e| extensions.iter().any(|x| e == *x))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Fails with every complaint, not just the first.
fn none(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

/// Crates of the workspace with the crates of the workspace they depend on (`[dependencies]` alone).
fn crates() -> BTreeMap<String, BTreeSet<String>> {
    let manifests = files(&root().join("crates"), |p| p.file_name().is_some_and(|n| n == "Cargo.toml"));
    let crates = manifests.iter().map(|manifest| {
        let name = manifest.parent().and_then(Path::file_name).expect("a manifest is in a folder");
        let mut depends = BTreeSet::new();
        let mut inside = false;
        for line in read(manifest).lines() {
            if line.starts_with('[') {
                inside = line == "[dependencies]";
            } else if let (true, Some((dependency, _))) = (inside, line.split_once(['.', ' ']))
                && dependency.starts_with("convoke")
            {
                depends.insert(dependency.to_owned());
            }
        }
        (name.to_string_lossy().into_owned(), depends)
    });
    crates.collect()
}

#[test]
fn every_source_file_says_what_it_is() {
    let sources = files(&root(), |p| has_extension(p, &["rs"]));
    let silent = sources.iter().filter(|p| !read(p).starts_with("//! "));
    none(silent.map(|p| format!("{} does not open with a `//!` line", p.display())).collect());
}

#[test]
fn the_code_map_names_the_crates_and_their_order_holds() {
    let text = read(&root().join("ARCHITECTURE.md"));
    let map = text.split("\n# ").find(|s| s.starts_with("Code map")).expect("ARCHITECTURE.md has a code map");
    // A paragraph of the map opens with the crate's name.
    let order: Vec<String> = map
        .lines()
        .filter_map(|line| line.strip_prefix('`')?.split('`').next().map(str::to_owned))
        .filter(|name| name.starts_with("convoke"))
        .collect();
    let crates = crates();
    let named: BTreeSet<_> = order.iter().cloned().collect();
    let there: BTreeSet<_> = crates.keys().cloned().collect();
    assert_eq!(named, there, "the code map of ARCHITECTURE.md (left) and crates/ (right) differ");
    let place = |name: &str| order.iter().position(|n| n == name).expect("compared above");
    let mut complaints = Vec::new();
    for (name, depends) in &crates {
        for below in depends.iter().filter(|d| place(d) <= place(name)) {
            complaints.push(format!("`{name}` depends on `{below}`, which the code map has above it"));
        }
    }
    none(complaints);
}

#[test]
fn the_interpreter_shares_no_code_with_what_it_judges() {
    let depends = &crates()["convoke-interp"];
    assert!(!depends.contains("convoke-passes") && !depends.contains("convoke-codegen"), "{depends:?}");
}

#[test]
fn only_code_generation_is_unsafe() {
    let sources = files(&root(), |p| has_extension(p, &["rs"]));
    let codegen = root().join("crates/convoke-codegen");
    let word = concat!("un", "safe");
    let opens = [format!("{word} {{"), format!("{word} fn"), format!("{word} impl")];
    let guilty = sources.iter().filter(|p| !p.starts_with(&codegen));
    let guilty = guilty.filter(|p| opens.iter().any(|o| read(p).contains(o.as_str())));
    none(guilty.map(|p| format!("{} has {word} code", p.display())).collect());
}

#[test]
fn every_op_has_an_example() {
    let examples: String =
        files(&root().join("ir-examples"), |p| has_extension(p, &["conv"])).iter().map(|p| read(p)).collect();
    let missing = OPS.iter().filter(|op| !examples.contains(&format!("= {} %", op.name)));
    none(missing.map(|op| format!("no file of ir-examples/ has the op `{}`", op.name)).collect());
}

#[test]
fn every_example_says_where_it_comes_from() {
    let examples = files(&root().join("ir-examples"), |p| has_extension(p, &["conv"]));
    assert!(examples.len() >= 16, "{} examples", examples.len());
    let mut complaints = Vec::new();
    for example in examples {
        let text = read(&example);
        let name = example.file_stem().expect("a file has a name").to_string_lossy().into_owned();
        if !text.starts_with("// ") {
            complaints.push(format!("{} does not open with a comment", example.display()));
        }
        if !text.contains(&format!("layer @{name}(")) {
            complaints.push(format!("{} has no layer of its name", example.display()));
        }
    }
    none(complaints);
}

#[test]
fn every_pass_has_text_tests() {
    let folder = root().join("tests/text/passes");
    let mut complaints = Vec::new();
    for entry in registry::all() {
        let tests = folder.join(entry.name);
        if !tests.is_dir() || files(&tests, |p| has_extension(p, &["conv"])).is_empty() {
            complaints.push(format!("no text test in tests/text/passes/{}/", entry.name));
        }
    }
    let named: BTreeSet<&str> = registry::all().map(|entry| entry.name).collect();
    for entry in fs::read_dir(&folder).expect("the folder is there") {
        let name = entry.expect("an entry").file_name().to_string_lossy().into_owned();
        if !named.contains(name.as_str()) {
            complaints.push(format!("tests/text/passes/{name}/ is of no pass"));
        }
    }
    none(complaints);
}

#[test]
fn every_error_code_has_a_test() {
    let table = read(&root().join("crates/convoke-ir/src/diagnostic.rs"));
    let table = table.split("pub enum Code {").nth(1).and_then(|t| t.split("\n}").next()).expect("the table of codes");
    let codes: Vec<String> = table
        .lines()
        .filter_map(|line| line.split_once(" = ")?.1.trim_end_matches(',').parse::<u32>().ok())
        .map(|number| format!("E{number:04}"))
        .collect();
    assert!(codes.len() > 20, "{codes:?}");
    let tests = files(&root(), |p| {
        has_extension(p, &["snap", "rs", "conv"]) && p.components().any(|c| c.as_os_str() == "tests")
    });
    let texts: String =
        tests.iter().map(|p| String::from_utf8_lossy(&fs::read(p).expect("a test can be read")).into_owned()).collect();
    none(codes.iter().filter(|c| !texts.contains(c.as_str())).map(|c| format!("no test mentions {c}")).collect());
}

#[test]
fn no_test_is_turned_off() {
    // Written in two pieces, so that this file does not complain of itself.
    let words = [
        concat!("#[ign", "ore"),
        concat!("#[should_", "panic"),
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
        concat!("dbg", "!("),
    ];
    let sources = files(&root(), |p| has_extension(p, &["rs"]));
    let mut complaints = Vec::new();
    for source in sources {
        let text = read(&source);
        complaints.extend(words.iter().filter(|w| text.contains(**w)).map(|w| format!("{}: `{w}`", source.display())));
    }
    none(complaints);
}

#[test]
fn nothing_below_the_command_prints_or_asks_the_environment() {
    let words = [
        concat!("print", "ln!("),
        concat!("eprint", "ln!("),
        concat!("env::", "var"),
        concat!("process::", "exit"),
        concat!("process::", "abort"),
    ];
    let mut complaints = Vec::new();
    for name in crates().keys().filter(|name| *name != "convoke-cli") {
        for source in files(&root().join("crates").join(name).join("src"), |p| has_extension(p, &["rs"])) {
            // Documentation may show a program that prints.
            let code: String =
                read(&source).lines().filter(|l| !l.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
            let found = words.iter().filter(|w| code.contains(**w));
            complaints.extend(found.map(|w| format!("{}: `{w}`", source.display())));
        }
    }
    none(complaints);
}

#[test]
fn a_text_is_no_map_of_the_machine_it_was_written_on() {
    let words = [concat!("/wo", "rk/"), concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/t", "mp/")];
    let texts =
        files(&root(), |p| has_extension(p, &["rs", "md", "conv", "toml", "snap", "sh", "yml", "py", "c", "h"]));
    let mut complaints = Vec::new();
    for path in texts {
        let text = String::from_utf8_lossy(&fs::read(&path).expect("a file of the workspace can be read")).into_owned();
        complaints.extend(words.iter().filter(|w| text.contains(**w)).map(|w| format!("{}: `{w}`", path.display())));
    }
    none(complaints);
}

/// Circles that are left, by crate and number of files: types that hold each other and the functions beside them.
const CIRCLES: [(&str, usize); 10] = [
    // Straight-line code and its writer.
    ("convoke-bilinear", 3),
    // The formats of files and their one error type.
    ("convoke-data", 7),
    // Bounds, and the recursion over the ops of a layer; the ops of the interpreter.
    ("convoke-interp", 6),
    ("convoke-interp", 4),
    // A program and its verifier; a layer and its builder; an op, its signature and its shape rule; a text and its parser.
    ("convoke-ir", 5),
    ("convoke-ir", 3),
    ("convoke-ir", 3),
    ("convoke-ir", 3),
    // `Lowering` and what it holds.
    ("convoke-lower", 4),
    // A factored kernel and its candidates.
    ("convoke-passes", 5),
];

#[test]
fn files_of_a_crate_form_no_circle_of_more_than_two_but_those_listed() {
    let mut left = CIRCLES.to_vec();
    let mut complaints = Vec::new();
    for name in crates().keys() {
        let src = root().join("crates").join(name).join("src");
        let uses = uses(&src, &files(&src, |p| has_extension(p, &["rs"])));
        assert!(uses.len() < 10 || uses.values().any(|used| !used.is_empty()), "no file of {name} uses another");
        for circle in circles(&uses) {
            match left.iter().position(|known| *known == (name.as_str(), circle.len())) {
                Some(known) => drop(left.swap_remove(known)),
                None => complaints.push(format!("{name}: a circle of {} files: {circle:#?}", circle.len())),
            }
        }
    }
    complaints.extend(
        left.iter().map(|(name, len)| format!("{name} has no circle of {len} files any more; take it off the list")),
    );
    none(complaints);
}

#[test]
fn what_makes_loops_knows_no_cost_and_no_algorithm_another() {
    let conv = root().join("crates/convoke-conv/src");
    let uses = uses(&conv, &files(&conv, |p| has_extension(p, &["rs"])));
    let below = |file: &Path| file.strip_prefix(&conv).expect("it is below").to_string_lossy().into_owned();
    let makes_loops = |file: &str| file.split('/').any(|part| part == "lower" || part == "lower.rs");
    let costs = ["cost/", "estimate.rs", "budget.rs", "select.rs", "weigh.rs", "cost.rs", "cycles.rs"];
    let folder =
        |file: &str| file.strip_prefix("algorithms/").and_then(|rest| Some(rest.split_once('/')?.0.to_owned()));
    let mut complaints = Vec::new();
    for (file, used) in uses.iter().map(|(file, used)| (below(file), used)) {
        for target in used.iter().map(|target| below(target)) {
            // The loops of a chain of strips come from the lowering of each; only its own choice counts cycles.
            if makes_loops(&file)
                && costs.iter().any(|cost| target.starts_with(cost) || target.ends_with(&format!("/{cost}")))
            {
                complaints.push(format!("{file} makes loops and names {target}"));
            }
            if let (Some(one), Some(other)) = (folder(&file), folder(&target))
                && one != other
            {
                complaints.push(format!("{file} names {target}, of another algorithm"));
            }
        }
    }
    none(complaints);
    let lower = crates();
    assert!(!lower["convoke-lower"].contains("convoke-conv"), "{:?}", lower["convoke-lower"]);
}

/// Longer files than 400 lines without their unit tests, with the reason.
const LONG_FILES: [&str; 9] = [
    // Tables: a rule for each op, a type for each statement, a case for each instruction.
    "convoke-ir/src/layer/infer.rs",
    "convoke-ir/src/loops/mod.rs",
    "convoke-ir/src/loops/verify/func.rs",
    "convoke-ir/src/text/stmt.rs",
    // One recursion over tokens; over a layer.
    "convoke-ir/src/text/parser.rs",
    "convoke-interp/src/bounds/mod.rs",
    // One algorithm, which pieces would hide.
    "convoke-conv/src/algorithms/tiles/lower/reducing.rs",
    "convoke-passes/src/loops/transpose.rs",
    "convoke/src/check.rs",
];

#[test]
fn files_have_at_most_400_lines() {
    let lines = |p: &Path| read(p).split("#[cfg(test)]").next().unwrap_or_default().lines().count();
    let sources =
        files(&root().join("crates"), |p| has_extension(p, &["rs"]) && p.components().any(|c| c.as_os_str() == "src"));
    let long = sources.iter().filter(|p| lines(p) > 400 && !LONG_FILES.iter().any(|known| p.ends_with(known)));
    none(long.map(|p| format!("{} has {} lines", p.display(), lines(p))).collect());
}

#[test]
fn the_glossary_names_files_that_there_are() {
    let glossary = read(&root().join("docs/glossary.md"));
    let rows: Vec<&str> = glossary.lines().filter(|line| line.starts_with("| ") && line.contains('`')).collect();
    assert!(rows.len() > 40, "{} terms", rows.len());
    let mut complaints = Vec::new();
    for row in rows {
        let file = row.trim_end_matches(['|', ' ', '`']).rsplit('`').next().expect("a piece at least");
        if !root().join("crates").join(file).exists() {
            complaints.push(format!("docs/glossary.md: crates/{file} is not there"));
        }
    }
    none(complaints);
}

#[test]
fn decisions_are_dated_and_the_newest_come_first() {
    let decisions = read(&root().join("docs/decisions.md"));
    let dates: Vec<&str> = decisions.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    assert!(dates.len() >= 3 && dates.is_sorted_by(|a, b| a > b), "{dates:?}");
    assert!(dates.iter().all(|date| date.len() == 10 && date.split('-').count() == 3), "{dates:?}");
}

#[test]
fn readme_shows_commands_that_there_are() {
    let readme = read(&root().join("README.md"));
    let commands =
        ["run", "opt", "compile", "check", "explain", "analyze", "bench", "passes", "targets", "machine", "docs"];
    let missing =
        commands.iter().filter(|c| !readme.contains(&format!("convoke {c}")) && !readme.contains(&format!("-- {c}")));
    none(missing.map(|c| format!("README.md does not show `convoke {c}`")).collect());
    for line in readme.lines().filter_map(|l| l.strip_prefix("$ convoke ")) {
        let command = line.split(' ').next().expect("`split` gives at least one piece");
        assert!(commands.contains(&command), "README.md shows `convoke {command}`, which is no command");
    }
}
