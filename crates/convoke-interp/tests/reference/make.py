"""Makes the reference cases in this folder: NAME.conv, a layer, and NAME.npz, its input, constants and result.

The numbers come from the ONNX project: the stored results of PyTorch in its backend test data (`stored-…`), and
`onnx.reference.ReferenceEvaluator` for what those leave out (`made-…`). A 1-D case becomes an image of height 1.
Left out are stored cases of more than 100 kB, and `auto_pad` of max_pool, where the evaluator (1.23.2) gives another
output size than the operator's specification, ceil(input / stride).

    python3 -m venv venv && venv/bin/pip install onnx==1.23.2 numpy==2.4.6
    venv/bin/python make.py
"""

import pathlib

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.ops import op_resize

HERE = pathlib.Path(__file__).parent
STORED = pathlib.Path(onnx.__file__).parent / "backend/test/data"
OPS = {
    "Conv": "conv2d", "MaxPool": "max_pool", "AveragePool": "avg_pool", "GlobalAveragePool": "global_avg_pool",
    "BatchNormalization": "batch_norm", "Relu": "relu", "Clip": "clip", "Sigmoid": "sigmoid", "Swish": "silu",
    "HardSwish": "hardswish", "LeakyRelu": "leaky_relu", "Add": "add", "Mul": "mul", "MatMul": "matmul",
    "Pad": "pad", "Concat": "concat", "Reshape": "reshape", "Transpose": "transpose", "Slice": "slice", "Expand": "broadcast",
    "Gather": "gather", "ReduceMean": "reduce_mean", "ReduceSum": "reduce_sum", "ReduceMax": "reduce_max",
    "ReduceMin": "reduce_min", "Resize": "resize",
    "Exp": "exp", "Log": "log", "Sqrt": "sqrt", "Abs": "abs", "Neg": "neg", "Reciprocal": "reciprocal",
    "Tanh": "tanh", "Erf": "erf", "Floor": "floor", "Ceil": "ceil", "Round": "round", "Softplus": "softplus",
    "Elu": "elu", "Gelu": "gelu", "Sub": "sub", "Div": "div", "Min": "min", "Max": "max", "Pow": "pow",
    "Less": "less", "LessOrEqual": "less_equal", "Where": "select",
}
MODES = {"constant": "zeros", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}


def as_image(array):
    """[N, C, W] as [N, C, 1, W]."""
    return array[:, :, None, :] if array.ndim == 3 else array


def attributes(node, rank, arrays, result):
    """The node's attributes in the text form, those of one spatial axis widened to two."""
    found = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    out = {}
    wide = {"kernel_shape": [1], "strides": [1], "dilations": [1]}
    for name, value in found.items():
        if name in wide and len(value) == 1:
            value = wide[name] + list(value)
        elif name == "pads" and node.op_type != "Pad" and len(value) == 2:
            value = [0, value[0], 0, value[1]]
        if isinstance(value, bytes):
            value = value.decode()
        out[name] = value
    for index, name in ((1, "min"), (2, "max")):
        if node.op_type == "Clip" and len(node.input) > index:
            out[name] = float(arrays[node.input[index]])
    if node.op_type == "Conv":
        out.pop("kernel_shape", None)
    if node.op_type == "Reshape":
        out = {"shape": arrays[node.input[1]].tolist()}
    if node.op_type == "Swish":
        out = {}
    if node.op_type == "Gelu":
        out = {"tanh": out["approximate"] == "tanh"}
    if node.op_type == "BatchNormalization":
        out = {"epsilon": out.get("epsilon", 1e-5)}
    if node.op_type == "Pad":
        pads = out.get("pads") or arrays[node.input[1]].tolist()
        assert rank == 4 and pads[0:2] == [0, 0] and pads[4:6] == [0, 0]
        value = float(arrays[node.input[2]]) if len(node.input) > 2 else out.get("value", 0.0)
        out = {"pads": [pads[2], pads[3], pads[6], pads[7]], "mode": MODES[out.get("mode", "constant")]}
        out |= {"value": value} if value else {}
    if node.op_type == "Slice":
        starts, ends, axes, steps = (arrays[name].tolist() for name in node.input[1:])
        dims = arrays[node.input[0]].shape
        whole = [range(d)[s:e:t] for d, s, e, t in zip(dims, starts, ends, steps)]
        assert axes == list(range(rank))
        out = {"starts": [r[0] for r in whole], "sizes": [len(r) for r in whole], "steps": steps}
    if node.op_type == "Expand":
        out = {"shape": arrays[node.input[1]].tolist()}
    if node.op_type == "Gather":
        out = {"axis": out["axis"], "indices": arrays[node.input[1]].tolist()}
    if node.op_type.startswith("Reduce"):
        out = {"axes": arrays[node.input[1]].tolist()}
    if node.op_type == "Resize":
        # All digits: places in the image come from them.
        scales = repr(arrays[node.input[2]].tolist()[2:] if node.input[2] else [])
        named = {"mode": "mode", "coordinates": "coordinate_transformation_mode", "rounding": "nearest_mode", "cubic_a": "cubic_coeff_a"}
        out = {ours: out[theirs] for ours, theirs in named.items() if theirs in out} | {
            "size": result.shape[2:], "exclude_outside": bool(out.get("exclude_outside", 0)), "scales": scales}
    flags = ("ceil_mode", "count_include_pad", "tanh")
    return {k: (bool(v) if k in flags else v) for k, v in out.items() if k != "storage_order"}


