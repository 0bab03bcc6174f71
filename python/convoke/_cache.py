"""A bounded cache that many threads share."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Callable, Generic, Hashable, TypeVar

T = TypeVar("T")


class _Slot(Generic[T]):
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.value: T | None = None


class Cache(Generic[T]):
    """Values by key, those used last. Threads that ask for the same new key make its value once."""

    def __init__(self, kept: int) -> None:
        self.kept = kept
        self._lock = threading.Lock()
        self._slots: OrderedDict[Hashable, _Slot[T]] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The value of `key`, from `make()` if there is none. What `make` raises is passed on, and nothing is kept then."""
        with self._lock:
            slot = self._slots.pop(key, None)
            if slot is None:
                slot = _Slot()
            self._slots[key] = slot
            while len(self._slots) > self.kept:
                self._slots.popitem(last=False)
        with slot.lock:
            if slot.value is None:
                slot.value = make()
            return slot.value

    def clear(self) -> None:
        """Drops all values."""
        with self._lock:
            self._slots.clear()

    def __len__(self) -> int:
        return len(self._slots)
