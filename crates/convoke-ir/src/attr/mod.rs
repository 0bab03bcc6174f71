//! Attribute values: what stands between the braces of an op, and how it becomes the field of a Rust struct.

use std::fmt;

/// An attribute value as written: `1`, `0.1`, `true`, `reflect`, `"text"`, `[1, 1]`, `winograd(4x4)`.
#[derive(Clone, Debug, PartialEq)]
pub enum Attr {
    /// A whole number.
    Int(i64),
    /// A number with a point or an exponent.
    Float(f64),
    /// `true` or `false`.
    Bool(bool),
    /// A bare word.
    Word(String),
    /// A list in brackets.
    List(Vec<Attr>),
    /// A word with arguments; `4x4` is the word argument `4x4`.
    Call(String, Vec<Attr>),
    /// An argument with its name, within a call: `strip = 8`.
    Named(String, Box<Attr>),
}

impl fmt::Display for Attr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn joined(f: &mut fmt::Formatter<'_>, items: &[Attr]) -> fmt::Result {
            for (i, item) in items.iter().enumerate() {
                let comma = if i == 0 { "" } else { ", " };
                write!(f, "{comma}{item}")?;
            }
            Ok(())
        }
        match self {
            Attr::Int(v) => write!(f, "{v}"),
            Attr::Float(v) if v.is_nan() => f.write_str("nan"),
            // `{:?}` keeps the point of a whole number and reads back as the same bits.
            Attr::Float(v) => write!(f, "{v:?}"),
            Attr::Bool(v) => write!(f, "{v}"),
            Attr::Word(v) => f.write_str(v),
            Attr::List(items) => {
                f.write_str("[")?;
                joined(f, items)?;
                f.write_str("]")
            }
            Attr::Call(name, args) => {
                write!(f, "{name}(")?;
                joined(f, args)?;
                f.write_str(")")
            }
            Attr::Named(name, value) => write!(f, "{name} = {value}"),
        }
    }
}

/// Why an attribute cannot be set.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum AttrError {
    /// The op has no attribute of this name.
    #[error("`{op}` has no attribute `{name}`")]
    Unknown {
        /// The op.
        op: &'static str,
        /// The name given.
        name: String,
        /// The names there are.
        known: &'static [&'static str],
    },
    /// The value is of another kind.
    #[error("`{name}` of `{op}` is {expected}, not `{found}`")]
    Kind {
        /// The op.
        op: &'static str,
        /// The attribute.
        name: &'static str,
        /// What its value must be, in words.
        expected: String,
        /// The value given.
        found: Attr,
    },
}

/// A Rust type that an attribute value can become.
pub trait AttrType: Sized {
    /// The value as written.
    fn to_attr(&self) -> Attr;
    /// Reads a written value; `None` if it is of another kind.
    fn from_attr(attr: &Attr) -> Option<Self>;
    /// What a value must look like, in words that follow "is".
    fn expected() -> String;
}

impl AttrType for i64 {
    fn to_attr(&self) -> Attr {
        Attr::Int(*self)
    }
    fn from_attr(attr: &Attr) -> Option<Self> {
        match attr {
            Attr::Int(v) => Some(*v),
            _ => None,
        }
    }
    fn expected() -> String {
        "a whole number".into()
    }
}

impl AttrType for f64 {
    fn to_attr(&self) -> Attr {
        Attr::Float(*self)
    }
    fn from_attr(attr: &Attr) -> Option<Self> {
        match attr {
            Attr::Int(v) => Some(*v as f64),
            Attr::Float(v) => Some(*v),
            _ => None,
        }
    }
    fn expected() -> String {
        "a number".into()
    }
}

impl AttrType for bool {
    fn to_attr(&self) -> Attr {
        Attr::Bool(*self)
    }
    fn from_attr(attr: &Attr) -> Option<Self> {
        match attr {
            Attr::Bool(v) => Some(*v),
            _ => None,
        }
    }
    fn expected() -> String {
        "`true` or `false`".into()
    }
}

impl AttrType for Vec<i64> {
    fn to_attr(&self) -> Attr {
        Attr::List(self.iter().map(i64::to_attr).collect())
    }
    fn from_attr(attr: &Attr) -> Option<Self> {
        match attr {
            Attr::List(items) => items.iter().map(i64::from_attr).collect(),
            _ => None,
        }
    }
    fn expected() -> String {
        "a list of whole numbers".into()
    }
}

impl AttrType for Vec<f64> {
    fn to_attr(&self) -> Attr {
        Attr::List(self.iter().map(f64::to_attr).collect())
    }
    fn from_attr(attr: &Attr) -> Option<Self> {
        match attr {
            Attr::List(items) => items.iter().map(f64::from_attr).collect(),
            _ => None,
        }
    }
    fn expected() -> String {
        "a list of numbers".into()
    }
}

impl<const N: usize> AttrType for [i64; N] {
    fn to_attr(&self) -> Attr {
        Attr::List(self.iter().map(i64::to_attr).collect())
    }
    fn from_attr(attr: &Attr) -> Option<Self> {
        Vec::from_attr(attr)?.try_into().ok()
    }
    fn expected() -> String {
        format!("a list of {N} whole numbers")
    }
}

/// Declares an enum whose cases are written as bare words, in letters of either case.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$case_doc:meta])* $case:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$case_doc])* $case,)* }

        impl $name {
            /// Every case, in the order the documentation lists them.
            pub const ALL: &'static [$name] = &[$($name::$case,)*];
            /// The word in the text form.
            pub fn name(self) -> &'static str {
                match self { $($name::$case => $word,)* }
            }
        }

        impl AttrType for $name {
            fn to_attr(&self) -> Attr {
                Attr::Word(self.name().into())
            }
            fn from_attr(attr: &Attr) -> Option<Self> {
                match attr {
                    Attr::Word(word) => $name::ALL.iter().copied().find(|case| case.name().eq_ignore_ascii_case(word)),
                    _ => None,
                }
            }
            fn expected() -> String {
                let words: Vec<_> = $name::ALL.iter().map(|case| format!("`{}`", case.name())).collect();
                format!("one of {}", words.join(", "))
            }
        }
    };
}

mod algorithm;
mod plan;
mod resize;

pub use algorithm::{Algorithm, Extent};
pub use plan::{Lanes, Plan, Reading, Schedule, Sizes};
pub use resize::{Coordinates, ResizeMode, Rounding};

words! {
    /// How a convolution or a pooling derives its pads, as in ONNX.
    AutoPad {
        /// Use `pads` as given.
        NotSet = "NOTSET",
        /// Pad so that the output is `ceil(input / stride)`; an odd pad goes to the end.
        SameUpper = "SAME_UPPER",
        /// As `SAME_UPPER`, an odd pad goes to the beginning.
        SameLower = "SAME_LOWER",
        /// No padding.
        Valid = "VALID",
    }
}

words! {
    /// What stands outside a padded tensor; the names are PyTorch's.
    PadMode {
        /// Zeros, or another number.
        Zeros = "zeros",
        /// Mirrored without repeating the edge: `c b | a b c d | c b`.
        Reflect = "reflect",
        /// Mirrored with the edge repeated: `b a | a b c d | d c`.
        Symmetric = "symmetric",
        /// The edge repeated: `a a | a b c d | d d`.
        Replicate = "replicate",
        /// Wrapped around: `c d | a b c d | a b`.
        Circular = "circular",
    }
}
