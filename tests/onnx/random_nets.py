"""Compares convoke with ONNX Runtime on random nets.

    python random_nets.py --convoke target/release/convoke --count 1000 --from 0 [--keep FOLDER]
    python random_nets.py --convoke target/release/convoke --models FOLDER

Each seed draws a net of up to ten operators, of an operator set from 11 to 21, with all that these take: pads, `auto_pad`, strides, dilations, groups, `ceil_mode`,
broadcasting, one or two spatial axes. Both engines run it on the same inputs. `--models` runs models that something else wrote.

Left out too is what ONNX Runtime computes otherwise than ONNX says, or its reference does: `auto_pad` with dilations, or with steps longer than the kernel; `Resize` by
scales whose sizes are no whole numbers, with `align_corners` or `pytorch_half_pixel`; the latter to one pixel; windows wholly on padding; the nearest of two pixels equally near.

A number differs if it is off by more than 2e-4 of the largest element of its output, or of 1. Inputs are multiples of 1/4. Operators that jump, as `Floor`, `Less` and
`ArgMax`, are applied only to values that no engine rounds. A net that ONNX Runtime refuses, or whose outputs are not all finite there, is left out. A net that convoke
refuses is counted by its reason. The exit status is 1 if a net differs or convoke fails otherwise; `--keep` has the model and the arrays of each such net, as
`convoke check --against` takes them.

    python3 -m venv venv && venv/bin/pip install onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
"""

import argparse
import collections
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper, shape_inference

WITHIN = 2e-4
# convoke computes nets of half precision in single precision.
WITHIN_HALF = 4e-3
# ONNX Runtime has -3.4e38 where a window meets no element.
MOST = 1e30
MOST_ELEMENTS = 30_000
# A value is exact while its significant bits are no more than this.
MOST_BITS = 20
FLOAT, BOOL, INT = TensorProto.FLOAT, TensorProto.BOOL, TensorProto.INT64
# `bits` is None of a value that engines may round.
Value = collections.namedtuple("Value", "name type shape bits")


class IllFormed(Exception):
    """What was drawn is no valid node."""


