"""Downloads the model and prepares the picture: prepare.py FOLDER. The folder gets yolov8n.onnx, picture.ppm and picture.npy."""

import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

here, folder = Path(__file__).parent, Path(sys.argv[1])

if not (folder / "yolov8n.onnx").exists():
    # Nothing is installed, and Python's version does not matter: of the package, only the model is used.
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--ignore-requires-python"]
    subprocess.run([*pip, "--dest", str(folder), "nudenet==3.4.2"], check=True)
    with zipfile.ZipFile(next(folder.glob("nudenet-*.whl"))) as wheel:
        (folder / "yolov8n.onnx").write_bytes(wheel.read("nudenet/320n.onnx"))

picture = Image.open(here / "hopper.jpg").convert("RGB")
picture.save(folder / "picture.ppm")
pixels = np.asarray(picture, np.float32) / 255
np.save(folder / "picture.npy", np.ascontiguousarray(pixels.transpose(2, 0, 1)[None]))
