"""Classifies a folder of pictures on two workers with different CPUs: classify.py [--cpus host,x86-64-v3] [--folder FOLDER].

The folder gets 200 handwritten digits as PNG files, each with its class as the first letter of its name.
"""

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from distributed import Client, LocalCluster
from PIL import Image

import convoke

DIGITS = Path(__file__).parent.parent / "digits"
PICTURES, BATCH = 200, 25


def draw(folder: Path) -> list[Path]:
    """Writes the pictures, and returns their files."""
    folder.mkdir(parents=True, exist_ok=True)
    test = np.load(DIGITS / "test.npz")
    files = []
    for i, (image, label) in enumerate(zip(test["images"][:PICTURES], test["labels"])):
        files.append(folder / f"{label}-{i:03}.png")
        Image.fromarray((255 * image[0]).round().astype(np.uint8)).save(files[-1])
    return files


@dataclass
class Batch:
    """What a worker found out about some pictures."""

    right: int
    seconds: float
    compile_seconds: float


def classify(model: convoke.Model, files: list[Path]) -> Batch:
    """Runs on a worker. The first call with a shape compiles for the CPU there; later ones find the code."""
    images = np.stack([np.asarray(Image.open(file), np.float32) / 255 for file in files])[:, None]
    net = model.compile(images.shape)
    started = time.perf_counter()
    classes = net(images).argmax(axis=1)
    seconds = time.perf_counter() - started
    right = sum(int(file.name[0]) == found for file, found in zip(files, classes))
    return Batch(right, seconds, net.report.compile_time)


def machine(model: convoke.Model) -> str:
    """Runs on a worker: the CPU that its code is for."""
    report = model.compile([BATCH, 1, 8, 8]).report
    return f"{report.machine} ({report.vector_bits}-bit vectors)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cpus", default="host,x86-64-v3", help="a CPU for each worker; `host` is the one it finds")
    parser.add_argument("--folder", type=Path, default=Path("build"), help="folder of the pictures")
    args = parser.parse_args()
    cpus = args.cpus.split(",")

    files = draw(args.folder.resolve())
    batches = [files[i : i + BATCH] for i in range(0, len(files), BATCH)]
    # The bytes of the model travel with it. Of a path only the name would.
    model_bytes = (DIGITS / "digits-torchscript.onnx").read_bytes()

    with LocalCluster(n_workers=len(cpus), threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        workers = list(client.nthreads())
        futures = []
        for i, (worker, cpu) in enumerate(zip(workers, cpus)):
            # Both workers are on one machine, so an option tells them apart. On machines that differ, one model without the option serves all.
            model = convoke.load(model_bytes, cpu=None if cpu == "host" else cpu)
            there = client.scatter(model, workers=[worker])
            done = client.map(classify, [there] * len(batches[i :: len(cpus)]), batches[i :: len(cpus)], workers=[worker])
            futures.append((client.submit(machine, there, workers=[worker]), done))

        print(f"{'worker':8}{'pictures':>10}{'right':>8}{'compile':>12}{'run':>18}  CPU")
        right = 0
        for i, (cpu, done) in enumerate(futures):
            results = client.gather(done)
            found = sum(batch.right for batch in results)
            count = sum(len(batch) for batch in batches[i :: len(cpus)])
            run = 1e6 * sum(batch.seconds for batch in results) / count
            print(f"{i:<8}{count:>10}{found:>8}{1e3 * results[0].compile_seconds:>9.1f} ms{run:>10.1f} µs each  {cpu.result()}")
            right += found
    print(f"in all, {right} of {len(files)} pictures are right, {100 * right / len(files):.1f} %")
    assert right > 0.95 * len(files)


if __name__ == "__main__":
    main()
