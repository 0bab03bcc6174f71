"""Options of compiling, for the library and for the command."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Options:
    """The options of `convoke.compile`, under the same names."""

    threads: int = 1
    level: int = 2
    max_error: float | None = None
    max_output_error: float | None = None
    certified: bool = False
    tolerance: float | None = None
    guard: int = 8
    input_range: tuple[float, float] | None = None
    algorithm: str | None = None
    cpu: str | None = None
    subnormals: str = "flush"
    ieee: bool = False
    sanitize: bool = False
    max_memory: int = 2 << 30
    limits: tuple[tuple[str, float], ...] = ()
    tune: bool = False
    tune_cache: str | os.PathLike[str] | None = None
    cache: str | os.PathLike[str] | None = None

    def native(self) -> dict[str, Any]:
        """The options as the native half reads them."""
        return asdict(self) | {"limits": dict(self.limits)}

    def flags(self) -> list[str]:
        """The options of the command that say the same."""
        flags = [f"-O{self.level}", f"--threads={self.threads}", f"--guard={self.guard}"]
        flags += [f"--subnormals={self.subnormals}", f"--max-memory={self.max_memory}"]
        flags += [f"--{name.replace('_', '-')}={value}" for name, value in self.limits]
        if self.max_error is not None:
            flags.append(f"--max-error={self.max_error!r}")
        if self.max_output_error is not None:
            flags.append(f"--max-output-error={self.max_output_error!r}")
        if self.tolerance is not None:
            flags.append(f"--tolerance={self.tolerance!r}")
        if self.input_range is not None:
            least, most = self.input_range
            flags.append(f"--input-range={least!r},{most!r}")
        if self.algorithm is not None:
            flags.append(f"--algorithm={self.algorithm}")
        if self.cpu is not None:
            flags.append(f"--cpu={self.cpu}")
        if self.ieee:
            flags.append("--ieee")
        if self.certified:
            flags.append("--certified")
        if self.tune:
            flags.append("--tune")
            if self.tune_cache is not None:
                flags.append(f"--tune-cache={os.fspath(self.tune_cache)}")
        if self.cache is not None:
            flags.append(f"--cache={os.fspath(self.cache)}")
        return flags
