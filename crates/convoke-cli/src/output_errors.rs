//! The errors to expect of a net's outputs under `--max-output-error`, as text and as JSON.

use convoke::{Contribution, OutputErrors};
use serde_json::{Value, json};

use crate::table::Table;

/// A line for each output.
pub(crate) fn lines(errors: &OutputErrors) -> Vec<String> {
    let one = |output: &convoke::OutputError| {
        format!("%{}: {:.1e} of it, {:e} allowed", output.output, output.error, errors.limit)
    };
    errors.outputs.iter().map(one).collect()
}

/// The outputs, and what each convolution contributes.
pub(crate) fn section(errors: &OutputErrors) -> String {
    let mut text = String::from("\nerrors of outputs to expect, by --max-output-error\n");
    lines(errors).iter().for_each(|line| text += &format!("  {line}\n"));
    let mut table = Table::new(&["convolution", "alone", "with the limit", "error", "growth", "share"], "lllrrr");
    for own in &errors.convolutions {
        let chosen = if own.alone == own.chosen { "same".into() } else { own.chosen.form().to_string() };
        table.row([
            format!("%{}", own.value),
            own.alone.form().to_string(),
            chosen,
            format!("{:.1e}", own.error),
            format!("{:.1}", own.growth),
            percent(own.share),
        ]);
    }
    table.row([
        "all other ops".into(),
        String::new(),
        String::new(),
        String::new(),
        String::new(),
        percent(errors.others),
    ]);
    text + &table.finish()
        + "  alone: what it would have without the limit; error: to expect, relative to Σ|w||x|; growth: Σ|w||x| relative to the result, by\n    \
           root mean squares; share: of the square of the error of the worst output\n"
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

pub(crate) fn as_json(errors: &OutputErrors) -> Value {
    let convolution = |own: &Contribution| {
        json!({ "value": own.value, "alone": own.alone.form().to_string(), "alone_plan": own.alone.to_string(),
                "chosen": own.chosen.form().to_string(), "plan": own.chosen.to_string(), "error": own.error,
                "growth": own.growth, "share": own.share })
    };
    let outputs = errors.outputs.iter().map(|output| json!({ "output": output.output, "error": output.error }));
    json!({ "limit": errors.limit, "outputs": outputs.collect::<Vec<_>>(),
            "convolutions": errors.convolutions.iter().map(convolution).collect::<Vec<_>>(), "others": errors.others })
}
