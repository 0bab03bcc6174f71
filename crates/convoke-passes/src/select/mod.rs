//! Algorithm selection: every candidate, its cost, and the choice with its reason.
//!
//! Candidates stand in [`CANDIDATES`], one file each. Each gives a [`Plan`] in numbers or a [`Refusal`] in numbers; the
//! plan with the fewest predicted cycles is chosen. `explain` prints the same [`Selection`]s that the pass decides by.
//!
//! # Error
//!
//! All candidates here are plain sums in the element type, in one order or another, and a layer means no more than
//! that: the order of a sum is not part of its meaning. They are therefore allowed whatever `--max-error` says, 0
//! included, even where the sum is so long that its own bound exceeds E. What `--max-error` limits is an algorithm that
//! rounds more than a plain sum does.

mod conv;
mod cost;
mod depthwise;
mod direct;
mod im2col;
mod plan;

use std::fmt;

use convoke_ir::attr::{Algorithm, Attr, AttrType};
use convoke_ir::layer::{Instr, Layer, Op};
use convoke_machine::Machine;

pub use conv::Conv;
pub use plan::{Plan, Refusal, Term};

use crate::error::PassError;
use crate::guarantee::{Exact, Granted};
use crate::pass::{Changed, Context, LayerPass, PassOption};

/// A way to compute a convolution.
#[derive(Clone, Copy)]
pub struct Candidate {
    /// Its name.
    pub algorithm: Algorithm,
    /// Whether it is only taken when asked for.
    pub on_request: bool,
    plan: fn(&Conv, &Machine) -> Result<Plan, Refusal>,
}

impl Candidate {
    /// What it costs to compute `conv` this way, or why it cannot be.
    pub fn plan(&self, conv: &Conv, machine: &Machine) -> Result<Plan, Refusal> {
        (self.plan)(conv, machine)
    }
}

/// Every candidate. Of equal costs the first is chosen.
pub const CANDIDATES: &[Candidate] = &[
    Candidate { algorithm: Algorithm::Direct, on_request: false, plan: direct::plan },
    Candidate { algorithm: Algorithm::Im2col { explicit: false }, on_request: false, plan: im2col::implicit },
    Candidate { algorithm: Algorithm::Im2col { explicit: true }, on_request: true, plan: im2col::explicit },
    Candidate { algorithm: Algorithm::Depthwise, on_request: false, plan: depthwise::plan },
];

/// What was weighed for one convolution, and what was chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Selection {
    /// The value it computes, without `%`.
    pub value: String,
    /// Its numbers.
    pub conv: Conv,
    /// Every candidate, in order.
    pub candidates: Vec<(Algorithm, Result<Plan, Refusal>)>,
    /// The algorithm chosen.
    pub chosen: Algorithm,
    /// Why.
    pub reason: Reason,
}

/// Why an algorithm was chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reason {
    /// The text or the user names it.
    Asked,
    /// No other applies.
    Only,
    /// It has the fewest predicted cycles.
    Fastest {
        /// Its predicted cycles.
        cycles: f64,
        /// The next best, and its predicted cycles.
        next: (Algorithm, f64),
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Asked => f.write_str("asked for"),
            Reason::Only => f.write_str("the only one that applies"),
            Reason::Fastest { cycles, next: (next, more) } => {
                write!(f, "{cycles:.3e} predicted cycles; the next, {next}, takes {:.2} times as many", more / cycles)
            }
        }
    }
}

/// Why an algorithm cannot be selected.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("`%{value}`: {algorithm}: {refusal}; leave the algorithm out to have one chosen")]
pub struct SelectError {
    /// The value that the convolution computes, without `%`.
    pub value: String,
    /// The algorithm asked for.
    pub algorithm: Algorithm,
    /// Why it cannot be.
    pub refusal: Refusal,
}

