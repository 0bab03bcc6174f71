"""Reads a line of text from a picture with PP-OCRv4's recogniser: ocr.py [PICTURE] [--model FILE.onnx] [--folder FOLDER].

Without a picture it draws one. Without a model it downloads one: the Python package rapidocr-onnxruntime carries it as a file of 11 MB.
"""

import argparse
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import convoke

PACKAGE = "rapidocr-onnxruntime==1.4.4"
MODEL = "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx"
TEXT = "The quick brown fox, 2 + 2 = 4"
HEIGHT = 48


def download(folder: Path) -> Path:
    """The model's file in this folder, downloaded from PyPI unless it is there. Nothing is installed."""
    path = folder / Path(MODEL).name
    if not path.exists():
        # Python's version does not matter: of the package, only the model is used.
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--ignore-requires-python"]
        subprocess.run([*pip, "--dest", str(folder), PACKAGE], check=True)
        with zipfile.ZipFile(next(folder.glob("rapidocr_onnxruntime-*.whl"))) as wheel:
            path.write_bytes(wheel.read(MODEL))
    return path


def draw(text: str) -> Image.Image:
    """A line of text, black on light grey, turned by a degree."""
    font = ImageFont.load_default(size=40)
    left, top, right, bottom = map(int, font.getbbox(text))
    picture = Image.new("RGB", (right - left + 40, bottom - top + 40), (225, 225, 220))
    ImageDraw.Draw(picture).text((20 - left, 20 - top), text, (20, 20, 40), font)
    return picture.rotate(1, Image.Resampling.BICUBIC, fillcolor=(225, 225, 220))


def prepare(picture: Image.Image) -> np.ndarray:
    """The array that the net takes, `[1, 3, 48, width]`: blue, green and red, from -1 to 1."""
    width = round(HEIGHT * picture.width / picture.height)
    pixels = np.asarray(picture.convert("RGB").resize((width, HEIGHT), Image.Resampling.BILINEAR), np.float32)
    return np.ascontiguousarray(((pixels / 255 - 0.5) / 0.5)[:, :, ::-1].transpose(2, 0, 1)[None])


def characters(model: convoke.Model) -> list[str]:
    """The characters by class. The model has them in its notes, a line for each; first comes CTC's blank, last a space."""
    return ["", *model.metadata["character"].splitlines(), " "]


def decode(probabilities: np.ndarray, characters: list[str]) -> tuple[str, float]:
    """The text and its score, the mean probability of its characters. CTC: neighbours of the same class are one character, and blanks are none."""
    best = probabilities.argmax(axis=1)
    kept = (best != 0) & (best != np.roll(best, 1))
    kept[0] = best[0] != 0
    text = "".join(characters[i] for i in best[kept])
    return text, float(probabilities.max(axis=1)[kept].mean()) if kept.any() else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("picture", nargs="?", type=Path, help="a picture of a line of text; without it, one is drawn")
    parser.add_argument("--model", type=Path, help="the recogniser; without it, it is downloaded")
    parser.add_argument("--folder", type=Path, default=Path("build"), help="where the download and the drawn picture, line.png, are kept")
    args = parser.parse_args()

    args.folder.mkdir(exist_ok=True)
    path = args.model or download(args.folder)
    if args.picture:
        picture = Image.open(args.picture)
    else:
        picture = draw(TEXT)
        picture.save(args.folder / "line.png")

    array = prepare(picture)
    model = convoke.load(path)
    net = model.compile(array.shape)
    started = time.perf_counter()
    probabilities = net(array)[0]
    took = time.perf_counter() - started
    text, score = decode(probabilities, characters(model))
    print(f"text     {text}")
    print(f"score    {score:.3f}")
    print(f"compile  {1e3 * net.report.compile_time:.0f} ms for a picture of {array.shape[3]}x{HEIGHT}")
    print(f"run      {1e3 * took:.1f} ms")
    if not args.picture and text != TEXT:
        sys.exit(f"the picture says: {TEXT}")


if __name__ == "__main__":
    main()
