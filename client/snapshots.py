"""Snapshots under way: a stream's records as they stand, page by page, where its events from the first on would cost more.

    want ─▶ Snapshot(after the last record that arrived) ·· RecordPage ─▶ replica, in one transaction ─┬─ more ─▶ ask on
                                                                                                  └─ last ─▶ followed from the head

How far one has come is in the store (`SnapshotMark`), so a snapshot that was cut, or whose process was killed, goes on behind the last
page that arrived. The head is that of the first page: what was written meanwhile comes again as events, and versions tell.

Invariant: a stream is either in a snapshot or followed, not both.
"""

from __future__ import annotations

from collections.abc import Callable

from client.errors import ServerFault
from client.questions import Hear, Questions
from client.replica import Replica
from protocol.frames import AnyFrame, AnyRequest, Failed, RecordPage, Snapshot


class Snapshots:
    """`complete` is told stream and head, `refused` stream and code."""

    def __init__(self, replica: Replica, complete: Callable[[int, int], None], refused: Callable[[int, int], object]) -> None:
        self._replica = replica
        self._complete = complete
        self._refused = refused
        self._wanted: dict[int, None] = {}
        self._open: set[int] = set()

    def __contains__(self, stream: int) -> bool:
        return stream in self._wanted

    @property
    def wanted(self) -> list[int]:
        """The streams whose snapshots are not complete."""
        return list(self._wanted)

    @property
    def asking(self) -> int:
        """Pages that are asked for."""
        return len(self._open)

    def want(self, stream: int) -> None:
        """Wants a stream's records."""
        self._wanted[stream] = None

    def forget(self, stream: int) -> None:
        """Wants them no longer; a page that is under way is passed over."""
        self._wanted.pop(stream, None)
        self._open.discard(stream)

    def cut(self) -> None:
        """The socket is gone."""
        self._open.clear()

    def unasked(self) -> list[int]:
        """The streams to ask a page of."""
        return [stream for stream in self._wanted if stream not in self._open]

    def ask(self, stream: int, questions: Questions) -> None:
        """Asks for the next page of one."""
        mark = self._replica.mark(stream)
        after = (mark.entity, mark.key) if mark is not None else (0, 0)

        def make(id: int) -> AnyRequest:
            return Snapshot(id, stream, *after)

        self._open.add(stream)
        questions.wonder(make, self._hearing(stream))

    def _hearing(self, stream: int) -> Hear:
        def hear(answer: AnyFrame) -> None:
            if stream not in self._open:
                return
            self._open.discard(stream)
            if isinstance(answer, Failed):
                self.forget(stream)
                self._refused(stream, answer.code)
                return
            if not isinstance(answer, RecordPage) or answer.stream != stream:
                raise ServerFault(f"{type(answer).__name__} where a page of stream {stream} belongs")
            mark = self._replica.mark(stream)
            if answer.more and not answer.records:
                raise ServerFault(f"a page of stream {stream} is empty, and there is said to be more")
            if self._replica.hear_page(answer) is None:
                self.forget(stream)
                self._complete(stream, mark.head if mark is not None else answer.head)

        return hear
