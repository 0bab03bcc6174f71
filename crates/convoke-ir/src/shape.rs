//! Shapes with checked arithmetic. Every size in convoke comes through [`Shape::new`], so that no later product can wrap.

use std::fmt;

/// The extents of a tensor, outermost first, as stored in memory.
///
/// The number of elements is known to fit [`Shape::MAX_ELEMENTS`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Shape(Vec<usize>);

/// Why a list of extents is no shape.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// More axes than [`Shape::MAX_RANK`].
    #[error("a shape has at most {max} dimensions, this one has {rank}", max = Shape::MAX_RANK)]
    Rank {
        /// How many dimensions were given.
        rank: usize,
    },
    /// An extent of zero: a convolution over nothing is refused at every stage alike.
    #[error("dimension {axis} is 0; every dimension must be at least 1")]
    Zero {
        /// The axis whose extent is 0.
        axis: usize,
    },
    /// The product of the extents is too large.
    #[error("{shape} has more than {max} elements", shape = Dims(dims), max = Shape::MAX_ELEMENTS)]
    TooLarge {
        /// The extents as given.
        dims: Vec<usize>,
    },
}

impl Shape {
    /// The most axes a tensor has: the five or six of a blocked layout, and some to spare.
    pub const MAX_RANK: usize = 8;
    /// The most elements a tensor has: 2^44, so that byte counts and addresses stay far from 2^63.
    pub const MAX_ELEMENTS: usize = 1 << 44;

    /// Checks `dims` and makes a shape of them.
    pub fn new(dims: impl Into<Vec<usize>>) -> Result<Shape, ShapeError> {
        let dims = dims.into();
        if dims.len() > Shape::MAX_RANK {
            return Err(ShapeError::Rank { rank: dims.len() });
        }
        if let Some(axis) = dims.iter().position(|&d| d == 0) {
            return Err(ShapeError::Zero { axis });
        }
        let count = dims.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
        match count {
            Some(n) if n <= Shape::MAX_ELEMENTS => Ok(Shape(dims)),
            _ => Err(ShapeError::TooLarge { dims }),
        }
    }

    /// The extents, outermost first.
    pub fn dims(&self) -> &[usize] {
        &self.0
    }

    /// How many axes there are.
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// How many elements there are; 1 for a shape without axes.
    pub fn elements(&self) -> usize {
        self.0.iter().product()
    }

    /// Row-major strides in elements: the last axis has stride 1.
    pub fn strides(&self) -> Vec<usize> {
        let mut strides = vec![1; self.rank()];
        for axis in (1..self.rank()).rev() {
            strides[axis - 1] = strides[axis] * self.0[axis];
        }
        strides
    }
}

struct Dims<'a>(&'a [usize]);

impl fmt::Display for Dims<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (i, d) in self.0.iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            write!(f, "{comma}{d}")?;
        }
        f.write_str("]")
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Dims(&self.0).fmt(f)
    }
}
