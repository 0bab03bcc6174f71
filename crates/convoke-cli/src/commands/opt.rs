//! `convoke opt`: run passes and print the IR, at the end or after every pass.

use convoke::check::Translation;
use convoke::{Compiler, Error};
use convoke_data::Files;
use convoke_passes::registry::{self, Pass};
use convoke_passes::spec::Spec;
use convoke_passes::{Note, Outcome, Record, Stage, State};

use crate::args::{self, Opt};
use crate::failure::Failure;
use crate::io::Io;
use crate::options::{compiler, pass_failure};
use crate::sink::Outputs;
use crate::source;
use crate::weights::Weights;

/// The most multiplications of a layer or program that `--verify-each` runs: all kinds of inputs take a second or two after each pass.
const MAX_MULTIPLICATIONS: u64 = 10_000_000;

pub(crate) fn run(args: Opt, no_times: bool, io: &mut Io<'_>) -> Result<(), Failure> {
    let mut outputs = Outputs::of([args.file.as_path()].into_iter().chain(args.options.machine.as_deref()));
    outputs.announce(&args.output)?;
    let compiler = compiler(&args.options, [&args.file], io)?;
    let specs = args.passes.as_deref().map(Spec::parse_list).transpose().map_err(pass_failure)?;
    let module = source::module(&args.file, &args.options.which, io)?;
    outputs.reads(module.constant_files())?;
    let files = module.files().clone().with_budget(compiler.max_memory());
    let states = match args.options.which.layer.as_deref() {
        Some(name) => vec![State::Layer(compiler.declared(&module.layer(Some(name))?))],
        None if module.layers().is_empty() && module.programs().is_empty() => {
            vec![State::Layer(module.layer(None)?.ir().clone())]
        }
        None => {
            let layers = module.layers().iter().map(|layer| State::Layer(compiler.declared(layer)));
            layers.chain(module.programs().iter().cloned().map(State::Loops)).collect()
        }
    };

    let mut out = String::new();
    let mut weights = Weights::new(&args.output, &files);
    for state in states {
        if !out.is_empty() {
            out.push('\n');
        }
        let passes = passes(&compiler, specs.as_deref(), args.stage, state.stage())?;
        let show = Show { all: args.print_after_all, left: specs.is_some(), times: !no_times };
        let mut verdicts = Verdicts::new(args.verify_each, &compiler, &state, &files)?;
        let ended = one(&compiler, state, &passes, &files, show, &mut verdicts);
        verdicts.tell(io)?;
        let (log, mut end) = ended?;
        out += &log;
        if !args.print_after_all {
            weights.take(&mut end)?;
            out += &text(&end);
        }
    }
    weights.write(&mut outputs, io)?;
    outputs.write(&args.output, out.as_bytes(), io)?;
    outputs.commit()
}

/// The passes asked for. Without `--stage` layers stay layers, unless a pass over loops is named.
fn passes(
    compiler: &Compiler,
    specs: Option<&[Spec]>,
    stage: Option<args::Stage>,
    first: Stage,
) -> Result<Vec<Pass>, Failure> {
    let last = match (stage, first) {
        (_, Stage::Loops) | (Some(args::Stage::Loops), _) => Stage::Loops,
        (Some(args::Stage::Layer), _) => Stage::Layer,
        (None, Stage::Layer) => {
            let loops = |spec: &Spec| {
                registry::find(&spec.name).is_ok_and(|e| e.stage == Stage::Loops || e.name == registry::LOWER.name)
            };
            if specs.is_some_and(|specs| specs.iter().any(loops)) { Stage::Loops } else { Stage::Layer }
        }
    };
    match specs {
        Some(specs) => registry::chosen(specs, first, last).map_err(pass_failure),
        None => {
            Ok(compiler.pipeline(last)?.into_iter().filter(|p| first == Stage::Layer || p.stage() == first).collect())
        }
    }
}

/// The parts of the log of passes that are printed.
#[derive(Clone, Copy)]
struct Show {
    /// The IR after each.
    all: bool,
    /// Why values were left. Of a level's passes that is no news; `explain` tells it.
    left: bool,
    /// Times and predicted cycles.
    times: bool,
}

