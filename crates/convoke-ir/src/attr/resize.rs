//! The words of `resize`; the names are ONNX's.

use super::{Attr, AttrType};

words! {
    /// How an output is made of its neighbours.
    ResizeMode {
        /// One of them.
        Nearest = "nearest",
        /// The line through two along each axis.
        Linear = "linear",
        /// The cubic convolution of four along each axis.
        Cubic = "cubic",
    }
}

words! {
    /// Where an output lies in the input.
    Coordinates {
        /// Pixels are areas: their centres are at halves.
        HalfPixel = "half_pixel",
        /// The same, with the centre of the image in its place where the scale was rounded.
        HalfPixelSymmetric = "half_pixel_symmetric",
        /// The same as half pixels, but for a single output.
        PytorchHalfPixel = "pytorch_half_pixel",
        /// The outermost pixels fall together.
        AlignCorners = "align_corners",
        /// The first pixels fall together.
        Asymmetric = "asymmetric",
    }
}

words! {
    /// How a place is rounded to a pixel.
    Rounding {
        /// The nearest; a half down.
        RoundPreferFloor = "round_prefer_floor",
        /// The nearest; a half up.
        RoundPreferCeil = "round_prefer_ceil",
        /// Down.
        Floor = "floor",
        /// Up.
        Ceil = "ceil",
    }
}
