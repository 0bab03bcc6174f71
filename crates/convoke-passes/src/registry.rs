//! Every pass, in running order. `convoke passes`, `--passes` and the help come from here.

use convoke_ir::attr::Attr;
use convoke_ir::layer::Layer;
use convoke_ir::loops::Program;

use crate::error::{PassError, nearest};
use crate::guarantee::{Grants, Guarantee, Needs};
use crate::loops;
use crate::note::Log;
use crate::pass::Stage;
use crate::pass::{Changed, Context, LayerPass, LoopPass, PassOption};
use crate::plan::{AssignLayouts, Bands, Select};
#[cfg(feature = "algebra")]
use crate::rewrite::{ApproximateWeights, Asymmetric, Bottleneck, Compose, FactorSeparable, StackSmallKernels};
use crate::rewrite::{
    Cse, DropDead, DropIdentity, FoldBatchNorm, FoldConstants, FoldIntoNext, FoldPad, FuseEpilogue, MergeBranches,
    Normalise, Recognise, SeparatePools,
};
use crate::spec::Spec;

/// The passes over layer IR, in the order they run, each with the lowest `-O` at which it does.
pub const LAYER: &[Entry] = &[
    Entry::layer::<Normalise>(1),
    Entry::layer::<FoldConstants>(1),
    Entry::layer::<DropIdentity>(1),
    Entry::layer::<Cse>(1),
    Entry::layer::<Recognise>(2),
    Entry::layer::<FoldPad>(1),
    Entry::layer::<SeparatePools>(1),
    Entry::layer::<FoldIntoNext>(2),
    Entry::layer::<FoldBatchNorm>(2),
    Entry::layer::<MergeBranches>(2),
    #[cfg(feature = "algebra")]
    Entry::layer::<Compose>(2),
    #[cfg(feature = "algebra")]
    Entry::layer::<ApproximateWeights>(2),
    #[cfg(feature = "algebra")]
    Entry::layer::<Bottleneck>(BY_NAME),
    #[cfg(feature = "algebra")]
    Entry::layer::<Asymmetric>(BY_NAME),
    #[cfg(feature = "algebra")]
    Entry::layer::<StackSmallKernels>(BY_NAME),
    #[cfg(feature = "algebra")]
    Entry::layer::<FactorSeparable>(2),
    Entry::layer::<FuseEpilogue>(1),
    Entry::layer::<DropDead>(1),
    Entry::layer::<Select>(0),
    Entry::layer::<Bands>(2),
    Entry::layer::<AssignLayouts>(0),
];

/// From layer IR to loop IR. Always runs, unless `--stage layer` stops before it.
pub const LOWER: Entry = Entry {
    name: "lower",
    summary: "turn every op into loops, by its algorithm",
    guarantee: Guarantee::Exact,
    ieee: true,
    stage: Stage::Layer,
    options: &[],
    level: 0,
    make: |_, _| Ok(Pass::Lower),
};

/// The passes over loop IR, in the order they run.
pub const LOOPS: &[Entry] = &[
    Entry::loops::<loops::DepthFirst>(0),
    Entry::loops::<loops::Tile>(0),
    Entry::loops::<loops::Vectorise>(0),
    Entry::loops::<loops::Unroll>(0),
    Entry::loops::<loops::Cse>(0),
    Entry::loops::<loops::DropDead>(0),
    Entry::loops::<loops::Transpose>(0),
    Entry::loops::<loops::Promote>(0),
    Entry::loops::<loops::Hoist>(0),
    Entry::loops::<loops::StrengthReduce>(0),
];

/// What the registry knows of a pass.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The name in `--passes`.
    pub name: &'static str,
    /// What it does, in one line.
    pub summary: &'static str,
    /// What it may change.
    pub guarantee: Guarantee,
    /// Whether the same results are NaN or infinite before and after; `--ieee` runs no other pass.
    pub ieee: bool,
    /// What it runs on.
    pub stage: Stage,
    /// Its options.
    pub options: &'static [PassOption],
    /// The lowest `-O` at which it runs; [`BY_NAME`] for none.
    pub level: u8,
    make: Make,
}

