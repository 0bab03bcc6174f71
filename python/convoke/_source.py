"""What is compiled: a text, a file in the language, or an ONNX model. A source pickles as what it was made from."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Iterator, Mapping, Sequence, Union
from contextlib import contextmanager

from . import _native
from ._native import Error
from ._options import Options

Given = Union[str, "os.PathLike[str]", bytes]


@dataclass(frozen=True)
class Text:
    """A text of the layer language. `file("…")` in it is looked up in the working folder."""

    text: str
    layer: str | None

    def compile(self, options: Options) -> _native.Compiled:
        """Native code for the layer."""
        native = options.native()
        return _native.Layer.text(self.text, self.layer, native).compile(native)

    @contextmanager
    def arguments(self) -> Iterator[tuple[list[str], bytes]]:
        """Arguments of the command that name the layer, and its standard input."""
        yield ["-", *_named(self.layer)], self.text.encode()


@dataclass(frozen=True)
class File:
    """A file in the layer language. `file("…")` in it is looked up in its folder."""

    path: str
    layer: str | None

    def compile(self, options: Options) -> _native.Compiled:
        """Native code for the layer."""
        native = options.native()
        return _native.Layer.file(self.path, self.layer, native).compile(native)

    @contextmanager
    def arguments(self) -> Iterator[tuple[list[str], bytes]]:
        """Arguments of the command that name the layer, and its standard input."""
        yield [self.path, *_named(self.layer)], b""


@dataclass(frozen=True)
class Onnx:
    """An ONNX model, as a file or its bytes, with sizes and outputs."""

    model: str | bytes
    dims: tuple[tuple[str, int], ...] = ()
    shapes: tuple[tuple[str, tuple[int, ...]], ...] = ()
    outputs: tuple[str, ...] = ()

    def read(self, max_memory: int) -> _native.OnnxModel:
        """The model, its tensors in at most `max_memory` bytes."""
        if isinstance(self.model, bytes):
            return _native.OnnxModel.bytes(self.model, max_memory)
        return _native.OnnxModel.file(self.model, max_memory)

    def compile(self, options: Options, model: _native.OnnxModel | None = None) -> _native.Compiled:
        """Native code for the model, which is read unless it is given."""
        model = model or self.read(options.max_memory)
        return model.compile(self.dims, self.shapes, self.outputs, options.native())

    def with_shapes(self, shapes: Mapping[str, Sequence[int]]) -> Onnx:
        """The same model for these shapes of inputs, which take the place of those of the same names."""
        bound = dict(self.shapes) | {name: tuple(shape) for name, shape in shapes.items()}
        return replace(self, shapes=tuple(bound.items()))

    @contextmanager
    def arguments(self) -> Iterator[tuple[list[str], bytes]]:
        """Arguments of the command that name the model, and its standard input. Bytes are written to a file for as long."""
        flags = [f"--dim={name}={size}" for name, size in self.dims]
        flags += [f"--input-shape={name}={','.join(map(str, shape))}" for name, shape in self.shapes]
        flags += [f"--outputs={name}" for name in self.outputs]
        if isinstance(self.model, str):
            yield [self.model, *flags], b""
            return
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "model.onnx")
            path.write_bytes(self.model)
            yield [str(path), *flags], b""


Source = Union[Text, File, Onnx]


def source(
    given: Given,
    layer: str | None,
    dims: Mapping[str, int] | None,
    input_shapes: Mapping[str, Sequence[int]] | None,
    outputs: Sequence[str] | None,
) -> Source:
    """The source that a caller gives. A `str` with a brace or a line end is a text, any other is a path."""
    onnx = {"dims": dims, "input_shapes": input_shapes, "outputs": outputs}
    if isinstance(given, (bytes, bytearray, memoryview)):
        return _onnx(bytes(given), layer, onnx)
    if isinstance(given, str) and ("{" in given or "\n" in given):
        _only_for_onnx("a text", onnx)
        return Text(given, layer)
    if not isinstance(given, (str, os.PathLike)):
        raise TypeError(f"a model is a text, a path or the bytes of an ONNX model, not {type(given)}")
    path = os.path.abspath(os.fspath(given))
    if path.lower().endswith(".onnx"):
        return _onnx(path, layer, onnx)
    _only_for_onnx(path, onnx)
    return File(path, layer)


def _onnx(model: str | bytes, layer: str | None, options: Mapping[str, Any]) -> Onnx:
    if layer is not None:
        raise Error(f"an ONNX model is one layer; `layer` is `{layer}`, which names a layer of a text")
    dims, shapes, outputs = options["dims"] or {}, options["input_shapes"] or {}, options["outputs"] or ()
    if isinstance(outputs, str):
        outputs = (outputs,)
    bound = tuple((name, tuple(shape)) for name, shape in shapes.items())
    return Onnx(model, tuple(dims.items()), bound, tuple(outputs))


def _only_for_onnx(what: str, options: Mapping[str, Any]) -> None:
    for name, value in options.items():
        if value is not None:
            raise Error(f"`{name}` is for ONNX models; {what} is none, since a path of one ends in .onnx")


def _named(layer: str | None) -> list[str]:
    return [] if layer is None else [f"--layer={layer}"]
