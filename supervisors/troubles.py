"""The troubles of a process: which of its parts crashed, how often, and of what the last time. Kept for whoever looks in.

    dispatcher ─ actor crashed ──┐
    tree ─ child crashed ────────┴─▶ Troubles (by place, the latest ones) ─▶ metrics, the live view

Invariant: what is kept has a bound, and holds texts alone: a cause holds its traceback, and that the state of what crashed.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Final

from msgspec import Struct

from supervisors.dispatcher import log_crash
from supervisors.tree import log_event
from supervisors.tree_state import describe

PLACES_MAX: Final = 64
CAUSE_CHARACTERS_MAX: Final = 300
CRASHES: Final = frozenset({"child_crashed", "child_start_failed", "child_stuck"})


class Trouble(Struct, frozen=True):
    """One place that crashed."""

    place: str
    """`gateway/redis/link`, or `session 42`."""
    crashes: int
    last_cause: str
    at: float
    """Of the last crash, in Unix seconds."""


class Troubles:
    """See the module. Its methods are what a `Dispatcher` and a `Tree` report to; both also write to the log."""

    def __init__(self, wall: Callable[[], float]) -> None:
        self._wall = wall
        self._by_place: OrderedDict[str, Trouble] = OrderedDict()
        self.child_crashes: dict[str, int] = {}
        """By the path of the child. There are as many as the tree has."""

    def latest(self) -> list[Trouble]:
        """What crashed, the latest first."""
        return list(reversed(self._by_place.values()))

    def actor_crashed(self, pool: str, key: Hashable, cause: Exception) -> None:
        log_crash(pool, key, cause)
        self._note(f"{pool} {key}", cause)

    def in_tree(self, event: str, path: str, cause: Exception | None) -> None:
        log_event(event, path, cause)
        self.note_in_tree(event, path, cause)

    def note_in_tree(self, event: str, path: str, cause: Exception | None) -> None:
        """As `in_tree`, where somebody else writes the log."""
        if event in CRASHES:
            self.child_crashes[path] = self.child_crashes.get(path, 0) + 1
            self._note(path, cause)

    def _note(self, place: str, cause: Exception | None) -> None:
        known = self._by_place.pop(place, None)
        text = "" if cause is None else describe(cause)[:CAUSE_CHARACTERS_MAX]
        self._by_place[place] = Trouble(place, 1 + (known.crashes if known else 0), text, self._wall())
        if len(self._by_place) > PLACES_MAX:
            self._by_place.popitem(last=False)
