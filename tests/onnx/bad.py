"""Writes models that must be refused into the folder `bad` beside this script, each with words that its message holds.

    python bad.py
"""

import os

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bad")
F32 = TensorProto.FLOAT
words = {}


def info(name, dims, kind=F32):
    return helper.make_tensor_value_info(name, kind, dims)


def model(name, expected, nodes, inputs=None, outputs=None, tensors=(), opset=17, functions=(), imports=()):
    inputs = [info("x", [1, 4, 8, 8])] if inputs is None else inputs
    outputs = [info("y", None)] if outputs is None else outputs
    graph = helper.make_graph(nodes, "g", inputs, outputs, list(tensors))
    opsets = [helper.make_opsetid("", opset), *imports]
    made = helper.make_model(graph, opset_imports=opsets, functions=list(functions), ir_version=9)
    write(name, expected, made.SerializeToString())


def write(name, expected, content):
    with open(os.path.join(FOLDER, name + ".onnx"), "wb") as file:
        file.write(content)
    words[name] = expected


def array(name, values):
    return numpy_helper.from_array(np.asarray(values), name)


def raw(name, dims, content, kind=F32):
    return TensorProto(name=name, dims=dims, data_type=kind, raw_data=content)


def external(name, location):
    tensor = TensorProto(name=name, dims=[4], data_type=F32, data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=location)
    return tensor


def main():
    os.makedirs(FOLDER, exist_ok=True)
    node = helper.make_node
    relu = node("Relu", ["x"], ["y"])
    whole = helper.make_model(helper.make_graph([relu], "g", [info("x", [1, 4])], [info("y", [1, 4])]), ir_version=9)
    content = whole.SerializeToString()
    write("empty", "it is empty", b"")
    write("picture", "no ONNX model", b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR")
    write("cut", "no ONNX model", content[: len(content) * 2 // 3])
    weights = array("w", np.ones((4, 4, 3, 3), np.float32))
    conv = lambda **attrs: [node("Conv", ["x", "w"], ["y"], "c", **attrs)]
    model("short-tensor", "tensor `w`: shape [2, 3] of float32 has 24 bytes, 20 are given", [node("Add", ["x", "w"], ["y"])], tensors=[raw("w", [2, 3], bytes(20))])
    model("huge-tensor", "memory budget", [node("Add", ["x", "w"], ["y"])], tensors=[raw("w", [1 << 31, 1 << 31], b"")])
    model("negative-tensor", "negative extent", [node("Add", ["x", "w"], ["y"])], tensors=[raw("w", [-2, 3], b"")])
    model("outside", "leads out of the folder", [node("Add", ["x", "w"], ["y"])], tensors=[external("w", "../../etc/passwd")])
    model("absolute", "absolute", [node("Add", ["x", "w"], ["y"])], tensors=[external("w", "/etc/hostname")])
    model("pads-twice", "auto_pad", conv(auto_pad="SAME_UPPER", pads=[1, 1, 1, 1]), tensors=[weights])
    model("auto-pad-word", "`auto_pad` is `same_upper`", conv(auto_pad="same_upper"), tensors=[weights])
    model("kernel-shape", "`kernel_shape` is [5, 5], the weights have [3, 3]", conv(kernel_shape=[5, 5]), tensors=[weights])
    model("group-0", "group", conv(group=0), tensors=[weights])
    model("huge-pads", "`pads`", conv(pads=[1 << 62, 0, 0, 0]), tensors=[weights])
    model("rank-5-weights", "weights of rank 5 on an image of rank 4", conv(), tensors=[array("w", np.ones((4, 4, 3, 3, 3), np.float32))])
    model("symbolic", "--dim N=1 --dim height=224", [relu], inputs=[info("x", ["N", 3, "height", 8])])
    model("unknown-size", "--input-shape x=1,1,8,8", [relu], inputs=[info("x", [1, None, 8, 8])])
    model("no-shape", "has no shape in the file", [relu], inputs=[info("x", None)])
    model("zero-size", "--input-shape x=1,1,8,8", [relu], inputs=[info("x", [1, 0, 8, 8])])
    model("text-input", "input `x` is of type string", [relu], inputs=[info("x", [1], TensorProto.STRING)])
    model("cycle", "depends on its own output", [node("Add", ["x", "b"], ["a"], "one"), node("Relu", ["a"], ["b"], "two")], outputs=[info("b", None)])
    model("missing", "it reads `nowhere`, which nothing gives", [node("Add", ["x", "nowhere"], ["y"], "n")])
    model("twice", "value `y` is given twice", [relu, node("Neg", ["x"], ["y"])])
    model("no-output", "the graph has no output", [relu], outputs=[])
    model("unmade-output", "output `z` is given by no node", [relu], outputs=[info("z", None)])
    model("bomb", "memory budget", [node("ConstantOfShape", ["s"], ["y"])], tensors=[array("s", np.array([1 << 20, 1 << 20, 1 << 20]))])
    model("expand-bomb", "has more than", [node("Expand", ["x", "s"], ["y"])], inputs=[info("x", [1])], tensors=[array("s", np.array([1 << 20, 1 << 20, 1 << 20]))])
    model("all-named", "NonZero (node `b`", [node("Loop", ["x"], ["a"], "a"), node("NonZero", ["x"], ["b"], "b"), node("Add", ["a", "b"], ["y"], "c")])
    model("domain", "domain `com.example`", [node("Fancy", ["x"], ["y"], "f", domain="com.example")], imports=[helper.make_opsetid("com.example", 1)])
    model("three-axes", "three spatial axes", [node("Conv", ["x", "w"], ["y"])], inputs=[info("x", [1, 4, 8, 8, 8])], tensors=[array("w", np.ones((4, 4, 3, 3, 3), np.float32))])
    model("computed-shape", "must be known at import", [node("Cast", ["x"], ["s"], to=7), node("Reshape", ["x", "s"], ["y"], "r")], inputs=[info("x", [4])])
    model("division-by-0", "divided by 0", [node("Div", ["a", "b"], ["s"], "d"), node("Reshape", ["x", "s"], ["y"])], tensors=[array("a", np.array([4])), array("b", np.array([0]))])
    calls = helper.make_function("f", "F", ["x"], ["y"], [node("F", ["x"], ["y"], domain="f")], [helper.make_opsetid("f", 1)])
    model("endless-calls", "64 deep", [node("F", ["x"], ["y"], domain="f")], functions=[calls], imports=[helper.make_opsetid("f", 1)])
    with open(os.path.join(FOLDER, "words.txt"), "w") as file:
        file.writelines(f"{name}: {expected}\n" for name, expected in sorted(words.items()))


if __name__ == "__main__":
    main()
