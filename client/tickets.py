"""The ticket that a device comes back with: kept with its store, shown in place of the token, dropped when it is of no more use.

    Welcome, TakeTicket ─▶ Ticket ─keep─▶ store ─find─▶ Resume ─▶ Resumed: the session goes on, and what Welcome said holds on
                                            ▲ drop ── refused, or the session ended

A ticket is as secret as the access token that it stands for, and lives no longer. It belongs to a device and an epoch: a store that is
another device's by now, or whose cursors are of another epoch, has none.

Invariant: what is found is of this device and epoch and has some seconds left.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from client.questions import Questions
from client.store import Store
from protocol.codes import Code
from protocol.frames import AnyFrame, TakeTicket, Ticket, Welcome

TICKET = "ticket"
LEFT_S_MIN = 5.0
"""With less time than this left the token is shown, or renewed."""
VOID = frozenset(
    {Code.BAD_FRAME, Code.ILLEGAL, Code.FLOOD, Code.VERSION, Code.UNAUTHENTICATED, Code.TOKEN_EXPIRED, Code.REVOKED, Code.HELLO_LATE}
)
"""Ends of a socket after which the next one begins with the token: the session may be over, or the server may know no tickets."""


class Kept(Struct, frozen=True, array_like=True):
    """A ticket, and what holds on when it is taken. `expires` is Unix time in seconds, by the server's clock."""

    ticket: bytes
    expires: int
    device: int
    welcome: Welcome


class Tickets:
    """See the module."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept = _read(store.noted(TICKET))

    def find(self, device: int, epoch: int, now_s: float) -> Kept | None:
        """The ticket to show, if there is one. `now_s`: Unix time by the server's clock, as far as it is known."""
        kept = self._kept
        if kept is None or kept.device != device or kept.welcome.epoch != epoch or kept.expires - now_s < LEFT_S_MIN:
            return None
        return kept

    def ask(self, questions: Questions, device: int, welcome: Welcome) -> None:
        """Asks for one, on this socket. An older server has none, and then there is none."""

        def hear(answer: AnyFrame) -> None:
            if isinstance(answer, Ticket):
                self.keep(Kept(answer.ticket, answer.expires, device, replace(welcome, expires=answer.expires)))

        questions.wonder(TakeTicket, hear)

    def keep(self, kept: Kept) -> None:
        """There is a newer one."""
        self._kept = kept
        self._store.note(TICKET, msgspec.msgpack.encode(kept))

    def drop(self) -> None:
        """It is of no use."""
        if self._kept is not None:
            self._kept = None
            self._store.note(TICKET, b"")


def _read(noted: bytes) -> Kept | None:
    """What an older or newer version of this program kept otherwise is none."""
    try:
        return msgspec.msgpack.decode(noted, type=Kept) if noted else None
    except msgspec.MsgspecError:
        return None
