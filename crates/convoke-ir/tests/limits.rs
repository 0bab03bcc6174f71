//! Hostile and huge texts: refused or read in bounded time, with short messages.

use std::fmt::Write;
use std::time::{Duration, Instant};

use convoke_ir::diagnostic::{Code, Diagnostic, render, shown};
use convoke_ir::limits::Limit;
use convoke_ir::{layer, text};

const HEAD: &str = "layer @l(%x: f32[1, 4, 8, 8]) -> f32[1, 4, 8, 8] {\n";

fn refused(source: &str) -> (Vec<Diagnostic>, String) {
    let found = text::parse_and_verify(source).expect_err("the text has a mistake");
    let message = render(&found, "bad.conv", source, false);
    (found, message)
}

/// A message about column 15,000,000 of a line of 20 MiB shows the place and little else.
#[test]
fn one_line_of_20_mib() {
    let mut source = HEAD.replace('\n', " ");
    let mut i = 0;
    while source.len() < 14_999_900 {
        write!(source, "%{i:0>80} = relu %x ").expect("a string grows");
        i += 1;
    }
    let at = source.len();
    source.push_str("%bad = relu %missing ");
    while source.len() < 20 << 20 {
        write!(source, "%{i:0>80} = relu %x ").expect("a string grows");
        i += 1;
    }
    source.push_str("return %x }\n");
    let start = Instant::now();
    let (found, message) = refused(&source);
    let took = start.elapsed();
    assert_eq!(found.len(), 1, "{message}");
    assert!(message.contains(&format!("bad.conv:1:{}", at + "%bad = relu ".len() + 1)), "{message}");
    assert!(message.contains("there is no value `%missing`"), "{message}");
    assert!(message.len() < 1024, "{} bytes: {message}", message.len());
    // 2 s for an optimised build; this one checks every addition.
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn brackets_100_000_deep() {
    for (open, rest) in [("[", ""), ("[", "]"), ("f(", ")"), ("[[1],", "]")] {
        let source =
            format!("{HEAD}  %0 = conv2d %x, %x {{ pads = {}{} }}\n", open.repeat(100_000), rest.repeat(100_000));
        let start = Instant::now();
        let (found, message) = refused(&source);
        assert_eq!(found[0].code, Code::Depth);
        assert!(message.len() < 2048, "{}", message.len());
        assert!(start.elapsed() < Duration::from_secs(1));
    }
    let loops = "for %i in 0..1 {".repeat(100_000);
    let (found, _) = refused(&format!("program @p {{\nkernel @k() {{\n{loops}"));
    assert!(found.iter().any(|d| d.code == Code::Depth), "{found:?}");
    let (found, _) = refused(&format!("{HEAD}  %w = const f32[2, 2] = {}", "[".repeat(100_000)));
    assert_eq!(found[0].code, Code::Numbers);
}

/// Small statements and entries cost more memory than text.
#[test]
fn too_many_statements_or_entries() {
    let many = text::MAX_ITEMS + 10;
    let list = format!("{HEAD}  %0 = conv2d %x, %x {{ pads = [{}] }}\n", "1,".repeat(many));
    let numbered = |entry: &str| (0..many).map(|i| entry.replace('#', &i.to_string())).collect::<String>();
    let params = format!("layer @l({}) -> f32[1] {{\n", numbered("%x#: f32[1], "));
    let loops = format!("program @p {{\nkernel @k() {{\n{}", numbered("%a# = f32 1 "));
    for source in [list, params, loops] {
        let (found, message) = refused(&source);
        assert!(found.iter().any(|d| d.code == Code::SourceSize), "{message}");
    }
}

#[test]
fn a_text_larger_than_the_limit() {
    let source = " ".repeat(Limit::Source.default_value() as usize + 1);
    let (found, message) = refused(&source);
    assert_eq!(found[0].code, Code::SourceSize);
    assert!(message.len() < 1024);
}

/// Thousands of mistakes: the first are shown, the rest counted.
#[test]
fn many_mistakes() {
    let lines: String = (0..100_000).map(|i| format!("  %{i} = convolve %x, %y{i} $\n")).collect();
    let start = Instant::now();
    let (found, message) = refused(&format!("{HEAD}{lines}  return %x\n}}\n"));
    assert!(found.len() <= 2 * text::MAX_ERRORS, "{}", found.len());
    let shown = message.matches("error[").count();
    assert!((10..=convoke_ir::diagnostic::MAX_SHOWN).contains(&shown) && message.len() < 4096, "{message}");
    assert!(message.contains(&format!("and {} more", found.len() - shown)), "{message}");
    assert!(start.elapsed() < Duration::from_secs(5));
}

/// Reading, checking and printing are linear: 20,000 lines take about twice as long as 10,000.
#[test]
fn a_chain_of_relu() {
    let chain = |n: usize| -> String {
        let lines: String = (0..n).map(|i| format!("  %v{} = relu %v{i}\n", i + 1)).collect();
        format!("{}{lines}  return %v{n}\n}}\n", HEAD.replace("%x", "%v0"))
    };
    for n in [10_000, 20_000, 200_000] {
        let source = chain(n);
        let start = Instant::now();
        let module = text::parse_and_verify(&source).expect("a chain is a layer");
        assert_eq!(module.to_string(), source);
        let mut names = layer::Names::of(&module.layers[0]);
        assert_eq!((0..n).map(|_| names.fresh("v1")).last().expect("n > 0"), format!("v1.{n}"));
        assert!(start.elapsed() < Duration::from_secs(5), "{n}: {:?}", start.elapsed());
    }
}

/// A builder does not look at every value for each new one.
#[test]
fn a_built_chain() {
    use convoke_ir::{elem::Elem, types::*};
    let mut b = layer::LayerBuilder::new("chain").expect("a name");
    let ty = TensorType::new(Elem::F32, [1, 4, 8, 8], Layout::Nchw).expect("a type");
    let mut x = b.param("x", ty).expect("the first value");
    let start = Instant::now();
    for _ in 0..100_000 {
        x = b.op(layer::Relu {}, &[x]).expect("a relu fits everything");
    }
    let layer = b.finish(&[x]).expect("a result");
    layer::verify(&layer).expect("a builder's layer is verified");
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[test]
fn text_of_an_input_is_escaped_and_cut() {
    assert_eq!(shown("a\u{1b}[31m\u{202e}b"), "a\\u{1b}[31m\\u{202e}b");
    assert_eq!(shown(&"é".repeat(1000)), format!("{}…", "é".repeat(200)));
    let (_, message) = refused(&format!("{HEAD}  %0 = {} %x\n  return %x\n}}\n", "o".repeat(1_000_000)));
    assert!(message.len() < 1024, "{}", message.len());
}

/// Line ends of either kind, a byte order mark, and characters a terminal would act on.
#[test]
fn excerpts_show_what_is_there() {
    let source = format!(
        "\u{feff}{HEAD}  %0 = relu %x // \u{9b}31m\u{200b}\u{1b} end {{}} %y\n  %1 = relu %y\n  return %x\n}}\n"
    );
    let source = source.replace("// ", "").replace('\n', "\r\n");
    let (_, message) = refused(&source);
    assert!(message.contains("bad.conv:3:13"), "{message}");
    assert!(message.contains("3 |   %1 = relu %y\n  |             ^^\n"), "{message}");
    assert!(!message.chars().any(|c| c != '\n' && (c.is_control() || c == '\u{200b}')), "{message:?}");
}

#[test]
fn bytes_that_are_not_utf8() {
    let found = text::parse_bytes(b"// \xC3\xA9\n// \xC3\xA9 \xFF").expect_err("FF is never UTF-8");
    assert_eq!(found[0].message, "byte FF at line 2, column 6 is not UTF-8");
}
