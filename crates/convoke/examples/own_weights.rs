//! Weights from the program: a convolution with bias and a residual, built in Rust, with inputs of its own.
//!
//! `cargo run -p convoke --example own_weights`

use convoke::{Compiler, Error, Layer};
use ndarray::{Array1, Array4};

fn main() -> Result<(), Error> {
    // Weights may be arrays of any element type; they are rounded to that of the layer.
    let weights = Array4::<f64>::from_shape_fn([16, 8, 3, 3], |(k, c, _, _)| ((k + c) % 5) as f64 * 0.01);
    let bias = Array1::<f32>::linspace(-0.5, 0.5, 16);
    let layer = Layer::conv2d([1, 8, 14, 14], [16, 8, 3, 3])
        .name("block")
        .pads([1, 1, 1, 1])
        .weights(weights)
        .bias(bias)
        .residual()
        .relu()
        .build()?;
    let compiled = Compiler::host().with_threads(2).compile(&layer)?;
    for (name, ty) in compiled.inputs() {
        println!("input %{name}: {ty}");
    }

    let (image, residual) = (Array4::<f32>::ones([1, 8, 14, 14]), Array4::<f32>::zeros([1, 16, 14, 14]));
    let mut outputs = compiled.run::<f32>(&[&image, &residual])?;
    // The next run writes into the same array: no memory is allocated.
    compiled.run_into(&[&image, &residual], &mut [&mut outputs[0]])?;
    println!("output in the middle: {:?}", outputs[0].slice(ndarray::s![0, .., 7, 7]).to_vec());
    Ok(())
}

#[cfg(test)]
#[test]
fn it_runs() -> Result<(), Error> {
    main()
}
