//! How a convolution is lowered: the algorithm, and the schedule by which its loops are cut.
//!
//! ```text
//! direct                                                        what is left open, `select` chooses
//! direct(lanes = pixels)                                        a form; `select` chooses its sizes
//! direct(lanes = pixels, input = in_place, tile = [2, 4, 1])    a plan: lowering decides nothing
//! winograd(4x4, block = [2, 7])
//! ```
//!
//! The algorithm says how often the result is rounded; the schedule changes only in which order and from where numbers are read. Each
//! algorithm takes some of the parameters; planning completes them and refuses those that it does not take.

use std::fmt;

use super::{Algorithm, Attr, AttrType};

/// An algorithm with its schedule, as the attribute `algorithm` of a convolution has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Plan {
    /// What is computed.
    pub algorithm: Algorithm,
    /// How its loops are cut. Parameters that are `None` are left to planning.
    pub schedule: Schedule,
}

words! {
    /// What neighbouring lanes of a vector hold.
    Lanes {
        /// Neighbouring pixels of a row.
        Pixels = "pixels",
        /// Neighbouring channels.
        Channels = "channels",
    }
}

words! {
    /// The memory from which a kernel reads its input, and how.
    Reading {
        /// The image. A tile leaves out the taps that lie on padding.
        InPlace = "in_place",
        /// The image, each row loaded once: even and odd columns, or the taps of a long kernel, are picked from registers.
        Deinterleave = "deinterleave",
        /// A small block to which each tile copies its pixels first.
        Block = "block",
        /// A dense copy of the pixels that a strided 1×1 kernel reads.
        Compact = "compact",
        /// A small block to which each tile copies its pixels of such a dense copy.
        CompactBlock = "compact_block",
        /// A copy of the image with zeros around it.
        Halo = "halo",
        /// The image, region by region: the outputs of a region meet the same taps, and have codelets with these taps alone.
        Regions = "regions",
    }
}

/// The most entries of a [`Sizes`].
const MOST: usize = 3;

/// One to three sizes, each from 1 to 2³² − 1: `[14, 2]`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sizes {
    len: u8,
    sizes: [u32; MOST],
}

impl Sizes {
    /// The sizes as an array; `None` if there are more or fewer.
    pub fn get<const N: usize>(&self) -> Option<[usize; N]> {
        let all = &self.sizes[..usize::from(self.len)];
        all.iter().map(|&size| size as usize).collect::<Vec<_>>().try_into().ok()
    }
}

impl<const N: usize> From<[usize; N]> for Sizes {
    /// Sizes beyond what one can hold become the largest.
    fn from(given: [usize; N]) -> Sizes {
        const { assert!(N >= 1 && N <= MOST, "one to three sizes") };
        let mut sizes = [0; MOST];
        given.iter().zip(&mut sizes).for_each(|(&size, to)| *to = u32::try_from(size).unwrap_or(u32::MAX));
        Sizes { len: N as u8, sizes }
    }
}

impl fmt::Debug for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.sizes[..usize::from(self.len)]).finish()
    }
}

impl AttrType for Sizes {
    fn to_attr(&self) -> Attr {
        Attr::List(self.sizes[..usize::from(self.len)].iter().map(|&size| Attr::Int(size.into())).collect())
    }
    fn from_attr(attr: &Attr) -> Option<Self> {
        let Attr::List(items) = attr else { return None };
        let all: Vec<u32> = items.iter().map(u32::from_attr).collect::<Option<_>>()?;
        let mut sizes = [0; MOST];
        if all.is_empty() || all.len() > MOST {
            return None;
        }
        sizes[..all.len()].copy_from_slice(&all);
        Some(Sizes { len: all.len() as u8, sizes })
    }
    fn expected() -> String {
        format!("a list of 1 to {MOST} whole numbers from 1")
    }
}

impl AttrType for u32 {
    fn to_attr(&self) -> Attr {
        Attr::Int((*self).into())
    }
    fn from_attr(attr: &Attr) -> Option<Self> {
        i64::from_attr(attr).and_then(|size| u32::try_from(size).ok()).filter(|size| *size > 0)
    }
    fn expected() -> String {
        "a whole number from 1".into()
    }
}

