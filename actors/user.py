"""A user: which of an account's sessions are open on this gateway, and the place that ends them when they are revoked.

It holds nothing durable. After a crash the sessions are told, and enter again.

Invariant: a session that has entered and has not departed is kicked by every `Revoke` that names it.
"""

from __future__ import annotations

from typing import assert_never

from actors.cell import Ref
from actors.messages import Depart, Enter, Kick, PeopleLost, Revoke, SessionMessage, TrustIs, UserMessage
from protocol.codes import Code


class User:
    """See the module."""

    __slots__ = ("_open",)

    def __init__(self) -> None:
        self._open: dict[int, tuple[int, Ref[SessionMessage]]] | None = None

    def receive(self, message: UserMessage) -> None:
        match message:
            case Enter():
                if self._open is None:
                    self._open = {}
                self._open[message.session_key] = (message.session_id, message.session)
            case Depart():
                if self._open is not None:
                    self._open.pop(message.session_key, None)
                    if not self._open:
                        self._open = None
            case Revoke():
                for session_id, session in (self._open or {}).values():
                    if message.session_id in (0, session_id):
                        session.tell_control(Kick(Code.REVOKED, "this session was ended; log in again"))
            case TrustIs():
                for _, session in (self._open or {}).values():
                    session.tell_control(message)
            case _:
                assert_never(message)

    def passivate(self) -> bool:
        return self._open is None

    def stopped(self) -> None:
        for _, session in (self._open or {}).values():
            session.tell_control(PeopleLost(0))
