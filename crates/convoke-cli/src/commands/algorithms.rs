//! `convoke algorithms`: fast algorithms as data, listed, printed, proved.

use std::io::Read;
use std::path::Path;

use convoke::bilinear::straight::Straight;
use convoke::bilinear::{Bilinear, catalog, file};
use serde_json::{Value, json};

use crate::args::Algorithms;
use crate::failure::Failure;
use crate::io::Io;
use crate::sink;
use crate::source::is_standard;
use crate::table::Table;

pub(crate) fn run(args: Algorithms, io: &mut Io<'_>) -> Result<(), Failure> {
    if let Some(name) = &args.name {
        let names = || catalog::all().iter().map(|a| a.name.clone()).collect::<Vec<_>>().join(", ");
        let algorithm = catalog::find(name)
            .ok_or_else(|| Failure::Usage(format!("there is no algorithm `{name}`; known are {}", names())))?;
        return sink::print(io, &file::print(&algorithm));
    }
    let algorithms = match &args.verify {
        None => catalog::all(),
        Some(path) => {
            let text = read(path, io)?;
            vec![file::parse(&text).map_err(|error| Failure::Input(format!("{}: {error}", path.display())))?]
        }
    };
    if args.json {
        let all: Vec<Value> = algorithms.iter().map(|algorithm| as_json(algorithm)).collect();
        let value = if args.verify.is_some() { all.into_iter().next().unwrap_or_default() } else { all.into() };
        return sink::json(io, &value);
    }
    let mut table =
        Table::new(&["algorithm", "computes", "products", "saves", "additions", "amplification", "source"], "llrrrrl");
    for algorithm in &algorithms {
        table.row([
            algorithm.name.clone(),
            algorithm.problem.to_string(),
            algorithm.rank().to_string(),
            format!("{:.2}x", algorithm.saving()),
            additions(algorithm).iter().sum::<usize>().to_string(),
            format!("{:.1}", algorithm.amplification()),
            algorithm.source.clone(),
        ]);
    }
    let proved = if args.verify.is_some() { "proved: every coefficient is as it must be\n\n" } else { "" };
    sink::print(io, &format!("{proved}{}", table.finish()))
}

/// Operations of the transforms of a, of b, and of the result.
fn additions(algorithm: &Bilinear) -> [usize; 3] {
    [&algorithm.a, &algorithm.b, &algorithm.c.transposed()].map(|matrix| Straight::of(matrix).operations())
}

fn as_json(algorithm: &Bilinear) -> Value {
    let [a, b, y] = additions(algorithm);
    json!({
        "name": algorithm.name, "computes": algorithm.problem.to_string(), "products": algorithm.rank(),
        "saves": algorithm.saving(), "additions": { "a": a, "b": b, "y": y },
        "amplification": algorithm.amplification(), "source": algorithm.source,
    })
}

/// The text of a file, of which no more than an algorithm can have is read.
fn read(path: &Path, io: &mut Io<'_>) -> Result<String, Failure> {
    let failed = |error: std::io::Error| Failure::Input(format!("cannot read {}: {error}", path.display()));
    let mut text = String::new();
    let most = file::MAX_BYTES as u64 + 1;
    if is_standard(path) {
        (&mut *io.stdin).take(most).read_to_string(&mut text).map_err(failed)?;
    } else {
        std::fs::File::open(path).map_err(failed)?.take(most).read_to_string(&mut text).map_err(failed)?;
    }
    Ok(text)
}
