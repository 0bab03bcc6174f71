//! Nets of an object file, and what is exported of each.

use convoke_ir::elem::Subnormals;
use convoke_ir::limits::Bounds;
use convoke_ir::loops::{BufferId, Program, Role, Verified};
use convoke_machine::Machine;
use target_lexicon::Triple;

use crate::error::CodegenError;
use crate::plan::Plan;
use crate::symbol::{SYMBOL_PREFIX, symbol};

/// The interface of an object file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// Prefix of the functions' names, before the layer's; see [`symbol`](crate::symbol()).
    pub prefix: String,
    /// How subnormal numbers are taken.
    pub subnormals: Subnormals,
    /// Whether constants are in a file beside the object, which the program gives to the functions, and not in the object.
    pub weights_beside: bool,
    /// The system that the object file is for: its format and its C convention. The architecture of the triple gives way to the machine's.
    pub triple: Triple,
    /// The limits of scratch, code and time.
    pub bounds: Bounds,
}

impl Default for Export {
    /// [`SYMBOL_PREFIX`], subnormal numbers flushed to zero, constants in the object, this system.
    fn default() -> Export {
        Export {
            prefix: SYMBOL_PREFIX.into(),
            subnormals: Subnormals::default(),
            weights_beside: false,
            triple: Triple::host(),
            bounds: Bounds::default(),
        }
    }
}

/// A net for one CPU or several of one architecture.
#[derive(Clone, Debug)]
pub struct Net<'a> {
    /// At least one, all with the same inputs and outputs. On a CPU that fits several, the last of them runs.
    pub variants: Vec<Variant<'a>>,
}

/// A net for one CPU.
#[derive(Clone, Copy, Debug)]
pub struct Variant<'a> {
    /// The lowered layer.
    pub program: Verified<'a>,
    /// The CPU.
    pub machine: &'a Machine,
}

impl<'a> Net<'a> {
    /// A net for one CPU.
    pub fn new(program: Verified<'a>, machine: &'a Machine) -> Net<'a> {
        Net { variants: vec![Variant { program, machine }] }
    }

    /// The program of the first CPU, which has the inputs and outputs of all.
    pub(super) fn program(&self) -> &'a Program {
        self.variants.first().expect("a net has a variant").program.program()
    }

    /// The layer's name.
    pub fn name(&self) -> &'a str {
        &self.program().name
    }

    pub(super) fn symbol(&self, export: &Export) -> Result<String, CodegenError> {
        symbol(&export.prefix, self.name())
    }

    /// Inputs, then outputs: the parameters of the C function, before the workspace. They have the same numbers in every variant.
    pub(super) fn params(&self) -> Vec<BufferId> {
        params(self.program())
    }

    /// Bytes of the workspace for so many parts, on the CPU that needs most.
    pub(super) fn workspace(&self, parts: usize) -> usize {
        let plan = |variant: &Variant<'_>| {
            let program = variant.program.program();
            Plan::new(program, &program.entry).bytes(parts)
        };
        self.variants.iter().map(plan).max().unwrap_or(0)
    }
}

/// The parameters of a program's C function, in order.
pub(super) fn params(program: &Program) -> Vec<BufferId> {
    let of = |role: Role| program.buffers.iter().filter(move |(_, b)| b.role == role).map(|(id, _)| id);
    of(Role::Input).chain(of(Role::Output)).collect()
}
