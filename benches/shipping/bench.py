"""Sizes, time to the first result and memory of a net, in a process of its own for each engine. Started by `run`, which says how.

A process reads its model, runs it once on numbers between 0 and 1, and ends. Its time is that of the process less that of one that only starts; of eleven, in
rounds over all engines, the median counts. Its memory is the peak of the resident set, which it prints as it ends; for engines in Python less that of Python
with NumPy.
"""

import importlib.util
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROUNDS = 11

START = "import sys, numpy as np\nx = {i: np.random.rand(*s).astype(np.float32) for i, s in INPUTS.items()}\n"

PEAK = "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])\n"

PEAK_C = r"""
#include <stdio.h>
__attribute__((destructor)) static void peak(void) {
    char line[256];
    long kilobytes = 0;
    FILE *status = fopen("/proc/self/status", "r");
    while (status && fgets(line, sizeof line, status)) sscanf(line, "VmHWM: %ld", &kilobytes);
    printf("%ld\n", kilobytes);
}
"""

ENGINES = {
    "ONNX Runtime": (
        "onnxruntime",
        """
import onnxruntime as ort
options = ort.SessionOptions()
options.intra_op_num_threads = 1
session = ort.InferenceSession(MODEL, options, ["CPUExecutionProvider"])
session.run(None, x)
""",
    ),
    "OpenVINO": (
        "openvino",
        """
import openvino as ov
core = ov.Core()
model = core.read_model(MODEL)
model.reshape({i: list(a.shape) for i, a in x.items()})
settings = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
core.compile_model(model, "CPU", settings)(list(x.values()))
""",
    ),
    "ncnn": (
        "ncnn",
        """
import ncnn
net = ncnn.Net()
net.opt.num_threads = 1
net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
net.opt.use_bf16_storage = net.opt.use_bf16_packed = False
assert not net.load_param(PARAM) and not net.load_model(BIN)
extractor = net.create_extractor()
for i, a in enumerate(x.values()):
    extractor.input(f"in{i}", ncnn.Mat(a[0] if a.ndim > 3 else a).clone())
assert not extractor.extract("out0")[0]
""",
    ),
}


def main():
    model = str(pathlib.Path(sys.argv[1]).resolve())
    given = {name: [int(n) for n in shape.split(",")] for name, shape in (arg.split("=") for arg in sys.argv[2:])}
    shapes = inputs(model, given)
    with tempfile.TemporaryDirectory() as folder:
        programs, sizes = {}, {}
        for name, options in {"convoke": [], "convoke, small": ["--algorithm", "im2col"]}.items():
            path, parts = static_program(model, given, options, folder, name.replace(", ", "-"))
            programs[name], sizes[name] = [path], parts
        python_base = [sys.executable, "-c", START.replace("INPUTS", repr(shapes)) + PEAK]
        empty = compiled(folder, "empty", "int main(void) { return 0; }")
        for name, (module, code) in ENGINES.items():
            if importlib.util.find_spec(module) is None:
                print(f"{name}: {sys.executable} has no module {module}", file=sys.stderr)
                continue
            param = binary = ""
            if name == "ncnn":
                param, binary = converted(model, shapes, folder)
            code = START + code + PEAK
            for word, value in {"INPUTS": shapes, "MODEL": model, "PARAM": param, "BIN": binary}.items():
                code = code.replace(word, repr(value))
            programs[name] = [sys.executable, "-c", code]
            net = [param, binary] if name == "ncnn" else [model]
            sizes[name] = {"library": library(module), "net": sum(os.path.getsize(f) for f in net)}
        bases = {name: [empty] if name.startswith("convoke") else python_base for name in programs}
        times, memory = measured(programs, bases)
        print(f"{pathlib.Path(model).name} {shapes}")
        for name in programs:
            parts = ", ".join(f"{what} {size / 1e6:.1f} MB" for what, size in sizes[name].items())
            total = sum(sizes[name].values()) / 1e6
            print(f"  {name:16} {total:8.1f} MB ({parts})   first result {times[name]:7.1f} ms   memory {memory[name]:7.1f} MB")


def inputs(model, given):
    """The shape of each input: as given, or as the model has it."""
    import onnx

    graph = onnx.load(model, load_external_data=False).graph
    constants = {tensor.name for tensor in graph.initializer}
    shapes = {}
    for port in graph.input:
        if port.name not in constants:
            declared = [dim.dim_value for dim in port.type.tensor_type.shape.dim]
            shapes[port.name] = given.get(port.name, declared)
            assert all(shapes[port.name]), f"{port.name} has open sizes: give {port.name}=SHAPE"
    return shapes


def static_program(model, given, options, folder, name):
    """A static program that fills the inputs, runs once and prints some numbers: the one that convoke writes."""
    convoke = os.environ.get("CONVOKE", "convoke")
    shapes = [word for i, s in given.items() for word in ("--input-shape", f"{i}={','.join(map(str, s))}")]
    common = [convoke, "compile", model, *shapes, *options, "--name", "net"]
    for ending in ("o", "h", "c"):
        subprocess.check_call([*common, "-o", f"{folder}/{name}.{ending}"], stderr=subprocess.DEVNULL)
    path = compiled(folder, name, pathlib.Path(f"{folder}/{name}.c").read_text(), f"{folder}/{name}.o")
    return path, {"program with net": os.path.getsize(path)}


def compiled(folder, name, main, *objects):
    """A static C program that prints its peak of memory as it ends."""
    path = f"{folder}/{name}"
    pathlib.Path(f"{path}.c").write_text(main + PEAK_C)
    subprocess.check_call(["cc", "-O2", "-static", "-s", "-o", path, f"{path}.c", *objects])
    return path


def converted(model, shapes, folder):
    """The model as ncnn reads it, by the program in the package pnnx; the Python around it needs PyTorch."""
    program = pathlib.Path(importlib.util.find_spec("pnnx").origin).parent / "pnnx"
    shutil.copy(model, f"{folder}/m.onnx")
    shape = ",".join(f"[{','.join(map(str, s))}]f32" for s in shapes.values())
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.check_call([program, "m.onnx", f"inputshape={shape}", "fp16=0"], cwd=folder, **quiet)
    return f"{folder}/m.ncnn.param", f"{folder}/m.ncnn.bin"


def library(module):
    """Bytes of the shared libraries of a Python package, those of its sibling folder NAME.libs among them."""
    place = pathlib.Path(importlib.util.find_spec(module).origin).parent
    folders = [place, place.parent / f"{module}.libs"]
    files = {file.resolve() for folder in folders for file in folder.rglob("*.so*") if file.is_file()}
    return sum(file.stat().st_size for file in files)


def measured(programs, bases):
    """Milliseconds and MB of each program, beyond those of its base."""
    times = {name: [] for name in programs}
    memory = {name: [] for name in programs}
    for _ in range(ROUNDS):
        for name, program in programs.items():
            (base_time, base_peak), (own_time, peak) = once(bases[name]), once(program)
            times[name].append(1e3 * (own_time - base_time))
            memory[name].append((peak - (0 if name.startswith("convoke") else base_peak)) / 1e3)
    return ({name: statistics.median(all) for name, all in kind.items()} for kind in (times, memory))


def once(program):
    """Seconds of a process, and the kilobytes that it prints last."""
    start = time.perf_counter()
    output = subprocess.run(program, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout
    return time.perf_counter() - start, int(output.split()[-1])


if __name__ == "__main__":
    main()
