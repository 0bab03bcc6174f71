//! How a convolution is computed, by its name and the sizes that its rounding depends on.

use std::fmt;

use super::{Attr, AttrType};

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
    /// Tiles through the discrete Fourier transform: `fft(16x16)`. It cuts axes of a kernel of more taps into blocks of half as many as it has points.
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

impl Algorithm {
    /// The word that names it in the text, without its sizes.
    pub fn name(self) -> &'static str {
        self.written().0
    }

    /// The word, and the argument without a name.
    pub(super) fn written(self) -> (&'static str, Option<Attr>) {
        match self {
            Algorithm::Auto => ("auto", None),
            Algorithm::Direct => ("direct", None),
            Algorithm::Im2col { explicit } => ("im2col", explicit.then(|| Attr::Word("explicit".into()))),
            Algorithm::Depthwise => ("depthwise", None),
            Algorithm::Winograd { outputs } => ("winograd", outputs.map(|o| Attr::Word(o.to_string()))),
            Algorithm::Fft { points } => ("fft", points.map(|p| Attr::Word(p.to_string()))),
            Algorithm::Strassen { levels } => ("strassen", levels.map(|l| Attr::Int(l.into()))),
        }
    }
}

impl AttrType for Algorithm {
    fn to_attr(&self) -> Attr {
        let (name, size) = self.written();
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

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_attr().fmt(f)
    }
}
