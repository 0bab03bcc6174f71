//! The report of a net as text: a row for each op, the sums, and the kinds of ops.

use super::rows::{Net, Row, Sums};
use crate::commands::explain::facts::{Report, error};
use crate::commands::explain::ieee;
use crate::commands::explain::text::{errors, header, passes, waterfall_of, wrapped};
use crate::table::{Table, bytes, count, seconds};

/// Cells of the longest bar.
const BAR: f64 = 8.0;
/// Characters of a name that a row shows; longer ones lose their middle.
const NAME: usize = 46;

pub(crate) fn text(report: &Report<'_>, net: &Net<'_>) -> String {
    let mut text = header(report);
    text += &format!("\n{} ops as compiled\n{}", net.rows.len(), ops(net));
    text += &headings(net);
    text += &in_a_loop(report).map_or_else(String::new, |said| wrapped(&said));
    text += &ieee::algorithms(report).map_or_else(String::new, |warning| wrapped(&warning));
    text += &format!("\n{}", sums(net));
    text += &format!("\nkinds of ops\n{}", kinds(net));
    text += &errors(report);
    text += &waterfall_of(report);
    text += &format!("\npasses of -O{}\n", report.compiler.level());
    text += &passes(report.explanation.records(), report.no_times);
    if let Some(row) =
        net.rows.iter().filter(|row| row.selection.is_some()).max_by(|a, b| share(a).total_cmp(&share(b)))
    {
        text += &format!(
            "\n`--of %{}` shows the candidates of the longest convolution; any other can be named too\n",
            row.value
        );
    }
    text
}

/// The number of convolutions that would have another algorithm in a loop of their own, with the name of one.
fn in_a_loop(report: &Report<'_>) -> Option<String> {
    let views = report.views();
    let other: Vec<String> =
        views.iter().filter(|view| view.in_a_loop.is_some()).map(|view| format!("%{}", view.selection.value)).collect();
    let first = other.first()?;
    Some(format!(
        "{} of {} convolutions would have another algorithm in a loop of their own; `--of {first}` says which, and why",
        other.len(),
        views.len()
    ))
}

fn share(row: &Row<'_>) -> f64 {
    row.share.unwrap_or(0.0)
}

fn ops(net: &Net<'_>) -> String {
    let mut headings = vec!["value", "op", "shape", "algorithm", "fused", "multiplications", "predicted"];
    headings.extend(net.is_measured.then_some("measured"));
    headings.extend(["share", "", "error"]);
    let mut table = Table::new(&headings, format!("lllll{}lr", "r".repeat(headings.len() - 7)));
    for row in &net.rows {
        let mut cells = vec![
            format!("%{}", shortened(row.value)),
            row.op.into(),
            row.shape.clone(),
            row.algorithm(),
            row.fused.join(", "),
            if row.multiplications > 0 { count(row.multiplications as f64) } else { "-".into() },
            time(row.predicted),
        ];
        cells.extend(net.is_measured.then(|| time(row.measured)));
        cells.extend([
            percent(row.share),
            bar(share(row) / net.largest()),
            row.error.map_or_else(|| "-".into(), error),
        ]);
        table.row(cells);
    }
    table.finish()
}

/// The meaning of the columns, in words.
fn headings(net: &Net<'_>) -> String {
    let mut text = wrapped(
        "shape: window, channels and rows x columns of the result; algorithm: with its lanes and its input; multiplications: those that the chosen algorithm does; error: to expect of a \
         convolution by its algorithm, relative as its own report says",
    );
    text += &wrapped(
        "predicted: on one core, of convolutions by the cost model, of other ops by the bytes that they read and write, even where the code shares \
         memory in place of a copy",
    );
    let measured = "measured: the kernels of each op inside runs of the net, on random inputs; `-`: no kernel of its own; share: of the sum of the measured times";
    text + &wrapped(if net.is_measured { measured } else { "share: of the sum of the predicted times" })
}

/// The sums of a net, one in a line.
fn sums(net: &Net<'_>) -> String {
    let mut text = String::from("in all\n");
    for (number, what) in summed(&net.sums) {
        text += &format!("  {number:>10}  {what}\n");
    }
    text
}

/// The sums as words: each number, and what it is.
pub(super) fn summed(sums: &Sums) -> Vec<(String, String)> {
    let written = match sums.written == sums.multiplications {
        true => String::new(),
        false => format!(", {} in the sums as written", count(sums.written as f64)),
    };
    let mut all = vec![
        (count(sums.multiplications as f64), format!("multiplications{written}")),
        (count(sums.parameters as f64), "parameters".into()),
        (seconds(sums.predicted), "predicted, on one core".into()),
    ];
    all.extend(sums.measured.map(|time| (seconds(time), "measured, the sum of ops inside runs of the net".into())));
    all.extend(sums.whole.map(|time| (seconds(time), "measured, the net as a whole".into())));
    let [least, unshared] = [sums.workspace.least, sums.workspace.unshared].map(|n| bytes(n as u64));
    let shared = format!("of scratch in a run; {least} are live at once, {unshared} are all buffers together");
    all.push((bytes(sums.workspace.bytes as u64), shared));
    all
}

fn kinds(net: &Net<'_>) -> String {
    let mut headings = vec!["kind", "ops", "multiplications", "predicted"];
    headings.extend(net.is_measured.then_some("measured"));
    headings.extend(["share", ""]);
    let mut table = Table::new(&headings, format!("l{}l", "r".repeat(headings.len() - 2)));
    let kinds = net.kinds();
    let largest = kinds.iter().map(|kind| kind.share).fold(f64::MIN_POSITIVE, f64::max);
    for kind in &kinds {
        let mut cells = vec![
            kind.kind.words(),
            kind.ops.to_string(),
            if kind.multiplications > 0 { count(kind.multiplications as f64) } else { "-".into() },
            seconds(kind.predicted),
        ];
        cells.extend(kind.measured.map(seconds));
        cells.extend([percent(Some(kind.share)), bar(kind.share / largest)]);
        table.row(cells);
    }
    table.finish()
}

/// A name of at most [`NAME`] characters.
pub(super) fn shortened(name: &str) -> String {
    let all: Vec<char> = name.chars().collect();
    if all.len() <= NAME {
        return name.into();
    }
    let half = (NAME - 1) / 2;
    all[..half].iter().chain(&['…']).chain(&all[all.len() - half..]).collect()
}

pub(super) fn time(time: Option<f64>) -> String {
    time.map_or_else(|| "-".into(), seconds)
}

/// A share: `12.3 %`.
pub(super) fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "-".into(), |share| format!("{:.1} %", 100.0 * share))
}

/// A bar for a part between 0 and 1; anything but 0 has an eighth of a cell at least.
fn bar(part: f64) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (part.clamp(0.0, 1.0) * BAR * 8.0).ceil() as usize;
    "█".repeat(eighths / 8) + EIGHTHS[eighths % 8]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_and_names_keep_their_width() {
        assert_eq!([bar(0.0), bar(1e-9), bar(0.5), bar(1.0)], ["".into(), "▏".into(), "█".repeat(4), "█".repeat(8)]);
        let long = "model_0_block_17_expand_relu6_project_conv_output_0";
        assert_eq!(shortened(long).chars().count(), 45);
        assert!(shortened(long).starts_with("model_0_block_17_") && shortened(long).ends_with("output_0"));
        assert_eq!(shortened("conv1"), "conv1");
    }
}