class Net:
    """A net while it is drawn."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.opset = self.int(11, 21)
        self.nodes, self.values, self.constants, self.inputs, self.names = [], [], [], {}, 0
        for _ in range(self.int(1, 2)):
            rank = self.one(4, 4, 4, 4, 3, 3, 2, 5)
            dims = [self.int(1, 3), self.one(1, 2, 3, 4, 6, 8, 16, 17)] + [self.int(1, 14) for _ in range(rank - 2)]
            value = Value(self.fresh("x"), FLOAT, tuple(dims), 6)
            self.inputs[value.name] = self.exact(dims)
            self.values.append(value)

    def int(self, low, high):
        return int(self.rng.integers(low, high + 1))

    def one(self, *choices):
        return choices[self.int(0, len(choices) - 1)]

    def maybe(self, part=0.5):
        return self.rng.random() < part

    def exact(self, dims):
        return (self.rng.integers(-16, 17, size=dims) / 4).astype(np.float32)

    def fresh(self, letter):
        self.names += 1
        return f"{letter}{self.names}"

    def constant(self, array, bits=None):
        array = np.asarray(array)
        name = self.fresh("c")
        self.constants.append(numpy_helper.from_array(array, name))
        return Value(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape, bits)

    def whole(self, numbers):
        return self.constant(np.array(numbers, np.int64))

    def weights(self, dims, fan):
        return self.constant((self.rng.normal(size=dims) / math.sqrt(max(fan, 1))).astype(np.float32))

    def pick(self, ranks=range(1, 6), type=FLOAT, exact=False):
        fits = [v for v in self.values if len(v.shape) in ranks and v.type == type and not (exact and v.bits is None)]
        if not fits:
            raise IllFormed
        return fits[-1] if self.maybe(0.6) else self.one(*fits)

    def node(self, op, inputs, outputs=1, bits=None, domain="", **attributes):
        """Adds a node, if the rules of ONNX give its outputs a size, and gives the last of these."""
        names = [self.fresh("y") for _ in range(outputs)]
        given = [v for v in inputs if v is not None]
        node = helper.make_node(op, [v.name if v else "" for v in inputs], names, domain=domain, **attributes)
        infos = {v.name: helper.make_tensor_value_info(v.name, v.type, v.shape) for v in given}
        known = [c for c in self.constants if c.name in infos]
        results = [onnx.ValueInfoProto(name=name) for name in names]
        graph = helper.make_graph([node], "one", list(infos.values()), results, known)
        try:
            found = shape_inference.infer_shapes(self.model(graph), check_type=True, strict_mode=True, data_prop=True)
        except onnx.shape_inference.InferenceError as error:
            raise IllFormed from error
        values = []
        for info in found.graph.output:
            tensor = info.type.tensor_type
            dims = tuple(d.dim_value for d in tensor.shape.dim)
            if not tensor.HasField("shape") or any(d <= 0 for d in dims) or math.prod(dims) > MOST_ELEMENTS:
                raise IllFormed
            bits = None if bits is not None and bits > MOST_BITS else bits
            values.append(Value(info.name, tensor.elem_type, dims, bits))
        self.nodes.append(node)
        self.values += values
        return values[-1]

    def model(self, graph):
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=10)

    def whole_model(self):
        read = {name for node in self.nodes for name in node.input}
        infos = {v.name: helper.make_tensor_value_info(v.name, v.type, v.shape) for v in self.values}
        made = [v.name for v in self.values if v.name not in self.inputs]
        results = [infos[name] for name in made if name not in read or self.maybe(0.2)]
        constants = [c for c in self.constants if c.name in read]
        inputs = [infos[name] for name in self.inputs]
        return self.model(helper.make_graph(self.nodes, "net", inputs, results, constants))


def window(net, axes, ceil=False, dilated=True):
    """Attributes of a window."""
    kernel = [net.one(1, 2, 3, 3, 3, 4, 5, 7) for _ in range(axes)]
    found = {"kernel_shape": kernel}
    if net.maybe():
        found["strides"] = [net.one(1, 1, 2, 2, 3, 4) for _ in range(axes)]
    if dilated and net.maybe(0.3):
        found["dilations"] = [net.one(1, 2, 3) for _ in range(axes)]
    choice = net.int(0, 9)
    if choice < 6:
        found["pads"] = [net.int(0, max(kernel[i % axes] - 1, 0)) for i in range(2 * axes)]
    elif choice < 8:
        steps = found.get("strides", [1] * axes)
        same = "dilations" not in found and all(s <= k for s, k in zip(steps, kernel))
        found["auto_pad"] = net.one("SAME_UPPER", "SAME_LOWER", "VALID") if same else "VALID"
    if ceil and "auto_pad" not in found and net.maybe(0.4):
        found["ceil_mode"] = 1
    return found


def convolution(net):
    x = net.pick([3, 4])
    attributes = window(net, len(x.shape) - 2)
    channels = x.shape[1]
    group = net.one(1, 1, *[g for g in range(1, channels + 1) if channels % g == 0], channels)
    outputs = group * net.one(1, 1, 2, 3, 8) if group > 1 else net.one(1, 2, 4, 7, 16)
    kernel = attributes["kernel_shape"]
    w = net.weights([outputs, channels // group, *kernel], channels // group * math.prod(kernel))
    bias = [net.weights([outputs], 1)] if net.maybe() else []
    if net.maybe(0.3):
        del attributes["kernel_shape"]
    net.node("Conv", [x, w, *bias], group=group, **attributes)


def transposed(net):
    x = net.pick([3, 4])
    axes = len(x.shape) - 2
    attributes = window(net, axes)
    channels = x.shape[1]
    group = net.one(1, 1, *[g for g in range(1, channels + 1) if channels % g == 0])
    outputs = net.one(1, 2, 3, 5)
    kernel = attributes["kernel_shape"]
    w = net.weights([channels, outputs, *kernel], channels // group * math.prod(kernel))
    bias = [net.weights([group * outputs], 1)] if net.maybe() else []
    strides = attributes.get("strides", [1] * axes)
    if net.maybe(0.3):
        attributes["output_padding"] = [net.int(0, stride - 1) for stride in strides]
    if net.maybe(0.15):
        attributes.pop("pads", None)
        attributes["output_shape"] = [x.shape[2 + i] * strides[i] + net.int(0, 1) for i in range(axes)]
    net.node("ConvTranspose", [x, w, *bias], group=group, **attributes)


def pooling(net):
    x = net.pick([3, 4])
    op = net.one("MaxPool", "MaxPool", "AveragePool", "AveragePool", "LpPool")
    new = net.opset >= (19 if op == "AveragePool" else 18)
    attributes = window(net, len(x.shape) - 2, ceil=op != "LpPool" or new, dilated=op == "MaxPool" or new)
    if op == "AveragePool" and net.maybe():
        attributes["count_include_pad"] = 1
    if op == "LpPool":
        attributes["p"] = net.one(1, 2, 3)
    net.node(op, [x], bits=x.bits if op == "MaxPool" else None, **attributes)


def global_pooling(net):
    x = net.pick([3, 4])
    op = net.one("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool")
    net.node(op, [x], bits=x.bits if op == "GlobalMaxPool" else None)


def broadcast(net, shape):
    """A shape that broadcasts to this one, and one that may do so both ways."""
    dims = [1 if net.maybe(0.4) else d for d in shape]
    return dims[net.int(0, len(dims)) :]


def other(net, x):
    """A second operand of the same shape, or one that broadcasts."""
    fits = [v for v in net.values if v.type == x.type and v.shape == x.shape]
    if net.maybe(0.4):
        return net.one(*fits)
    return net.constant(net.exact(broadcast(net, x.shape)), bits=6)


def both(a, b, more):
    return None if a.bits is None or b.bits is None else more(a.bits, b.bits)


def arithmetic(net):
    x = net.pick()
    y = other(net, x)
    op = net.one("Add", "Sub", "Mul", "Min", "Max", "Sum", "Mean", "Div")
    if op == "Div":
        y = net.node("Add", [net.node("Abs", [y]), net.constant(np.float32(0.75))])
    more = {"Mul": lambda a, b: a + b, "Min": max, "Max": max}.get(op, lambda a, b: max(a, b) + 1)
    operands = [x, y] if net.maybe() or op == "Div" else [y, x]
    net.node(op, operands, bits=both(x, y, more) if op not in ("Div", "Mean") else None)


def power(net):
    x = net.pick()
    if net.maybe():
        net.node("Pow", [x, net.constant(np.float32(net.one(1, 2, 3)))])
    else:
        base = net.node("Add", [net.node("Abs", [x]), net.constant(np.float32(0.5))])
        exponents = net.rng.choice([-2, -1, -0.5, 0, 0.5, 1, 1.5], size=broadcast(net, x.shape))
        net.node("Pow", [base, net.constant(exponents.astype(np.float32))])


def smooth(net):
    x = net.pick()
    some = ["Sigmoid", "Tanh", "Erf", "Softplus", "Softsign", "Elu", "Selu", "Neg", "Abs", "Relu", "HardSigmoid", "LeakyRelu", "ThresholdedRelu"]
    some += [op for op, since in (("Celu", 12), ("HardSwish", 14), ("Mish", 18), ("Gelu", 20)) if net.opset >= since]
    op = net.one(*some)
    attributes = {}
    if op in ("Elu", "Celu", "HardSigmoid", "LeakyRelu") and net.maybe():
        attributes["alpha"] = net.one(0.125, 0.5, 1.5)
    if op == "HardSigmoid" and net.maybe():
        attributes["beta"] = 0.25
    if op == "Selu" and net.maybe():
        attributes.update(alpha=1.25, gamma=0.75)
    if op == "Gelu" and net.maybe():
        attributes["approximate"] = "tanh"
    if op == "ThresholdedRelu":
        x = net.pick(exact=True)
        attributes["alpha"] = net.one(0.5, 1.25)
    net.node(op, [x], bits=x.bits if op in ("Neg", "Abs", "Relu") else None, **attributes)


def bounded(net):
    """Functions of a part of the numbers, applied there."""
    x = net.pick()
    op = net.one("Exp", "Log", "Sqrt", "Reciprocal")
    if op == "Exp":
        x = net.node("Clip", [x, net.constant(np.float32(-8)), net.constant(np.float32(4))])
    else:
        x = net.node("Add", [net.node("Abs", [x]), net.constant(np.float32(0.5))])
    net.node(op, [x])


def clip(net):
    x = net.pick()
    low = net.constant(np.float32(-1.5)) if net.maybe(0.8) else None
    high = net.constant(np.float32(net.one(1, 2.25))) if net.maybe(0.8) or low is None else None
    net.node("Clip", [x, low, high] if high else [x, low], bits=x.bits)


def prelu(net):
    x = net.pick()
    shape = net.one([1], list(x.shape), [x.shape[1], *[1] * (len(x.shape) - 2)] if len(x.shape) > 1 else [1])
    net.node("PRelu", [x, net.weights(shape, 4)])


def jump(net):
    x = net.pick(exact=True)
    net.node(net.one("Floor", "Ceil", "Round", "Sign"), [x], bits=x.bits)


def choice(net):
    x = net.pick(exact=True)
    y = net.constant(net.exact(broadcast(net, x.shape)), bits=6)
    ops = ["Less", "Greater", "Equal"] + (["LessOrEqual", "GreaterOrEqual"] if net.opset >= 12 else [])
    condition = net.node(net.one(*ops), [x, y])
    if net.maybe(0.4):
        again = net.node(net.one(*ops), [x, net.constant(net.exact(broadcast(net, x.shape)))])
        condition = net.node(net.one("And", "Or", "Xor"), [condition, again])
    if net.maybe(0.3):
        condition = net.node("Not", [condition])
    if net.maybe(0.3):
        net.node("Cast", [condition], bits=1, to=FLOAT)
    else:
        a = net.pick([len(x.shape)])
        net.node("Where", [condition, a, other(net, a)])


def axes_of(net, rank):
    axes = sorted(net.rng.choice(rank, size=net.int(1, rank), replace=False).tolist())
    return [a - rank if net.maybe(0.3) else a for a in axes]


def reduction(net):
    x = net.pick()
    op = net.one("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSumExp", "ReduceLogSum")
    bits = x.bits if op in ("ReduceMax", "ReduceMin") else None
    if op == "ReduceLogSum":
        x = net.node("Add", [net.node("Abs", [x]), net.constant(np.float32(0.5))])
    attributes = {} if net.maybe(0.3) else {"keepdims": net.int(0, 1)}
    as_input = net.opset >= (13 if op == "ReduceSum" else 18)
    axes = axes_of(net, len(x.shape)) if net.maybe(0.8) else None
    if axes is None and as_input and net.maybe(0.2):
        attributes["noop_with_empty_axes"] = 1
    if axes is None:
        net.node(op, [x], bits=bits, **attributes)
    elif as_input:
        net.node(op, [x, net.whole(axes)], bits=bits, **attributes)
    else:
        net.node(op, [x], bits=bits, axes=axes, **attributes)


def arg(net):
    x = net.pick(exact=True)
    rank = len(x.shape)
    attributes = {"axis": net.int(-rank, rank - 1), "keepdims": net.int(0, 1)}
    if net.opset >= 12 and net.maybe(0.4):
        attributes["select_last_index"] = 1
    net.node("Cast", [net.node(net.one("ArgMax", "ArgMin"), [x], **attributes)], bits=8, to=FLOAT)


def top_k(net):
    x = net.pick(exact=True)
    axis = net.int(0, len(x.shape) - 1)
    k = net.int(1, min(x.shape[axis], 8))
    net.node("TopK", [x, net.whole([k])], outputs=2, axis=axis, largest=net.int(0, 1))


def soft(net):
    x = net.pick()
    rank = len(x.shape)
    attributes = {} if net.maybe(0.3) else {"axis": net.int(-rank, rank - 1)}
    net.node(net.one("Softmax", "Softmax", "LogSoftmax"), [x], **attributes)


def normalisation(net):
    x = net.pick([2, 3, 4])
    channels, epsilon = x.shape[1], net.one(1e-2, 1e-3)
    many = ["BatchNormalization", "LpNormalization"] + (["InstanceNormalization", "LRN", "MeanVarianceNormalization"] if len(x.shape) > 2 else [])
    many += (["LayerNormalization"] if net.opset >= 17 else []) + (["GroupNormalization"] if net.opset >= 18 and len(x.shape) > 2 else [])
    op = net.one(*many)
    scale, shift = net.weights([channels], 1), net.weights([channels], 1)
    if op == "BatchNormalization":
        variance = net.constant(net.rng.uniform(0.5, 2, channels).astype(np.float32))
        net.node(op, [x, scale, shift, net.weights([channels], 1), variance], epsilon=epsilon)
    elif op == "InstanceNormalization":
        # ONNX Runtime loses digits where the mean is large beside the deviation.
        x = net.pick([3, 4], exact=True)
        if math.prod(x.shape[2:]) == 1:
            raise IllFormed
        scale, shift = net.weights([x.shape[1]], 1), net.weights([x.shape[1]], 1)
        net.node(op, [x, scale, shift], epsilon=epsilon)
    elif op == "LpNormalization":
        # A norm that is small by cancellation makes rounding large.
        x = net.pick(exact=True)
        net.node(op, [x], axis=net.int(0, len(x.shape) - 1), p=net.int(1, 2))
    elif op == "LRN":
        net.node(op, [x], size=net.one(1, 3, 5), alpha=0.01, beta=net.one(0.5, 0.75), bias=net.one(1.0, 2.0))
    elif op == "MeanVarianceNormalization":
        # Over few elements the variance may be 0.
        net.node(op, [net.pick([4], exact=True)], **({"axes": [2, 3]} if net.maybe() else {}))
    elif op == "GroupNormalization":
        group = net.one(*[g for g in range(1, channels + 1) if channels % g == 0])
        size = channels if net.opset >= 21 else group
        net.node(op, [x, net.weights([size], 1), net.weights([size], 1)], num_groups=group, epsilon=epsilon)
    else:
        axis = net.int(0, len(x.shape) - 1)
        size = list(x.shape[axis:])
        net.node(op, [x, net.weights(size, 1)] + ([net.weights(size, 1)] if net.maybe() else []), axis=axis, epsilon=epsilon)


def product(net):
    x = net.pick()
    rank, depth = len(x.shape), x.shape[-1]
    choice = net.int(0, 3)
    if choice == 0 and rank == 2:
        a, b = net.int(0, 1), net.int(0, 1)
        rows, depth = (x.shape[1], x.shape[0]) if a else x.shape
        outputs = net.int(1, 9)
        w = net.weights([outputs, depth] if b else [depth, outputs], depth)
        c = [net.weights(broadcast(net, [rows, outputs]), 1)] if net.maybe(0.6) else []
        net.node("Gemm", [x, w, *c], transA=a, transB=b, alpha=net.one(1.0, 0.5), beta=net.one(1.0, 0.25))
    elif choice == 1 and net.opset >= 12 and rank in (2, 3, 4):
        letters = "abcd"[:rank]
        w = net.weights([depth, 3], depth)
        net.node("Einsum", [x, w], equation=f"{letters},{letters[-1]}z->" + "".join(net.rng.permutation(list(letters[:-1] + "z"))))
    elif choice == 2 and rank >= 2 and x.shape[-1] == x.shape[-2]:
        net.node("MatMul", [x, other(net, x)])
    else:
        before = broadcast(net, x.shape[:-2]) if rank > 2 else []
        net.node("MatMul", [x, net.weights([*before, depth, net.int(1, 9)] if net.maybe(0.8) else [depth], depth)])


def shaped(net):
    x = net.pick()
    rank = len(x.shape)
    op = net.one("Reshape", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Transpose")
    if op == "Transpose":
        attributes = {"perm": net.rng.permutation(rank).tolist()} if net.maybe(0.8) else {}
        net.node(op, [x], bits=x.bits, **attributes)
    elif op == "Flatten":
        net.node(op, [x], bits=x.bits, axis=net.int(0, rank))
    elif op == "Reshape":
        at = net.int(0, rank - 1)
        cut = net.one(*[d for d in range(1, x.shape[at] + 1) if x.shape[at] % d == 0])
        dims = [0] * at + [cut, -1] + list(x.shape[at + 1 :])
        if len(dims) > 5 or net.maybe(0.3):
            dims = [*x.shape[: max(at, 1) - 1], -1, *x.shape[at + 1 :]]
        net.node(op, [x, net.whole(dims)], bits=x.bits)
    else:
        ones = [i for i, d in enumerate(x.shape) if d == 1]
        axes = ones[: net.int(1, 2)] if op == "Squeeze" else [net.int(0, rank)]
        if not axes or (op == "Unsqueeze" and rank > 4):
            raise IllFormed
        if net.opset >= 13:
            net.node(op, [x, net.whole(axes)], bits=x.bits)
        else:
            net.node(op, [x], bits=x.bits, axes=axes)


def moved(net):
    x = net.pick()
    rank = len(x.shape)
    axis = net.int(0, rank - 1)
    signed = axis - rank if net.maybe(0.3) else axis
    op = net.one("Concat", "Split", "Slice", "Slice", "Gather", "GatherElements", "Tile", "Expand", "DepthToSpace", "SpaceToDepth")
    if op == "Concat":
        fits = [v for v in net.values if v.type == FLOAT and len(v.shape) == rank and all(a == b for i, (a, b) in enumerate(zip(v.shape, x.shape)) if i != axis)]
        parts = [x] + [net.one(*fits) for _ in range(net.int(1, 2))]
        net.node(op, parts, bits=None if any(v.bits is None for v in parts) else max(v.bits for v in parts), axis=signed)
    elif op == "Split":
        if x.shape[axis] < 2:
            raise IllFormed
        first = net.int(1, x.shape[axis] - 1)
        sizes = [first, x.shape[axis] - first]
        if net.opset >= 18 and net.maybe():
            net.node(op, [x], 2, x.bits, axis=signed, num_outputs=2)
        elif net.opset >= 13:
            net.node(op, [x, net.whole(sizes)], 2, x.bits, axis=signed)
        else:
            net.node(op, [x], 2, x.bits, axis=signed, split=sizes)
    elif op == "Slice":
        step = net.one(1, 1, 2, 3, -1, -2)
        ends = [net.int(-x.shape[axis], x.shape[axis]), net.one(net.int(-x.shape[axis], x.shape[axis]), 1 << 40, -(1 << 40))]
        net.node(op, [x, *[net.whole([n]) for n in (*ends, signed, step)]], bits=x.bits)
    elif op == "Gather":
        indices = net.rng.integers(-x.shape[axis], x.shape[axis], size=[net.int(1, 3)] * net.int(0, 2))
        net.node(op, [x, net.constant(np.asarray(indices, np.int64))], bits=x.bits, axis=signed)
    elif op == "GatherElements":
        dims = list(x.shape)
        dims[axis] = net.int(1, 4)
        net.node(op, [x, net.whole(net.rng.integers(-x.shape[axis], x.shape[axis], size=dims))], bits=x.bits, axis=signed)
    elif op == "Tile":
        net.node(op, [x, net.whole([net.one(1, 1, 2, 3) for _ in range(rank)])], bits=x.bits)
    elif op == "Expand":
        net.node(op, [x, net.whole(([net.int(1, 2)] if rank < 5 and net.maybe(0.3) else []) + [net.int(1, 3) if d == 1 else net.one(1, d) for d in x.shape])], bits=x.bits)
    elif op == "DepthToSpace":
        net.node(op, [x], bits=x.bits, blocksize=net.one(1, 2, 2, 4), mode=net.one("DCR", "CRD"))
    else:
        net.node(op, [x], bits=x.bits, blocksize=net.one(1, 2, 3))


def padded(net):
    x = net.pick()
    rank = len(x.shape)
    mode = net.one("constant", "constant", "reflect", "edge", *(["wrap"] if net.opset >= 19 else []))
    low = -1 if mode == "constant" and net.maybe(0.3) else 0
    most = [2 if mode in ("constant", "edge") else min(2, d - 1) for d in x.shape]
    if min(x.shape) < 3:
        low = 0
    pads = [net.int(low, m) if net.maybe(0.6) else 0 for m in most * 2]
    if mode == "constant" and net.maybe(0.6):
        net.node("Pad", [x, net.whole(pads), net.constant(np.float32(net.one(0, 1.25)))], mode=mode, bits=x.bits)
    else:
        net.node("Pad", [x, net.whole(pads)], mode=mode, bits=x.bits)


def resized(net):
    x = net.pick([3, 4])
    mode = net.one("nearest", "linear", "linear", "cubic")
    places = ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"] + (["half_pixel_symmetric"] if net.opset >= 19 else [])
    attributes = {"mode": mode, "coordinate_transformation_mode": net.one(*places)}
    if mode == "nearest":
        attributes["nearest_mode"] = net.one("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
        if net.maybe():
            attributes["coordinate_transformation_mode"] = "asymmetric"
    if mode == "cubic" and net.maybe():
        attributes["cubic_coeff_a"] = -0.5
    if mode == "cubic" and net.maybe(0.3):
        attributes["exclude_outside"] = 1
    if mode != "nearest" and net.opset >= 18 and net.maybe(0.3):
        attributes["antialias"] = 1
    roi = net.constant(np.zeros(0, np.float32))
    spatial = len(x.shape) - 2
    places = attributes["coordinate_transformation_mode"]
    if net.maybe():
        scales = [1, 1] + [net.one(0.5, 1, 1.5, 2, 2, 3, 0.75) for _ in range(spatial)]
        whole = all((d * s).is_integer() for d, s in zip(x.shape[2:], map(float, scales[2:])))
        if not whole and places in ("align_corners", "pytorch_half_pixel"):
            raise IllFormed
        y = net.node("Resize", [x, roi, net.constant(np.array(scales, np.float32))], **attributes)
    else:
        # Other sizes of the nearest pixel have ties that rounding decides.
        sizes = [*x.shape[:2], *[net.one(d, 2 * d, 4 * d) if mode == "nearest" else net.int(1, 2 * d + 1) for d in x.shape[2:]]]
        none = net.constant(np.zeros(0, np.float32)) if net.opset < 13 else None
        y = net.node("Resize", [x, roi, none, net.whole(sizes)], **attributes)
    if places == "pytorch_half_pixel" and 1 in y.shape[2:]:
        raise IllFormed


FAMILIES = [convolution] * 5 + [pooling] * 3 + [arithmetic] * 3 + [smooth] * 2 + [reduction] * 2 + [moved] * 4 + [shaped] * 2 + [transposed] * 2 + [resized] * 2
FAMILIES += [global_pooling, power, bounded, clip, prelu, jump, choice, arg, top_k, soft, normalisation, normalisation, product, product, padded]


def drawn(seed):
    """The model and the inputs of a seed."""
    net = Net(seed)
    wanted = net.int(1, 10)
    for _ in range(5 * wanted):
        if len(net.nodes) >= wanted:
            break
        kept = len(net.nodes), len(net.values)
        try:
            net.one(*FAMILIES)(net)
        except IllFormed:
            del net.nodes[kept[0] :], net.values[kept[1] :]
    return net.whole_model(), net.inputs


def inputs_of(model, seed):
    """Inputs for the model of something else, one of whose sizes may be open."""
    rng = np.random.default_rng(seed)
    constants = {c.name for c in model.graph.initializer}
    found = {}
    for info in model.graph.input:
        if info.name not in constants:
            tensor = info.type.tensor_type
            dims = [d.dim_value or 1 for d in tensor.shape.dim]
            dtype = helper.tensor_dtype_to_np_dtype(tensor.elem_type)
            found[info.name] = (rng.integers(1, 9, size=dims) / (4 if dtype.kind == "f" else 1)).astype(dtype)
    return found


def expected(model, inputs):
    """The outputs of ONNX Runtime by their names."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    # Rewritings of ONNX Runtime are not what is tested.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return dict(zip([y.name for y in session.get_outputs()], session.run(None, inputs)))


