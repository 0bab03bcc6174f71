//! What a text test asks of a command's output, line by line, where only a few of its lines matter.
//!
//! ```text
//! // test: compile --emit asm -o - --cpu x86-64-v4     checks belong to the command above them
//! // check: vmovups ymm0{k1}{z}, [rsi]                 a line has these words, after the line of the check before
//! // check-not: vmaskmovps                             no line has them between the lines of the checks around it
//! ```
//!
//! Spaces count as one, however many.

/// What is asked of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// A line has these words.
    Line(String),
    /// None has, up to the line of the next check.
    Not(String),
}

/// A command of a text test, and what is asked of its output; of nothing, the whole is compared with a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Its arguments.
    pub arguments: String,
    /// In the order of the file.
    pub checks: Vec<Check>,
}

/// The commands in the comments that open a text, with their checks.
pub fn commands(text: &str) -> Result<Vec<Command>, String> {
    let mut commands: Vec<Command> = Vec::new();
    for line in text.lines().map_while(|line| line.strip_prefix("// ")) {
        // Prose may hold a colon; a key is a single small word.
        let Some((key, words)) = line.split_once(": ") else { continue };
        if key.is_empty() || !key.chars().all(|c| c.is_ascii_lowercase() || c == '-') {
            continue;
        }
        let check: fn(String) -> Check = match key {
            "test" => {
                commands.push(Command { arguments: words.trim().into(), checks: Vec::new() });
                continue;
            }
            "check" => Check::Line,
            "check-not" => Check::Not,
            _ => return Err(format!("`// {key}:` is no key of a text test; known are `test`, `check`, `check-not`")),
        };
        let Some(command) = commands.last_mut() else {
            return Err(format!("`// {key}: {words}` stands before the command that it is about, `// test: COMMAND`"));
        };
        command.checks.push(check(single_spaced(words)));
    }
    match commands.iter().find(|command| command.checks.is_empty()) {
        _ if commands.is_empty() => Err("a text test opens with `// test: COMMAND`".into()),
        Some(command) if commands.iter().any(|other| !other.checks.is_empty()) => Err(format!(
            "`// test: {}` has no `// check:`, other commands of the file have; one without is for a file of its own",
            command.arguments
        )),
        _ => Ok(commands),
    }
}

/// Whether an output has what is asked of it.
pub fn hold(checks: &[Check], output: &str) -> Result<(), String> {
    let lines: Vec<String> = output.lines().map(single_spaced).collect();
    let mut rest = &lines[..];
    let mut unwanted: Vec<&str> = Vec::new();
    for check in checks {
        match check {
            Check::Not(words) => unwanted.push(words),
            Check::Line(words) => {
                let Some(at) = rest.iter().position(|line| line.contains(words)) else {
                    let after = lines.len() - rest.len();
                    return Err(format!("no line after the first {after} has `{words}`:\n{output}"));
                };
                none(&unwanted, &rest[..at], output)?;
                unwanted.clear();
                rest = &rest[at + 1..];
            }
        }
    }
    none(&unwanted, rest, output)
}

fn none(unwanted: &[&str], lines: &[String], output: &str) -> Result<(), String> {
    match lines.iter().find(|line| unwanted.iter().any(|words| line.contains(words))) {
        Some(line) => Err(format!("`{line}` must not be there:\n{output}")),
        None => Ok(()),
    }
}

fn single_spaced(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(checks: &str, output: &str) -> bool {
        let [command] = &commands(&format!("// test: opt\n{checks}")).expect("a text test")[..] else {
            panic!("one command")
        };
        hold(&command.checks, output).is_ok()
    }

    #[test]
    fn lines_follow_each_other() {
        let output = "first   line\n  second\nthird\n";
        assert!(held("// check: first line\n// check: third", output));
        assert!(!held("// check: third\n// check: second", output));
        assert!(!held("// check: second\n// check: second", output));
    }

    #[test]
    fn what_must_not_be_there_is_looked_for_between_its_neighbours() {
        let output = "a\nb\nc\nb\n";
        assert!(held("// check-not: b\n// check: a", output));
        assert!(!held("// check: a\n// check-not: b\n// check: c", output));
        assert!(!held("// check: c\n// check-not: b", output));
        assert!(!held("// check-not: c", output));
        assert!(held("// check-not: d", output));
    }

    #[test]
    fn keys_that_are_unknown_or_out_of_place_are_refused() {
        for text in [
            "// test: opt\n// chek: a",
            "// check: a\n// test: opt",
            "// prose: and more",
            "",
            "// test: opt\n// check-no: a",
        ] {
            assert!(commands(text).is_err(), "{text}");
        }
        assert!(commands("// test: opt\n// check: a\n// test: run").is_err());
        let prose = "// test: opt --stage loops\n// As a sentence: it may have a colon.\nlayer";
        assert_eq!(commands(prose).expect("a text test")[0].arguments, "opt --stage loops");
    }
}
