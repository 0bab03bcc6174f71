//! `convoke algorithms`: fast algorithms as data, listed, printed, proved.

use std::io::Read;
use std::path::Path;

use convoke::ir::diagnostic::shown;
use convoke_bilinear::straight::Straight;
use convoke_bilinear::{Bilinear, Proved, catalog, file};
use serde_json::{Value, json};

use crate::args::Algorithms;
use crate::failure::{Failure, quoting};
use crate::io::Io;
use crate::sink;
use crate::source::is_standard;
use crate::table::Table;

pub(crate) fn run(args: Algorithms, io: &mut Io<'_>) -> Result<(), Failure> {
    if let Some(name) = &args.name {
        let names = || catalog::all().iter().map(|a| a.name.clone()).collect::<Vec<_>>().join(", ");
        let algorithm = catalog::find(name)
            .ok_or_else(|| Failure::Usage(format!("there is no algorithm `{}`; known are {}", shown(name), names())))?;
        return sink::print(io, &file::print(&algorithm));
    }
    if let Some(path) = &args.verify {
        let text = read(path, io)?;
        let proved = file::parse(&text).map_err(|error| {
            Failure::Input(format!("{}: {}", shown(&path.to_string_lossy()), quoting(&error.to_string())))
        })?;
        return if args.format.json { sink::json(io, &as_json(&proved)) } else { sink::print(io, &described(&proved)) };
    }
    let algorithms = catalog::all();
    if args.format.json {
        return sink::json(io, &algorithms.iter().map(as_json).collect::<Vec<Value>>().into());
    }
    let headings = ["algorithm", "computes", "products", "saves", "additions", "amplification", "residual", "source"];
    let mut table = Table::new(&headings, "llrrrrrl");
    for algorithm in &algorithms {
        table.row([
            algorithm.name.clone(),
            algorithm.problem.to_string(),
            algorithm.rank().to_string(),
            format!("{:.2}x", algorithm.saving()),
            additions(algorithm).iter().sum::<usize>().to_string(),
            format!("{:.1}", algorithm.amplification()),
            residual(algorithm),
            algorithm.source.clone(),
        ]);
    }
    sink::print(io, &table.finish())
}

/// One algorithm, a line for each of its numbers.
fn described(algorithm: &Proved) -> String {
    let [a, b, y] = additions(algorithm);
    let (definition, products) = (algorithm.problem.multiplications(), algorithm.rank());
    let proved = if algorithm.rounding() == 0.0 {
        "every coefficient is as it must be".to_owned()
    } else {
        format!("every coefficient is as it must be to within {}", residual(algorithm))
    };
    let mut table = Table::new(&["proved", &proved], "ll");
    for (name, value) in [
        ("algorithm", shown(&algorithm.name)),
        ("computes", algorithm.problem.to_string()),
        ("products", format!("{products}, the definition takes {definition}: {:.2}x as many", algorithm.saving())),
        ("additions", format!("{}: {a} on a, {b} on b, {y} on the products", a + b + y)),
        ("amplification", format!("{:.1}", algorithm.amplification())),
        ("source", shown(&algorithm.source)),
    ] {
        table.row([name.to_owned(), value]);
    }
    table.finish()
}

/// The largest error of a coefficient.
fn residual(algorithm: &Proved) -> String {
    match algorithm.rounding() {
        0.0 => "0".to_owned(),
        rounding => format!("{rounding:.1e}"),
    }
}

/// Operations of the transforms of a, of b, and of the result.
fn additions(algorithm: &Bilinear) -> [usize; 3] {
    [&algorithm.a, &algorithm.b, &algorithm.c.transposed()].map(|matrix| Straight::of(matrix).operations())
}

fn as_json(algorithm: &Proved) -> Value {
    let [a, b, y] = additions(algorithm);
    json!({
        "name": algorithm.name, "computes": algorithm.problem.to_string(), "products": algorithm.rank(),
        "saves": algorithm.saving(), "additions": { "a": a, "b": b, "y": y },
        "amplification": algorithm.amplification(), "residual": algorithm.rounding(), "source": algorithm.source,
    })
}

/// The text of a file, of which no more than an algorithm can have is read.
fn read(path: &Path, io: &mut Io<'_>) -> Result<String, Failure> {
    let failed =
        |error: std::io::Error| Failure::Input(format!("cannot read {}: {error}", shown(&path.to_string_lossy())));
    let mut text = String::new();
    let most = file::MAX_BYTES as u64 + 1;
    if is_standard(path) {
        (&mut *io.stdin).take(most).read_to_string(&mut text).map_err(failed)?;
    } else {
        convoke_data::open_text(path).map_err(failed)?.take(most).read_to_string(&mut text).map_err(failed)?;
    }
    Ok(text)
}
