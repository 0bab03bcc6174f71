//! Resampling of an axis as a product with a constant matrix, for what the op `resize` does not have: `antialias`, crops, and axes other than rows and columns.
//!
//! Row p of the matrix holds the weights of output p. A crop may leave the tensor; its outputs there are one number.

use crate::call::Value1;
use crate::error::{Converted, malformed, unsupported};
use crate::importer::Importer;
use crate::tensor::{Numbers, Tensor};
use crate::value::Net;

/// The most elements of a matrix.
const MOST: usize = 1 << 24;

/// How outputs are made of their neighbours.
pub(super) struct Sampling {
    pub(super) mode: String,
    pub(super) coordinates: String,
    pub(super) rounding: String,
    pub(super) cubic_a: f64,
    pub(super) exclude_outside: bool,
    pub(super) antialias: bool,
    /// The number outside of the tensor, for crops.
    pub(super) outside: f64,
}

/// What happens to an axis.
pub(super) struct Along {
    pub(super) axis: usize,
    pub(super) input: usize,
    pub(super) output: usize,
    pub(super) scale: f64,
    /// Begin and end of the crop, in parts of the axis.
    pub(super) crop: [f64; 2],
}

impl Sampling {
    /// Where output p lies in the axis; `None` if a crop has it outside.
    fn place(&self, along: &Along, p: usize) -> Converted<Option<f64>> {
        let (n, o, s, p) = (along.input as f64, along.output as f64, along.scale, p as f64);
        let l = s * n;
        let half_pixel = (p + 0.5) / s - 0.5;
        Ok(Some(match self.coordinates.as_str() {
            "half_pixel" => half_pixel,
            "half_pixel_symmetric" => n / 2.0 * (1.0 - o / l) + half_pixel,
            "pytorch_half_pixel" => {
                if l == 1.0 {
                    -0.5
                } else {
                    half_pixel
                }
            }
            "align_corners" => {
                if l == 1.0 {
                    0.0
                } else {
                    p * (n - 1.0) / (l - 1.0)
                }
            }
            "asymmetric" => p / s,
            "tf_crop_and_resize" => {
                let [begin, end] = along.crop;
                let t = match along.output {
                    1 => 0.5 * (begin + end) * (n - 1.0),
                    _ => begin * (n - 1.0) + p * (end - begin) * (n - 1.0) / (o - 1.0),
                };
                return Ok((0.0..=n - 1.0).contains(&t).then_some(t));
            }
            other => {
                return malformed(format!("`coordinate_transformation_mode` is `{other}`, which is no word for it"));
            }
        }))
    }

    /// The weight of a neighbour at a distance, in pixels of the input, or of the output where `antialias` shrinks.
    fn weight(&self, distance: f64) -> f64 {
        let (a, d) = (self.cubic_a, distance.abs());
        match self.mode.as_str() {
            "cubic" if d <= 1.0 => ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0,
            "cubic" if d < 2.0 => ((a * d - 5.0 * a) * d + 8.0 * a) * d - 4.0 * a,
            "cubic" => 0.0,
            _ => (1.0 - d).max(0.0),
        }
    }

    /// The weights of the elements of an axis at the place t.
    fn row(&self, along: &Along, t: f64) -> Converted<Vec<f64>> {
        let mut row = vec![0.0; along.input];
        let last = along.input as f64 - 1.0;
        if self.mode == "nearest" {
            let nearest = match self.rounding.as_str() {
                "round_prefer_floor" => (t - 0.5).ceil(),
                "round_prefer_ceil" => (t + 0.5).floor(),
                "floor" => t.floor(),
                "ceil" => t.ceil(),
                other => return malformed(format!("`nearest_mode` is `{other}`, which is no word for it")),
            };
            row[nearest.clamp(0.0, last) as usize] = 1.0;
            return Ok(row);
        }
        let support = if self.mode == "cubic" { 2.0 } else { 1.0 };
        let shrink = if self.antialias { along.scale.min(1.0) } else { 1.0 };
        let first = (-support / shrink).floor() + 1.0;
        let base = t.ceil() - 1.0;
        let (mut at, mut sum) = (base + first, 0.0);
        while at <= base + 1.0 - first {
            let weight = self.weight((at - t) * shrink);
            if !self.exclude_outside || (0.0..=last).contains(&at) {
                row[at.clamp(0.0, last) as usize] += weight;
                sum += weight;
            }
            at += 1.0;
        }
        // All neighbours are outside: the edge.
        if sum == 0.0 {
            row[t.clamp(0.0, last) as usize] = 1.0;
            sum = 1.0;
        }
        row.iter_mut().for_each(|weight| *weight /= sum);
        Ok(row)
    }

    /// The tensor resampled along axes.
    pub(super) fn resampled(&self, importer: &mut Importer<'_>, x: &Net, axes: &[Along]) -> Value1 {
        let mut y = x.clone();
        // Whether an output is outside of the tensor, by a mask along each axis.
        let mut masks = Vec::new();
        for along in axes {
            let (mut matrix, mut mask) = (Vec::new(), Vec::new());
            if along.input.checked_mul(along.output).is_none_or(|elements| elements > MOST) {
                return unsupported(format!("it resizes an axis of {} elements to {}", along.input, along.output));
            }
            for p in 0..along.output {
                let place = self.place(along, p)?;
                matrix.extend(match place {
                    Some(t) => self.row(along, t)?,
                    None => vec![0.0; along.input],
                });
                mask.push(f64::from(u8::from(place.is_some())));
            }
            y = product(importer, &y, along, matrix)?;
            if mask.contains(&0.0) {
                let mut dims = vec![1; x.dims.len()];
                dims[along.axis] = along.output;
                masks.push(importer.constant(&Tensor::of(x.ty, dims, &Numbers::Real(mask))?, "inside")?);
            }
        }
        let outside = importer.number(&y, self.outside)?;
        for mask in masks {
            y = importer.named("select", &[&mask, &y, &outside], &[])?;
        }
        Ok(y)
    }
}

/// A matrix `[output, input]` times an axis.
fn product(importer: &mut Importer<'_>, x: &Net, along: &Along, matrix: Vec<f64>) -> Value1 {
    let (outer, inner): (usize, usize) =
        (x.dims[..along.axis].iter().product(), x.dims[along.axis + 1..].iter().product());
    let mut dims = x.dims.clone();
    dims[along.axis] = along.output;
    let y = if inner == 1 {
        let transposed =
            (0..along.input * along.output).map(|i| matrix[i % along.output * along.input + i / along.output]);
        let numbers = Numbers::Real(transposed.collect());
        let weights = importer.constant(&Tensor::of(x.ty, vec![along.input, along.output], &numbers)?, "weights")?;
        let flat = importer.reshape(x, &[outer, along.input])?;
        importer.named("matmul", &[&flat, &weights], &[])?
    } else {
        let dims = vec![1, along.output, along.input];
        let weights = importer.constant(&Tensor::of(x.ty, dims, &Numbers::Real(matrix))?, "weights")?;
        let flat = importer.reshape(x, &[outer, along.input, inner])?;
        importer.named("matmul", &[&weights, &flat], &[])?
    };
    importer.reshape(&y, &dims)
}
