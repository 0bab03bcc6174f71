//! The two traits of a pass, and what it is given.
//!
//! A pass is one file: a struct of its options, and one of these traits. The manager, not the pass, verifies before and
//! after, times it and records what changed. Add the struct to [`crate::registry`] and it is everywhere: in
//! `convoke passes`, in `--passes`, in the help.

use std::fmt;

use convoke_data::Files;
use convoke_ir::attr::Attr;
use convoke_ir::layer::Layer;
use convoke_ir::loops::Program;
use convoke_machine::Machine;

use crate::error::PassError;
use crate::guarantee::{Granted, Grants, Needs};
use crate::note::Log;

/// Which of the two languages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// Layer IR.
    Layer,
    /// Loop IR.
    Loops,
}

impl Stage {
    /// The name, as in `--stage`.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Layer => "layer",
            Stage::Loops => "loop",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whether a pass changed anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Changed {
    /// It did.
    Yes,
    /// It left everything as it was.
    No,
}

impl Changed {
    /// Whether it did.
    pub fn is_yes(self) -> bool {
        self == Changed::Yes
    }
}

impl From<bool> for Changed {
    fn from(changed: bool) -> Changed {
        if changed { Changed::Yes } else { Changed::No }
    }
}

/// What every pass is given beside the IR.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The CPU that code is made for.
    pub machine: &'a Machine,
    /// Where constants in files are looked up, and how much may be read.
    pub files: &'a Files,
    /// What the user allows.
    pub grants: Grants,
}

/// An option of a pass: `select(algorithm=direct)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PassOption {
    /// The name.
    pub name: &'static str,
    /// What it does and what it is when not given, in one line.
    pub doc: &'static str,
}

/// A pass over layer IR.
pub trait LayerPass: Default + fmt::Debug + 'static {
    /// What it may change.
    type Needs: Needs;
    /// The name in `--passes`.
    const NAME: &'static str;
    /// What it does, in one line.
    const SUMMARY: &'static str;
    /// Its options.
    const OPTIONS: &'static [PassOption] = &[];

    /// Whether the same results are NaN or infinite before and after, for any inputs, overflow aside.
    const IEEE: bool = true;

    /// Sets one of [`LayerPass::OPTIONS`]. The error says what the value must be, in words that follow "is".
    fn set(&mut self, _option: &str, _value: &Attr) -> Result<(), String> {
        Err("not listed by this pass, and must be left out".into())
    }

    /// What the user allows this pass: an option may grant more than the command did, since who writes
    /// `bottleneck(tolerance=0.05)` allows it.
    fn grants(&self, given: Grants) -> Grants {
        given
    }

    /// Told that a level runs the pass, rather than the user by its name.
    fn by_level(&mut self) {}

    /// Rewrites `layer`, which is verified and must be so afterwards. Passes that have something to say of a value say it to `log`.
    fn run(
        &self,
        layer: &mut Layer,
        cx: &Context<'_>,
        granted: Granted<Self::Needs>,
        log: &mut Log,
    ) -> Result<Changed, PassError>;
}

/// A pass over loop IR. All are exact: they change when and where a number is computed, not which.
pub trait LoopPass: Default + fmt::Debug + 'static {
    /// The name in `--passes`.
    const NAME: &'static str;
    /// What it does, in one line.
    const SUMMARY: &'static str;
    /// Its options.
    const OPTIONS: &'static [PassOption] = &[];

    /// Sets one of [`LoopPass::OPTIONS`]. The error says what the value must be, in words that follow "is".
    fn set(&mut self, _option: &str, _value: &Attr) -> Result<(), String> {
        Err("not listed by this pass, and must be left out".into())
    }

    /// Rewrites `program`, which is verified and must be so afterwards.
    fn run(&self, program: &mut Program, cx: &Context<'_>) -> Result<Changed, PassError>;
}