/// Declares the parameters of a schedule, in the order in which they are written.
macro_rules! schedule {
    ($($(#[$doc:meta])* $name:ident: $ty:ty,)*) => {
        /// How the loops of a convolution are cut; each parameter that is `None` is left to planning.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
        pub struct Schedule { $($(#[$doc])* pub $name: Option<$ty>,)* }

        impl Schedule {
            /// The names of the parameters.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($name)),*];

            /// The parameters that are set, as they are written.
            fn written(&self) -> Vec<Attr> {
                let mut all = Vec::new();
                $(if let Some(value) = &self.$name {
                    all.push(Attr::Named(stringify!($name).into(), Box::new(value.to_attr())));
                })*
                all
            }

            /// Sets a parameter once; `None` if there is no such parameter, or its value is of another kind.
            fn set(&mut self, name: &str, value: &Attr) -> Option<()> {
                match name {
                    $(stringify!($name) => {
                        let before = self.$name.replace(<$ty>::from_attr(value)?);
                        before.is_none().then_some(())
                    })*
                    _ => None,
                }
            }

            /// The names of the parameters that are set.
            pub fn names(&self) -> Vec<&'static str> {
                let mut all = Vec::new();
                $(if self.$name.is_some() { all.push(stringify!($name)); })*
                all
            }

            /// Whether every parameter that `asked` sets has the same value here.
            pub fn agrees(&self, asked: &Schedule) -> bool {
                true $(&& (asked.$name.is_none() || asked.$name == self.$name))*
            }
        }
    };
}

schedule! {
    /// What neighbouring lanes of a vector hold.
    lanes: Lanes,
    /// Where the input is read.
    input: Reading,
    /// The accumulators of a register tile. With pixels in the lanes: output channels, rows, vectors of pixels. With channels in the lanes:
    /// pixels and vectors of channels, or of a depthwise convolution rows and pixels. Of im2col in nchw: channels and vectors of pixels.
    tile: Sizes,
    /// Output rows that share the weights of a tile of channels.
    strip: u32,
    /// Input channels of a block of the reduction; of a depthwise convolution by transformed tiles, channels of a chunk.
    depth: u32,
    /// Of transformed tiles, rows and columns of tiles that go through the three steps together; of a matrix product, pixels of a panel.
    block: Sizes,
    /// Weights held in registers at once.
    weights: u32,
}

impl Plan {
    /// The algorithm alone, without its schedule.
    pub fn open(algorithm: Algorithm) -> Plan {
        Plan { algorithm, ..Plan::default() }
    }

    /// The form of this plan: its algorithm, its `lanes` and its `input`, with everything else left open.
    pub fn form(&self) -> Plan {
        let Schedule { lanes, input, .. } = self.schedule;
        Plan { algorithm: self.algorithm, schedule: Schedule { lanes, input, ..Schedule::default() } }
    }

    /// Whether this plan is what `asked` asks for: of its algorithm, and with each parameter that it sets.
    pub fn agrees(&self, asked: Plan) -> bool {
        let same = asked.algorithm == self.algorithm || asked.algorithm == self.algorithm.family();
        same && self.schedule.agrees(&asked.schedule)
    }

    /// Whether it only rounds as a sum of all products in some order does.
    pub fn is_plain_sum(&self) -> bool {
        self.algorithm.is_plain_sum()
    }
}

impl From<Algorithm> for Plan {
    fn from(algorithm: Algorithm) -> Plan {
        Plan::open(algorithm)
    }
}

impl AttrType for Plan {
    fn to_attr(&self) -> Attr {
        let (name, size) = self.algorithm.written();
        let args: Vec<Attr> = size.into_iter().chain(self.schedule.written()).collect();
        if args.is_empty() { Attr::Word(name.into()) } else { Attr::Call(name.into(), args) }
    }
    fn from_attr(attr: &Attr) -> Option<Self> {
        let Attr::Call(name, args) = attr else { return Algorithm::from_attr(attr).map(Plan::open) };
        let mut schedule = Schedule::default();
        let mut sizes = Vec::new();
        for arg in args {
            match arg {
                Attr::Named(name, value) => schedule.set(name, value)?,
                size => sizes.push(size.clone()),
            }
        }
        let algorithm = match sizes[..] {
            [] => Attr::Word(name.clone()),
            _ => Attr::Call(name.clone(), sizes),
        };
        let algorithm = Algorithm::from_attr(&algorithm)?;
        // Nothing is known of a schedule whose algorithm is open.
        let open = algorithm == Algorithm::Auto && schedule != Schedule::default();
        (!open).then_some(Plan { algorithm, schedule })
    }
    fn expected() -> String {
        format!(
            "{}; with parameters of its schedule, `direct(lanes = pixels)`, of {}",
            Algorithm::expected(),
            Schedule::NAMES.join(", ")
        )
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_attr().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_what_was_read() {
        for text in [
            "auto",
            "direct",
            "im2col(explicit)",
            "direct(lanes = pixels, input = in_place, tile = [2, 4, 1])",
            "winograd(4x4, block = [2, 7])",
            "strassen(1, depth = 64)",
        ] {
            assert_eq!(text.parse::<Plan>().map(|plan| plan.to_string()).as_deref(), Ok(text));
        }
    }

    #[test]
    fn what_no_schedule_has_is_refused() {
        for text in [
            "direct(lane = pixels)",
            "direct(lanes = rows)",
            "direct(strip = 0)",
            "direct(strip = 4294967296)",
            "direct(tile = [])",
            "direct(tile = [1, 2, 3, 4])",
            "direct(strip = 8, strip = 8)",
            "auto(strip = 8)",
            "direct(pixels)",
            "winograd(4x4) block",
            "",
        ] {
            assert!(text.parse::<Plan>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_plan_agrees_with_what_asks_for_less() {
        let plan: Plan = "winograd(4x4, block = [2, 7])".parse().expect("a plan");
        for (asked, agrees) in [
            ("winograd", true),
            ("winograd(4x4)", true),
            ("winograd(4x4, block = [2, 7])", true),
            ("winograd(block = [2, 7])", true),
            ("winograd(2x2)", false),
            ("winograd(block = [2, 6])", false),
            ("winograd(4x4, depth = 3)", false),
            ("direct", false),
        ] {
            assert_eq!(plan.agrees(asked.parse().expect("a plan")), agrees, "{asked}");
        }
    }
}
