"""Where devices are pushed to, sealed while it is kept: who reads a copy of the database neither recognises devices nor sends to them.

    subscribe ─seal(user, subscription)─▶ Postgres ─open(user)─▶ job `push.send`

Invariant: what was sealed for one account opens for no other.
"""

from __future__ import annotations

from typing import Final

import msgspec

from actors.push import Subscription
from gateway.seals import Seals

PURPOSE: Final = b"educonnect push 1"
"""What the keys of `Seals` are derived for."""
_decoder = msgspec.msgpack.Decoder(Subscription)


class PushSeals:
    """See `actors.push.SubscriptionSeals`."""

    def __init__(self, seals: Seals) -> None:
        self._seals = seals

    @property
    def key_name(self) -> str:
        return self._seals.name

    @property
    def older_keys(self) -> tuple[str, ...]:
        return tuple(name for name in self._seals.names if name != self._seals.name)

    def seal(self, user: int, subscription: Subscription) -> bytes:
        return self._seals.seal(msgspec.msgpack.encode(subscription), _about(user))

    def open(self, user: int, sealed: bytes) -> Subscription | None:
        opened = self._seals.open(sealed, _about(user))
        return None if opened is None else _decoder.decode(opened.data)


def _about(user: int) -> bytes:
    return f"push to {user}".encode()
