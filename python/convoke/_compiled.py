"""Compiled layers: native code behind NumPy arrays."""

from __future__ import annotations

import html
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Mapping, Sequence

import numpy as np

from . import _native
from ._arrays import as_array, as_output, dtype, empty
from ._inputs import by_name
from ._native import Error
from ._options import Options
from ._source import Given, Source, source


@dataclass(frozen=True)
class Tensor:
    """An input or output of a compiled layer."""

    name: str
    """The name, without `%`."""
    elem: str
    """The element type in the language: `f32`, `f64`, `f16` or `bf16`."""
    shape: tuple[int, ...]
    """The extents, in storage order."""
    type: str
    """The type as the language writes it: `f32[1, 3, 8, 8]`, with `nhwc` where channels come last."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The NumPy type of the elements. That of `bf16` is `ml_dtypes.bfloat16`."""
        return dtype(self.elem)


@dataclass(frozen=True)
class Report:
    """The costs and results of compiling. Times are in seconds of wall-clock time."""

    machine: str
    """The machine that the code is for: `host`, or the name given as `cpu`."""
    vector_bits: int
    """The longest vectors of the code, in bits."""
    compile_time: float
    """The whole time from layer to code."""
    passes_time: float
    """Time of passes and lowering."""
    codegen_time: float
    """Time of code generation."""
    weights_time: float
    """Time to read or make the numbers of constants, and to pack and transform them."""
    loaded: bool
    """Whether the code was loaded from the folder `cache`. All of its time is then in `codegen_time`."""
    code_bytes: int
    """Bytes of machine code."""
    constant_bytes: int
    """Bytes of the constants that runs read, as packed."""
    scratch_bytes: int
    """Bytes of scratch of one run."""
    flops: int
    """Floating-point operations of one run of the layer as it was given: two for each multiply-add."""
    algorithms: dict[str, str]
    """The algorithm of each convolution, by the value that it computes."""
    unmet: list[str]
    """A sentence for each limit on errors that is not kept: `max_error` by convolution, `max_output_error` by output."""


class Explanation:
    """A report of `convoke explain`: `str()` gives the text; a notebook shows the page with its plots."""

    def __init__(self, text: str, source: Source, options: Options, flags: list[str]) -> None:
        self.text = text
        self._made_from = (source, options, flags)

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__

    @cached_property
    def html(self) -> str:
        """The report as one self-contained page."""
        source, options, flags = self._made_from
        return _explain(source, options, [*flags, "--html=-"])

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the page to a file."""
        Path(path).write_text(self.html, encoding="utf-8")

    def _repr_html_(self) -> str:
        # A frame of its own: the styles of the page stay out of the notebook.
        page = html.escape(self.html, quote=True)
        return f'<iframe srcdoc="{page}" style="width: 100%; height: 40em; border: 0"></iframe>'


class Compiled:
    """A layer as native code for this CPU. Call it with arrays; `convoke.compile` makes it.

    Threads may share one, and run it at the same time: a run releases Python's lock. It pickles as its model and options, and is compiled again
    where it is loaded, for the CPU there. A text and the bytes of a model travel with the pickle; of a file only the path does.
    """

    def __init__(self, source: Source, options: Options, native: _native.Compiled | None = None) -> None:
        self._source = source
        self._options = options
        self._native = source.compile(options) if native is None else native
        self.inputs: tuple[Tensor, ...] = _tensors(self._native.inputs())
        """The inputs, in order: name, dtype, shape."""
        self.outputs: tuple[Tensor, ...] = _tensors(self._native.outputs())
        """The outputs, in order: name, dtype, shape."""

    @property
    def name(self) -> str:
        """The layer's name."""
        return self._native.name()

    @cached_property
    def report(self) -> Report:
        """The costs and results of compiling."""
        return Report(**self._native.report())

    def run(self, /, *inputs: Any, out: Any = None, **named: Any) -> Any:
        """Runs the layer.

        Inputs come in the order of `inputs`, or by name. Each is a NumPy array, an object with `__dlpack__` in the memory of the CPU (a tensor of
        PyTorch, say), or what `numpy.asarray` takes. It has the shape and the dtype of its `Tensor`. An aligned array in C order is read where it
        is, any other is copied first.

        Parameters
        ----------
        out : array, a sequence of arrays, or a dict of arrays by name
            The outputs, written in place: in C order and writeable, of the shapes and dtypes of `outputs`. New arrays if it is not given.

        Returns
        -------
        The output, or a tuple of several; those of `out` if it is given.

        Raises
        ------
        Error
            Arrays that are not as many, or not of the shape or dtype, as the layer has; the message names the input, its type and what was given.
            An output that is read-only or not in C order, or that overlaps an input. Nothing is written then.
        """
        arrays = inputs if not named else self._by_name(inputs, named)
        read = [as_array(given, f"input `%{self._input(i)}`") for i, given in enumerate(arrays)]
        if out is None:
            results: Sequence[Any] = [empty(tensor.shape, tensor.dtype) for tensor in self.outputs]
        else:
            results = self._outputs_of(out)
        self._native.run(read, [as_output(given, f"output {i}") for i, given in enumerate(results)])
        return results[0] if len(results) == 1 else tuple(results)

    __call__ = run

    def explain(self, *, measure: bool = False, of: str | None = None) -> Explanation:
        """The report of `convoke explain`: candidate algorithms with their costs and errors, and the changes of each pass.

        Parameters
        ----------
        measure : bool
            Time the candidates too, or each op of a net; takes seconds.
        of : str
            The convolution of a net, by the value that it computes, whose candidates are reported.
        """
        flags = ["--measure"] if measure else []
        flags += [] if of is None else [f"--of={of}"]
        return Explanation(_explain(self._source, self._options, flags), self._source, self._options, flags)

    def __repr__(self) -> str:
        def listed(tensors: Sequence[Tensor]) -> str:
            return ", ".join(f"%{tensor.name}: {tensor.type}" for tensor in tensors)

        return f"<convoke.Compiled @{self.name}({listed(self.inputs)}) -> ({listed(self.outputs)})>"

    def __reduce__(self) -> tuple[Any, ...]:
        return Compiled, (self._source, self._options)

    def _input(self, i: int) -> str:
        return self.inputs[i].name if i < len(self.inputs) else f"{i}"

    def _by_name(self, given: Sequence[Any], named: Mapping[str, Any]) -> list[Any]:
        names = [tensor.name for tensor in self.inputs]
        if len(given) > len(names):
            raise Error(f"layer `{self.name}` has {len(names)} inputs, {len(given) + len(named)} were given")
        arrays = by_name(f"layer `{self.name}`", names, given, named, sigil="%")
        missing = [f"`%{tensor.name}`, which is `{tensor.type}`" for tensor in self.inputs if tensor.name not in arrays]
        if missing:
            raise Error(f"layer `{self.name}` was not given {', '.join(missing)}")
        return [arrays[name] for name in names]

    def _outputs_of(self, out: Any) -> Sequence[Any]:
        if isinstance(out, Mapping):
            names = [tensor.name for tensor in self.outputs]
            if set(out) != set(names):
                raise Error(f"`out` has arrays for {sorted(out)}; layer `{self.name}` has the outputs {names}")
            return [out[name] for name in names]
        return out if isinstance(out, (list, tuple)) else [out]


