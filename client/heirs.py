"""A store that goes on as another device: what became of the mutations that it sent as the one before?

    copied store ─▶ new device ─Inherit(old device, numbers, digests)─▶ Inherited: had an effect, or never will ─▶ numbered anew

The old device is ended by the question, so that nothing of it can still arrive. Two copies may have used one number for different things;
so each number goes with the digest of its bytes.

Invariant: until all of it is answered nothing else is sent, and the store still says where its numbers come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

from client.ledger import Entry
from protocol.codes import Code
from protocol.frames import INHERIT_MAX, AnyFrame, Failed, Inherit, Inherited, Sent, Settlement


def digest_of(operation: bytes) -> int:
    """BLAKE2b of an operation's bytes, 64 bits, signed."""
    return int.from_bytes(blake2b(operation, digest_size=8).digest(), "big", signed=True)


class Heirs:
    """The numbered mutations of the device `before` (0: there is none)."""

    def __init__(self, before: int, entries: Sequence[Entry]) -> None:
        self.before = before
        self.entries = [entry for entry in entries if entry.number] if before else []
        self._settled: list[Settlement] = []
        self._asked = 0

    @property
    def waiting(self) -> bool:
        """Whether it is still to be learned what became of them."""
        return bool(self.before)

    @property
    def settlements(self) -> Sequence[Settlement]:
        """What was learned so far."""
        return self._settled

    @property
    def complete(self) -> bool:
        """Whether every one was asked about. A device without any is asked about once, to end it."""
        return self._asked >= max(1, len(self.entries))

    def begin(self) -> None:
        """On a new socket all is asked anew."""
        self._settled.clear()
        self._asked = 0

    def question(self, id: int) -> Inherit:
        """About the next ones."""
        sent = (Sent(entry.number, digest_of(entry.operation)) for entry in self._piece())
        return Inherit(id, self.before, tuple(sent))

    def hear(self, answer: AnyFrame) -> None:
        """Takes an answer. A device that one cannot inherit from is not one's own: nothing of it will be asked for again."""
        if isinstance(answer, Inherited):
            self._settled += answer.settled
        elif isinstance(answer, Failed):
            code = answer.code if answer.code is not Code.OK else Code.FORBIDDEN
            self._settled += (Settlement(entry.number, code, 0, answer.detail) for entry in self._piece())
        self._asked += max(1, len(self._piece()))

    def _piece(self) -> Sequence[Entry]:
        return self.entries[self._asked : self._asked + INHERIT_MAX]
