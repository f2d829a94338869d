"""The conflicts that wait for a decision, as the server last told: kept, so that they are listed offline.

    ConflictNoted (inbox), an outcome `REVIEW`, a decision of one's own ─▶ stale ─Conflicts─▶ pages ─▶ noted

Invariant: what is listed is one answer of the server's as a whole, or none.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

import msgspec

from client.questions import Questions
from client.store import Store
from protocol.frames import AnyFrame, Conflict, ConflictPage, Conflicts

NOTE: Final = "conflicts"
DOUBTED: Final = "conflicts doubted"
"""Noted from a doubt on until the answer: a process that is killed in between asks when it comes back."""
PAGE: Final = 50
LISTED_MAX: Final = 1000
"""Nobody decides more in one go; the rest comes when these are decided."""


class OpenConflicts:
    """`changed` is called when the list has changed."""

    def __init__(self, store: Store, changed: Callable[[], None]) -> None:
        self._store = store
        self._changed = changed
        noted = store.noted(NOTE)
        self._listed = msgspec.msgpack.decode(noted, type=tuple[Conflict, ...]) if noted else ()
        self._pages: list[Conflict] = []
        self._doubted = bool(store.noted(DOUBTED))
        self._stale = self._doubted or not noted
        self._asking = False

    @property
    def listed(self) -> tuple[Conflict, ...]:
        """Oldest first."""
        return self._listed

    @property
    def stale(self) -> bool:
        """Whether the server has to be asked."""
        return self._stale and not self._asking

    @property
    def asking(self) -> bool:
        """Whether the server's answer is on its way."""
        return self._asking

    @property
    def is_known(self) -> bool:
        """Whether the list is as the server last had it, as far as this device has heard."""
        return not self._stale and not self._asking

    def doubt(self) -> None:
        """Something has happened to a conflict."""
        self._stale = True
        if not self._doubted:
            self._doubted = True
            self._store.note(DOUBTED, b"1")

    def void(self) -> None:
        """The database was restored: numbers may be other conflicts' now, and a decision about what is listed would be about those."""
        self.doubt()
        self._list(())

    def forget(self, streams: Collection[int]) -> None:
        """These may be read no longer: what was told of their conflicts goes, too."""
        left = tuple(one for one in self._listed if one.stream not in streams)
        if left != self._listed:
            self._list(left)

    def _list(self, conflicts: tuple[Conflict, ...]) -> None:
        self._listed = conflicts
        self._store.note(NOTE, msgspec.msgpack.encode(conflicts))
        self._changed()

    def cut(self) -> None:
        """The socket is gone; what was asked and not answered is asked again."""
        self._stale = self._stale or self._asking
        self._asking = False

    def ask(self, questions: Questions) -> None:
        """Asks for all of them."""
        self._stale, self._asking = False, True
        self._pages = []
        self._ask_page(questions, 0)

    def _ask_page(self, questions: Questions, after: int) -> None:
        def hear(answer: AnyFrame) -> None:
            if not isinstance(answer, ConflictPage):
                self._asking = False
                return
            self._pages += answer.conflicts
            if answer.more and answer.conflicts and len(self._pages) < LISTED_MAX:
                self._ask_page(questions, answer.conflicts[-1].conflict)
                return
            self._asking = False
            self._list(tuple(self._pages))
            if self._doubted and not self._stale:
                self._doubted = False
                self._store.note(DOUBTED, b"")

        questions.wonder(lambda id: Conflicts(id, after, True, 0, PAGE), hear)