def difference(found, expected):
    """What is wrong with an array, if anything is."""
    if found.shape != expected.shape:
        return f"the shape {found.shape}, not {expected.shape}"
    within = WITHIN_HALF if expected.dtype == np.float16 else WITHIN
    found, expected = found.astype(np.float64), expected.astype(np.float64)
    allowed = within * max(1.0, np.abs(expected).max(initial=0))
    off = np.where(found == expected, 0.0, np.abs(found - expected))
    if not off.size or not np.isnan(off).any() and off.max() <= allowed:
        return None
    at = np.unravel_index(np.nanargmax(np.where(np.isnan(off), np.inf, off)), off.shape)
    return f"{found[at]} at {[int(i) for i in at]}, not {expected[at]}"


def judged(args, folder, model, inputs, options):
    """The kind of what became of a net, and more words on it."""
    try:
        right = expected(model, inputs)
    except Exception as error:
        return "left out: refused by ONNX Runtime", str(error).split("\n")[0]
    if not all((np.abs(y.astype(np.float64)) < MOST).all() for y in right.values() if y.dtype.kind == "f"):
        return "left out: not finite", ""
    file, data = os.path.join(folder, "model.onnx"), os.path.join(folder, "test_data_set_0")
    os.makedirs(data, exist_ok=True)
    onnx.save(model, file)
    for prefix, arrays in (("input", inputs), ("output", right)):
        for i, (name, array) in enumerate(arrays.items()):
            with open(os.path.join(data, f"{prefix}_{i}.pb"), "wb") as out:
                out.write(numpy_helper.from_array(array, name).SerializeToString())
    np.savez(os.path.join(folder, "in.npz"), **inputs)
    command = [args.convoke, "run", file, "--input", os.path.join(folder, "in.npz"), *options]
    places = {name: os.path.join(folder, f"y{i}.npy") for i, name in enumerate(right)}
    for name, place in places.items():
        command += ["--output", f"{name}={place}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if done.returncode == 1:
        reason = (done.stderr.strip().splitlines() or [""])[0]
        reason = reason.replace(f"{file}: ", "")
        return "refused", re.sub(r"[0-9]+|[`'][^`']*[`']", "…", reason) if not args.whole_reasons else done.stderr
    if done.returncode != 0:
        return "FAILED", done.stderr
    for name, y in right.items():
        wrong = difference(np.load(places[name]), y)
        if wrong:
            return "DIFFERENT", f"{name}: {wrong}"
    return "same", ""


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--convoke", default="convoke", help="the command")
    parser.add_argument("--count", type=int, default=200, help="how many seeds")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first seed")
    parser.add_argument("--keep", help="a folder for the nets that differ")
    parser.add_argument("--models", help="a folder of models to run instead, at any depth")
    parser.add_argument("--whole-reasons", action="store_true", help="print why convoke refuses a net, in full")
    args = parser.parse_args()
    if args.models:
        files = [os.path.join(at, name) for at, _, names in os.walk(args.models) for name in names if name.endswith(".onnx")]
        sources = enumerate(sorted(files))
    else:
        sources = ((seed, seed) for seed in range(args.first, args.first + args.count))
    counts, reasons, operators = collections.Counter(), collections.Counter(), collections.Counter()
    for seed, source in sources:
        if args.models:
            model = onnx.load(source)
            inputs = inputs_of(model, seed)
        else:
            model, inputs = drawn(seed)
        options = [["-O", "0"], ["-O", "3"], ["--threads", "2"], ["--cpu", "x86-64"], []][seed % 5]
        with tempfile.TemporaryDirectory() as folder:
            keep = args.keep and os.path.join(args.keep, str(seed))
            kind, words = judged(args, folder, model, inputs, options)
            counts[kind] += 1
            if kind in ("DIFFERENT", "FAILED"):
                print(f"{source}: {kind} with {options}, operator set {model.opset_import[0].version}: {' '.join(n.op_type for n in model.graph.node)}\n    {words}", flush=True)
                if keep:
                    shutil.copytree(folder, keep, dirs_exist_ok=True)
            elif kind == "same":
                operators.update({node.op_type for node in model.graph.node})
            elif words:
                reasons[f"{kind}: {words}"] += 1
    for reason, count in reasons.most_common(40):
        print(f"{count:6}  {reason}")
    print("operators in nets that agree:", ", ".join(f"{op} {count}" for op, count in sorted(operators.items())))
    print(", ".join(f"{count} {kind}" for kind, count in counts.most_common()))
    sys.exit(counts["DIFFERENT"] + counts["FAILED"] > 0)


if __name__ == "__main__":
    main()
