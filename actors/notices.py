"""Notices: what somebody is told that happened, and by which ways.

    a transaction ─notify─▶ outbox ─▶ inbox event (Noticed), on every device by the socket
                                  ╰─▶ job: who is offline and wants it gets a push, a mail, or a line in the digest

Invariant: the inbox event is the notice; mail and push only point to it, and are sent at least once under the notice's own id.
"""

from __future__ import annotations

from msgspec import Struct

from protocol.values import NoticeKind as NoticeKind


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
