//! Strides of images by logical axis, so that lowering need not distinguish layouts.

use convoke_ir::loops::Affine;
use convoke_ir::types::{Image, Layout, TensorType};

/// Elements from one index to the next along each logical axis; 0 along axes of a broadcast operand.
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

/// The indices of an element, as expressions of loop variables.
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

    /// The same strides in a normal form: an axis of extent 1 may have any stride, and gets 0, or the stride with which rows join.
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

    /// Whether the pixels of a column are nearer to each other in memory than those of a row.
    pub fn is_transposed(&self) -> bool {
        self.h < self.w
    }

    /// The same for an image whose rows are the columns of this one.
    pub fn transposed(self) -> Strides {
        Strides { h: self.w, w: self.h, ..self }
    }

    /// The address of the element at `site`.
    pub fn at(&self, site: &Index) -> Affine {
        site.n.clone() * self.n + site.c.clone() * self.c + site.h.clone() * self.h + site.w.clone() * self.w
    }

    /// Whether rows of `width` pixels follow each other without a gap, so that an image can be taken as one row: flattened.
    pub fn rows_join(&self, width: usize) -> bool {
        self.h == self.w * width
    }
}

/// Strides along the stored axes of `result` for an operand of type `operand` that is broadcast to it: 0 along axes of extent 1 whose
/// extent in the result is larger.
pub fn stretched(operand: &TensorType, result: &TensorType) -> Vec<usize> {
    let dims = operand.shape.dims().iter().zip(result.shape.dims());
    dims.zip(operand.shape.strides()).map(|((&d, &r), s)| if d == 1 && r != 1 { 0 } else { s }).collect()
}

/// Strides along the stored axes of `result` for an operand with one number for each channel.
pub fn per_channel(result: &TensorType) -> Vec<usize> {
    let axis = result.channel_axis();
    (0..result.shape.rank()).map(|a| usize::from(Some(a) == axis)).collect()
}

/// The elements spanned by nested axes of these extents and strides: one more than the largest address.
pub fn reach(axes: &[(usize, usize)]) -> usize {
    axes.iter().map(|&(extent, stride)| (extent - 1) * stride).sum::<usize>() + 1
}
