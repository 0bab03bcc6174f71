"""Arrays of a run: what a caller gives, as NumPy arrays without copies where that is possible."""

from __future__ import annotations

import math
from typing import Any, Sequence

import numpy as np

from ._native import Error

_DTYPES = {"f16": np.float16, "f32": np.float32, "f64": np.float64}
# Vectors of whole cache lines are stored fastest; smaller arrays are not worth the search for an aligned place.
_LINE = 64
_SMALL = 4096


def dtype(elem: str) -> np.dtype[Any]:
    """The NumPy type of an element type of the language. `bf16` needs the package `ml_dtypes`."""
    if elem == "bf16":
        try:
            import ml_dtypes
        except ImportError as error:
            raise Error("arrays of bf16 need the package `ml_dtypes`; install it") from error
        bfloat16: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
        return bfloat16
    return np.dtype(_DTYPES[elem])


def as_array(given: Any, what: str) -> np.ndarray[Any, Any]:
    """`given` as an aligned array: an array itself, the memory of an object with `__dlpack__`, or what `numpy.asarray` makes."""
    if not isinstance(given, np.ndarray):
        given = _shared(given, what) if hasattr(given, "__dlpack__") else np.asarray(given)
    array: np.ndarray[Any, Any] = given
    return array if array.flags.aligned else array.copy()


def as_output(given: Any, what: str) -> np.ndarray[Any, Any]:
    """`given` as an array to be written: itself, or the memory of an object with `__dlpack__`; never a copy."""
    if isinstance(given, np.ndarray):
        return given
    if hasattr(given, "__dlpack__"):
        return _shared(given, what)
    raise Error(f"{what} was given an object of {type(given)}; outputs are written to arrays")


def _shared(given: Any, what: str) -> np.ndarray[Any, Any]:
    try:
        return np.from_dlpack(given)
    except Exception as error:
        raise Error(f"{what} was given an object of {type(given)} that NumPy cannot share: {error}") from error


def empty(shape: Sequence[int], kind: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """An array without values; a large one begins on a cache line."""
    size = math.prod(shape) * kind.itemsize
    if size < _SMALL:
        return np.empty(shape, kind)
    raw = np.empty(size + _LINE, np.uint8)
    start = -raw.__array_interface__["data"][0] % _LINE
    return raw[start : start + size].view(kind).reshape(shape)
