"""Writes the backend test cases of the `onnx` package into a folder, each in the layout that ONNX has for them.

    python cases.py FOLDER [NAME ...]

Each case is a folder KIND/NAME with `model.onnx` and, in `test_data_set_0`, `input_I.pb` and `output_I.pb`, the arrays that
belong together. `tolerance` in it holds the case's own relative and absolute tolerance.
"""

import os
import sys

import onnx
from onnx import numpy_helper
from onnx.backend.test.case.node import collect_testcases
from onnx.backend.test.loader import load_model_tests

KINDS = ["simple", "pytorch-converted", "pytorch-operator"]


def arrays(folder, prefix):
    """The tensors of a data set, in order; `None` for a value that is no tensor."""
    count = len([name for name in os.listdir(folder) if name.startswith(prefix)])
    for i in range(count):
        with open(os.path.join(folder, f"{prefix}_{i}.pb"), "rb") as file:
            yield file.read()


def encoded(value):
    """A value as bytes; `None` if it is no tensor."""
    if isinstance(value, onnx.TensorProto):
        return value.SerializeToString()
    try:
        return numpy_helper.from_array(value).SerializeToString()
    except Exception:
        return None


def write(folder, case, model, inputs, outputs):
    data = os.path.join(folder, "test_data_set_0")
    os.makedirs(data, exist_ok=True)
    with open(os.path.join(folder, "model.onnx"), "wb") as file:
        file.write(model.SerializeToString())
    for prefix, values in (("input", inputs), ("output", outputs)):
        for i, value in enumerate(values):
            if value is not None:
                with open(os.path.join(data, f"{prefix}_{i}.pb"), "wb") as file:
                    file.write(value)
    with open(os.path.join(folder, "tolerance"), "w") as file:
        file.write(f"{case.rtol} {case.atol}\n")


def main():
    target, names = sys.argv[1], sys.argv[2:]
    wanted = lambda name: not names or name in names
    written = 0
    for case in collect_testcases(""):
        if not wanted(case.name) or not case.data_sets:
            continue
        inputs, outputs = case.data_sets[0]
        folder = os.path.join(target, "node", case.name)
        write(folder, case, case.model, [encoded(v) for v in inputs], [encoded(v) for v in outputs])
        written += 1
    for kind in KINDS:
        for case in load_model_tests(kind=kind):
            if not wanted(case.name) or not case.model_dir:
                continue
            data = os.path.join(case.model_dir, "test_data_set_0")
            if os.path.isdir(data):
                model = onnx.load(os.path.join(case.model_dir, "model.onnx"))
                folder = os.path.join(target, kind, case.name)
                write(folder, case, model, list(arrays(data, "input")), list(arrays(data, "output")))
                written += 1
    print(f"{written} cases of onnx {onnx.__version__} in {target}")


if __name__ == "__main__":
    main()
