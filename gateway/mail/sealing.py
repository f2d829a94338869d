"""The secrets that mails carry, sealed while they wait to be sent: a link that sets another password is worth that password.

    transaction ─seal(user, link, code)─▶ job `mail.send` ─open(user)─▶ the mail

The key file rotates: a mail waits for hours at most, and an older key stays in the file for longer (docs/security.md).

Invariant: what was sealed for one account opens for no other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from gateway.seals import Seals

PURPOSE: Final = b"educonnect mail secrets 1"
"""What the keys of `Seals` are derived for."""


class MailSeals:
    """See `actors.mail.MailSeal`."""

    def __init__(self, seals: Seals) -> None:
        self._seals = seals

    def seal(self, user: int, values: Mapping[str, str]) -> bytes:
        return self._seals.seal(msgspec.msgpack.encode(dict(values)), _about(user))

    def open(self, user: int, sealed: bytes) -> dict[str, str] | None:
        opened = self._seals.open(sealed, _about(user))
        return None if opened is None else msgspec.msgpack.decode(opened.data, type=dict[str, str])


def _about(user: int) -> bytes:
    return f"mail to {user}".encode()
