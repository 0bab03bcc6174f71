"""Writes test cases of what ONNX's own do not cover into the folder `cases/own` beside this script, in the same layout.

    python own.py

Expected outputs are those of ONNX's reference evaluator, and of ONNX Runtime for `LpPool`: the evaluator takes a window that hangs over the image as if it
were whole.
"""

import os

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "cases", "own")
random = np.random.default_rng(5)


def real(*dims):
    return random.normal(size=dims).astype(np.float32)


def info(name, array):
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)


def case(name, op, inputs, outputs=1, **attributes):
    """A case of one node; an input of `None` is left out."""
    names = [f"x{i}" if x is not None else "" for i, x in enumerate(inputs)]
    inputs = {name: x for name, x in zip(names, inputs) if x is not None}
    results = [f"y{i}" for i in range(outputs)]
    nodes(name, [helper.make_node(op, names, results, **attributes)], inputs, results)


def nodes(name, net, inputs, results):
    def model(found):
        graph = helper.make_graph(net, name, [info(n, x) for n, x in inputs.items()], found)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9).SerializeToString()

    untyped = model([helper.make_tensor_value_info(y, onnx.TensorProto.FLOAT, None) for y in results])
    if net[0].op_type == "LpPool":
        found = onnxruntime.InferenceSession(untyped, providers=["CPUExecutionProvider"]).run(None, inputs)
    else:
        found = ReferenceEvaluator(onnx.load_from_string(untyped)).run(None, inputs)
    found = [np.asarray(y) for y in found]
    data = os.path.join(FOLDER, name, "test_data_set_0")
    os.makedirs(data, exist_ok=True)
    with open(os.path.join(FOLDER, name, "model.onnx"), "wb") as file:
        file.write(model([info(n, y) for n, y in zip(results, found)]))
    for prefix, arrays in (("input", inputs.values()), ("output", found)):
        for i, x in enumerate(arrays):
            with open(os.path.join(data, f"{prefix}_{i}.pb"), "wb") as file:
                file.write(numpy_helper.from_array(x).SerializeToString())
    with open(os.path.join(FOLDER, name, "tolerance"), "w") as file:
        file.write("0.0001 1e-06\n")


def resize(name, dims, scales, **attributes):
    case(name, "Resize", [real(*dims), None, np.array(scales, np.float32)], **attributes)


case("einsum_chain", "Einsum", [real(2, 3), real(3, 4), real(4, 5)], equation="ij,jk,kl->il")
case("einsum_dots_stretched", "Einsum", [real(2, 1, 3, 4), real(5, 4, 6)], equation="...ij,...jk->...ik")
case("einsum_diagonal_of_one", "Einsum", [real(2, 3, 3), real(3, 2)], equation="ijj,ji->i")
case("einsum_implied", "Einsum", [real(2, 3), real(4, 3)], equation="ba,ca")
case("einsum_heads", "Einsum", [real(2, 3, 4, 6), real(2, 3, 6, 5)], equation="bhqk,bhkd->bqhd")
case("gather_elements_any", "GatherElements", [real(3, 5, 4), random.integers(-5, 5, size=(3, 6, 4))], axis=1)
case("lp_pool_3_ceil", "LpPool", [real(1, 2, 8, 9)], p=3, kernel_shape=[3, 3], strides=[2, 3], pads=[1, 0, 1, 2], ceil_mode=1)
case("lp_pool_1_dilated", "LpPool", [real(1, 2, 9, 9)], p=1, kernel_shape=[2, 2], strides=[2, 2], dilations=[2, 3], ceil_mode=1)
case("layer_normalization_statistics", "LayerNormalization", [real(2, 3, 4), real(4), real(4)], 3)
# The extent stays, and its elements are at other places.
resize("resize_scale_of_same_size", [1, 2, 4, 3], [1, 1, 1.2, 1.2], mode="linear", coordinate_transformation_mode="asymmetric")
resize("resize_any_axis", [3, 4, 2, 3, 5], [1, 0.5, 1, 1.5, 2], mode="cubic", coordinate_transformation_mode="half_pixel")
resize("resize_antialias_outside", [1, 2, 7, 9], [1, 1, 0.35, 0.6], mode="cubic", antialias=1, exclude_outside=1)
# The outputs have other names than the value that they are.
alike = [helper.make_node("Relu", ["x"], ["relu"])]
alike += [helper.make_node("Identity", ["relu"], [name]) for name in ("out/a:0", "out/b:0")]
nodes("outputs_of_identity", alike, {"x": real(2, 3)}, ["out/a:0", "relu", "out/b:0"])
# Old exporters of PyTorch name values by numbers.
numbers = [helper.make_node("Relu", ["0"], ["3"]), helper.make_node("HardSwish", ["3"], ["12"]), helper.make_node("Neg", ["12"], ["2"])]
nodes("numbers_as_names", numbers, {"0": real(2, 3)}, ["12", "2"])
# A picture as bytes.
picture = random.integers(0, 256, size=(1, 3, 4, 5)).astype(np.uint8)
nodes("bytes", [helper.make_node("Cast", ["image"], ["y"], to=1)], {"image": picture}, ["y"])
# An output that is an input.
nodes("output_of_input", [helper.make_node("Relu", ["x"], ["y"])], {"x": real(2, 3)}, ["y", "x"])
