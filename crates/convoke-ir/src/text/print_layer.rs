//! Printing of layer IR.

use std::fmt::{self, Display, Formatter, Write};

use super::Module;
use super::lexer::escape;
use crate::attr::Attr;
use crate::layer::{Generator, Layer, Line, Op, Percent, Range, Source, ValueId};
use crate::types::TensorType;

impl Display for Module {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut blank = "";
        for layer in &self.layers {
            write!(f, "{blank}{layer}")?;
            blank = "\n";
        }
        for program in &self.programs {
            write!(f, "{blank}{program}")?;
            blank = "\n";
        }
        Ok(())
    }
}

/// Prints the layer, a line for each constant and instruction, with a line end behind the brace.
impl Display for Layer {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "layer @{}(", self.name)?;
        for (i, &id) in self.params.iter().enumerate() {
            let value = &self.values[id];
            write!(f, "{}{}: {}", comma(i), Percent(&value.name), value.ty)?;
            if let Some(range) = value.range {
                write!(f, " in {range}")?;
            }
        }
        f.write_str(") -> ")?;
        match self.results.as_slice() {
            [id] => self.ty(*id).fmt(f)?,
            ids => {
                f.write_str("(")?;
                for (i, &id) in ids.iter().enumerate() {
                    write!(f, "{}{}", comma(i), self.ty(id))?;
                }
                f.write_str(")")?;
            }
        }
        f.write_str(" {\n")?;
        for line in self.lines() {
            match line {
                Line::Const(id, source) => {
                    let value = &self.values[id];
                    write!(f, "  {} = const {} = ", Percent(&value.name), value.ty)?;
                    write_source(f, source, &value.ty)?;
                    f.write_str("\n")?;
                }
                Line::Instr(instr) => {
                    let result = &self.values[instr.result];
                    write!(f, "  {}", Percent(&result.name))?;
                    if let Some(storage) = result.storage {
                        write!(f, ": {storage}")?;
                    }
                    f.write_str(" = ")?;
                    self.write_op(f, &instr.op, &instr.args)?;
                    for step in &instr.then {
                        f.write_str(" then ")?;
                        self.write_op(f, &step.op, &step.args)?;
                    }
                    f.write_str("\n")?;
                }
            }
        }
        f.write_str("  return")?;
        for (i, &id) in self.results.iter().enumerate() {
            write!(f, "{}{}", if i == 0 { " " } else { ", " }, Percent(&self.values[id].name))?;
        }
        f.write_str("\n}\n")
    }
}

impl Layer {
    fn write_op(&self, f: &mut Formatter<'_>, op: &Op, args: &[ValueId]) -> fmt::Result {
        f.write_str(op.name())?;
        for (i, &id) in args.iter().enumerate() {
            write!(f, "{}{}", if i == 0 { " " } else { ", " }, Percent(&self.values[id].name))?;
        }
        let attrs = op.attrs();
        if attrs.is_empty() {
            return Ok(());
        }
        f.write_str(" { ")?;
        write_settings(f, &attrs)?;
        f.write_str(" }")
    }
}

/// As the text form writes it: `[0.0039, 1]`.
impl Display for Range {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {}]", number(self.least()), number(self.most()))
    }
}

fn comma(i: usize) -> &'static str {
    if i == 0 { "" } else { ", " }
}

fn write_settings(f: &mut Formatter<'_>, settings: &[(&str, Attr)]) -> fmt::Result {
    for (i, (name, value)) in settings.iter().enumerate() {
        write!(f, "{}{name} = {value}", comma(i))?;
    }
    Ok(())
}

/// What stands behind `=` of a constant.
pub(super) fn write_source(f: &mut Formatter<'_>, source: &Source, ty: &TensorType) -> fmt::Result {
    match source {
        Source::Unbound => f.write_str("unbound"),
        Source::Numbers(numbers) => write_numbers(f, numbers, ty),
        Source::Generate(generator) => write_generator(f, generator),
        Source::File { path, name: None } => write!(f, "file({})", escape(path)),
        Source::File { path, name: Some(name) } => write!(f, "file({}, {})", escape(path), escape(name)),
        Source::Computed(numbers) => write!(f, "computed({})", numbers.len()),
    }
}

fn write_generator(f: &mut Formatter<'_>, generator: &Generator) -> fmt::Result {
    f.write_str(generator.name())?;
    let args = generator.args();
    if args.is_empty() {
        return Ok(());
    }
    f.write_str("(")?;
    write_settings(f, &args)?;
    f.write_str(")")
}

/// One number if all are the same, else lists nested as the type; a flat list if the count is wrong.
fn write_numbers(f: &mut Formatter<'_>, numbers: &[f64], ty: &TensorType) -> fmt::Result {
    let same = |a: &f64, b: &f64| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan();
    let fits = numbers.len() == ty.elements();
    if fits && (2..=super::parser::MAX_FILL).contains(&numbers.len()) && numbers.iter().all(|n| same(n, &numbers[0])) {
        return f.write_str(&number(numbers[0]));
    }
    // Elements of a list at each depth, innermost first.
    let dims = if fits { ty.shape.dims() } else { &[] };
    let mut sizes: Vec<usize> = dims
        .iter()
        .rev()
        .scan(1, |n, d| {
            *n *= d;
            Some(*n)
        })
        .collect();
    if sizes.is_empty() {
        sizes.push(numbers.len());
    }
    for (i, &n) in numbers.iter().enumerate() {
        if i > 0 {
            f.write_str(", ")?;
        }
        for _ in sizes.iter().filter(|&&size| i % size == 0) {
            f.write_char('[')?;
        }
        f.write_str(&number(n))?;
        for _ in sizes.iter().filter(|&&size| (i + 1) % size == 0) {
            f.write_char(']')?;
        }
    }
    if numbers.is_empty() { f.write_str("[]") } else { Ok(()) }
}

/// A number that reads back as the same bits; whole numbers without a point.
pub(crate) fn number(n: f64) -> String {
    if n.is_nan() {
        return "nan".into();
    }
    let text = format!("{n:?}");
    match text.strip_suffix(".0") {
        Some(whole) => whole.to_owned(),
        None => text,
    }
}