impl Selection {
    /// Weighs every candidate for a convolution. `asked` is the algorithm it must have; `auto` leaves the choice.
    pub fn new(value: &str, conv: Conv, asked: Algorithm, machine: &Machine) -> Result<Selection, SelectError> {
        let candidates: Vec<_> = CANDIDATES.iter().map(|c| (c.algorithm, c.plan(&conv, machine))).collect();
        let (chosen, reason) = if asked == Algorithm::Auto {
            let open = CANDIDATES.iter().zip(&candidates).filter(|(c, _)| !c.on_request);
            let mut plans: Vec<_> =
                open.filter_map(|(c, (_, p))| Some((c.algorithm, p.as_ref().ok()?.cycles()))).collect();
            plans.sort_by(|a, b| a.1.total_cmp(&b.1));
            match plans[..] {
                [(chosen, cycles), next, ..] => (chosen, Reason::Fastest { cycles, next }),
                [(chosen, _)] => (chosen, Reason::Only),
                // `direct` refuses nothing.
                [] => (Algorithm::Direct, Reason::Only),
            }
        } else {
            let refusal =
                candidates.iter().find(|(algorithm, _)| *algorithm == asked).and_then(|(_, p)| p.clone().err());
            if let Some(refusal) = refusal {
                return Err(SelectError { value: value.into(), algorithm: asked, refusal });
            }
            (asked, Reason::Asked)
        };
        Ok(Selection { value: value.into(), conv, candidates, chosen, reason })
    }

    /// The plan of the algorithm chosen.
    pub fn plan(&self) -> Option<&Plan> {
        self.candidates.iter().find(|(algorithm, _)| *algorithm == self.chosen).and_then(|(_, plan)| plan.as_ref().ok())
    }
}

/// Weighs the candidates for every convolution of a verified layer. A convolution that names its algorithm has it; the
/// others are to have `asked`, or with `auto` the one with the fewest predicted cycles.
pub fn selections(layer: &Layer, asked: Algorithm, machine: &Machine) -> Result<Vec<Selection>, SelectError> {
    let convs = layer.body.iter().filter_map(|instr| Some((instr, algorithm(instr)?)));
    let selection = |(instr, own): (&Instr, Algorithm)| {
        let asked = if own == Algorithm::Auto { asked } else { own };
        Some(Selection::new(&layer.values[instr.result].name, Conv::new(layer, instr)?, asked, machine))
    };
    convs.filter_map(selection).collect()
}

/// The algorithm that a convolution names.
fn algorithm(instr: &Instr) -> Option<Algorithm> {
    match &instr.op {
        Op::Conv2d(conv) => Some(conv.algorithm),
        _ => None,
    }
}

/// `select`: choose an algorithm for every convolution that names none.
///
/// ```text
/// %y = conv2d %x, %w          ⟶    %y = conv2d %x, %w { algorithm = direct }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Select {
    algorithm: Algorithm,
}

impl LayerPass for Select {
    type Needs = Exact;
    const NAME: &'static str = "select";
    const SUMMARY: &'static str = "choose an algorithm for every convolution by its predicted cycles";
    const OPTIONS: &'static [PassOption] = &[PassOption {
        name: "algorithm",
        doc: "the algorithm of every convolution that names none: auto, direct, im2col, im2col(explicit) or depthwise; auto if not given",
    }];

    fn set(&mut self, _: &str, value: &Attr) -> Result<(), String> {
        self.algorithm = Algorithm::from_attr(value).ok_or_else(Algorithm::expected)?;
        Ok(())
    }

    fn run(&self, layer: &mut Layer, cx: &Context<'_>, _: Granted<Exact>) -> Result<Changed, PassError> {
        let mut selections = selections(layer, self.algorithm, cx.machine)?.into_iter();
        let mut changed = false;
        for instr in &mut layer.body {
            if let Op::Conv2d(conv) = &mut instr.op {
                let chosen = selections.next().expect("one for each convolution of a verified layer").chosen;
                changed |= conv.algorithm != chosen;
                conv.algorithm = chosen;
            }
        }
        Ok(changed.into())
    }
}
