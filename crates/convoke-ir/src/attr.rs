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
        /// Zeros.
        Zeros = "zeros",
        /// Mirrored without repeating the edge: `c b | a b c d | c b`.
        Reflect = "reflect",
        /// The edge repeated: `a a | a b c d | d d`.
        Replicate = "replicate",
        /// Wrapped around: `c d | a b c d | a b`.
        Circular = "circular",
    }
}

/// How a convolution is computed. Every algorithm gives the same real number; they differ in cost and rounding.
///
/// The last three take sizes; without them selection chooses the sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Algorithm {
    /// Not chosen yet; selection replaces it.
    #[default]
    Auto,
    /// Read the input where it lies: pixels broadcast, output channels in the vector.
    Direct,
    /// Gather patches into a matrix, then multiply.
    Im2col {
        /// Build the whole patch matrix first, rather than panel by panel.
        explicit: bool,
    },
    /// One filter per channel: no reduction over channels, nothing to gather.
    Depthwise,
    /// Winograd's minimal filtering: `winograd(4x4)`.
    Winograd {
        /// Outputs of a tile: rows, columns.
        outputs: Option<Extent>,
    },
    /// Tiles through the discrete Fourier transform: `fft(16x16)`.
    Fft {
        /// Points of a transform: rows, columns.
        points: Option<Extent>,
    },
    /// As im2col, with Strassen's product of matrices: `strassen(1)`.
    Strassen {
        /// How many times the product is cut in halves.
        levels: Option<u8>,
    },
}

/// Rows and columns of a tile, written `4x4`; each from 1 to [`Extent::MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Extent {
    /// Rows.
    pub h: u8,
    /// Columns.
    pub w: u8,
}

impl Extent {
    /// The most rows or columns.
    pub const MAX: u8 = 128;

    /// Reads `4x4`.
    fn parse(word: &str) -> Option<Extent> {
        let side = |digits: &str| {
            let number = digits.parse().ok().filter(|side| (1..=Extent::MAX).contains(side))?;
            // No sign and no leading zero, so that what is printed is what was read.
            (digits == u8::to_string(&number)).then_some(number)
        };
        let (h, w) = word.split_once('x')?;
        Some(Extent { h: side(h)?, w: side(w)? })
    }
}

impl fmt::Display for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.h, self.w)
    }
}

impl Algorithm {
    /// Every algorithm without sizes, in the order they are documented and tried.
    pub const ALL: &'static [Algorithm] = &[
        Algorithm::Auto,
        Algorithm::Direct,
        Algorithm::Im2col { explicit: false },
        Algorithm::Im2col { explicit: true },
        Algorithm::Depthwise,
        Algorithm::Winograd { outputs: None },
        Algorithm::Fft { points: None },
        Algorithm::Strassen { levels: None },
    ];
    /// The most times that a product is cut in halves.
    pub const MAX_LEVELS: u8 = 2;

    /// The same algorithm without its sizes: `winograd` of `winograd(4x4)`.
    pub fn family(self) -> Algorithm {
        match self {
            Algorithm::Winograd { .. } => Algorithm::Winograd { outputs: None },
            Algorithm::Fft { .. } => Algorithm::Fft { points: None },
            Algorithm::Strassen { .. } => Algorithm::Strassen { levels: None },
            plain => plain,
        }
    }

    /// Whether it transforms tiles, multiplies, and transforms back.
    pub fn transforms_tiles(self) -> bool {
        matches!(self, Algorithm::Winograd { .. } | Algorithm::Fft { .. })
    }

    /// Whether it only rounds as a sum of all products in some order does.
    pub fn is_plain_sum(self) -> bool {
        !matches!(self, Algorithm::Winograd { .. } | Algorithm::Fft { .. } | Algorithm::Strassen { .. })
    }
}

impl AttrType for Algorithm {
    fn to_attr(&self) -> Attr {
        let (name, size) = match *self {
            Algorithm::Auto => ("auto", None),
            Algorithm::Direct => ("direct", None),
            Algorithm::Im2col { explicit } => ("im2col", explicit.then(|| Attr::Word("explicit".into()))),
            Algorithm::Depthwise => ("depthwise", None),
            Algorithm::Winograd { outputs } => ("winograd", outputs.map(|o| Attr::Word(o.to_string()))),
            Algorithm::Fft { points } => ("fft", points.map(|p| Attr::Word(p.to_string()))),
            Algorithm::Strassen { levels } => ("strassen", levels.map(|l| Attr::Int(l.into()))),
        };
        match size {
            None => Attr::Word(name.into()),
            Some(size) => Attr::Call(name.into(), vec![size]),
        }
    }
    fn from_attr(attr: &Attr) -> Option<Self> {
        let Attr::Call(name, args) = attr else {
            return Algorithm::ALL.iter().copied().find(|a| a.to_attr() == *attr);
        };
        match (name.as_str(), &args[..]) {
            ("winograd", [Attr::Word(word)]) => Some(Algorithm::Winograd { outputs: Some(Extent::parse(word)?) }),
            ("fft", [Attr::Word(word)]) => Some(Algorithm::Fft { points: Some(Extent::parse(word)?) }),
            ("strassen", [Attr::Int(levels)]) => {
                let levels = u8::try_from(*levels).ok().filter(|l| (1..=Algorithm::MAX_LEVELS).contains(l))?;
                Some(Algorithm::Strassen { levels: Some(levels) })
            }
            _ => Algorithm::ALL.iter().copied().find(|a| a.to_attr() == *attr),
        }
    }
    fn expected() -> String {
        let words: Vec<_> = Algorithm::ALL.iter().map(|a| format!("`{a}`")).collect();
        let levels = Algorithm::MAX_LEVELS;
        format!(
            "one of {}; with sizes up to {}, `winograd(4x4)` or `fft(16x16)`; `strassen(1)` to `strassen({levels})`",
            words.join(", "),
            Extent::MAX
        )
    }
}

impl std::str::FromStr for Algorithm {
    type Err = String;

    /// Reads an algorithm as it is written in the text form. The error says what was expected, in words that follow "is".
    fn from_str(text: &str) -> Result<Algorithm, String> {
        let text = text.trim();
        let attr = match text.strip_suffix(')').and_then(|t| t.split_once('(')) {
            None => Attr::Word(text.into()),
            Some((name, size)) => {
                let size = size.trim();
                let size = size.parse().map_or_else(|_| Attr::Word(size.into()), Attr::Int);
                Attr::Call(name.trim().into(), vec![size])
            }
        };
        Algorithm::from_attr(&attr).ok_or_else(Algorithm::expected)
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_attr().fmt(f)
    }
}
