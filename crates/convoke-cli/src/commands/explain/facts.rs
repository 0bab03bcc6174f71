//! The numbers of a convolution's candidates as every form of the report shows them: sorted, in seconds, marked.

use convoke::check::NetBounds;
use convoke::explain::{Explanation, Measured, Timing, WeightBounds};
use convoke::ir::layer::Range;
use convoke::{Algorithm, Compiler, Layer, Machine, Plan};
use convoke_bilinear::Partition;
use convoke_conv::{Budget, Estimate, Origin, Reason, Selection, kernel_blocks};
use serde_json::{Value, json};

use crate::options::{in_seconds, machine_line};

/// The term that the products themselves are under, in every plan.
pub(super) const PRODUCTS: &str = "multiply";

/// The term that weights packed in each run are under.
pub(super) const PACKING: &str = "pack";

/// The longest bar, in multiples of the fastest.
const BEYOND: f64 = 8.0;

/// All that the forms of the report are made of.
pub(super) struct Report<'a> {
    pub(super) compiler: &'a Compiler,
    pub(super) layer: &'a Layer,
    pub(super) explanation: &'a Explanation,
    /// The convolution that the report is of, by its place among the selections; `None` for all.
    pub(super) only: Option<usize>,
    /// The convolutions whose candidates were measured.
    pub(super) measured: Option<&'a [Measured]>,
    /// For each op of the compiled layer, if ops were measured, its seconds.
    pub(super) ops_measured: Option<&'a [Option<f64>]>,
    /// For each stage of the layer, if that was measured, its time or why it has none.
    pub(super) stages_measured: Option<&'a [Result<Timing, String>]>,
    /// The largest |x|, and for each convolution the bounds for its weights, if they were asked for.
    pub(super) ranged: Option<(f64, &'a [Option<WeightBounds>])>,
    /// The bounds for all inputs, if they were asked for.
    pub(super) bounds: Option<&'a NetBounds>,
    /// Whether times that differ from run to run are left out.
    pub(super) no_times: bool,
}

impl Report<'_> {
    /// The convolutions, in order.
    pub(super) fn views<'s>(&'s self) -> Vec<View<'s>> {
        let one = |(i, selection): (usize, &'s Selection)| {
            let measured = self.measured.and_then(|all| all.iter().find(|measured| measured.value == selection.value));
            let mut view = View::new(selection, self.compiler, measured, self.no_times);
            if let Some((range, all)) = self.ranged {
                view.bound_by(range, all.get(i).and_then(Option::as_ref));
            }
            view
        };
        let all = self.explanation.selections().iter().enumerate();
        all.filter(|(i, _)| self.only.is_none_or(|only| only == *i)).map(one).collect()
    }

    /// The measured seconds of the whole layer after its last pass.
    pub(super) fn whole_measured(&self) -> Option<f64> {
        let last = self.stages_measured.filter(|_| !self.no_times)?.last()?;
        Some(last.as_ref().ok()?.seconds)
    }

    /// The predicted time of a number of cycles.
    pub(super) fn in_seconds(&self, cycles: f64) -> f64 {
        in_seconds(cycles, self.compiler.machine())
    }

    /// The machine, with its clock, and what the predicted times are for.
    pub(super) fn machine(&self) -> String {
        let machine = self.compiler.machine();
        format!("{}, {} GHz; predicted times are those of one core", machine_line(machine), machine.ghz)
    }
}

/// One convolution.
pub(super) struct View<'a> {
    pub(super) selection: &'a Selection,
    pub(super) machine: &'a Machine,
    /// The candidates that can compute it, fastest first by prediction.
    pub(super) rows: Vec<Row<'a>>,
    /// The candidate that it would have in a loop of its own, where the choice was free and the net changed it.
    pub(super) in_a_loop: Option<Estimate>,
    /// Those that cannot, with their reasons: whom, and why. Sizes of a family with like reasons stand together.
    pub(super) refused: Vec<(String, String)>,
    /// Those that were left out of measuring.
    pub(super) skipped: Vec<Plan>,
    /// Whether it was measured.
    pub(super) measured: bool,
    /// The largest |x|, if it was declared and the weights are known.
    pub(super) range: Option<f64>,
    /// Threads that it was measured with.
    pub(super) threads: usize,
}

