"""Notices: what somebody is told that happened, and by which ways.

    a transaction ─notify─▶ outbox ─▶ inbox event (Noticed), on every device by the socket
                                  ╰─▶ job: who is offline and wants it gets a push, a mail, or a line in the digest

Invariant: the inbox event is the notice; mail and push only point to it, and are sent at least once under the notice's own id.
"""

from __future__ import annotations

from enum import IntEnum

from msgspec import Struct


class NoticeKind(IntEnum):
    """What happened. A client shows a kind that it does not know by its text."""

    OTHER = 0
    MENTION = 1
    REPLY = 2
    INVITATION = 3
    CONFLICT = 4
    MATCH = 5
    MODERATION = 6
    """Something of one's own was held, hidden or released; or a report of one's own was decided."""
    REMINDER = 7
    ROLE = 8
    TRUST = 9
    SECURITY = 10
    """A log-in from a new device, a changed password, a new way to log in. Always told, whatever is preferred."""

    @classmethod
    def _missing_(cls, value: object) -> NoticeKind | None:
        return cls.OTHER if isinstance(value, int) else None


class Notice(Struct, frozen=True):
    """One thing to tell one person. `stream` and `seq` say where it can be seen (0: nowhere); `subject`: what it is about (a record, a
    report, a session, by kind); `words`: at most a line for people, never a secret."""

    user: int
    kind: NoticeKind
    actor: int = 0
    space: int = 0
    stream: int = 0
    seq: int = 0
    subject: int = 0
    words: str = ""
