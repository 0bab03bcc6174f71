//! A layer from text: compiled for this CPU, and run on an array.
//!
//! `cargo run -p convoke --example compile_text`

use convoke::{Compiler, Error, Layer};
use ndarray::Array4;

/// Edges of an image by Sobel's filter, from left to right.
const TEXT: &str = "layer @edges(%image: f32[1, 1, 32, 32]) -> f32[1, 1, 30, 30] {
  %w = const f32[1, 1, 3, 3] = sobel_x
  %y = conv2d %image, %w
  return %y
}";

fn main() -> Result<(), Error> {
    let layer = Layer::parse(TEXT)?;
    let compiled = Compiler::host().compile(&layer)?;

    // A bright right half: the edge is between columns 15 and 16.
    let image = Array4::from_shape_fn([1, 1, 32, 32], |(_, _, _, column)| if column < 16 { 0.0f32 } else { 1.0 });
    let edges = &compiled.run::<f32>(&[&image])?[0];

    let row: Vec<f32> = edges.index_axis(ndarray::Axis(2), 15).iter().copied().collect();
    println!("@{} in {:.1?}: {row:?}", compiled.name(), compiled.report().compile_time());
    // Outputs 14 and 15 read the edge; each sums the weights 1, 2, 1 of the bright side.
    assert_eq!((row[13], row[14], row[15], row[16]), (0.0, 4.0, 4.0, 0.0));
    Ok(())
}

#[cfg(test)]
#[test]
fn it_runs() -> Result<(), Error> {
    main()
}