/// A candidate that can compute the convolution.
pub(super) struct Row<'a> {
    /// Its plan without sizes.
    pub(super) algorithm: Plan,
    pub(super) plan: &'a Estimate,
    pub(super) standing: Standing,
    /// Predicted time on one core.
    pub(super) seconds: f64,
    /// Multiplications of the convolution's sums over those it does.
    pub(super) fewer: f64,
    /// The bound for the layer's weights and the inputs declared, if that was asked for.
    pub(super) absolute: Option<f64>,
    /// Its times, or why it has none.
    pub(super) measured: Option<Result<Timing, String>>,
}

/// Whether a candidate may be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is chosen.
    Chosen,
    /// It might have been.
    Open,
    /// Its error is over the limit.
    Over,
    /// It is taken on request only.
    OnRequest,
}

impl Standing {
    /// A word for a table.
    pub(super) fn word(self) -> &'static str {
        match self {
            Standing::Chosen => "chosen",
            Standing::Open => "",
            Standing::Over => "over",
            Standing::OnRequest => "on request",
        }
    }
}

impl<'a> View<'a> {
    /// How the FFT of a row cuts the kernel, if it does.
    pub(super) fn blocks(&self, row: &Row<'_>) -> Option<[Partition; 2]> {
        kernel_blocks(row.algorithm.algorithm, &self.selection.conv)
    }

    pub(super) fn new(
        selection: &'a Selection,
        compiler: &'a Compiler,
        measured: Option<&Measured>,
        no_times: bool,
    ) -> View<'a> {
        let machine = compiler.machine();
        let (mut rows, mut refused) = (Vec::new(), Vec::new());
        for (algorithm, plan) in &selection.candidates {
            match plan {
                Ok(plan) => rows.push(Row {
                    algorithm: algorithm.form(),
                    plan,
                    standing: standing(selection, *algorithm, plan),
                    seconds: in_seconds(plan.cycles(), machine),
                    fewer: selection.conv.multiplications() as f64 / plan.cost.multiplications.max(1) as f64,
                    absolute: None,
                    measured: measured.filter(|_| !no_times).and_then(|m| time(m, *algorithm)),
                }),
                Err(refusal) => {
                    refused.push((algorithm.form(), refusal.to_string()));
                }
            }
        }
        rows.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
        let is_free = matches!(selection.reason, Reason::Fastest { .. } | Reason::Only);
        let skipped = measured.map(|m| m.skipped.iter().map(Plan::form).collect()).unwrap_or_default();
        View {
            selection,
            machine,
            rows,
            in_a_loop: if is_free { selection.in_a_loop(machine) } else { None },
            refused: grouped(refused),
            skipped,
            range: None,
            measured: measured.is_some() && !no_times,
            threads: compiler.threads(),
        }
    }

    /// Enters what the errors come to where no input is larger than `range`.
    fn bound_by(&mut self, range: f64, weights: Option<&WeightBounds>) {
        let Some(weights) = weights else { return };
        for ((algorithm, _), bound) in self.selection.candidates.iter().zip(&weights.bounds) {
            for row in self.rows.iter_mut().filter(|row| row.plan.plan == *algorithm) {
                row.absolute = bound.map(|bound| bound * weights.gain * range);
            }
        }
        self.range = Some(range);
    }

    /// The candidate chosen.
    pub(super) fn chosen(&self) -> Option<&Row<'a>> {
        self.rows.iter().find(|row| row.standing == Standing::Chosen)
    }

    /// The terms of predicted cycles, each name once: the products, then the terms of the fastest candidate, and so on.
    pub(super) fn terms(&self) -> Vec<&'static str> {
        let mut names = vec![PRODUCTS];
        for term in self.rows.iter().flat_map(|row| &row.plan.cost.terms).filter(|term| term.cycles > 0.0) {
            if !names.contains(&term.name) {
                names.push(term.name);
            }
        }
        names
    }

    /// Predicted seconds of the term `name` of a candidate; 0 if it has none.
    pub(super) fn term(&self, row: &Row<'_>, name: &str) -> f64 {
        let cycles = row.plan.cost.terms.iter().filter(|term| term.name == name).map(|term| term.cycles).sum();
        in_seconds(cycles, self.machine)
    }

    /// Floating-point operations that a candidate does in its products, two for each multiplication.
    pub(super) fn flops(&self, row: &Row<'_>) -> f64 {
        2.0 * row.plan.cost.multiplications as f64
    }

    /// Floating-point operations of the convolution as its sums are written.
    pub(super) fn nominal_flops(&self) -> f64 {
        2.0 * self.selection.conv.multiplications() as f64
    }

    /// The longest `time` of a bar: a candidate beyond [`BEYOND`] times the fastest is cut off, lest all others be too short to see.
    pub(super) fn longest(&self, time: impl Fn(&Row<'_>) -> f64) -> f64 {
        let shortest = self.rows.iter().map(|row| row.seconds).fold(f64::INFINITY, f64::min);
        let times = self.rows.iter().filter(|row| row.seconds <= BEYOND * shortest).map(time);
        times.fold(f64::MIN_POSITIVE, f64::max)
    }

    /// The measured candidates that may be chosen, fastest first, and the time of the chosen one, if it has one.
    pub(super) fn verdict(&self) -> Option<(Vec<(&Row<'a>, f64)>, f64)> {
        let time = |row: &Row<'_>| Some(row.measured.as_ref()?.as_ref().ok()?.seconds);
        let chosen = time(self.chosen()?)?;
        let open = self.rows.iter().filter(|row| matches!(row.standing, Standing::Chosen | Standing::Open));
        let mut open: Vec<_> = open.filter_map(|row| Some((row, time(row)?))).collect();
        open.sort_by(|a, b| a.1.total_cmp(&b.1));
        Some((open, chosen))
    }

    /// The time of the choice beyond the fastest it might have been, relative: 0.1 is 10 % longer.
    pub(super) fn regret(&self) -> Option<f64> {
        let (open, chosen) = self.verdict()?;
        Some(chosen / open.first()?.1 - 1.0)
    }
}

impl Row<'_> {
    /// The measured time if there is one, or else the predicted one.
    pub(super) fn best_known(&self) -> f64 {
        self.measured.as_ref().and_then(|m| m.as_ref().ok()).map_or(self.seconds, |timing| timing.seconds)
    }

    /// Measured seconds.
    pub(super) fn timing(&self) -> Option<&Timing> {
        self.measured.as_ref()?.as_ref().ok()
    }
}