def text(value):
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(text(v) for v in value) + "]"
    if isinstance(value, float):
        # An attribute is stored in f32; this is the shortest number that gives the same.
        return repr(float(np.format_float_positional(np.float32(value), unique=True)))
    return str(value)


def write(name, origin, node, arrays, result):
    """One node as a layer: its first operand is the input, the others are constants."""
    parameters = ("Clip", "Reshape", "Pad", "Slice", "Expand", "Gather", "ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "Resize")
    kept = 1 if node.op_type in parameters else len(node.input)
    rank = arrays[node.input[0]].ndim
    attrs = attributes(node, rank, arrays, result)
    planar = node.op_type in ("Conv", "MaxPool", "AveragePool", "GlobalAveragePool", "BatchNormalization")
    shaped = as_image if planar else (lambda array: array)
    operands = {f"v{i}": shaped(arrays[n]).astype(np.float32) for i, n in enumerate(node.input[:kept])}
    result = shaped(result)
    typed = lambda array: f"f32{list(array.shape)}"
    lines = [f"// {origin}", f"layer @{name.replace('-', '_')}(%v0: {typed(operands['v0'])}) -> {typed(result)} {{"]
    lines += [f'  %{v} = const {typed(a)} = file("{name}.npz", "{v}")' for v, a in operands.items() if v != "v0"]
    shown = ", ".join(f"{k} = {text(v)}" for k, v in attrs.items())
    used = list(operands)[:2] if node.op_type == "Conv" else list(operands)
    op = f"  %0 = {OPS[node.op_type]} {', '.join('%' + v for v in used)}" + (f" {{ {shown} }}" if shown else "")
    lines.append(op + (" then bias %v2" if node.op_type == "Conv" and len(operands) == 3 else ""))
    lines += ["  return %0", "}", ""]
    (HERE / f"{name}.conv").write_text("\n".join(lines))
    archive = HERE / f"{name}.npz"
    np.savez_compressed(archive, **operands, result=result.astype(np.float32))
    if archive.stat().st_size > 100_000:
        print("left out", name, "for its size")
        archive.unlink()
        archive.with_suffix(".conv").unlink()


def stored(folder):
    """A case of the backend test data."""
    model = onnx.load(folder / "model.onnx")
    read = lambda path: numpy_helper.to_array(onnx.TensorProto.FromString(path.read_bytes()))
    arrays = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    given = [i.name for i in model.graph.input if i.name not in arrays]
    data = folder / "test_data_set_0"
    arrays |= {name: read(data / f"input_{i}.pb") for i, name in enumerate(given)}
    nodes = [n for n in model.graph.node if n.op_type != "Constant"]
    if len(nodes) != 1:
        print("left out", folder.name, "of nodes", [n.op_type for n in nodes])
        return
    (node,) = nodes
    arrays |= {n.output[0]: numpy_helper.to_array(n.attribute[0].t) for n in model.graph.node if n.op_type == "Constant"}
    origin = f"onnx backend test data, {folder.parent.name}/{folder.name}."
    write("stored-" + folder.name.removeprefix("test_").lower(), origin, node, arrays, read(data / "output_0.pb"))


def made(name, op, *operands, **attrs):
    """A case computed by the reference evaluator. Operands are shapes, or arrays."""
    rng = np.random.default_rng(len(name) + sum(map(ord, name)))
    arrays = [a if isinstance(a, np.ndarray) else rng.normal(size=a).astype(np.float32) for a in operands]
    # An operand that is left out is an empty array.
    names = [f"v{i}" if a.size else "" for i, a in enumerate(arrays)]
    node = helper.make_node(op, names, ["y"], **attrs)
    kinds = [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape) for n, a in zip(names, arrays) if n]
    of = arrays[-1] if op == "Where" else arrays[0]
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(bool) if op in ("Less", "LessOrEqual") else of.dtype)
    y = helper.make_tensor_value_info("y", kind, None)
    model = helper.make_model(helper.make_graph([node], "g", kinds, [y]), opset_imports=[helper.make_opsetid("", 24)])
    model = onnx.shape_inference.infer_shapes(model)
    (result,) = ReferenceEvaluator(model).run(None, dict(zip(names, arrays)))
    write("made-" + name, f"onnx {onnx.__version__}, reference evaluator: {op}.", node, dict(zip(names, arrays)), result)


