"""Filters of images as compiled layers.

An image is seen as `[B, H, W, C]`: the filtered axes are H and W, B and C are the products of those before and behind them. With C = 1 the layer
has batches of one channel, else channels last and a kernel for each. The border is an op of the layer, `pad`, so that threads share it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ._cache import Cache
from ._compiled import Compiled, compile

# SciPy's names of what lies beyond the edge, as modes of `pad`.
MODES = {
    "reflect": "symmetric",
    "grid-mirror": "symmetric",
    "constant": "zeros",
    "grid-constant": "zeros",
    "nearest": "replicate",
    "mirror": "reflect",
    "wrap": "circular",
    "grid-wrap": "circular",
}

KEPT = 32
compiled: Cache[Compiled] = Cache(KEPT)

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Border:
    """What lies beyond an edge of an axis: `before` and `after` elements of a mode of `pad`."""

    mode: str
    before: int
    after: int

    def fits(self, extent: int) -> bool:
        """Whether `pad` takes it: modes that mirror or wrap reach no further than the image."""
        most = {"symmetric": extent, "circular": extent, "reflect": extent - 1}.get(self.mode)
        return most is None or max(self.before, self.after) <= most

    def sources(self, extent: int) -> Array:
        """For each element of the padded axis the one that it repeats, however far away; not for `zeros`."""
        at = np.arange(-self.before, extent + self.after)
        if self.mode == "circular":
            return at % extent
        if self.mode == "symmetric":
            at = at % (2 * extent)
            return np.where(at < extent, at, 2 * extent - 1 - at)
        if self.mode == "reflect":
            period = max(2 * extent - 2, 1)
            at = at % period
            return np.where(at < extent, at, period - at)
        return np.clip(at, 0, extent - 1)


def filtered(x: Array, kernels: list[Array], borders: tuple[Border, Border], cval: float, threads: int, out: Array | None) -> Array:
    """`x`, `[B, H, W, C]` of f32 or f64, correlated with each kernel in turn; the result has the shape of `x`, and is `out` if that is given.

    The kernels are applied to the padded image and shrink it, so the borders are as wide as all of them together.
    """
    borders_left = []
    for axis, border in zip((1, 2), borders):
        if border.before + border.after == 0:
            continue
        if border.fits(x.shape[axis]):
            borders_left.append((axis, border))
        else:
            x = x.take(border.sources(x.shape[axis]), axis)
    elem = "f32" if x.dtype == np.float32 else "f64"
    weights = tuple((kernel.shape, kernel.astype(x.dtype).tobytes()) for kernel in kernels)
    key = (elem, x.shape, weights, tuple(borders_left), cval, threads)
    layer = compiled.get(key, lambda: _compiled_filter(_text(elem, x.shape, kernels, borders_left, cval), threads))
    result: Array = layer.run(x.reshape(layer.inputs[0].shape), out=None if out is None else out.reshape(layer.outputs[0].shape))
    return result


def _compiled_filter(text: str, threads: int) -> Compiled:
    # NumPy holds the image already: its size is the caller's choice, not that of a text.
    return compile(text, threads=threads, max_memory=1 << 62)


def _text(elem: str, shape: tuple[int, ...], kernels: list[Array], borders: list[tuple[int, Border]], cval: float) -> str:
    """The layer that pads an image `[B, H, W, C]` and correlates it with each kernel."""
    b, h, w, c = shape
    last = c != 1
    given = [b, h, w, c] if last else [b, 1, h, w]
    h += sum(border.before + border.after for axis, border in borders if axis == 1) - sum(k.shape[0] - 1 for k in kernels)
    w += sum(border.before + border.after for axis, border in borders if axis == 2) - sum(k.shape[1] - 1 for k in kernels)
    result = [b, h, w, c] if last else [b, 1, h, w]
    layout = " nhwc" if last else ""
    lines = [f"layer @filter(%x: {elem}{given}{layout}) -> {elem}{result}{layout} {{"]
    value = "x"
    for i, (pads, mode) in enumerate(_pads(borders)):
        number = f", value = {cval!r}" if mode == "zeros" and cval != 0 else ""
        lines.append(f"  %padded{i} = pad %{value} {{ pads = {pads}, mode = {mode}{number} }}")
        value = f"padded{i}"
    for i, kernel in enumerate(kernels):
        kh, kw = kernel.shape
        numbers = ", ".join(map(repr, kernel.astype(np.float32 if elem == "f32" else np.float64).ravel().tolist()))
        lines.append(f"  %kernel{i} = const {elem}[1, 1, {kh}, {kw}] = [{numbers}]")
        weights, group = f"kernel{i}", ""
        if last:
            lines.append(f"  %kernels{i} = broadcast %kernel{i} {{ shape = [{c}, 1, {kh}, {kw}] }}")
            weights, group = f"kernels{i}", f" {{ group = {c} }}"
        lines.append(f"  %filtered{i} = conv2d %{value}, %{weights}{group}")
        value = f"filtered{i}"
    return "\n".join([*lines, f"  return %{value}", "}", ""])


def _pads(borders: list[tuple[int, Border]]) -> list[tuple[list[int], str]]:
    """The pads of each `pad`: one for both axes if they have one mode."""
    each = [([b.before, 0, b.after, 0] if axis == 1 else [0, b.before, 0, b.after], b.mode) for axis, b in borders]
    if len(each) == 2 and each[0][1] == each[1][1]:
        return [([rows + columns for rows, columns in zip(each[0][0], each[1][0])], each[0][1])]
    return each
