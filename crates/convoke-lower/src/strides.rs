//! Where the elements of an image lie, whatever its layout: one stride for each logical axis.

use convoke_ir::loops::Affine;
use convoke_ir::types::{Image, Layout, TensorType};

/// Elements from one index to the next along each logical axis; 0 where an operand is stretched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strides {
    /// From image to image.
    pub n: usize,
    /// From channel to channel.
    pub c: usize,
    /// From row to row.
    pub h: usize,
    /// From column to column.
    pub w: usize,
}

/// A place in an image, as expressions of loop variables.
#[derive(Clone, Debug, Default)]
pub struct Index {
    /// The image.
    pub n: Affine,
    /// The channel.
    pub c: Affine,
    /// The row.
    pub h: Affine,
    /// The column.
    pub w: Affine,
}

impl Strides {
    /// The strides of a densely stored image.
    pub fn dense(image: Image, layout: Layout) -> Strides {
        let Image { n: _, c, h, w } = image;
        match layout {
            Layout::Nchw => Strides { n: c * h * w, c: h * w, h: w, w: 1 },
            Layout::Nhwc => Strides { n: h * w * c, c: 1, h: w * c, w: c },
        }
    }

    /// From strides along stored axes.
    pub fn stored(strides: &[usize], layout: Layout) -> Strides {
        let &[a, b, c, d] = strides else { unreachable!("only images have strides, and they have rank 4") };
        match layout {
            Layout::Nchw => Strides { n: a, c: b, h: c, w: d },
            Layout::Nhwc => Strides { n: a, h: b, w: c, c: d },
        }
    }

    /// The same with other strides along axes of which `image` has one index, where any will do: none from image to image, and rows that join.
    pub fn over(mut self, image: Image) -> Strides {
        if image.n == 1 {
            self.n = 0;
        }
        match (image.h, image.w) {
            (1, 1) => (self.h, self.w) = (0, 0),
            (1, width) => self.h = self.w * width,
            (_, 1) => self.w = self.h,
            _ => {}
        }
        self
    }

    /// Whether pixels below each other are nearer than those beside each other.
    pub fn is_transposed(&self) -> bool {
        self.h < self.w
    }

    /// The same for an image whose rows are the columns of this one.
    pub fn transposed(self) -> Strides {
        Strides { h: self.w, w: self.h, ..self }
    }

    /// The element at `site`.
    pub fn at(&self, site: &Index) -> Affine {
        site.n.clone() * self.n + site.c.clone() * self.c + site.h.clone() * self.h + site.w.clone() * self.w
    }

    /// Whether rows of `width` pixels follow each other without a gap, so that pixels can be counted through.
    pub fn rows_join(&self, width: usize) -> bool {
        self.h == self.w * width
    }
}

/// Strides along the stored axes of `result` for an operand of type `operand` that is stretched to it: 0 along axes of extent 1
/// that the result has more of.
pub fn stretched(operand: &TensorType, result: &TensorType) -> Vec<usize> {
    let dims = operand.shape.dims().iter().zip(result.shape.dims());
    dims.zip(operand.shape.strides()).map(|((&d, &r), s)| if d == 1 && r != 1 { 0 } else { s }).collect()
}

/// Strides along the stored axes of `result` for an operand with one number for each channel.
pub fn per_channel(result: &TensorType) -> Vec<usize> {
    let axis = result.channel_axis();
    (0..result.shape.rank()).map(|a| usize::from(Some(a) == axis)).collect()
}

/// One past the furthest element reached from 0 by these (extent, stride) pairs.
pub fn reach(axes: &[(usize, usize)]) -> usize {
    axes.iter().map(|&(extent, stride)| (extent - 1) * stride).sum::<usize>() + 1
}
