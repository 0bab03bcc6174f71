//! What a function declares: the buffers, loop variables and values that its statements name.

use std::fmt;

use crate::arena::Id;
use crate::elem::Elem;
use crate::span::Span;

/// A buffer as a function sees it: a parameter or a local.
pub type SlotId = Id<Slot>;
/// A loop variable of a function.
pub type VarId = Id<Var>;
/// A value of a function.
pub type ValId = Id<Val>;

/// A buffer as a function sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Slot {
    /// The name, without `%`.
    pub name: String,
    /// Element type.
    pub elem: Elem,
    /// How many elements may be reached.
    pub len: usize,
    /// What is done with it.
    pub access: Access,
    /// Where it is declared in the text.
    pub span: Span,
}

/// What a function does with a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// A parameter that is read.
    In,
    /// A parameter that is written, and read only where it was written before.
    Out,
    /// A parameter that is read and written.
    InOut,
    /// Memory of the function's own, one for each thread; its contents do not outlive an iteration of the parallel loop.
    Local,
}

impl Access {
    /// The keyword in the text form.
    pub fn keyword(self) -> &'static str {
        match self {
            Access::In => "in",
            Access::Out => "out",
            Access::InOut => "inout",
            Access::Local => "local",
        }
    }

    /// Whether stores are allowed.
    pub fn writes(self) -> bool {
        self != Access::In
    }
}

/// A loop variable, or an induction that runs beside one.
#[derive(Clone, Debug, PartialEq)]
pub struct Var {
    /// The name, without `%`.
    pub name: String,
}

/// A value or a register.
#[derive(Clone, Debug, PartialEq)]
pub struct Val {
    /// The name, without `%`.
    pub name: String,
    /// Its type.
    pub ty: VecType,
}

/// The type of a value: `f32` or `f32x8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VecType {
    /// Element type.
    pub elem: Elem,
    /// How many elements: one of [`VecType::LANES`].
    pub lanes: u8,
}

impl VecType {
    /// The lane counts there are.
    pub const LANES: &'static [u8] = &[1, 2, 4, 8, 16, 32, 64];
    /// The most bytes of a vector: registers hold several as large at once.
    pub const MAX_BYTES: usize = 128;

    /// Whether there are values of this type.
    pub fn exists(self) -> bool {
        let bytes = usize::from(self.lanes) * self.elem.bytes();
        VecType::LANES.contains(&self.lanes) && bytes <= VecType::MAX_BYTES && !self.elem.is_storage()
    }

    /// A single element.
    pub fn scalar(elem: Elem) -> VecType {
        VecType { elem, lanes: 1 }
    }
}

impl fmt::Display for VecType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.lanes {
            1 => write!(f, "{}", self.elem),
            n => write!(f, "{}x{n}", self.elem),
        }
    }
}