def resizes():
    """Every mode, way to count and rounding, up and down; scales that are no ratios of sizes."""
    none = np.array([], np.float32)
    ints = lambda *v: np.array(v, dtype=np.int64)
    by = lambda h, w: np.array([1, 1, h, w], np.float32)
    image = (1, 2, 5, 7)
    # The evaluator hands the coefficient on in single precision, and numpy then computes the weights so.
    single = op_resize._cubic_coeffs
    op_resize._cubic_coeffs = lambda ratio, scale=None, A=-0.75: single(ratio, scale, float(A))
    for mode in ("nearest", "linear", "cubic"):
        for way in ("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric"):
            attrs = dict(mode=mode, coordinate_transformation_mode=way)
            made(f"resize-{mode}-{way}", "Resize", image, none, none, ints(1, 2, 8, 21), **attrs)
            made(f"resize-{mode}-{way}-down", "Resize", image, none, none, ints(1, 2, 1, 3), **attrs)
            made(f"resize-{mode}-{way}-scales", "Resize", image, none, by(1.7, 0.6), **attrs)
    for rounding in ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"):
        attrs = dict(mode="nearest", nearest_mode=rounding)
        made(f"resize-{rounding}", "Resize", image, none, by(2, 0.5), coordinate_transformation_mode="asymmetric", **attrs)
        made(f"resize-{rounding}-half", "Resize", image, none, by(3, 2), **attrs)
    for mode in ("linear", "cubic"):
        made(f"resize-{mode}-inside", "Resize", image, none, by(2.5, 0.8), mode=mode, exclude_outside=1)
    made("resize-cubic-half", "Resize", image, none, by(2, 3), mode="cubic", cubic_coeff_a=-0.5)


def pointwise(image):
    """Functions of each element: over what is most often asked of them, and at the numbers where they are special.

    They are computed in double precision: the evaluator's own formulas lose digits. (-inf) to the power of 0.5 is NaN in convoke, like
    every power of a negative base that is not whole.
    """
    line = np.linspace(-6, 6, 97, dtype=np.float32).astype(np.float64)
    special = np.array([0, 0.5, 1.5, 2.5, 3, 88, 90, 1e-6, 1e-30, 1e30, np.inf], np.float32)
    special = np.concatenate([special, -special, [np.nan]]).astype(np.float64)
    for op in ("Exp", "Log", "Sqrt", "Abs", "Neg", "Reciprocal", "Tanh", "Erf", "Floor", "Ceil", "Round"):
        made(f"{op.lower()}", op, line)
        made(f"{op.lower()}-special", op, special)
    made("softplus", "Softplus", line)
    made("elu", "Elu", line, alpha=1.5)
    made("gelu", "Gelu", line, approximate="none")
    made("gelu-tanh", "Gelu", line, approximate="tanh")
    column, row = special[:, None], special[None, :]
    for op in ("Sub", "Div", "Min", "Max", "Pow", "Less", "LessOrEqual"):
        made(f"{op.lower()}-broadcast", op, image, (1, 4, 1, 1))
        made(f"{op.lower()}-special", op, np.delete(column, -2, axis=0) if op == "Pow" else column, row)
    chosen = np.arange(4).reshape(1, 4, 1, 1) % 2 == 0
    made("where-broadcast", "Where", chosen, image, (2, 1, 1, 9))
    made("where-special", "Where", column > 1, column, row)


