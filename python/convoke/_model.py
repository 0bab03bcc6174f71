"""ONNX models, compiled for the shapes that they meet."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Mapping, Sequence

from ._arrays import as_array
from ._cache import Cache
from ._compiled import Compiled
from ._inputs import by_name
from ._native import Error
from ._options import Options
from ._source import Given, Onnx, source


@dataclass(frozen=True)
class Declared:
    """An input of a model as its file declares it."""

    name: str
    """The name."""
    type: str
    """The element type as ONNX names it. Whole numbers and truth values are carried as `float32`: give arrays of that dtype."""
    shape: tuple[int | str | None, ...] | None
    """The extents: a number, the name of a symbolic size, or `None` for neither; `None` alone if the file has no shape."""


class Model:
    """An ONNX model. It compiles for the shapes of its inputs when it first meets them, and keeps the code for the last few; `convoke.load` makes it.

    Threads may share one. It pickles as its file's path or its bytes, with the options.
    """

    KEPT = 4
    """The number of shapes whose code is kept."""

    def __init__(self, source: Onnx, options: Options, kept: int = KEPT) -> None:
        if kept < 1:
            raise Error(f"code for {kept} shapes is to be kept; give at least 1")
        self._source = source
        self._options = options
        self._read = source.read(options.max_memory)
        self._compiled: Cache[Compiled] = Cache(kept)
        self.inputs: tuple[Declared, ...] = tuple(
            Declared(name, type, None if dims is None else tuple(dims)) for name, type, dims in self._read.inputs()
        )
        """The inputs as the file declares them, in order."""
        self.outputs: tuple[str, ...] = source.outputs or tuple(self._read.outputs())
        """The names of the outputs, in order."""
        self.metadata: dict[str, str] = dict(self._read.metadata())
        """The notes in the file by name: the classes of a classifier, the characters of a reader."""

    def compile(self, /, *shapes: Sequence[int], **named: Sequence[int]) -> Compiled:
        """The code for inputs of these shapes, in the order of `inputs` or by name. Shapes that the file, `dims` or `input_shapes` give may be left out.

        Raises
        ------
        Error
            Sizes that are not bound, shapes that do not fit the model, operators that are not compiled.
        """
        bound = self._named(shapes, named, "shapes")
        key = tuple(sorted((name, tuple(int(n) for n in shape)) for name, shape in bound.items()))
        fixed = {declared.name for declared in self.inputs if declared.shape == ()}

        def make() -> Compiled:
            source = self._source.with_shapes({name: shape for name, shape in key if name not in fixed})
            return Compiled(source, self._options, source.compile(self._options, self._read))

        return self._compiled.get(key, make)

    def run(self, /, *inputs: Any, out: Any = None, **named: Any) -> Any:
        """Runs the model on arrays, in the order of `inputs` or by name, as `Compiled.run` does. New shapes are compiled first."""
        given = self._named(inputs, named, "inputs")
        missing = [f"`{declared.name}`" for declared in self.inputs if declared.name not in given]
        if missing:
            raise Error(f"the model was not given {', '.join(missing)}")
        arrays = {name: as_array(array, f"input `%{name}`") for name, array in given.items()}
        compiled = self.compile(**{name: array.shape for name, array in arrays.items()})
        return compiled.run(*(arrays[declared.name] for declared in self.inputs), out=out)

    __call__ = run

    def __repr__(self) -> str:
        inputs = ", ".join(f"{declared.name}: {declared.type}{list(declared.shape or ())}" for declared in self.inputs)
        return f"<convoke.Model ({inputs}) -> ({', '.join(self.outputs)})>"

    def __reduce__(self) -> tuple[Any, ...]:
        return Model, (self._source, self._options, self._compiled.kept)

    def _named(self, given: Sequence[Any], named: Mapping[str, Any], what: str) -> dict[str, Any]:
        names = [declared.name for declared in self.inputs]
        if len(given) > len(names):
            raise Error(f"the model has {len(names)} inputs, {len(given)} {what} were given")
        return by_name("the model", names, given, named)


def load(
    model: Given,
    *,
    kept: int = Model.KEPT,
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
) -> Model:
    """Reads an ONNX model, a path that ends in `.onnx` or bytes. It compiles when it is first run.

    Parameters
    ----------
    kept : int
        The number of shapes whose code is kept.
    dims, input_shapes : dict
        Numbers for symbolic sizes and shapes of inputs, by name, where the arrays of a run do not give them.
    outputs : sequence of str
        The values to compute instead of the model's outputs; what they do not need is left out.

    The other parameters are those of `convoke.compile`.

    Raises
    ------
    Error
        A file that cannot be read or is no ONNX model.
    """
    options = Options(
        threads, level, max_error, max_output_error, certified, tolerance, guard, input_range, algorithm, cpu, subnormals,
        ieee, sanitize, max_memory, tuple((limits or {}).items()), tune, tune_cache, cache,
    )
    found = source(model, None, dims, input_shapes, outputs)
    if not isinstance(found, Onnx):
        raise Error("`load` takes ONNX models: bytes, or a path that ends in .onnx; `compile` takes texts")
    return Model(found, options, kept)
