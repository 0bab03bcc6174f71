//! Storage of an image that differs from the layout of its type. Passes assign it to values that only convolutions make and read.
//!
//! ```text
//! %t: nchw16c(halo = [1, 1, 1, 1]) = conv2d %x, %v      [N, C/16, 1 + H + 1, 1 + W + 1, 16], zeros around each image
//! %t: ncwh(pitch = 48) = conv2d %x, %v                  [N, C, W, H], 48 elements from column to column
//! ```
//!
//! The meaning of a layer does not depend on it.

use std::fmt;

use crate::attr::{Attr, AttrType};

/// Where the elements of an image lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Storage {
    /// The order of its axes.
    pub order: Order,
    /// Zeros around each image: above, left, below, right.
    pub halo: [u32; 4],
    /// Elements from one line of pixels to the next; 0 where lines follow each other.
    pub pitch: u32,
}

/// The order of the axes of an image in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Blocks of this many channels; those of a block are neighbours in memory: `nchw16c`.
    Blocked(u8),
    /// The pixels of a column side by side: `ncwh`.
    Columns,
}

impl Order {
    /// Reads `nchw16c` or `ncwh`.
    pub fn from_name(name: &str) -> Option<Order> {
        if name == "ncwh" {
            return Some(Order::Columns);
        }
        let block = name.strip_prefix("nchw")?.strip_suffix('c')?;
        let lanes = block.parse().ok().filter(|lanes| (2..=64).contains(lanes) && u8::is_power_of_two(*lanes))?;
        (block == u8::to_string(&lanes)).then_some(Order::Blocked(lanes))
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Order::Blocked(lanes) => write!(f, "nchw{lanes}c"),
            Order::Columns => f.write_str("ncwh"),
        }
    }
}

impl Storage {
    /// What a storage looks like, in words that follow "is".
    pub const EXPECTED: &'static str = "`nchw16c` (of a power of two from 2 to 64) or `ncwh`, perhaps with `halo = [top, left, bottom, right]` and `pitch`";

    /// Reads what an attribute says, `nchw16c(halo = [1, 1, 1, 1])`; `None` if that is no storage.
    pub fn from_attr(attr: &Attr) -> Option<Storage> {
        let (name, args) = match attr {
            Attr::Word(name) => (name, &[][..]),
            Attr::Call(name, args) => (name, &args[..]),
            _ => return None,
        };
        let mut storage = Storage { order: Order::from_name(name)?, halo: [0; 4], pitch: 0 };
        let size = |size: i64| u32::try_from(size).ok().filter(|size| *size <= 1 << 30);
        for arg in args {
            let Attr::Named(name, value) = arg else { return None };
            match name.as_str() {
                "halo" => {
                    let halo: Vec<u32> = <[i64; 4]>::from_attr(value)?.into_iter().map(size).collect::<Option<_>>()?;
                    storage.halo = halo.try_into().ok()?;
                }
                "pitch" => storage.pitch = size(i64::from_attr(value)?)?,
                _ => return None,
            }
        }
        Some(storage)
    }
}

impl fmt::Display for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let halo = (self.halo != [0; 4]).then(|| format!("halo = {:?}", self.halo));
        let pitch = (self.pitch > 0).then(|| format!("pitch = {}", self.pitch));
        let args: Vec<String> = halo.into_iter().chain(pitch).collect();
        write!(f, "{}", self.order)?;
        if args.is_empty() { Ok(()) } else { write!(f, "({})", args.join(", ")) }
    }
}
