//! Parts that benchmarks share: layers, tables of layers, the CPU that code is made for, the protocol of workers.

pub mod cpu;
pub mod protocol;
pub mod rows;

use std::process::ExitCode;

use convoke::{Layer, TensorType};
use ndarray::ArrayD;

/// A 256 × 256 × 256 product of matrices, all of it in cache.
pub const GEMM_256: &str = "layer @gemm_256(%a: f32[256, 256]) -> f32[256, 256] {
  %b = const f32[256, 256] = normal(seed = 7, std = 0.02)
  %y = matmul %a, %b
  return %y
}";

/// VGG-16 conv3_2 by an algorithm.
pub fn vgg16_conv3_2(algorithm: &str) -> String {
    format!(
        "layer @vgg16_conv3_2(%x: f32[1, 256, 56, 56]) -> f32[1, 256, 56, 56] {{
  %w = const f32[256, 256, 3, 3] = normal(seed = 7, std = 0.02)
  %b = const f32[256] = zeros
  %0 = conv2d %x, %w {{ pads = [1, 1, 1, 1], algorithm = {algorithm} }}
  %1 = bias %0, %b
  %2 = relu %1
  return %2
}}"
    )
}

/// A depthwise layer of MobileNetV2.
pub const DEPTHWISE: &str = "layer @mobilenetv2_depthwise(%x: f32[1, 144, 56, 56]) -> f32[1, 144, 56, 56] {
  %w = const f32[144, 1, 3, 3] = normal(seed = 7, std = 0.2)
  %0 = conv2d %x, %w { pads = [1, 1, 1, 1], group = 144 }
  %1 = relu6 %0
  return %1
}";

/// How a program ends; what went wrong goes to standard error.
pub fn exit(result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}

/// The layer of a text above.
pub fn layer(text: &str) -> Layer {
    Layer::parse(text).expect("the texts above are layers")
}

/// Random numbers for each input of `layer`.
pub fn inputs(layer: &Layer) -> Vec<ArrayD<f32>> {
    let random = |ty: &TensorType| convoke_data::random(ty, 1, layer.files()).expect("small enough").mapv(|v| v as f32);
    layer.inputs().into_iter().map(|(_, ty)| random(ty)).collect()
}