/// Refusals with those of the same words put together, as are those of one family that differ in numbers alone.
fn grouped(refused: Vec<(Plan, String)>) -> Vec<(String, String)> {
    let words = |reason: &str| reason.chars().filter(|c| !c.is_ascii_digit()).collect::<String>();
    let mut groups: Vec<Vec<(Plan, String)>> = Vec::new();
    for (algorithm, reason) in refused {
        let alike = |(first, known): &(Plan, String)| {
            *known == reason
                || first.algorithm.family() == algorithm.algorithm.family() && words(known) == words(&reason)
        };
        match groups.iter_mut().find(|group| group.first().is_some_and(alike)) {
            Some(group) => group.push((algorithm, reason)),
            None => groups.push(vec![(algorithm, reason)]),
        }
    }
    let told = groups.into_iter().map(|group| {
        let reason = group[0].1.clone();
        let (same, other): (Vec<_>, Vec<_>) = group.into_iter().partition(|(_, r)| *r == reason);
        let algorithms = |group: Vec<(Plan, String)>| list(&group.into_iter().map(|(a, _)| a).collect::<Vec<_>>());
        let likewise = if other.is_empty() { String::new() } else { format!("; likewise {}", algorithms(other)) };
        (algorithms(same), reason + &likewise)
    });
    told.collect()
}

fn standing(selection: &Selection, algorithm: Plan, plan: &Estimate) -> Standing {
    if algorithm == selection.chosen {
        Standing::Chosen
    } else if !selection.budget.allows(plan) {
        Standing::Over
    } else if (algorithm.algorithm == Algorithm::Im2col { explicit: true }) && selection.reason != Reason::Asked {
        Standing::OnRequest
    } else {
        Standing::Open
    }
}

fn time(measured: &Measured, algorithm: Plan) -> Option<Result<Timing, String>> {
    let (_, time) = measured.times.iter().find(|(a, _)| *a == algorithm)?;
    Some(time.as_ref().map(|timing| *timing).map_err(|error| error.render(false)))
}

