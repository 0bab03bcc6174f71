//! The inner loops of products for aarch64, counted in their listing: no CPU of it is at hand to time them.

use std::fs;
use std::ops::Range;

use convoke_cli::capture;

/// The instructions of a loop.
#[derive(Debug, Default, PartialEq)]
struct Counts {
    /// Multiply-adds of vectors.
    multiply_adds: usize,
    /// All instructions.
    all: usize,
    /// Moves from vector register to vector register.
    moves: usize,
    /// Loads and stores of the stack.
    spills: usize,
}

impl Counts {
    fn of(lines: &[&str]) -> Counts {
        let count = |is: &dyn Fn(&str) -> bool| lines.iter().filter(|line| is(line)).count();
        let instruction =
            |line: &str| !line.is_empty() && !line.ends_with(':') && !line.starts_with(';') && !is_jump(line);
        Counts {
            multiply_adds: count(&|line| line.starts_with("fmla ")),
            all: count(&instruction),
            moves: count(&|line| line.starts_with("mov v") && line.contains("16b")),
            spills: count(&|line| ["[sp", "[fp"].iter().any(|stack| line.contains(stack))),
        }
    }

    /// Instructions for each multiply-add.
    fn each(&self) -> f64 {
        self.all as f64 / self.multiply_adds as f64
    }
}

/// The loops of a listing whose bodies have no loop: lines from a label to the branch back to it.
fn innermost(lines: &[&str]) -> Vec<Range<usize>> {
    let mut loops: Vec<Range<usize>> = Vec::new();
    for (at, line) in lines.iter().enumerate().filter(|(_, line)| is_jump(line) || is_branch(line)) {
        // `b.ne label3 ; b label4`: where it goes if taken, then otherwise. A block of one jump may stand between a branch and the label.
        for target in line.split(|c: char| !c.is_ascii_alphanumeric()).filter_map(|word| word.strip_prefix("label")) {
            let label = format!("block{target}:");
            if let Some(begin) = lines[..at].iter().rposition(|line| *line == label)
                && !loops.iter().any(|inner| inner.start >= begin)
            {
                loops.push(begin..at + 1);
            }
        }
    }
    loops
}

fn is_branch(line: &str) -> bool {
    ["b.", "cbz ", "cbnz ", "tbz ", "tbnz "].iter().any(|branch| line.starts_with(branch))
}

/// A jump to a label. The assembler removes those of a loop: a block of one jump is no place of its own.
fn is_jump(line: &str) -> bool {
    line.starts_with("b label")
}

/// The loop with the most multiply-adds of a convolution's code for aarch64.
fn hottest(layer: &str) -> Counts {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("layer.conv");
    fs::write(&file, layer).expect("written");
    let file = file.to_str().expect("a path in UTF-8");
    let result = capture(
        &["convoke", "compile", file, "--target", "aarch64-unknown-linux-gnu", "--emit", "asm", "-o", "-"],
        &[],
    );
    assert_eq!(result.status, 0, "{}", result.stderr);
    let mut all = Vec::new();
    for function in result.stdout.split("\n; @") {
        let lines: Vec<&str> = function.lines().map(str::trim).collect();
        all.extend(innermost(&lines).into_iter().map(|body| Counts::of(&lines[body])));
    }
    all.into_iter().max_by_key(|counts| counts.multiply_adds).expect("a convolution has a loop")
}

const POINTWISE: &str = "layer @l(%x: f32[1, 64, 28, 28]) -> f32[1, 64, 28, 28] {
  %w = const f32[64, 64, 1, 1] = normal(seed = 1)
  %y = conv2d %x, %w
  return %y
}
";

const SQUARE: &str = "layer @l(%x: f32[1, 64, 28, 28]) -> f32[1, 64, 28, 28] {
  %w = const f32[64, 64, 3, 3] = normal(seed = 1)
  %y = conv2d %x, %w { pads = [1, 1, 1, 1], algorithm = direct }
  return %y
}
";

/// 24 accumulators, and no move or spill. Of 41 instructions of the first loop, 24 are multiply-adds, 10 load their operands and 7 count and
/// address; of 338 of the second, 216 are multiply-adds.
#[test]
fn accumulators_of_aarch64_stay_in_their_registers() {
    for (layer, most) in [(POINTWISE, 1.71), (SQUARE, 1.57)] {
        let counts = hottest(layer);
        assert_eq!((counts.moves, counts.spills), (0, 0), "{counts:?}\n{layer}");
        assert!(counts.multiply_adds >= 16 && counts.each() <= most, "{:.3}: {counts:?}\n{layer}", counts.each());
    }
}