/// Makes a pass with these options.
type Make = fn(&[(String, Attr)], By) -> Result<Pass, PassError>;

/// Who runs a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    /// The user, by its name.
    Name,
    /// An optimisation level.
    Level,
}

/// The level of passes that no `-O` runs.
pub const BY_NAME: u8 = u8::MAX;

impl Entry {
    const fn layer<P: LayerPass>(level: u8) -> Entry {
        Entry {
            name: P::NAME,
            summary: P::SUMMARY,
            guarantee: P::Needs::GUARANTEE,
            ieee: P::IEEE,
            stage: Stage::Layer,
            options: P::OPTIONS,
            level,
            make: |options, by| {
                let mut pass = P::default();
                if by == By::Level {
                    pass.by_level();
                }
                set_all(P::NAME, P::OPTIONS, options, |name, value| pass.set(name, value))?;
                Ok(Pass::Layer(Box::new(pass)))
            },
        }
    }

    const fn loops<P: LoopPass>(level: u8) -> Entry {
        Entry {
            name: P::NAME,
            summary: P::SUMMARY,
            guarantee: Guarantee::Exact,
            ieee: true,
            stage: Stage::Loops,
            options: P::OPTIONS,
            level,
            make: |options, _| {
                let mut pass = P::default();
                set_all(P::NAME, P::OPTIONS, options, |name, value| pass.set(name, value))?;
                Ok(Pass::Loops(Box::new(pass)))
            },
        }
    }

    /// Whether the user allows what it may change.
    fn is_granted(&self, grants: &Grants) -> bool {
        grants.allow(self.guarantee) && (self.ieee || !grants.ieee)
    }

    /// The pass with these options.
    pub fn make(&self, options: &[(String, Attr)]) -> Result<Pass, PassError> {
        (self.make)(options, By::Name)
    }
}

fn set_all(
    pass: &'static str,
    known: &'static [PassOption],
    options: &[(String, Attr)],
    mut set: impl FnMut(&'static str, &Attr) -> Result<(), String>,
) -> Result<(), PassError> {
    for (i, (name, value)) in options.iter().enumerate() {
        let Some(option) = known.iter().find(|o| o.name == name) else {
            let known: Vec<_> = known.iter().map(|o| o.name).collect();
            let nearest = nearest(name, known.iter().copied());
            return Err(PassError::UnknownOption { pass, option: name.clone(), nearest, known });
        };
        if options[..i].iter().any(|(other, _)| other == name) {
            return Err(PassError::Repeated { pass, option: option.name });
        }
        set(option.name, value).map_err(|expected| PassError::Option {
            pass,
            option: option.name,
            expected,
            value: value.clone(),
        })?;
    }
    Ok(())
}

/// Every entry, in running order.
pub fn all() -> impl Iterator<Item = &'static Entry> {
    LAYER.iter().chain([&LOWER]).chain(LOOPS)
}

/// The entry of this name, or an error that names the nearest.
pub fn find(name: &str) -> Result<&'static Entry, PassError> {
    all()
        .find(|entry| entry.name == name)
        .ok_or_else(|| PassError::Unknown { name: name.into(), nearest: nearest(name, all().map(|e| e.name)) })
}

/// A pass ready to run.
#[derive(Debug)]
pub enum Pass {
    /// Over layer IR.
    Layer(Box<dyn AnyLayerPass>),
    /// From layer IR to loop IR.
    Lower,
    /// Over loop IR.
    Loops(Box<dyn AnyLoopPass>),
}

impl Pass {
    /// The name.
    pub fn name(&self) -> &'static str {
        match self {
            Pass::Layer(pass) => pass.name(),
            Pass::Lower => LOWER.name,
            Pass::Loops(pass) => pass.name(),
        }
    }

    /// What it runs on.
    pub fn stage(&self) -> Stage {
        match self {
            Pass::Layer(_) | Pass::Lower => Stage::Layer,
            Pass::Loops(_) => Stage::Loops,
        }
    }
}

