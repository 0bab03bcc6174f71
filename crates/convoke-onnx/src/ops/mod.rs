//! Conversion of nodes into ops of the layer: one table of operators, a file for each family.

mod activation;
mod arithmetic;
mod build;
mod convolution;
mod einsum;
mod movement;
mod normalisation;
mod pool;
mod product;
mod reduce;
mod resample;
mod resize;

use crate::call::{Call, Value1};
use crate::error::{Converted, unsupported};
use crate::importer::Importer;
use crate::node::Node;
use crate::value::Value;

/// Converts a node with one output.
type Convert = fn(&mut Importer<'_>, &Call<'_>) -> Value1;

/// Operators of ONNX's own domain with one output, by name.
fn table(op: &str) -> Option<Convert> {
    Some(match op {
        "Conv" => convolution::conv,
        "ConvTranspose" => convolution::conv_transpose,
        "BatchNormalization" => normalisation::batch,
        "InstanceNormalization" => normalisation::instance,
        "GroupNormalization" => normalisation::group,
        "LRN" => normalisation::local_response,
        "Softmax" => normalisation::softmax,
        "LogSoftmax" => normalisation::log_softmax,
        "MeanVarianceNormalization" => normalisation::mean_variance,
        "LpNormalization" => normalisation::lp,
        "RMSNormalization" => normalisation::root_mean_square,
        "MaxPool" => pool::max,
        "AveragePool" => pool::average,
        "LpPool" => pool::lp,
        "GlobalAveragePool" => pool::global_average,
        "GlobalMaxPool" => pool::global_max,
        "GlobalLpPool" => pool::global_lp,
        "Gemm" => product::gemm,
        "MatMul" => product::matmul,
        "Einsum" => einsum::einsum,
        "Relu" | "Sigmoid" | "Tanh" | "Exp" | "Log" | "Sqrt" | "Abs" | "Neg" | "Reciprocal" | "Erf" | "Floor"
        | "Ceil" | "Round" | "Softplus" => activation::unary,
        "LeakyRelu" => activation::leaky_relu,
        "PRelu" => activation::prelu,
        "Clip" => activation::clip,
        "HardSigmoid" => activation::hard_sigmoid,
        "HardSwish" => activation::hard_swish,
        "Elu" => activation::elu,
        "Selu" => activation::selu,
        "Celu" => activation::celu,
        "Mish" => activation::mish,
        "Gelu" => activation::gelu,
        "Swish" => activation::swish,
        "Softsign" => activation::softsign,
        "ThresholdedRelu" => activation::thresholded_relu,
        "Sign" => activation::sign,
        "Add" | "Sub" | "Mul" | "Div" | "Pow" => arithmetic::binary,
        "Min" | "Max" | "Sum" => arithmetic::many,
        "Mean" => arithmetic::mean,
        "Less" | "LessOrEqual" | "Greater" | "GreaterOrEqual" | "Equal" => arithmetic::compare,
        "And" | "Or" | "Xor" => arithmetic::logic,
        "Not" => arithmetic::not,
        "Where" => arithmetic::select,
        "Cast" | "CastLike" => arithmetic::cast,
        "Identity" => movement::identity,
        "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => movement::reshape,
        "Transpose" => movement::transpose,
        "Concat" => movement::concat,
        "Slice" => movement::slice,
        "Gather" => movement::gather,
        "GatherElements" => movement::gather_elements,
        "Expand" => movement::expand,
        "Tile" => movement::tile,
        "Pad" => movement::pad,
        "DepthToSpace" => movement::depth_to_space,
        "SpaceToDepth" => movement::space_to_depth,
        "Resize" | "Upsample" => resize::resize,
        "ReduceMean" | "ReduceSum" | "ReduceMax" | "ReduceMin" => reduce::plain,
        "ReduceL1" | "ReduceL2" | "ReduceSumSquare" | "ReduceLogSum" | "ReduceLogSumExp" => reduce::composed,
        "ArgMax" | "ArgMin" => reduce::arg,
        _ => return None,
    })
}

/// Converts a node with several outputs.
type ConvertAll = fn(&mut Importer<'_>, &Call<'_>) -> Converted<Vec<Value>>;

/// The same for operators with several outputs.
fn table_of_several(op: &str) -> Option<ConvertAll> {
    Some(match op {
        "Dropout" => movement::dropout,
        "LayerNormalization" => normalisation::layer,
        "Split" => movement::split,
        "TopK" => reduce::top_k,
        _ => return None,
    })
}

/// Operators that are computed at import alone.
const OF_SHAPES: [&str; 8] = ["Shape", "Size", "Constant", "ConstantOfShape", "Range", "Mod", "ReduceProd", "NonZero"];

/// Whether there is a conversion for the node's operator.
pub(crate) fn knows(node: &Node) -> bool {
    let known = |op: &str| table(op).is_some() || table_of_several(op).is_some();
    is_own(node) && (known(&node.op) || OF_SHAPES.contains(&node.op.as_str()))
}

/// Whether the node is of ONNX's own domain, or an operator that ONNX Runtime wrote first.
fn is_own(node: &Node) -> bool {
    node.domain.is_empty() || (node.domain == "com.microsoft" && node.op == "Gelu")
}

/// The outputs of a node.
pub(crate) fn convert(importer: &mut Importer<'_>, call: &Call<'_>) -> Converted<Vec<Value>> {
    let node = call.node;
    if is_own(node) {
        if let Some(convert) = table_of_several(&node.op) {
            return convert(importer, call);
        }
        if let Some(convert) = table(&node.op) {
            return Ok(vec![convert(importer, call)?.into()]);
        }
        if OF_SHAPES.contains(&node.op.as_str()) {
            return unsupported(format!(
                "convoke computes it at import, from shapes and constants, and here an operand depends on the inputs of the net; {}",
                cut_before(node)
            ));
        }
    }
    unsupported(why_not(node))
}

/// Advice: the option that compiles the part of the net before the node.
fn cut_before(node: &Node) -> String {
    let read = node.inputs.iter().find(|name| !name.is_empty()).map_or("NAME", String::as_str);
    format!("cut the net before it with --outputs '{read}'")
}

/// Why there is no conversion, and what to do.
fn why_not(node: &Node) -> String {
    let cut = cut_before(node);
    match node.op.as_str() {
        _ if !node.domain.is_empty() => {
            format!("operators of domain `{}` are not compiled; export with ONNX's own, or {cut}", node.domain)
        }
        "If" | "Loop" | "Scan" | "SequenceMap" => {
            format!("control flow is not compiled; export the net for fixed shapes, or {cut}")
        }
        "GRU" | "LSTM" | "RNN" => format!("recurrent nets are not compiled; {cut}"),
        "QLinearConv"
        | "QLinearMatMul"
        | "ConvInteger"
        | "MatMulInteger"
        | "QuantizeLinear"
        | "DequantizeLinear"
        | "DynamicQuantizeLinear" => "quantised nets are not compiled; use the model in float32".into(),
        "NonMaxSuppression" | "NonZero" | "Unique" => {
            format!("its result has a size or an order that depends on the data; {cut}")
        }
        _ => format!("there is no such operator in convoke; {cut}"),
    }
}
