//! Compiles the net of handwritten digits for this program.

use convoke_build::onnx::Options;
use convoke_build::{Build, Error};

fn main() -> Result<(), Error> {
    Build::new("../digits/digits-torchscript.onnx").with_onnx(Options::default().with_dim("batch", 1)).compile("digits")
}
