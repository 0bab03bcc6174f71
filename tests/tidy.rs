//! Habits, held by tests: words about the tree are compared with the tree.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use convoke::ir::layer::OPS;
use convoke_passes::registry;
use convoke_tests::module_graph::{circles, uses};
use convoke_tests::source::{code, constants, functions, is_float, numbers};
use convoke_tests::tree::{files, has_extension, root};

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
fn certificates_are_judged_without_what_made_them() {
    let depends = &crates()["convoke-verify"];
    let makers = ["convoke-passes", "convoke-conv", "convoke-lower", "convoke-codegen", "convoke-factor", "convoke"];
    assert!(makers.iter().all(|maker| !depends.contains(*maker)), "{depends:?}");
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
    // A build script speaks to cargo, on standard output and by variables.
    for name in crates().keys().filter(|name| !["convoke-cli", "convoke-build"].contains(&name.as_str())) {
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

#[test]
fn files_of_a_crate_form_no_circle_of_more_than_two() {
    let mut complaints = Vec::new();
    for name in crates().keys() {
        let src = root().join("crates").join(name).join("src");
        let uses = uses(&src, &files(&src, |p| has_extension(p, &["rs"])));
        assert!(uses.len() < 10 || uses.values().any(|used| !used.is_empty()), "no file of {name} uses another");
        let found = circles(&uses).into_iter();
        complaints.extend(found.map(|circle| format!("{name}: a circle of {} files: {circle:#?}", circle.len())));
    }
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

#[test]
fn files_have_at_most_400_lines() {
    let lines = |p: &Path| read(p).split("#[cfg(test)]").next().unwrap_or_default().lines().count();
    let sources =
        files(&root().join("crates"), |p| has_extension(p, &["rs"]) && p.components().any(|c| c.as_os_str() == "src"));
    let long = sources.iter().filter(|p| lines(p) > 400);
    none(long.map(|p| format!("{} has {} lines", p.display(), lines(p))).collect());
}

#[test]
fn functions_have_at_most_80_lines() {
    let (mut measured, mut complaints) = (0, Vec::new());
    for name in crates().keys() {
        for source in files(&root().join("crates").join(name).join("src"), |p| has_extension(p, &["rs"])) {
            let all = functions(&read(&source));
            measured += all.len();
            let long = all.into_iter().filter(|(_, lines)| *lines > 80);
            complaints
                .extend(long.map(|(function, lines)| format!("{}: `{function}` has {lines} lines", source.display())));
        }
    }
    assert!(measured > 1000, "{measured} functions");
    none(complaints);
}

/// Numbers in the crates below that belong to no machine: a file or folder, a constant or a literal (`*` for all), and what it is instead.
const NUMBERS: [(&str, &str, &str); 77] = [
    ("convoke-codegen/src/sanitize/report.rs", "*", "the layout of a report"),
    ("convoke-codegen/src/stored.rs", "DOOR", "the layout of a file"),
    ("convoke-codegen/src/aligned.rs", "COUNTED", "keeps a count inside 32 bits"),
    ("convoke-codegen/src/wide/prefetch.rs", "FARTHEST", "how far an instruction reaches"),
    ("convoke-codegen/src/object/weights.rs", "*", "the layout of a file"),
    ("convoke-codegen/src/object/description.rs", "INTERFACE", "the version of an interface"),
    ("convoke-codegen/src/object/cpu.rs", "*", "bits of cpuid, as the makers number them"),
    // Choices of a plan that a text can make otherwise, and plans that are tried.
    ("convoke-conv/src/algorithms/direct_channels/mod.rs", "STRIP", "rows of a strip unless the text says others"),
    ("convoke-conv/src/algorithms/strassen/mod.rs", "LEVELS", "plans that are tried"),
    ("convoke-conv/src/algorithms/strassen/mod.rs", "LEAST", "plans that are tried"),
    ("convoke-conv/src/algorithms/tiles/fft.rs", "*", "plans that are tried"),
    ("convoke-conv/src/algorithms/tiles/winograd.rs", "*", "plans that are tried; the precision of larger ones"),
    ("convoke-conv/src/algorithms/tiles/geometry.rs", "LEAST", "tiles of a block unless the text says others"),
    ("convoke-conv/src/algorithms/tiles/geometry.rs", "MOST", "tiles of a block unless the text says others"),
    ("convoke-conv/src/algorithms/tiles/geometry.rs", "SHARED", "tiles of a block unless the text says others"),
    ("convoke-conv/src/algorithms/tiles/geometry.rs", "CUT_ROWS", "tiles of a block unless the text says others"),
    ("convoke-conv/src/algorithms/tiles/geometry.rs", "CUT_TILES", "tiles of a block unless the text says others"),
    ("convoke-conv/src/algorithms/tiles/geometry.rs", "SHARING", "shape of a loop nest"),
    ("convoke-conv/src/geometry/regions.rs", "ROWS", "rows of a strip unless the text says others"),
    ("convoke-conv/src/strips/choose.rs", "STRIP_HEIGHTS", "plans that are tried"),
    ("convoke-conv/src/strips/choose.rs", "MIN_STRIPS", "plans that are tried"),
    ("convoke-conv/src/strips/choose.rs", "LONGEST", "plans that are tried"),
    // How much better a plan must be that is more code: the cost of compiling it is in no term.
    ("convoke-conv/src/algorithms/depthwise_channels/cost.rs", "MIN_SPEEDUP", "margin for more code"),
    ("convoke-conv/src/algorithms/direct_regions/cost.rs", "MIN_SPEEDUP", "margin for more code"),
    ("convoke-conv/src/strips/choose.rs", "MIN_SPEEDUP", "margin for more code"),
    ("convoke-conv/src/strips/choose.rs", "EQUAL", "margin within which plans are equal"),
    // How much code is written, and what may be spent on compiling.
    ("convoke-conv/src/algorithms/direct_pixels/cycles.rs", "WRITTEN", "size of code"),
    ("convoke-conv/src/algorithms/direct_pixels/geometry.rs", "MAX_DEINTERLEAVED_TAPS", "size of code"),
    ("convoke-conv/src/algorithms/direct_pixels/lower.rs", "RARE", "size of code"),
    ("convoke-conv/src/algorithms/strassen/geometry.rs", "PRODUCTS", "size of code"),
    ("convoke-conv/src/algorithms/tiles/geometry/cache.rs", "MOST", "memory of the compiler"),
    ("convoke-conv/src/algorithms/tiles/mod.rs", "MOST_WORK", "time of the compiler"),
    ("convoke-conv/src/algorithms/tiles/lower/partitioned/codelets.rs", "UNROLLED", "size of code"),
    ("convoke-conv/src/algorithms/tiles/lower/guard/fold.rs", "WRITTEN_OUT", "size of code"),
    ("convoke-conv/src/geometry/regions.rs", "MOST", "size of code"),
    ("convoke-conv/src/geometry/runs.rs", "KINDS", "size of code"),
    ("convoke-conv/src/geometry/runs.rs", "COUNTED", "size of code"),
    ("convoke-lower/src/known.rs", "*", "time of the compiler, size of constants"),
    ("convoke-lower/src/marks.rs", "*", "size of code"),
    ("convoke-lower/src/product.rs", "MAX_UNROLLED", "size of code"),
    ("convoke-lower/src/ops/periods.rs", "MAX_PERIOD", "size of code"),
    ("convoke-lower/src/ops/periods.rs", "MIN_OUTPUTS", "size of code"),
    ("convoke-lower/src/ops/resample.rs", "MAX_GROUPS", "size of code"),
    ("convoke-codegen/src/emit/half.rs", "INSTRUCTIONS", "size of code"),
    ("convoke-codegen/src/emit/size.rs", "*", "size of code, time of the compiler"),
    ("convoke-codegen/src/jit.rs", "VENEER", "size of code"),
    // What loops consist of, counted in their code.
    ("convoke-conv/src/algorithms/direct_pixels/geometry.rs", "DEINTERLEAVED", "registers that the code names"),
    ("convoke-conv/src/algorithms/tiles/guard_cost.rs", "CALLS", "calls that the code makes"),
    ("convoke-conv/src/algorithms/tiles/guard_cost.rs", "MAX", "operations that the code has"),
    ("convoke-conv/src/algorithms/tiles/guard_cost.rs", "SHARED", "operations that the code has"),
    ("convoke-conv/src/algorithms/tiles/guard_cost.rs", "TURN", "operations that the code has"),
    ("convoke-conv/src/algorithms/tiles/guard_cost.rs", "SKIP", "operations that the code has"),
    ("convoke-conv/src/algorithms/tiles/lower/depthwise.rs", "TRANSFORMS", "operations that the code has, about"),
    // How iterations are grouped for threads, before their number is known.
    ("convoke-lower/src/block_transpose.rs", "COLUMNS", "shape of a loop nest"),
    ("convoke-lower/src/ops/elementwise.rs", "CHUNK", "grain for threads"),
    ("convoke-lower/src/ops/movement.rs", "STRIP", "grain for threads"),
    ("convoke-lower/src/ops/reduce.rs", "CHUNK", "grain for threads"),
    ("convoke-lower/src/ops/reduce.rs", "VECTORS", "shape of a loop nest"),
    ("convoke-lower/src/ops/resample.rs", "CHUNK", "grain for threads"),
    ("convoke-lower/src/packed.rs", "COPY", "grain for threads"),
    ("convoke-lower/src/share.rs", "*", "grain for threads"),
    ("convoke-codegen/src/helpers.rs", "COMPILERS", "threads that compile at the most"),
    ("convoke-codegen/src/region.rs", "SPINS", "a courtesy to other processes"),
    ("convoke-codegen/src/work.rs", "MOST_CHUNKS", "range of a counter"),
    // Mathematics, formats of numbers, and limits of what a user may ask.
    ("convoke-conv/src/budget.rs", "TIMES", "errors allowed"),
    ("convoke-conv/src/strips/refused.rs", "MOST", "range of an attribute"),
    ("convoke-lower/src/epilogue.rs", "6.0", "the operator ReLU6"),
    ("convoke-lower/src/math/", "*", "functions as polynomials"),
    ("convoke-lower/src/ops/resize.rs", "*", "the cubic kernel"),
    ("convoke-codegen/src/emit/half.rs", "HALF", "the format of a half"),
    ("convoke-codegen/src/emit/half.rs", "REBIAS", "the format of a half"),
    ("convoke-codegen/src/emit/half.rs", "INFINITY", "the format of a half"),
    ("convoke-codegen/src/emit/half.rs", "SIGN", "the format of a half"),
    ("convoke-codegen/src/emit/vector.rs", "*", "formats of floating-point numbers"),
    ("convoke-codegen/src/wide/half.rs", "HALF", "the format of a half"),
    // What an architecture defines: encodings, registers, bits of control.
    ("convoke-codegen/src/control.rs", "*", "control bits of an architecture"),
    ("convoke-codegen/src/x86/", "*", "encodings of an architecture"),
];

/// Constants and literals that may be numbers of a machine, in the text of a file: each constant of numbers but those that number axes of
/// loops, and each floating-point number but 0, 1/2, 1 and 2. In a file of the cost model also each integer beyond 4.
fn suspects(file: &str, text: &str) -> Vec<String> {
    let code = code(text);
    let (constants, left) = constants(&code);
    let makes_loops = file.split('/').any(|part| part == "lower" || part == "lower.rs");
    let name = file.rsplit('/').next().unwrap_or(file);
    let costs = file.contains("/cost/") || name.ends_with("cost.rs") || name == "cycles.rs";
    let integer = |number: &str| number.replace('_', "").parse::<u128>().unwrap_or(0);
    let axis = |value: &str| makes_loops && value.parse::<u32>().is_ok_and(|axis| axis <= 5);
    let suspect = |number: &&str| match is_float(number) {
        true => !["0.0", "0.5", "1.0", "2.0", "0f64"].contains(number),
        false => costs && integer(number) > 4,
    };
    let named = constants.into_iter().filter(|constant| !axis(&constant.value)).map(|constant| constant.name);
    // Lengths of arrays are none.
    let left = left.replace("; ", ";\n");
    let left: String =
        left.lines().map(|line| format!("{}\n", line.trim_start_matches(|c: char| c.is_ascii_digit()))).collect();
    named.chain(numbers(&left).into_iter().filter(suspect).map(str::to_owned)).collect()
}

#[test]
fn no_crate_but_convoke_machine_holds_a_number_of_a_machine() {
    let mut used = BTreeSet::new();
    let mut complaints = Vec::new();
    for name in ["convoke-conv", "convoke-lower", "convoke-codegen"] {
        let crates = root().join("crates");
        for source in files(&crates.join(name).join("src"), |p| has_extension(p, &["rs"])) {
            let file = source.strip_prefix(&crates).expect("it is below").to_string_lossy().into_owned();
            for found in suspects(&file, &read(&source)) {
                let known =
                    |(at, number, _): &(&str, &str, &str)| file.starts_with(at) && (*number == "*" || *number == found);
                match NUMBERS.iter().position(known) {
                    Some(known) => drop(used.insert(known)),
                    None => complaints.push(format!(
                        "{file}: `{found}`: a number of a machine is a field of its description in convoke-machine; any other is on the list with its reason"
                    )),
                }
            }
        }
    }
    let left = NUMBERS.iter().enumerate().filter(|(i, _)| !used.contains(i));
    complaints
        .extend(left.map(|(_, (file, number, _))| format!("{file} has no `{number}` any more; take it off the list")));
    none(complaints);
}

#[test]
fn cycles_written_into_a_cost_file_are_found() {
    let cost = "convoke-conv/src/algorithms/im2col/cost.rs";
    assert_eq!(suspects(cost, "let waits = 20 * lines + 1; // of 30\n"), ["20"]);
    assert_eq!(suspects(cost, "let waits = lines as f64 * 3.5;\n"), ["3.5"]);
    assert_eq!(suspects(cost, "/// Cycles.\nconst WAITS: f64 = 2.0;\nlet pair: [f64; 6] = [0.0; 6];\n"), ["WAITS"]);
    assert_eq!(
        suspects("convoke-conv/src/algorithms/im2col/lower.rs", "const AXES: usize = 3;\nconst RARE: usize = 16;\n"),
        ["RARE"]
    );
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

/// The pages that show how to add something, with its diff.
const PAGES: [&str; 2] = ["docs/adding-an-op.md", "docs/adding-an-algorithm.md"];

/// Paths in backticks in the first column of a page's table.
fn touched(page: &str) -> Vec<&str> {
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let columns = rows.filter_map(|row| row.trim_start_matches("| ").split(" | ").next());
    columns.flat_map(|column| column.split('`').skip(1).step_by(2)).collect()
}

#[test]
fn the_pages_on_adding_things_name_files_that_there_are() {
    let mut complaints = Vec::new();
    for page in PAGES {
        let text = read(&root().join(page));
        let paths = touched(&text);
        assert!(paths.len() > 7, "{page}: {paths:?}");
        let gone = paths.into_iter().filter(|path| !root().join(path).exists());
        complaints.extend(gone.map(|path| format!("{page}: {path} is not there")));
    }
    none(complaints);
}

#[test]
fn the_diffs_on_adding_things_fit_the_tree() {
    let mut complaints = Vec::new();
    for page in PAGES {
        let text = read(&root().join(page));
        let diffs: Vec<&str> = text.split("```diff\n").skip(1).filter_map(|rest| rest.split("\n```").next()).collect();
        assert!(diffs.len() > 3, "{page}: {} diffs", diffs.len());
        for diff in diffs {
            let (header, body) = diff.split_once('\n').expect("a diff has a header and lines");
            let lines: Vec<&str> = body.lines().filter(|line| !line.starts_with('+') && *line != "@@").collect();
            let Some(path) = header.strip_prefix("--- ") else {
                let path = header.strip_prefix("+++ ").expect("a diff opens with `--- ` or, for a new file, `+++ `");
                assert!(lines.is_empty() && !root().join(path).exists(), "{page}: {path} is not new");
                continue;
            };
            let file = read(&root().join(path));
            assert!(!lines.is_empty(), "{page}: the diff of {path} has no lines that are there");
            // The lines of the file that follow the ones found, since those of a diff are in order.
            let mut rest = file.lines();
            for line in lines {
                let line = line.get(1..).unwrap_or_default();
                if !rest.any(|there| there == line) {
                    complaints.push(format!("{page}: {path} has no line `{line}` there"));
                    break;
                }
            }
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

/// README.md and the pages below docs/.
fn documents() -> Vec<PathBuf> {
    let mut pages = files(&root().join("docs"), |path| has_extension(path, &["md"]));
    pages.push(root().join("README.md"));
    pages
}

#[test]
fn the_documents_show_the_commands_that_there_are() {
    let commands: Vec<&str> =
        "run opt import compile check verify reduce explain analyze bench passes targets machine algorithms docs"
            .split(' ')
            .collect();
    let pages: Vec<(PathBuf, String)> = documents().into_iter().map(|page| (page.clone(), read(&page))).collect();
    let shown = |command: &str| pages.iter().any(|(_, text)| text.contains(&format!("convoke {command}")));
    let missing = commands.iter().filter(|command| !shown(command));
    none(missing.map(|command| format!("neither README.md nor docs/ shows `convoke {command}`")).collect());
    for (page, text) in &pages {
        for line in text.lines().filter_map(|line| line.strip_prefix("$ convoke ")) {
            let command = line.split(' ').next().expect("`split` gives at least one piece");
            assert!(commands.contains(&command), "{} shows `convoke {command}`, which is no command", page.display());
        }
    }
}

/// The addresses of a page's sections: headings in small letters, `-` for spaces, without punctuation.
fn sections(page: &str) -> BTreeSet<String> {
    let headings = page.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let address = |heading: &str| {
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
        kept.collect::<String>().to_lowercase().replace(' ', "-")
    };
    headings.map(address).collect()
}

#[test]
fn links_between_the_documents_lead_somewhere() {
    let mut pages = documents();
    pages.extend(["ARCHITECTURE.md", "CONTRIBUTING.md"].map(|page| root().join(page)));
    let (mut links, mut complaints) = (0, Vec::new());
    for page in &pages {
        // Without blocks of code.
        let prose: String = read(page).split("```").step_by(2).collect();
        let targets = prose.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link);
        for link in targets.filter(|link| !link.contains("://")) {
            links += 1;
            let (file, section) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { page.clone() } else { page.with_file_name(file) };
            if !target.exists() || (!section.is_empty() && !sections(&read(&target)).contains(section)) {
                complaints.push(format!("{}: there is no {link}", page.display()));
            }
        }
    }
    assert!(links > 50, "{links} links");
    none(complaints);
}
