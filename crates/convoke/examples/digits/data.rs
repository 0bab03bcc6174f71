//! The test split of the digits, as `examples/digits/train.py` writes it.

use std::path::Path;

use convoke::{Elem, Files, Layout, TensorType};
use ndarray::{Array2, Array4, ArrayD};

/// The number of test images.
const IMAGES: usize = 899;

/// Images with their digits and PyTorch's logits.
pub(crate) struct TestSet {
    /// `[N, 1, 8, 8]`, from 0 to 1.
    pub(crate) images: Array4<f32>,
    /// The digit of each image.
    pub(crate) labels: Vec<usize>,
    /// PyTorch's logits, `[N, 10]`.
    pub(crate) logits: Array2<f32>,
}

impl TestSet {
    /// Reads `test.npz` of a folder.
    pub(crate) fn read(folder: &Path) -> Result<TestSet, Box<dyn std::error::Error>> {
        let file = folder.join("test.npz");
        let array = |name: &str, dims: &[usize]| -> Result<ArrayD<f32>, Box<dyn std::error::Error>> {
            let ty = TensorType::new(Elem::F32, dims, Layout::Nchw)?;
            let tensor = convoke_data::read_tensor(&file, Some(name), &ty, &Files::none())?;
            Ok(tensor.array.mapv(|x| x as f32))
        };
        Ok(TestSet {
            images: array("images", &[IMAGES, 1, 8, 8])?.into_dimensionality()?,
            labels: array("labels", &[IMAGES])?.iter().map(|&label| label as usize).collect(),
            logits: array("logits", &[IMAGES, 10])?.into_dimensionality()?,
        })
    }
}
