//! Handwritten digits: a net trained in PyTorch, read from ONNX and run on images that it has not seen.
//!
//! `cargo run --release -p convoke --example digits` classifies the test images of `examples/digits/` with the net of each of PyTorch's exporters,
//! and compares the logits with PyTorch's own. `… -- tolerances [PLOT.svg]` shows the price of approximations; see docs/digits.md.

mod data;
mod plot;
mod tolerances;

use std::error::Error;
use std::path::Path;

use convoke::Model;
use data::TestSet;
use ndarray::{Array2, ArrayView2, Axis, concatenate};

/// The folder of the nets and the images.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/digits");

/// The net by the classic exporter, which keeps batch norms, and by the newer one, which folds them.
const NETS: [&str; 2] = ["digits-torchscript.onnx", "digits-dynamo.onnx"];

/// Images of a run. The last batch has three: the model is compiled for both sizes when it meets them.
const BATCH: usize = 64;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        [] => classify(),
        ["tolerances"] => tolerances::show(None),
        ["tolerances", plot] => tolerances::show(Some(Path::new(plot))),
        _ => Err("usage: digits [tolerances [PLOT.svg]]".into()),
    }
}

/// Classifies the test images with each net.
fn classify() -> Result<(), Box<dyn Error>> {
    let test = TestSet::read(Path::new(FOLDER))?;
    println!("PyTorch: {}", Score::of(test.logits.view(), &test));
    for net in NETS {
        let model = Model::from_onnx(Path::new(FOLDER).join(net))?;
        println!("{net}: {}", Score::of(logits(&model, &test, BATCH)?.view(), &test));
    }
    Ok(())
}

/// The logits of all images, at most `batch` of them at a time.
fn logits(model: &Model, test: &TestSet, batch: usize) -> Result<Array2<f32>, Box<dyn Error>> {
    let mut batches = Vec::new();
    for images in test.images.axis_chunks_iter(Axis(0), batch) {
        batches.extend(model.run::<f32>(&[&images])?);
    }
    let views: Vec<_> = batches.iter().map(|batch| batch.view()).collect();
    Ok(concatenate(Axis(0), &views)?.into_dimensionality()?)
}

/// The quality of logits.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Score {
    /// Images whose largest logit is that of their digit.
    right: usize,
    /// Images with the same largest logit as in PyTorch.
    agreed: usize,
    images: usize,
    /// The largest difference from PyTorch's logits.
    largest: f32,
}

impl Score {
    fn of(logits: ArrayView2<'_, f32>, test: &TestSet) -> Score {
        let found = digits(logits);
        let same = |others: &[usize]| found.iter().zip(others).filter(|(a, b)| a == b).count();
        let differences = logits.iter().zip(&test.logits).map(|(a, b)| (a - b).abs());
        Score {
            right: same(&test.labels),
            agreed: same(&digits(test.logits.view())),
            images: found.len(),
            largest: differences.fold(0.0, f32::max),
        }
    }

    /// Images that are right, in percent.
    fn accuracy(&self) -> f64 {
        100.0 * self.right as f64 / self.images as f64
    }
}

impl std::fmt::Display for Score {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Score { right, agreed, images, largest } = self;
        write!(f, "{right} of {images} right, {:.2} %; ", self.accuracy())?;
        write!(f, "{agreed} as PyTorch has them, logits at most {largest:.1e} apart")
    }
}

/// The digit with the largest logit, for each image.
fn digits(logits: ArrayView2<'_, f32>) -> Vec<usize> {
    let largest = |row: ndarray::ArrayView1<'_, f32>| {
        row.iter().enumerate().max_by(|(_, a), (_, b)| a.total_cmp(b)).map_or(0, |(digit, _)| digit)
    };
    logits.outer_iter().map(largest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_nets_are_as_good_as_in_pytorch() -> Result<(), Box<dyn Error>> {
        let test = TestSet::read(Path::new(FOLDER))?;
        let pytorch = Score::of(test.logits.view(), &test);
        assert_eq!((pytorch.right, pytorch.images), (885, 899));
        for net in NETS {
            let model = Model::from_onnx(Path::new(FOLDER).join(net))?;
            let score = Score::of(logits(&model, &test, BATCH)?.view(), &test);
            assert_eq!((score.right, score.agreed), (885, 899), "{net}: {score}");
            assert!(score.largest < 1e-4, "{net}: {score}");
        }
        Ok(())
    }

    #[test]
    fn wrong_logits_are_noticed() -> Result<(), Box<dyn Error>> {
        let test = TestSet::read(Path::new(FOLDER))?;
        let mut turned = test.logits.clone();
        turned.invert_axis(Axis(1));
        let score = Score::of(turned.view(), &test);
        assert!(score.right < 100 && score.largest > 1.0, "{score}");
        Ok(())
    }
}
