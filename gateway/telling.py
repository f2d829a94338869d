"""What the routes about notices, mail and push are given: ports, and what the operator has set up.

Invariant: a way that is not set up is not offered.
"""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from actors.notices import NoticeDesk
from actors.push import Service, Subscriptions
from gateway.mail.envelope import MailTokens


class Refusals(Protocol):
    """Keeps addresses that refuse mail; `persistence.notice_desk.PostgresNotices`."""

    async def refuse_address(self, address: str, status: str) -> None:
        """No more mail goes there. May raise `StorageError`."""
        ...


class Telling(Struct, frozen=True):
    """`bounce_secret`: what the operator's mail server shows with a report; "": none are taken. `vapid_public`: what a browser subscribes
    with. `services`: those that are set up. `loopback_allowed`: endpoints on this machine are taken (development)."""

    notices: NoticeDesk
    subscriptions: Subscriptions
    refusals: Refusals
    tokens: MailTokens
    bounce_secret: str = ""
    vapid_public: str = ""
    services: frozenset[Service] = frozenset()
    loopback_allowed: bool = False

    def __repr__(self) -> str:
        return "Telling(…)"