/// What `-O` runs up to and including `last`: at 0 what lowering needs, at 1 what is exact too, at 2 and 3 everything,
/// except what `grants` does not allow. Passes that are `named` run in their place among those, with their options, whatever the level.
pub fn pipeline(level: u8, last: Stage, grants: &Grants, named: &[Spec]) -> Result<Vec<Pass>, PassError> {
    named.iter().try_for_each(|spec| find(&spec.name).map(drop))?;
    let upto = if last == Stage::Layer { LAYER.len() } else { usize::MAX };
    let mut passes = Vec::new();
    for entry in all().take(upto) {
        let own: Vec<_> = named.iter().filter(|spec| spec.name == entry.name).collect();
        match &own[..] {
            [] if entry.level <= level && entry.is_granted(grants) => passes.push((entry.make)(&[], By::Level)?),
            own => own.iter().try_for_each(|spec| entry.make(&spec.options).map(|pass| passes.push(pass)))?,
        }
    }
    Ok(passes)
}

/// The passes that `--passes` lists, in the order given, up to and including `last`. `lower` need not be named: it
/// stands before the first pass over loop IR, or at the end.
pub fn chosen(specs: &[Spec], first: Stage, last: Stage) -> Result<Vec<Pass>, PassError> {
    let mut passes = Vec::new();
    let mut stage = first;
    for spec in specs {
        let pass = find(&spec.name)?.make(&spec.options)?;
        if pass.stage() == Stage::Loops && stage == Stage::Layer && last == Stage::Loops {
            passes.push(Pass::Lower);
            stage = Stage::Loops;
        }
        let leaves = matches!(pass, Pass::Lower) && last == Stage::Layer;
        if pass.stage() != stage || leaves {
            return Err(PassError::Stage { pass: pass.name(), needs: pass.stage(), found: stage });
        }
        if let Pass::Lower = pass {
            stage = Stage::Loops;
        }
        passes.push(pass);
    }
    if stage == Stage::Layer && last == Stage::Loops {
        passes.push(Pass::Lower);
    }
    Ok(passes)
}

/// A [`LayerPass`] behind a pointer. Asks for the grant itself, so that it cannot be run without.
pub trait AnyLayerPass: std::fmt::Debug {
    /// The name.
    fn name(&self) -> &'static str;
    /// Runs the pass if `cx` or its own options grant what it needs.
    fn run(&self, layer: &mut Layer, cx: &Context<'_>, log: &mut Log) -> Result<Changed, PassError>;
}

impl<P: LayerPass> AnyLayerPass for P {
    fn name(&self) -> &'static str {
        P::NAME
    }
    fn run(&self, layer: &mut Layer, cx: &Context<'_>, log: &mut Log) -> Result<Changed, PassError> {
        let cx = Context { grants: self.grants(cx.grants), ..*cx };
        if cx.grants.ieee && !P::IEEE {
            return Err(PassError::NotIeee { pass: P::NAME });
        }
        let refused = || PassError::NotGranted { pass: P::NAME, guarantee: P::Needs::GUARANTEE };
        let granted = cx.grants.grant::<P::Needs>().ok_or_else(refused)?;
        LayerPass::run(self, layer, &cx, granted, log)
    }
}

/// A [`LoopPass`] behind a pointer.
pub trait AnyLoopPass: std::fmt::Debug {
    /// The name.
    fn name(&self) -> &'static str;
    /// Runs the pass.
    fn run(&self, program: &mut Program, cx: &Context<'_>) -> Result<Changed, PassError>;
}

impl<P: LoopPass> AnyLoopPass for P {
    fn name(&self) -> &'static str {
        P::NAME
    }
    fn run(&self, program: &mut Program, cx: &Context<'_>) -> Result<Changed, PassError> {
        LoopPass::run(self, program, cx)
    }
}
