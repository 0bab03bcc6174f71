"""Filters of images, with the names, modes and results of `scipy.ndimage`.

Each filter is compiled for its shape, kernel and mode when it is first used, in some milliseconds; the code of the last few is kept. Two axes of an
array, or one, are filtered: all of a grey image, `axes=(0, 1)` or `channel_axis=-1` of a colour image in the order H, W, C.

`float32` is computed in `float32`, where SciPy computes in `float64` and rounds the result; small integers with `output=np.float32` too. All else is
computed in `float64`. Results of integer dtypes are cut towards zero as SciPy's are, and may differ from them by 1 where a sum is a whole number up
to its rounding.

Large kernels are computed by FFT tiles where that is faster: errors are then relative to the largest pixels of a tile, and a NaN or an infinity of
the image reaches the whole tile.
"""

from __future__ import annotations

import math
from typing import Any, Sequence, Union

import numpy as np

from . import _filters
from ._filters import MODES, Border
from ._native import Error

__all__ = ["convolve", "correlate", "gaussian_filter", "clear_cache"]

Array = np.ndarray[Any, Any]
PerAxis = Union[int, Sequence[int]]
Mode = Union[str, Sequence[str]]


def correlate(
    input: Any,
    weights: Any,
    output: Any = None,
    mode: Mode = "reflect",
    cval: float = 0.0,
    origin: PerAxis = 0,
    *,
    axes: PerAxis | None = None,
    channel_axis: int | None = None,
    threads: int = 1,
) -> Array:
    """Correlates an image with a kernel.

    Parameters
    ----------
    input : array of real numbers
        The image.
    weights : array
        The kernel, with as many axes as are filtered.
    output : dtype or array
        The dtype of the result, or an array for it; the dtype of `input` if it is not given.
    mode : str, or one for each axis
        What lies beyond the edge: `reflect` or `grid-mirror` (b a | a b c | c b), `mirror` (c b | a b c | b a), `nearest`, `wrap` or `grid-wrap`,
        `constant` or `grid-constant`.
    cval : float
        The number beyond the edge for `constant`.
    origin : int, or one for each axis
        Shifts the kernel; positive numbers shift the result to the right.
    axes : int or sequence of int
        The axes that are filtered, one or two; all if not given. Sequences in `mode` and `origin` are in the order of `axes`, the axes of `weights`
        in the order of the image's.
    channel_axis : int
        The axis that is not filtered, in place of `axes`.
    threads : int
        The most threads to use.

    Returns
    -------
    array of the shape of `input`

    Raises
    ------
    Error
        Images of complex numbers, truth values or `float16`; more than two filtered axes; a kernel of another rank; an origin outside the kernel.
    """
    image = _Image(input, output, axes, channel_axis)
    kernel = _kernel(weights, image)
    centres = [n // 2 + shift for n, shift in zip(kernel.shape, image.for_axes(origin, "origin"))]
    return image.correlate(kernel, centres, image.modes(mode), cval, threads)


def convolve(
    input: Any,
    weights: Any,
    output: Any = None,
    mode: Mode = "reflect",
    cval: float = 0.0,
    origin: PerAxis = 0,
    *,
    axes: PerAxis | None = None,
    channel_axis: int | None = None,
    threads: int = 1,
) -> Array:
    """Convolves an image with a kernel: `correlate` with the kernel turned by 180°. The parameters are those of `correlate`."""
    image = _Image(input, output, axes, channel_axis)
    kernel = np.flip(_kernel(weights, image))
    # The centre of an even kernel, turned, is the other one of the two in the middle.
    centres = [n // 2 - shift - (1 - n % 2) for n, shift in zip(kernel.shape, image.for_axes(origin, "origin"))]
    return image.correlate(kernel, centres, image.modes(mode), cval, threads)


def gaussian_filter(
    input: Any,
    sigma: float | Sequence[float],
    order: PerAxis = 0,
    output: Any = None,
    mode: Mode = "reflect",
    cval: float = 0.0,
    truncate: float = 4.0,
    *,
    radius: PerAxis | None = None,
    axes: PerAxis | None = None,
    channel_axis: int | None = None,
    threads: int = 1,
) -> Array:
    """Blurs an image with a Gaussian, or filters it with a derivative of one.

    Parameters
    ----------
    sigma : float, or one for each axis
        The standard deviation. An axis with 0 is left alone.
    order : int, or one for each axis
        The derivative; 0 blurs.
    truncate : float
        The radius of the kernel in standard deviations.
    radius : int, or one for each axis
        The radius in pixels, in place of `truncate`.

    The other parameters are those of `correlate`.
    """
    image = _Image(input, output, axes, channel_axis)
    deviations = [float(s) for s in image.for_axes(sigma, "sigma")]
    orders = [int(n) for n in image.for_axes(order, "order")]
    radii = [int(truncate * s + 0.5) for s in deviations] if radius is None else [int(r) for r in image.for_axes(radius, "radius")]
    if min(orders, default=0) < 0 or min(radii, default=0) < 0:
        raise Error(f"orders and radii are at least 0; the orders are {orders}, the radii {radii}")
    kernels: list[Array | None] = [_gaussian(s, n, r) if s > 1e-15 else None for s, n, r in zip(deviations, orders, radii)]
    return image.correlate_axes(kernels, image.modes(mode), cval, any(orders), threads)


def clear_cache() -> None:
    """Drops the code of all filters."""
    _filters.compiled.clear()


class _Image:
    """An image with the axes that are filtered, and the place of its result."""

    def __init__(self, input: Any, output: Any, axes: PerAxis | None, channel_axis: int | None) -> None:
        self.x = np.asarray(input)
        if self.x.dtype.kind not in "iuf" or self.x.dtype.itemsize > 8 or self.x.dtype == np.float16:
            raise Error(f"the image has elements of {self.x.dtype}; filters take float32, float64 and integers")
        rank = self.x.ndim
        if channel_axis is not None:
            if axes is not None:
                raise Error("`axes` and `channel_axis` both say which axes are filtered; give one of them")
            channel_axis = _axis(channel_axis, rank)
            axes = [axis for axis in range(rank) if axis != channel_axis]
        elif axes is None:
            axes = list(range(rank))
        self.given = [_axis(axis, rank) for axis in np.atleast_1d(axes)]
        self.axes = sorted(self.given)
        if len(set(self.axes)) < len(self.axes):
            raise Error(f"an axis is named twice in {self.given}")
        if not 1 <= len(self.axes) <= 2:
            raise Error(f"one or two axes are filtered, not {len(self.axes)}; name them with `axes` or `channel_axis`")
        self.output = output if isinstance(output, np.ndarray) else None
        if self.output is not None and self.output.shape != self.x.shape:
            raise Error(f"the output has the shape {self.output.shape}, the image {self.x.shape}")
        self.dtype = self.output.dtype if self.output is not None else np.dtype(self.x.dtype if output is None else output)
        if self.dtype.kind not in "iuf" or self.dtype.itemsize > 8:
            raise Error(f"the output has elements of {self.dtype}; filters give real numbers of at most 8 bytes")
        exact = self.x.dtype == np.float32 or self.x.dtype.itemsize <= 2
        self.compute = np.dtype(np.float32 if exact and self.dtype == np.float32 else np.float64)

    def for_axes(self, given: Any, what: str) -> list[Any]:
        """A value for each of `axes`, from one for all or one for each as they were given."""
        if isinstance(given, str) or not hasattr(given, "__iter__"):
            return [given] * len(self.axes)
        values = list(given)
        if len(values) != len(self.axes):
            raise Error(f"`{what}` has {len(values)} values for {len(self.axes)} axes")
        return [value for _, value in sorted(zip(self.given, values), key=lambda pair: pair[0])]

    def modes(self, mode: Mode) -> list[str]:
        """The mode of `pad` for each axis."""
        modes = self.for_axes(mode, "mode")
        for mode in modes:
            if mode not in MODES:
                raise Error(f"there is no mode `{mode}`; known are {', '.join(MODES)}")
        return [MODES[mode] for mode in modes]

    def correlate(self, kernel: Array, centres: Sequence[int], modes: list[str], cval: float, threads: int) -> Array:
        """The image correlated with one kernel whose element at `centres` lies on the pixel."""
        borders = []
        for n, centre, mode in zip(kernel.shape, centres, modes):
            if not 0 <= centre < n:
                raise Error(f"the origin puts the centre at {centre}, outside a kernel of {n}")
            borders.append(Border(mode, centre, n - 1 - centre))
        return self._store(self._filter(self.x, [kernel], borders, cval, threads))

    def correlate_axes(self, kernels: list[Array | None], modes: list[str], cval: float, derives: bool, threads: int) -> Array:
        """The image correlated with an odd kernel along each axis, one axis after the other; `None` leaves an axis alone."""
        last = len(kernels) - 1
        along = [kernel.reshape([-1 if axis == i else 1 for axis in range(len(kernels))]) if kernel is not None else None
                 for i, kernel in enumerate(kernels)]
        borders = [Border(mode, *[0 if k is None else len(k) // 2] * 2) for k, mode in zip(kernels, modes)]
        apply = [(i, kernel) for i, kernel in enumerate(along) if kernel is not None]
        # Along the second axis a constant lies beyond the edge, not the first axis' filter of it; and integers are cut after each axis.
        number = derives and cval != 0 and "zeros" in modes
        if self.dtype.kind == "f" and self.dtype == self.compute and not number or len(apply) < 2:
            return self._store(self._filter(self.x, [kernel for _, kernel in apply], borders, cval, threads))
        y = self.x
        for i, kernel in apply:
            own = [border if axis == i else Border(border.mode, 0, 0) for axis, border in enumerate(borders)]
            y = self._filter(y, [kernel], own, cval, threads)
            if i != last:
                y = _cast(y, self.dtype)
        return self._store(y)

    def _filter(self, x: Array, kernels: list[Array], borders: list[Border], cval: float, threads: int) -> Array:
        """`x` filtered along `axes`, in the type that is computed in."""
        if x.size == 0 or not kernels:
            return x
        if len(self.axes) == 1:
            kernels = [kernel.reshape(1, -1) for kernel in kernels]
            borders = [Border("zeros", 0, 0), *borders]
        # The filtered axes side by side.
        first, last = self.axes[0], self.axes[-1]
        apart = last - first > 1
        moved = np.moveaxis(x, last, first + 1) if apart else x
        end = first + len(self.axes)
        before, filtered, behind = moved.shape[:first], moved.shape[first:end], moved.shape[end:]
        h, w = filtered if len(filtered) == 2 else (1, filtered[0])
        four = np.ascontiguousarray(moved, self.compute).reshape(math.prod(before), h, w, math.prod(behind))
        out = self.output
        if out is not None and (apart or out.dtype != self.compute or not out.flags.c_contiguous or np.may_share_memory(out, x)):
            out = None
        y = _filters.filtered(four, kernels, (borders[0], borders[1]), float(cval), threads, out).reshape(moved.shape)
        return np.moveaxis(y, first + 1, last) if apart else y

    def _store(self, y: Array) -> Array:
        """The result in its type and place."""
        if self.output is None:
            # The image itself, or a view of moved axes, is no result of its own.
            y = _cast(y, self.dtype)
            return y.copy() if np.may_share_memory(y, self.x) else np.ascontiguousarray(y)
        if not np.may_share_memory(y, self.output) or y.dtype != self.dtype:
            self.output[...] = _cast(y, self.dtype)
        return self.output


def _axis(axis: Any, rank: int) -> int:
    if not -rank <= axis < rank:
        raise Error(f"axis {axis} of an image of {rank} axes")
    return int(axis) % rank


def _kernel(weights: Any, image: _Image) -> Array:
    kernel = np.asarray(weights)
    if kernel.dtype.kind not in "biuf":
        raise Error(f"the kernel has elements of {kernel.dtype}; filters take real numbers")
    if kernel.ndim != len(image.axes) or kernel.size == 0:
        raise Error(f"the kernel has the shape {kernel.shape}; {len(image.axes)} axes are filtered, each needs one element at least")
    return kernel.astype(np.float64)


def _cast(y: Array, dtype: np.dtype[Any]) -> Array:
    """`y` as `dtype`: cut towards zero and wrapped around for integers, as SciPy does."""
    if dtype.kind == "f" or y.dtype == dtype or y.dtype.kind != "f":
        return y.astype(dtype, copy=False)
    if dtype.itemsize < 4:
        return y.astype(np.int32).astype(dtype)
    return y.astype(np.uint64 if dtype == np.uint64 else np.int64).astype(dtype)


def _gaussian(sigma: float, order: int, radius: int) -> Array:
    """The kernel that correlates with the derivative of a Gaussian, from −radius to radius.

    The n-th derivative of g(x) is (−1/σ)ⁿ Heₙ(x/σ) g(x), with Hermite's polynomials Heₙ; correlation turns it round.
    """
    t = np.arange(-radius, radius + 1) / sigma
    g = np.exp(-0.5 * t * t)
    g /= g.sum()
    series = [0.0] * order + [1.0]
    return g * np.polynomial.hermite_e.hermeval(t, series) / sigma**order
