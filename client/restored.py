"""After a restore: is what this store holds as decided still decided, and by this store?

    another epoch ─▶ ask again, under their numbers, the newest that were decided ─┬─ known ─────────▶ all before them is there, too
                                                                                  └─ NUMBER_REUSED ─▶ somebody else speaks as this device

A restored database knows a device's mutations up to some number. Where the store was copied, the copy may have come first and given the
numbers after the backup to mutations of its own; then what this store holds under those numbers was forgotten, and the last number alone
does not tell. Two histories of one device that part at a number differ in those that follow it, so the newest ones speak for all; more
than one, because two people may tick off the same lesson in the same second.

Invariant: until it is answered nothing else is sent, nothing that comes is taken, and the store knows nothing of the new epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Raw

from client.errors import DeviceCopied
from client.store import Kept
from protocol.client_session import backoff_ms
from protocol.codec import encode
from protocol.codes import TABLE, Code, Retry
from protocol.frames import Done, DoneRun, Mutate, Refused, Welcome
from protocol.values import LinkQuality

ASKED: Final = 16
"""So many are asked about: they fit into one message, and nobody does the same as somebody else so often in a row."""


class Doubt:
    """A socket that was greeted in another epoch, and the mutations that are asked about. `after` runs something in so many seconds."""

    def __init__(
        self,
        newest: Sequence[Kept],
        welcome: Welcome,
        link: LinkQuality,
        wake: Callable[[], None],
        after: Callable[[float, Callable[[], None]], None],
        spread: Callable[[], float],
    ) -> None:
        self.welcome = welcome
        self.link = link
        self._open = {kept.number: kept for kept in newest}
        self._wake = wake
        self._after = after
        self._spread = spread
        self._failures = 0
        self._due = True
        self.is_waiting = False
        """Questions are sent and have no answer."""

    def take(self) -> list[bytes]:
        """The questions, if they are to be sent now; what it returns counts as sent."""
        if not self._due:
            return []
        self._due, self.is_waiting = False, True
        return [encode(Mutate(kept.number, Raw(kept.operation))) for kept in self._open.values()]

    def hear(self, frame: object) -> bool:
        """Takes a frame; true once nothing is in doubt. Raises `DeviceCopied` where a number is another mutation's.

        An outcome that the server no longer has (`TOO_OLD`) says nothing against it: a copy cannot have come so far without being found out
        by its numbers.
        """
        match frame:
            case Done(number):
                self._open.pop(number, None)
            case DoneRun(first, values):
                for number in range(first, first + len(values)):
                    self._open.pop(number, None)
            case Refused(number, code, detail) if number in self._open:
                if code is Code.NUMBER_REUSED:
                    raise DeviceCopied(f"mutation {number} of a restored database is another one: {detail}")
                if TABLE[code].retry is Retry.NO:
                    del self._open[number]
                elif self.is_waiting:
                    self.is_waiting = False
                    self._failures += 1
                    self._after(max(frame.wait_ms, backoff_ms(self._failures, self._spread())) / 1000, self._ask_again)
        return not self._open

    def _ask_again(self) -> None:
        self._due = True
        self._wake()
