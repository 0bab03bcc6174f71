//! Cranelift's description of a target, made from a [`Machine`].

use std::sync::Arc;

use convoke_ir::elem::Elem;
use convoke_machine::{Machine, Prefetch};
use cranelift_codegen::ir::Endianness;
use cranelift_codegen::isa::{self, CallConv, TargetIsa};
use cranelift_codegen::settings::{self, Configurable};
use target_lexicon::{Architecture, BinaryFormat, Triple};

use crate::error::CodegenError;
use crate::x86;

/// Where code will live, which decides how it reaches other functions and constants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In this process.
    Jit,
    /// In an object file for a system, position independent. The architecture of the triple gives way to the machine's.
    Object(Triple),
}

impl Place {
    /// An object file for this system.
    pub(crate) fn object() -> Place {
        Place::Object(Triple::host())
    }

    /// Whether addresses of data come from a table that the linker makes. COFF has none: there they are relative to the code, which is as
    /// independent of its position, since all data are in the object file.
    fn has_address_table(&self) -> bool {
        matches!(self, Place::Object(triple) if triple.binary_format != BinaryFormat::Coff)
    }

    /// The triple of code for an architecture.
    fn triple(&self, architecture: Architecture) -> Triple {
        match self {
            Place::Jit => Triple { architecture, ..Triple::host() },
            Place::Object(triple) => Triple { architecture, ..triple.clone() },
        }
    }
}

/// A target, at both levels of optimisation that functions are compiled at.
///
/// Vector code is emitted in the order loop IR gives, which the passes chose: at `opt_level=speed` Cranelift moves all loads
/// of a block to its top and spills the accumulators. Scalar loop nests profit from `speed`.
pub(crate) struct Target {
    /// `opt_level=none`: keeps the order of instructions.
    pub(crate) ordered: Arc<dyn TargetIsa>,
    /// `opt_level=speed`.
    pub(crate) optimised: Arc<dyn TargetIsa>,
    /// Whether a multiply-add is one instruction. Without, it would become a library call.
    pub(crate) fma: bool,
    /// Whether rounding to whole numbers is one instruction.
    pub(crate) round: bool,
    /// Whether `min` and `max` are those of x86, which give the second operand if one is NaN.
    pub(crate) x86: bool,
    /// Whether Cranelift holds four `f32` in a register of 128 bits. Without, each lane is a scalar.
    pub(crate) vectors: bool,
    /// The instructions of the wide emitter, where it is to be used.
    pub(crate) wide: Option<&'static x86::Isa>,
    /// Whether code checks each access; Cranelift then makes all of it.
    pub(crate) sanitize: bool,
    /// When its loops ask for memory ahead.
    pub(crate) prefetch: Prefetch,
}

impl Target {
    /// The target of `machine` in a place.
    pub(crate) fn new(machine: &Machine, place: Place) -> Result<Target, CodegenError> {
        let x86 = machine.arch == "x86_64";
        Ok(Target {
            ordered: isa(machine, &place, "none")?,
            optimised: isa(machine, &place, "speed")?,
            fma: machine.has_fma(),
            round: !x86 || machine.has("sse41"),
            x86,
            vectors: machine.arch == "x86_64" || machine.arch == "aarch64",
            wide: x86::Isa::of(machine),
            sanitize: false,
            prefetch: machine.prefetch,
        })
    }

    /// The same target for code that checks each access, or not.
    pub(crate) fn sanitized(self, sanitize: bool) -> Target {
        Target { sanitize, ..self }
    }

    /// How generated functions call each other: on x86-64 everywhere the System V convention, so that vector registers are the callee's.
    pub(crate) fn call_conv(&self) -> CallConv {
        if self.x86 { CallConv::SystemV } else { self.ordered.default_call_conv() }
    }

    pub(crate) fn is_x86(&self) -> bool {
        self.x86
    }

    /// The bytes of numbers of this type, in this process's order, in the target's.
    pub(crate) fn in_byte_order(&self, bytes: &[u8], elem: Elem) -> Box<[u8]> {
        let mut bytes: Box<[u8]> = bytes.into();
        let big = self.ordered.endianness() == Endianness::Big;
        if big != cfg!(target_endian = "big") {
            bytes.chunks_exact_mut(elem.bytes()).for_each(<[u8]>::reverse);
        }
        bytes
    }
}

fn isa(machine: &Machine, place: &Place, opt_level: &str) -> Result<Arc<dyn TargetIsa>, CodegenError> {
    let refused = |reason: String| CodegenError::Target { target: machine.arch.clone(), reason };
    let architecture: Architecture = machine.arch.parse().map_err(|()| refused("unknown architecture".into()))?;
    let mut builder = isa::lookup(place.triple(architecture)).map_err(|error| refused(error.to_string()))?;
    for feature in &machine.features {
        // An extension that Cranelift has no rules for is one that its code does not use.
        let _ = builder.enable(&format!("has_{feature}"));
    }
    let mut flags = settings::builder();
    for (name, value) in [
        ("opt_level", opt_level),
        ("is_pic", if place.has_address_table() { "true" } else { "false" }),
        ("enable_verifier", if cfg!(debug_assertions) { "true" } else { "false" }),
        // Frames are touched page by page, so that an overflow meets the guard page.
        ("enable_probestack", "true"),
        ("probestack_strategy", "inline"),
        ("use_colocated_libcalls", "false"),
        ("unwind_info", "false"),
    ] {
        flags.set(name, value).map_err(|error| refused(format!("{name}: {error}")))?;
    }
    builder.finish(settings::Flags::new(flags)).map_err(|error| refused(error.to_string()))
}
