//! convoke beside its peers, layer by layer, from the results that the peers' harness wrote. See `docs/performance.md`.
//!
//! `cargo run -p convoke-benches --bin peers-table -- RESULTS.jsonl…`

mod grid;
mod json;
mod pairs;
mod records;
mod report;
mod splice;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;

use crate::grid::Style;

/// Prints, for each number of threads, how fast each layer is beside each peer, and what that comes to.
#[derive(Debug, Parser)]
struct Args {
    /// Results of the harness; later runs count before earlier ones
    #[arg(value_name = "RESULTS.jsonl", required = true)]
    files: Vec<PathBuf>,
    /// The name we have in the results
    #[arg(long, value_name = "NAME", default_value = "convoke")]
    ours: String,
    /// Write Markdown
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
    /// Write one JSON array, an object for each number of threads
    #[arg(long)]
    json: bool,
    /// Put the tables, as Markdown, into this document instead, between `<!-- peers: threads = N -->` and `<!-- end of peers -->`
    #[arg(long, value_name = "FILE.md", conflicts_with_all = ["markdown", "json"])]
    splice: Option<PathBuf>,
}

fn main() -> ExitCode {
    convoke_benches::exit(run(&Args::parse()))
}

fn run(args: &Args) -> Result<(), String> {
    let told = |path: &Path, why: String| format!("{}: {why}", path.display());
    let read = |path: &Path| std::fs::read_to_string(path).map_err(|e| told(path, e.to_string()));
    let mut runs = Vec::new();
    for path in &args.files {
        runs.extend(records::runs(&read(path)?).map_err(|why| told(path, why))?);
    }
    let tables = pairs::tables(&runs, &args.ours);
    if tables.is_empty() {
        return Err(format!("no results of `{}`", args.ours));
    }
    if let Some(path) = &args.splice {
        let mut document = read(path)?;
        for table in &tables {
            let report = report::report(table, Style::Markdown);
            document = splice::splice(&document, table.threads, &report).map_err(|why| told(path, why))?;
        }
        return std::fs::write(path, document).map_err(|e| told(path, e.to_string()));
    }
    if args.json {
        println!("{:#}", tables.iter().map(json::table).collect::<serde_json::Value>());
        return Ok(());
    }
    let style = if args.markdown { Style::Markdown } else { Style::Text };
    let reports: Vec<_> = tables.iter().map(|table| report::report(table, style)).collect();
    print!("{}", reports.join("\n"));
    Ok(())
}

#[cfg(test)]
mod tests;
