//! Files of a crate and which of them need which: `use` trees and paths, followed through re-exports to the file that has the item.
//!
//! A parent that only re-exports an item of a child does not need the child; it does if its own code names the item.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Each file below `src` with the files that it needs; unit tests are left out.
///
/// # Panics
///
/// If a file cannot be read.
pub fn uses(src: &Path, sources: &[PathBuf]) -> BTreeMap<PathBuf, BTreeSet<PathBuf>> {
    let graph = Graph { files: sources.iter().map(|file| (module(src, file), File::read(file))).collect() };
    let needed = |(module, file): (&Module, &File)| {
        let items = file.uses.iter().filter(|(name, u)| !u.public || file.names(name)).map(|(_, u)| u.path.clone());
        let paths = items.chain(file.paths.iter().cloned());
        let found = paths.filter_map(|path| graph.home(module, &path, 0)).filter(|home| home != module);
        (file.path.clone(), found.map(|home| graph.files[&home].path.clone()).collect())
    };
    graph.files.iter().map(needed).collect()
}

/// Circles of more than two files that need each other.
pub fn circles(uses: &BTreeMap<PathBuf, BTreeSet<PathBuf>>) -> Vec<BTreeSet<PathBuf>> {
    let reached = |from: &PathBuf| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
        while let Some(file) = open.pop() {
            open.extend(uses[file].iter().filter(|used| seen.insert((*used).clone())));
        }
        seen
    };
    let reached: BTreeMap<_, _> = uses.keys().map(|file| (file, reached(file))).collect();
    let circle = |(file, from): (&&PathBuf, &BTreeSet<PathBuf>)| -> BTreeSet<PathBuf> {
        from.iter().filter(|other| reached[other].contains(*file)).cloned().collect()
    };
    let found: BTreeSet<_> = reached.iter().map(circle).filter(|circle| circle.len() > 2).collect();
    found.into_iter().collect()
}

/// The segments of a module's path below the crate.
type Module = Vec<String>;

struct Graph {
    files: BTreeMap<Module, File>,
}

struct File {
    path: PathBuf,
    /// What `use` brings in, by its name here; `*` for all.
    uses: Vec<(String, Use)>,
    /// Paths in code.
    paths: BTreeSet<Vec<String>>,
    /// Words of code without a path.
    words: BTreeSet<String>,
}

struct Use {
    path: Vec<String>,
    public: bool,
}

fn module(src: &Path, file: &Path) -> Module {
    let below = file.strip_prefix(src).expect("it is below").with_extension("");
    let names = below.iter().map(|name| name.to_string_lossy().into_owned());
    names.filter(|name| !["mod", "lib", "main"].contains(&name.as_str())).collect()
}

impl Graph {
    /// The module with the item that `path` names in `at`; `None` if that is of another crate.
    fn home(&self, at: &Module, path: &[String], depth: usize) -> Option<Module> {
        let mut module = at.clone();
        let mut rest = path;
        match rest.first()?.as_str() {
            "crate" => module.clear(),
            "self" => {}
            "super" => {
                module.pop()?;
            }
            first => {
                let child: Module = module.iter().cloned().chain([first.to_owned()]).collect();
                if !self.files.contains_key(&child) {
                    return None;
                }
                module = child;
            }
        }
        rest = &rest[1..];
        while let Some((first, others)) = rest.split_first() {
            if first == "super" {
                module.pop()?;
            } else {
                let child: Module = module.iter().cloned().chain([first.clone()]).collect();
                if !self.files.contains_key(&child) {
                    break;
                }
                module = child;
            }
            rest = others;
        }
        let item = rest.first()?;
        let file = self.files.get(&module)?;
        let exported = file.uses.iter().find(|(name, used)| used.public && name == item);
        match exported.filter(|_| depth < 8) {
            Some((_, used)) => self.home(&module, &used.path, depth + 1),
            None => Some(module),
        }
    }
}

impl File {
    fn read(path: &Path) -> File {
        let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let code: Vec<&str> = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        let (mut uses, mut rest) = (Vec::new(), String::new());
        let mut lines = code.into_iter();
        while let Some(line) = lines.next() {
            let Some((public, tree)) = use_of(line) else {
                rest.extend([line, "\n"]);
                continue;
            };
            let mut tree = tree.to_owned();
            while !tree.contains(';') {
                tree.push_str(lines.next().unwrap_or(";"));
            }
            let tree: String =
                tree.split(';').next().unwrap_or_default().replace(" as ", "@").split_whitespace().collect();
            expand(&[], &tree, &mut |name, path| uses.push((name, Use { path, public })));
        }
        let is_word = |c: char| c.is_alphanumeric() || "_:".contains(c);
        let all: Vec<&str> = rest.split(|c: char| !is_word(c)).filter(|word| !word.is_empty()).collect();
        let (paths, words): (Vec<&str>, Vec<&str>) = all.into_iter().partition(|word| word.contains("::"));
        let first = |path: &&str| path.split("::").next().map(str::to_owned);
        File {
            path: path.to_owned(),
            uses,
            words: words
                .iter()
                .map(|word| word.trim_matches(':').to_owned())
                .chain(paths.iter().filter_map(first))
                .collect(),
            paths: paths.iter().map(|path| path.split("::").map(str::to_owned).collect()).collect(),
        }
    }

    /// Whether its code has this word.
    fn names(&self, word: &str) -> bool {
        self.words.contains(word)
    }
}

/// The tree behind `use`, and whether it is a re-export.
fn use_of(line: &str) -> Option<(bool, &str)> {
    let line = line.trim_start();
    if let Some(tree) = line.strip_prefix("use ") {
        return Some((false, tree));
    }
    let (visibility, tree) = line.split_once(" use ")?;
    visibility.starts_with("pub").then_some((true, tree))
}

/// Calls `found` with each name that a `use` tree without blanks brings in, and its path.
fn expand(before: &[String], tree: &str, found: &mut impl FnMut(String, Vec<String>)) {
    if let Some((path, group)) = tree.split_once('{') {
        let path: Vec<String> = before.iter().cloned().chain(segments(path)).collect();
        let group = group.strip_suffix('}').unwrap_or(group);
        let (mut depth, mut begin) = (0, 0);
        for (at, c) in group.char_indices().chain([(group.len(), ',')]) {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    expand(&path, &group[begin..at], found);
                    begin = (at + 1).min(group.len());
                }
                _ => {}
            }
        }
        return;
    }
    let (path, alias) = tree.split_once('@').unwrap_or((tree, ""));
    let mut path: Vec<String> = before.iter().cloned().chain(segments(path)).collect();
    // `a::{self}` is `a`.
    if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
        path.pop();
    }
    if let Some(last) = path.last() {
        found(if alias.is_empty() { last.clone() } else { alias.to_owned() }, path.clone());
    }
}

fn segments(path: &str) -> impl Iterator<Item = String> {
    path.split("::").filter(|segment| !segment.is_empty()).map(str::to_owned)
}