/// The limit on errors, in words: `2.9e-5, ten times the error to expect of a plain sum`.
pub(super) fn budget(budget: &Budget) -> String {
    let kind = if budget.certified { "certified bound" } else { "error to expect" };
    let whose = match budget.origin {
        Origin::Given => format!("by --max-error, held against the {kind}"),
        Origin::Default => format!("{} times the {kind} of a plain sum", Budget::TIMES),
        Origin::Shared => format!("its share of --max-output-error, held against the {kind}"),
    };
    format!("{}, {whose}", error(budget.limit))
}

/// A count as JSON, to the last digit as far as JSON's readers take it.
pub(super) fn whole(count: u128) -> Value {
    u64::try_from(count).map_or_else(|_| json!(count as f64), Value::from)
}

/// An error as people read it.
pub(super) fn error(error: f64) -> String {
    match error {
        0.0 => "0".into(),
        error if (1.0..1e3).contains(&error) => format!("{error:.1}"),
        error => format!("{error:.1e}"),
    }
}

/// The scale of the error to expect.
pub(super) fn relative(view: &View<'_>) -> String {
    match view.selection.conv.range {
        Some(range) => format!("Σ|w|·max(|x|, {:e}) of the output element", range.least()),
        None => "Σ|w||x| of the output element".into(),
    }
}

/// The inputs that the error to expect assumes.
pub(super) fn assumption(view: &View<'_>) -> String {
    match view.selection.conv.range {
        Some(range) => format!(
            "for inputs of magnitudes in {range}: algorithms that mix the inputs of a tile have their error counted {} times",
            error(range.spread())
        ),
        None => "for inputs of like magnitude within a tile and of mean zero".into(),
    }
}

/// The quantity that a certified bound is relative to, for the candidates there are.
pub(super) fn relative_to(algorithm: Plan, range: Option<Range>) -> String {
    match (algorithm.algorithm, range) {
        (Algorithm::Winograd { .. } | Algorithm::Fft { .. }, None) => "Σ|w|·max|x| over a tile".into(),
        (Algorithm::Strassen { .. }, None) => "max Σ|w|·max|x| over all".into(),
        (Algorithm::Winograd { .. } | Algorithm::Fft { .. }, Some(r)) => format!("Σ|w|·max(|x|, {:e})", r.least()),
        (Algorithm::Strassen { .. }, Some(r)) => format!("max Σ|w|·max(|x|, {:e}) over all", r.least()),
        _ => "Σ|w||x|".into(),
    }
}

/// The quantities that the bounds of these candidates are relative to: `Σ|w||x| (direct, im2col), Σ|w|·max|x| over a tile (winograd(4x4))`.
pub(super) fn bounds(rows: &[Row<'_>], range: Option<Range>) -> String {
    let mut known: Vec<(String, Vec<String>)> = Vec::new();
    for row in rows {
        let (what, name) = (relative_to(row.algorithm, range), row.algorithm.to_string());
        let family = name.split('(').next().unwrap_or(&name).to_owned();
        match known.iter_mut().find(|(w, _)| *w == what) {
            Some((_, whom)) if whom.contains(&family) => {}
            Some((_, whom)) => whom.push(family),
            None => known.push((what, vec![family])),
        }
    }
    let one = |(what, whom): &(String, Vec<String>)| format!("{what} ({})", whom.join(", "));
    known.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// Algorithms in a list: `winograd(2x2), (4x4), depthwise`.
pub(super) fn list(algorithms: &[Plan]) -> String {
    let mut families: Vec<(String, Vec<String>)> = Vec::new();
    for algorithm in algorithms {
        let text = algorithm.to_string();
        let (name, size) = text.split_once('(').map_or((text.as_str(), None), |(name, size)| (name, Some(size)));
        let size = size.map(|size| format!("({size}"));
        match families.iter_mut().find(|(known, sizes)| known == name && !sizes.is_empty()) {
            Some((_, sizes)) if size.is_some() => sizes.extend(size),
            _ => families.push((name.into(), size.into_iter().collect())),
        }
    }
    families.into_iter().map(|(name, sizes)| name + &sizes.join(" ")).collect::<Vec<_>>().join(", ")
}
