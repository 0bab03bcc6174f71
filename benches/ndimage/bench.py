"""Times of image filters by kernel size: convoke.ndimage, SciPy, OpenCV, scikit-image.

Every library filters the same image with the same kernel and the same border, `reflect` in SciPy's words. A round calls each library once for each
case, or several times where a call is short; a time is the median of the rounds. Calls are made once before, so that times have no compiling. Each
result is compared with that of SciPy's separable or FFT filter in float64.
"""

import argparse
import json
import statistics
import time

import cv2
import numpy as np
import scipy.ndimage
import scipy.signal
import skimage.filters
from convoke import ndimage

SIZES = (3, 5, 7, 9, 11, 15, 21, 31, 45, 63)
IMAGES = ("1080x1920", "512x512")
SHORTEST = 0.02
"""Seconds that a sample lasts at least."""
SLOW, SLOW_ROUNDS = 0.5, 3
"""Seconds from which on a call is made in this many rounds only."""
TRUNCATE = 4.0


def with_border(image, radius):
    """The image with a mirrored border, for a filter that has none of its own."""
    return np.pad(image, radius, mode="symmetric")


def correlations(image, size, threads):
    """Filters by a random kernel, and the truth."""
    kernel = np.random.default_rng(size).standard_normal((size, size)).astype(np.float32)
    radius = size // 2

    def fft(image):
        return scipy.signal.fftconvolve(with_border(image, radius), kernel[::-1, ::-1], mode="valid")

    calls = {
        "convoke": lambda: ndimage.correlate(image, kernel, threads=threads),
        "SciPy": lambda: scipy.ndimage.correlate(image, kernel),
        "SciPy, FFT": lambda: fft(image),
        "OpenCV": lambda: cv2.filter2D(image, cv2.CV_32F, kernel, borderType=cv2.BORDER_REFLECT),
    }
    truth = scipy.signal.fftconvolve(with_border(image.astype(np.float64), radius), kernel[::-1, ::-1].astype(np.float64), mode="valid")
    return calls, truth, float(np.abs(kernel).sum())


def gaussians(image, size, threads):
    """Blurs whose kernel has this size, and the truth."""
    radius = size // 2
    sigma = radius / TRUNCATE
    calls = {
        "convoke": lambda: ndimage.gaussian_filter(image, sigma, truncate=TRUNCATE, threads=threads),
        "SciPy": lambda: scipy.ndimage.gaussian_filter(image, sigma, truncate=TRUNCATE),
        "scikit-image": lambda: skimage.filters.gaussian(image, sigma, mode="reflect", truncate=TRUNCATE, preserve_range=True),
        "OpenCV": lambda: cv2.GaussianBlur(image, (size, size), sigma, borderType=cv2.BORDER_REFLECT),
    }
    return calls, scipy.ndimage.gaussian_filter(image.astype(np.float64), sigma, truncate=TRUNCATE), 1.0


FILTERS = {"correlate": correlations, "gaussian_filter": gaussians}


def sample(call, calls):
    """Seconds of a call, the mean of `calls`."""
    start = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - start) / calls


def measured(options):
    """A row for each filter, image and size: its libraries' times in seconds and errors."""
    rows = []
    for image_name in options.images:
        shape = tuple(map(int, image_name.split("x")))
        image = np.random.default_rng(0).random(shape, np.float32)
        for filter_name, cases in FILTERS.items():
            for size in options.sizes:
                calls, truth, scale = cases(image, size, options.threads)
                row = {"filter": filter_name, "image": image_name, "size": size, "times": {}, "errors": {}, "calls": {}}
                for name, call in calls.items():
                    error = np.abs(call().astype(np.float64) - truth).max() / scale
                    if error > 1e-4:
                        raise SystemExit(f"{name}, {filter_name} {size}: wrong by {error:.1e} of the sum of |w||x|")
                    row["errors"][name] = float(error)
                    row["times"][name] = []
                    row["calls"][name] = max(1, round(SHORTEST / sample(call, 1)))
                rows.append((row, calls))
    for i in range(options.rounds):
        for row, calls in rows:
            for name, call in calls.items():
                times = row["times"][name]
                if i < SLOW_ROUNDS or not times or statistics.median(times) < SLOW:
                    # Not timed: convoke keeps the code of the last 32 filters, and there are more here.
                    call()
                    times.append(sample(call, row["calls"][name]))
        print(f"round {i + 1} of {options.rounds}", flush=True)
    for row, _ in rows:
        row["times"] = {name: statistics.median(times) for name, times in row["times"].items()}
    return [row for row, _ in rows]


def table(rows):
    """The rows as tables in Markdown, times in milliseconds."""
    lines = []
    for key in dict.fromkeys((row["filter"], row["image"]) for row in rows):
        own = [row for row in rows if (row["filter"], row["image"]) == key]
        names = list(own[0]["times"])
        lines += ["", f"`{key[0]}`, {key[1]}, float32, ms", "", "| kernel | " + " | ".join(names) + " | fastest peer / convoke |"]
        lines.append("|---" * (len(names) + 2) + "|")
        for row in own:
            times = [row["times"][name] * 1e3 for name in names]
            lines.append(f"| {row['size']}×{row['size']} | " + " | ".join(f"{t:.2f}" for t in times) + f" | {min(times[1:]) / times[0]:.2f} |")
    return "\n".join(lines)


def plot(rows, path):
    """Times by kernel size, a panel for each filter and image."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "convoke", "svg.fonttype": "none", "font.size": 9})
    from matplotlib import pyplot

    colours = {"convoke": "#d62728", "SciPy": "#1f77b4", "SciPy, FFT": "#17becf", "OpenCV": "#2ca02c", "scikit-image": "#9467bd"}
    filters, images = (list(dict.fromkeys(row[key] for row in rows)) for key in ("filter", "image"))
    figure, panels = pyplot.subplots(len(images), len(filters), figsize=(9, 3.4 * len(images)), squeeze=False, layout="constrained")
    for i, image in enumerate(images):
        for j, name in enumerate(filters):
            panel = panels[i][j]
            own = [row for row in rows if (row["filter"], row["image"]) == (name, image)]
            sizes = [row["size"] for row in own]
            for library in own[0]["times"]:
                times = [row["times"][library] * 1e3 for row in own]
                panel.plot(sizes, times, "o-", label=library, color=colours[library], markersize=3)
            panel.set(xscale="log", yscale="log", xlabel="kernel size in pixels", ylabel="ms", title=f"{name}, {image}, float32")
            panel.set_xticks(sizes, map(str, sizes), minor=False)
            panel.yaxis.set_major_formatter("{x:g}")
            panel.minorticks_off()
            panel.grid(alpha=0.3)
            panel.legend(frameon=False)
    figure.savefig(path, metadata={"Date": None})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--sizes", type=lambda text: [int(size) for size in text.split(",")], default=SIZES)
    parser.add_argument("--images", type=lambda text: text.split(","), default=IMAGES)
    parser.add_argument("--json", help="write all numbers to this file")
    parser.add_argument("--svg", help="draw the times into this file")
    options = parser.parse_args()
    cv2.setNumThreads(options.threads)
    rows = measured(options)
    print(f"\nmedians of {options.rounds} rounds, {options.threads} threads; numpy {np.__version__}, scipy {scipy.__version__}, "
          f"opencv {cv2.__version__}, scikit-image {skimage.__version__}")
    print(table(rows))
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(rows, file, indent=1)
    if options.svg:
        plot(rows, options.svg)


if __name__ == "__main__":
    main()