def main():
    for old in [*HERE.glob("*.conv"), *HERE.glob("*.npz")]:
        old.unlink()
    for pattern in ("Conv1d*", "Conv2d*", "MaxPool[12]d*", "AvgPool[12]d*", "BatchNorm2d_eval", "*Pad2d"):
        for folder in sorted((STORED / "pytorch-converted").glob("test_" + pattern)):
            stored(folder)
    stored(STORED / "pytorch-operator/test_operator_conv")

    ints = lambda *v: np.array(v, dtype=np.int64)
    image = (2, 4, 7, 9)
    made("conv-uneven-pads", "Conv", image, (5, 4, 3, 3), (5,), pads=[0, 2, 1, 3])
    for auto in ("SAME_UPPER", "SAME_LOWER", "VALID"):
        made(f"conv-{auto.lower()}", "Conv", image, (3, 4, 2, 4), auto_pad=auto, strides=[1, 2])
    made("conv-strides-above-kernel", "Conv", image, (3, 4, 2, 1), strides=[3, 4])
    made("conv-dilated-uneven", "Conv", image, (3, 4, 3, 2), dilations=[2, 3], pads=[2, 1, 1, 2])
    made("conv-groups", "Conv", image, (6, 2, 3, 3), (6,), group=2, pads=[1, 1, 1, 1])
    made("conv-depthwise-multiplier", "Conv", image, (12, 1, 3, 3), (12,), group=4, strides=[2, 2], pads=[1, 1, 1, 1])
    made("conv-1d", "Conv", (2, 3, 17), (4, 3, 5), (4,), pads=[2, 1], strides=[2])
    made("conv-kernel-above-image", "Conv", (1, 2, 3, 3), (2, 2, 5, 7), pads=[1, 2, 3, 2])
    made("conv-pixel", "Conv", (3, 5, 1, 1), (4, 5, 1, 1), (4,))
    made("max-pool-ceil", "MaxPool", image, kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)
    made("max-pool-dilated", "MaxPool", image, kernel_shape=[2, 3], dilations=[3, 2], pads=[1, 1, 1, 1])
    made("avg-pool-ceil", "AveragePool", image, kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)
    made("avg-pool-pads", "AveragePool", image, kernel_shape=[3, 2], pads=[1, 1, 2, 0], strides=[1, 2])
    made("avg-pool-include-pad", "AveragePool", image, kernel_shape=[3, 3], pads=[1, 1, 2, 2], count_include_pad=1)
    made("global-avg-pool", "GlobalAveragePool", image)
    for mode in ("constant", "reflect", "edge", "wrap"):
        made(f"pad-{mode}", "Pad", image, ints(0, 0, 2, 1, 0, 0, 3, 4), mode=mode)
    four = [np.abs(np.random.default_rng(4).normal(size=4)).astype(np.float32)]
    made("batch-norm", "BatchNormalization", image, (4,), (4,), (4,), *four, epsilon=1e-3)
    made("relu", "Relu", image)
    made("hardswish", "HardSwish", np.linspace(-6, 6, 49, dtype=np.float32).reshape(1, 1, 7, 7))
    made("leaky-relu", "LeakyRelu", image, alpha=0.2)
    made("sigmoid", "Sigmoid", np.linspace(-30, 30, 61, dtype=np.float32))
    made("silu", "Swish", np.linspace(-30, 30, 61, dtype=np.float32))
    made("clip", "Clip", image, np.array(-0.5, np.float32), np.array(0.75, np.float32))
    made("add-broadcast", "Add", image, (1, 4, 1, 9))
    made("mul-broadcast", "Mul", (1, 4, 1, 9), image)
    pointwise(image)
    made("concat", "Concat", image, (2, 3, 7, 9), (2, 1, 7, 9), axis=1)
    made("concat-rows", "Concat", image, (2, 4, 2, 9), axis=2)
    made("transpose", "Transpose", (2, 3, 4, 5), perm=[2, 0, 3, 1])
    made("reshape", "Reshape", (2, 3, 4, 5), ints(4, -1, 6))
    made("matmul", "MatMul", (7, 13), (13, 5))
    made("matmul-batches", "MatMul", (2, 1, 7, 13), (1, 3, 13, 5))
    made("matmul-shared", "MatMul", (3, 4, 6), (1, 6, 9))
    made("pad-number", "Pad", image, ints(0, 0, 2, 1, 0, 0, 3, 4), np.array(-1.5, np.float32))
    made("slice", "Slice", (4, 9, 5), ints(0, -1, 4), ints(3, -10, -6), ints(0, 1, 2), ints(2, -3, -1))
    made("expand", "Expand", (3, 1, 5, 1), ints(3, 4, 5, 2))
    made("gather", "Gather", (3, 6, 5), ints(5, 0, 1, 2, 2, 4), axis=1)
    for kind in ("Mean", "Sum", "Max", "Min"):
        made(f"reduce-{kind.lower()}", "Reduce" + kind, (3, 4, 5, 6), ints(1, 3), keepdims=1)
    made("reduce-all", "ReduceMean", (3, 4, 5), ints(0, 1, 2), keepdims=1)
    resizes()


main()
