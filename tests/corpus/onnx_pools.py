"""Makes onnx_pools.csv beside it: small poolings with the results that ONNX gives.

Every case is computed three ways: by `onnx.reference.ReferenceEvaluator`, by ONNX Runtime, and by the operator's specification
written out below. A case is kept if ONNX Runtime gives what the specification does; where the evaluator differs from both the
script says so. Attributes are drawn from all combinations of extents, windows, steps, dilations, uneven pads, `ceil_mode` and
`count_include_pad`. Element i of an image is `37 i mod 101 - 50`.

Left out are poolings of which a window has no tap inside the image, and pads that are not smaller than the window, which ONNX
Runtime refuses.

    python3 -m venv venv && venv/bin/pip install onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
    venv/bin/python onnx_pools.py
"""

import collections
import itertools
import math
import pathlib
import random

import numpy as np
import onnx
import onnxruntime
from onnx import helper
from onnx.reference import ReferenceEvaluator

CASES = 240
Axis = collections.namedtuple("Axis", "extent kernel stride dilation begin end")


def windows(axis, ceil):
    """For each output: the taps inside the image, and how many are inside the padded image."""
    padded = axis.extent + axis.begin + axis.end
    reach = (axis.kernel - 1) * axis.dilation + 1
    outputs = (math.ceil if ceil else math.floor)((padded - reach) / axis.stride) + 1
    if ceil and (outputs - 1) * axis.stride >= axis.extent + axis.begin:
        outputs -= 1
    found = []
    for p in range(outputs):
        taps = [p * axis.stride + r * axis.dilation for r in range(axis.kernel)]
        inside = [t - axis.begin for t in taps if 0 <= t - axis.begin < axis.extent]
        found.append((inside, sum(t < padded for t in taps)))
    return found


def by_hand(op, x, rows, columns, ceil, count_pad):
    h, w = windows(rows, ceil), windows(columns, ceil)
    if not h or not w or any(not inside for inside, _ in h + w):
        return None
    y = np.zeros((len(h), len(w)))
    for (p, (i, m)), (q, (j, n)) in itertools.product(enumerate(h), enumerate(w)):
        taps = x[np.ix_(i, j)]
        y[p, q] = taps.max() if op == "MaxPool" else taps.sum() / (m * n if count_pad else taps.size)
    return y


def draw(rng):
    axis = Axis(rng.randint(1, 7), rng.randint(1, 4), rng.randint(1, 4), rng.choice([1, 1, 2, 3]), 0, 0)
    return axis._replace(begin=rng.randrange(axis.kernel), end=rng.randrange(axis.kernel))


def main():
    rng = random.Random(1)
    lines = ["op,image,kernel_shape,strides,dilations,pads,ceil_mode,count_include_pad,result_shape,result"]
    differ = collections.Counter()
    for op, ceil, count_pad in itertools.product(("AveragePool", "MaxPool"), (0, 1), (0, 1)):
        if op == "MaxPool" and count_pad:
            continue
        kept = 0
        while kept < CASES // (2 if op == "AveragePool" else 3):
            axes = [draw(rng) for _ in range(2)]
            extents = [axis.extent for axis in axes]
            x = np.array([37 * i % 101 - 50 for i in range(math.prod(extents))], dtype=np.float32).reshape(extents)
            expected = by_hand(op, x, *axes, ceil, count_pad)
            if expected is None:
                continue
            pads = [a.begin for a in axes] + [a.end for a in axes]
            lists = {name: [getattr(a, name) for a in axes] for name in ("kernel", "stride", "dilation")}
            attrs = {"kernel_shape": lists["kernel"], "strides": lists["stride"], "pads": pads, "ceil_mode": ceil}
            attrs |= {"dilations": lists["dilation"]} | ({"count_include_pad": count_pad} if op == "AveragePool" else {})
            typed = lambda name, shape: helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
            node = helper.make_node(op, ["x"], ["y"], **attrs)
            graph = helper.make_graph([node], "g", [typed("x", [1, 1, *extents])], [typed("y", None)])
            model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
            image = x[None, None]
            agrees = lambda y: y.shape[2:] == expected.shape and np.allclose(y[0, 0], expected, rtol=1e-6, atol=1e-5)
            session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
            if not agrees(session.run(None, {"x": image})[0]):
                differ["ONNX Runtime", op, ceil, count_pad] += 1
                continue
            try:
                evaluated = agrees(ReferenceEvaluator(model).run(None, {"x": image})[0])
            except Exception:
                evaluated = False
            differ["evaluator", op, ceil, count_pad] += not evaluated
            numbers = lambda values: " ".join(f"{v:.9g}" for v in values)
            name = {"AveragePool": "avg_pool", "MaxPool": "max_pool"}[op]
            fields = [name, *(numbers(v) for v in (extents, *lists.values(), pads)), str(ceil), str(count_pad)]
            lines.append(",".join([*fields, numbers(expected.shape), numbers(expected.astype(np.float32).flatten())]))
            kept += 1
    (pathlib.Path(__file__).parent / "onnx_pools.csv").write_text("\n".join(lines) + "\n")
    for (who, op, ceil, count_pad), count in sorted(differ.items()):
        print(f"{who} differs from the specification in {count} cases of {op}, ceil_mode {ceil}, count_include_pad {count_pad}")


main()
