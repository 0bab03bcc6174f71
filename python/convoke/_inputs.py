"""Inputs given in order and by name."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from ._native import Error


def by_name(owner: str, names: Sequence[str], given: Sequence[Any], named: Mapping[str, Any], sigil: str = "") -> dict[str, Any]:
    """The values of both by name. `owner` is the layer or model in messages, `sigil` stands before a name there."""
    found = dict(zip(names, given))
    for name, value in named.items():
        if name not in names:
            raise Error(f"{owner} has no input `{name}`; it has {', '.join(f'`{n}`' for n in names)}")
        if name in found:
            raise Error(f"input `{sigil}{name}` was given twice, in order and by name")
        found[name] = value
    return found
