"""A `TaskStatus` that tells a function: for whoever starts a task and wants to hear when it has started, without waiting for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Told(Generic[T]):
    """Calls `tell` with what `started` was given."""

    def __init__(self, tell: Callable[[T | None], None]) -> None:
        self._tell = tell

    def started(self, value: T | None = None) -> None:
        self._tell(value)
