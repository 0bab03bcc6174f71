//! A convolution's shape and its short spelling, after benchdnn: `n1c256h56w56k256r3s3p1`.

use std::fmt;

use convoke::ir::layer::{Generator, Source};
use convoke::{Elem, Error, Layer, Layout};

/// The numbers of one 2-D convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConvShape {
    /// Batch.
    pub n: usize,
    /// Groups.
    pub g: usize,
    /// Input channels, of all groups together.
    pub c: usize,
    /// Input rows.
    pub h: usize,
    /// Input columns.
    pub w: usize,
    /// Output channels.
    pub k: usize,
    /// Kernel rows.
    pub r: usize,
    /// Kernel columns.
    pub s: usize,
    /// Steps over rows and columns.
    pub strides: [usize; 2],
    /// Top, left, bottom, right.
    pub pads: [usize; 4],
    /// Distance between taps over rows and columns.
    pub dilations: [usize; 2],
}

impl ConvShape {
    /// Output rows and columns; `None` if the kernel does not fit.
    pub fn output(&self) -> Option<[usize; 2]> {
        let axis = |input: usize, kernel: usize, i: usize| {
            let reach = (kernel - 1) * self.dilations[i] + 1;
            let padded = input + self.pads[i] + self.pads[i + 2];
            Some(padded.checked_sub(reach)? / self.strides[i] + 1)
        };
        Some([axis(self.h, self.r, 0)?, axis(self.w, self.s, 1)?])
    }

    /// Multiply-adds of one run; `None` if the kernel does not fit, or if there are more than 2^64.
    pub fn macs(&self) -> Option<u64> {
        let [p, q] = self.output()?;
        let factors = [self.n, self.k, p, q, self.c / self.g, self.r, self.s];
        factors.iter().try_fold(1u64, |m, &f| m.checked_mul(f as u64))
    }

    /// The layer, with weights of `source`, and a bias and ReLU if `epilogue`.
    pub fn layer(&self, layout: Layout, weights: Source, epilogue: bool) -> Result<Layer, Error> {
        self.layer_in(Elem::F32, layout, weights, epilogue)
    }

    /// The same in an element type.
    pub fn layer_in(&self, elem: Elem, layout: Layout, weights: Source, epilogue: bool) -> Result<Layer, Error> {
        let input = match layout {
            Layout::Nchw => [self.n, self.c, self.h, self.w],
            Layout::Nhwc => [self.n, self.h, self.w, self.c],
        };
        let conv = Layer::conv2d(input, [self.k, self.c / self.g, self.r, self.s])
            .name(&self.to_string())
            .elem(elem)
            .layout(layout)
            .pads(self.pads.map(|p| p as i64))
            .strides(self.strides.map(|s| s as i64))
            .dilations(self.dilations.map(|d| d as i64))
            .group(self.g as i64)
            .weights(weights);
        match epilogue {
            true => conv.bias(Generator::Normal { seed: 2, mean: 0.0, std: 0.5 }).relu().build(),
            false => conv.build(),
        }
    }

    /// The layer with its weights as an input of each run, and a bias, an input too, and ReLU if `epilogue`; computed from inputs if `computed`.
    pub fn layer_of_run(&self, layout: Layout, epilogue: bool, computed: bool) -> Result<Layer, Error> {
        let ConvShape { n, g, c, h, w, k, r, s, strides, pads, dilations } = *self;
        let [p, q] = self.output().unwrap_or_default();
        let image = |c: usize, h: usize, w: usize| match layout {
            Layout::Nchw => format!("f32[{n}, {c}, {h}, {w}]"),
            Layout::Nhwc => format!("f32[{n}, {h}, {w}, {c}] nhwc"),
        };
        let weights = if computed { "clip %given { min = -5, max = 7 }" } else { "reshape %given { shape = [K] }" };
        let weights = weights.replace('K', &format!("{k}, {}, {r}, {s}", c / g));
        let (bias, then) =
            if epilogue { (format!(", %b: f32[{k}]"), " then bias %b then relu") } else { Default::default() };
        let text = format!(
            "layer @{self}(%x: {x}, %given: f32[{k}, {cg}, {r}, {s}]{bias}) -> {y} {{
               %w = {weights}
               %y = conv2d %x, %w {{ pads = {pads:?}, strides = {strides:?}, dilations = {dilations:?}, group = {g} }}{then}
               return %y
             }}",
            x = image(c, h, w),
            y = image(k, p, q),
            cg = c / g,
        );
        Layer::parse(&text)
    }
}

impl fmt::Display for ConvShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.n)?;
        if self.g > 1 {
            write!(f, "g{}", self.g)?;
        }
        write!(f, "c{}h{}w{}k{}r{}s{}", self.c, self.h, self.w, self.k, self.r, self.s)?;
        let [sh, sw] = self.strides;
        if [sh, sw] != [1, 1] {
            write!(f, "u{sh}v{sw}")?;
        }
        let [dh, dw] = self.dilations;
        if [dh, dw] != [1, 1] {
            write!(f, "d{dh}e{dw}")?;
        }
        match self.pads {
            [0, 0, 0, 0] => Ok(()),
            [p, l, b, r] if [p; 3] == [l, b, r] => write!(f, "p{p}"),
            [t, l, b, r] => write!(f, "p{t}_{l}_{b}_{r}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spelling_leaves_out_what_is_usual() {
        let mut shape = ConvShape {
            n: 1,
            g: 1,
            c: 256,
            h: 56,
            w: 56,
            k: 256,
            r: 3,
            s: 3,
            strides: [1, 1],
            pads: [1; 4],
            dilations: [1, 1],
        };
        assert_eq!(shape.to_string(), "n1c256h56w56k256r3s3p1");
        assert_eq!(shape.macs(), Some(256 * 256 * 9 * 56 * 56));
        (shape.g, shape.strides, shape.pads, shape.dilations) = (2, [2, 1], [0, 1, 2, 3], [1, 3]);
        assert_eq!(shape.to_string(), "n1g2c256h56w56k256r3s3u2v1d1e3p0_1_2_3");
    }
}
