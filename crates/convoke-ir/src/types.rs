//! Tensor types: element, shape and layout together.

use std::fmt;

use crate::elem::Elem;
use crate::shape::{Shape, ShapeError};

/// What the axes of a stored tensor mean. Part of the type, never guessed from extents or strides.
///
/// A shape is always written in storage order, so that the type reads like the array a user hands over:
/// `f32[1, 3, 224, 224]` is NCHW, `f32[1, 224, 224, 3] nhwc` the same image with channels last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Layout {
    /// Axes as in ONNX: batch, channels, height, width. Tensors of other ranks are row-major, with channels on axis 1.
    #[default]
    Nchw,
    /// Batch, height, width, channels; rank 4 only.
    Nhwc,
}

impl Layout {
    /// Every layout.
    pub const ALL: &'static [Layout] = &[Layout::Nchw, Layout::Nhwc];

    /// The name in the text form.
    pub fn name(self) -> &'static str {
        match self {
            Layout::Nchw => "nchw",
            Layout::Nhwc => "nhwc",
        }
    }

    /// The layout that has this name.
    pub fn from_name(name: &str) -> Option<Layout> {
        Layout::ALL.iter().copied().find(|l| l.name() == name)
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The four logical extents of an image tensor, whatever its layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Image {
    /// Batch.
    pub n: usize,
    /// Channels.
    pub c: usize,
    /// Height.
    pub h: usize,
    /// Width.
    pub w: usize,
}

impl Image {
    /// The extents in the storage order of `layout`.
    pub fn stored(self, layout: Layout) -> [usize; 4] {
        match layout {
            Layout::Nchw => [self.n, self.c, self.h, self.w],
            Layout::Nhwc => [self.n, self.h, self.w, self.c],
        }
    }
}

/// The type of a tensor value: `f32[1, 3, 224, 224]`, or with another layout `f32[1, 224, 224, 3] nhwc`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TensorType {
    /// The type of one element.
    pub elem: Elem,
    /// Extents in storage order.
    pub shape: Shape,
    /// What the axes mean.
    pub layout: Layout,
}

/// Why there is no such tensor type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TypeError {
    /// The shape itself is wrong.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// A layout that names four axes on a tensor of another rank.
    #[error("layout `{layout}` names 4 axes, the shape has {rank}")]
    LayoutRank {
        /// The layout asked for.
        layout: Layout,
        /// The rank of the shape.
        rank: usize,
    },
}

impl TensorType {
    /// A type from its parts, `dims` in storage order.
    pub fn new(elem: Elem, dims: impl Into<Vec<usize>>, layout: Layout) -> Result<TensorType, TypeError> {
        let shape = Shape::new(dims)?;
        if layout != Layout::Nchw && shape.rank() != 4 {
            return Err(TypeError::LayoutRank { layout, rank: shape.rank() });
        }
        Ok(TensorType { elem, shape, layout })
    }

    /// An image type of logical extents `image`, stored as `layout`.
    pub fn image(elem: Elem, image: Image, layout: Layout) -> Result<TensorType, TypeError> {
        TensorType::new(elem, image.stored(layout), layout)
    }

    /// The logical extents of a rank-4 tensor; `None` for another rank.
    pub fn as_image(&self) -> Option<Image> {
        let [a, b, c, d] = *self.shape.dims() else { return None };
        Some(match self.layout {
            Layout::Nchw => Image { n: a, c: b, h: c, w: d },
            Layout::Nhwc => Image { n: a, h: b, w: c, c: d },
        })
    }

    /// The stored axis that holds channels: 1, or the last for `nhwc`. `None` for tensors of fewer than two axes.
    pub fn channel_axis(&self) -> Option<usize> {
        match self.layout {
            _ if self.shape.rank() < 2 => None,
            Layout::Nchw => Some(1),
            Layout::Nhwc => Some(3),
        }
    }

    /// How many channels there are, by [`TensorType::channel_axis`].
    pub fn channels(&self) -> Option<usize> {
        self.channel_axis().map(|axis| self.shape.dims()[axis])
    }

    /// How many elements there are.
    pub fn elements(&self) -> usize {
        self.shape.elements()
    }

    /// How many bytes the elements take.
    pub fn bytes(&self) -> usize {
        self.elements() * self.elem.bytes()
    }
}

impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.elem, self.shape)?;
        match self.layout {
            Layout::Nchw => Ok(()),
            other => write!(f, " {other}"),
        }
    }
}