/// The findings of `--verify-each` on each pass.
struct Verdicts<'a> {
    /// Until a pass is wrong.
    translation: Option<Translation<'a>>,
    lines: String,
    wrong: Option<Error>,
}

impl<'a> Verdicts<'a> {
    /// Finds nothing unless `asked`.
    fn new(asked: bool, compiler: &'a Compiler, state: &State, files: &Files) -> Result<Verdicts<'a>, Failure> {
        let translation = asked.then(|| Translation::new(compiler, state, files, MAX_MULTIPLICATIONS)).transpose()?;
        Ok(Verdicts { translation, lines: String::new(), wrong: None })
    }

    fn observe(&mut self, record: &Record, state: &State) {
        let Some(translation) = &mut self.translation else { return };
        match translation.observe(record, state) {
            Ok(check) => self.lines += &format!("verify {}: {check}\n", record.pass),
            Err(error) => (self.translation, self.wrong) = (None, Some(error)),
        }
    }

    /// Writes a line for each pass. The first wrong pass is a failure, whatever became of those after it.
    fn tell(self, io: &mut Io<'_>) -> Result<(), Failure> {
        // If standard error is gone, there is no one to tell.
        let _ = io.stderr.write_all(self.lines.as_bytes());
        self.wrong.map_or(Ok(()), |error| Err(error.into()))
    }
}

/// Runs `passes`. Gives their log, and the state at the end.
fn one(
    compiler: &Compiler,
    state: State,
    passes: &[Pass],
    files: &Files,
    show: Show,
    verdicts: &mut Verdicts<'_>,
) -> Result<(String, State), Failure> {
    let Show { all, left, times } = show;
    let mut out = String::new();
    let mut unchanged: Vec<&str> = Vec::new();
    // Notes on single values stand before the text of the pass.
    let mut said = String::new();
    if all {
        out += &format!("// as given\n{}", text(&state));
    }
    let observer = |record: &Record, state: &State| {
        verdicts.observe(record, state);
        let told = record.notes.iter().filter(|note| left || matches!(note.outcome, Outcome::Rewritten(_)));
        let notes: String = told.map(|note| comment(record.pass, note, times)).collect();
        if !all {
            said += &notes;
            return;
        }
        if !record.changed.is_yes() && notes.is_empty() {
            unchanged.push(record.pass);
            return;
        }
        out += &nothing(&mut unchanged);
        let after = if record.changed.is_yes() { text(state) } else { String::new() };
        out += &format!("\n// {}\n{notes}{after}", title(record, times));
    };
    let end = compiler.run_passes(state, passes, files, observer).map_err(pass_failure)?;
    out += &nothing(&mut unchanged);
    Ok((out + &said, end))
}

/// The note of a pass on a value, as a comment.
fn comment(pass: &str, note: &Note, times: bool) -> String {
    let note = if times { note.with_prediction() } else { note.to_string() };
    let words = format!("{pass} {note}");
    words.lines().map(|line| format!("// {line}\n")).collect()
}

fn text(state: &State) -> String {
    match state {
        State::Layer(layer) => layer.to_string(),
        State::Loops(program) => program.to_string(),
    }
}

/// The passes that changed nothing, in a line.
fn nothing(unchanged: &mut Vec<&str>) -> String {
    match std::mem::take(unchanged).as_slice() {
        [] => String::new(),
        names => format!("\n// nothing to do for {}\n", names.join(", ")),
    }
}

/// The description of a pass, and its changes of the counts.
fn title(record: &Record, times: bool) -> String {
    let (b, a) = (&record.before, &record.after);
    let counts = [
        ("ops", b.ops, a.ops),
        ("parameters", b.parameters, a.parameters),
        ("multiplications", b.multiplications, a.multiplications),
        ("activation bytes", b.activation_bytes, a.activation_bytes),
    ];
    let summary = registry::find(record.pass).map_or("", |entry| entry.summary);
    let mut title = format!("{}: {summary}", record.pass);
    for (what, before, after) in counts.iter().filter(|(_, before, after)| before != after) {
        title += &format!("; {what} {before} -> {after}");
    }
    if times {
        title += &format!("; {:.2} ms", record.elapsed.as_secs_f64() * 1e3);
    }
    title
}