def compile(
    model: Given,
    *,
    layer: str | None = None,
    threads: int = 1,
    level: int = 2,
    max_error: float | None = None,
    max_output_error: float | None = None,
    certified: bool = False,
    tolerance: float | None = None,
    guard: int = 8,
    input_range: tuple[float, float] | None = None,
    algorithm: str | None = None,
    cpu: str | None = None,
    subnormals: str = "flush",
    ieee: bool = False,
    sanitize: bool = False,
    max_memory: int = 2 << 30,
    limits: Mapping[str, float] | None = None,
    tune: bool = False,
    tune_cache: str | os.PathLike[str] | None = None,
    cache: str | os.PathLike[str] | None = None,
    dims: Mapping[str, int] | None = None,
    input_shapes: Mapping[str, Sequence[int]] | None = None,
    outputs: Sequence[str] | None = None,
) -> Compiled:
    """Compiles a layer, or a whole net, to native code.

    Parameters
    ----------
    model : str, path or bytes
        A text of the layer language; a file in it; an ONNX model as a path that ends in `.onnx`, or as bytes. A `str` with a brace or a line end
        is a text, any other is a path. `file("…")` in a text is looked up in the working folder, in a file in its folder.
    layer : str
        The layer to use from a text that has several.
    threads : int
        The most threads of a run. The result is the same bits for any number.
    level : int
        0 only selects and lowers, 1 also rewrites and fuses, 2 also folds weights, 3 as 2.
    max_error : float
        The largest rounding error to expect of an element, a root mean square relative to its Σ|w||x|. With `certified`, the largest there may be.
    max_output_error : float
        The largest error to expect of every output of the net, a root mean square relative to that of the output. Each convolution gets the fastest
        algorithm that its share of it allows; the net is run on random inputs for this.
    tolerance : float
        Allows passes that approximate the function, up to this relative change.
    guard : int
        A tile whose largest pixel is more than this many times the largest that some output reads is computed by plain sums; 0 guards none.
    input_range : (float, float)
        Magnitudes of the inputs: those below the first count as the first, none is above the second.
    algorithm : str
        The algorithm of convolutions that name none: `direct`, `winograd(4x4)`, …
    cpu : str
        Compiles for a CPU of this name; the code runs if this CPU has all that it uses.
    subnormals : str
        `flush` takes subnormal numbers as zero, `keep` keeps them.
    ieee : bool
        Uses only algorithms and passes by which a NaN or an infinity stays where the sums of the layer put it.
    sanitize : bool
        Has native code check each access against its buffer; a run then ends with an error where convoke has a bug. Such code is several times slower.
    max_memory : int
        The most bytes of tensors and scratch together.
    limits : dict
        Other limits by their names, each that of its flag: `{"max_compile_seconds": 2}`. `docs/limits.md` lists them.
    tune : bool
        Chooses algorithms by timing the candidates. Verdicts are kept in the folder `tune_cache` if one is given.
    cache : path
        Keeps compiled layers in this folder, from which later processes load them. It may be deleted at any time. Code is run from it.
    dims, input_shapes, outputs
        Of an ONNX model: numbers for symbolic sizes, shapes of inputs by name, and the values to compute instead of the outputs.

    Returns
    -------
    Compiled

    Raises
    ------
    Error
        Mistakes in a text, all of them, each in its place; operators that are not compiled, all of them; options out of range.
    """
    options = Options(
        threads, level, max_error, max_output_error, certified, tolerance, guard, input_range, algorithm, cpu, subnormals,
        ieee, sanitize, max_memory, tuple((limits or {}).items()), tune, tune_cache, cache,
    )
    return Compiled(source(model, layer, dims, input_shapes, outputs), options)


def _tensors(described: Sequence[tuple[str, str, Sequence[int], str]]) -> tuple[Tensor, ...]:
    return tuple(Tensor(name, elem, tuple(shape), type) for name, elem, shape, type in described)


def _explain(source: Source, options: Options, flags: list[str]) -> str:
    with source.arguments() as (args, stdin):
        status, text, message = _native.command(["convoke", "explain", *args, *options.flags(), *flags], stdin)
    if status != 0:
        raise Error(message.strip())
    return text
