"""What is under way: a mutation that waits for its outcome, a request that waits for its answer.

Both outlive sockets. A `Pending` belongs to the store: whoever stops waiting for it does not take it back. A request belongs to
whoever asks: it is sent again on the next socket while somebody waits, and forgotten with them.
"""

from __future__ import annotations

import trio

from client.errors import ClientError
from protocol.frames import AnyFrame, AnyRequest
from protocol.merge import Outcome, read_outcome


class Pending:
    """A mutation on its way. `operation` is its frozen bytes, `key` its name in the store."""

    def __init__(self, key: int, operation: bytes) -> None:
        self.key = key
        self.operation = operation
        self._value = 0
        self._error: ClientError | None = None
        self._decided = trio.Event()

    @property
    def decided(self) -> bool:
        """Whether `wait` returns or raises at once."""
        return self._decided.is_set()

    async def wait(self) -> int:
        """Waits until the server has decided, over as many sockets as it takes; returns the outcome's value.

        Raises `MutationRefused`, or `SessionEnded` when the session ends first. Cancelling the wait leaves the mutation in place.
        """
        await self._decided.wait()
        if self._error is not None:
            raise self._error
        return self._value

    async def outcome(self) -> tuple[Outcome, int]:
        """Waits like `wait`, for a change to a record: what became of it, and the record's version or the conflict's number."""
        return read_outcome(await self.wait())

    def commit(self, value: int) -> None:
        """The server committed it."""
        self._value = value
        self._decided.set()

    def fail(self, error: ClientError) -> None:
        """It will not be decided here."""
        if not self._decided.is_set():
            self._error = error
            self._decided.set()


class Asked:
    """A request that somebody waits for."""

    __slots__ = ("answer", "answered", "error", "request", "sent_at", "socket_bound")

    def __init__(self, request: AnyRequest, socket_bound: bool) -> None:
        self.request = request
        self.socket_bound = socket_bound
        self.sent_at = 0.0
        self.answer: AnyFrame | None = None
        self.error: ClientError | None = None
        self.answered = trio.Event()
