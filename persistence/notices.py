"""Notices: what somebody is told of, written where it happens and delivered by the outbox.

    transaction ─notify─▶ outbox row ─▶ judged (is there somebody, may they see it?) ─▶ inbox event `Noticed`, once

Invariant: a notice is in the inbox exactly once if the transaction that caused it committed, and not at all if it did not.
"""

from __future__ import annotations

from typing import Final

import asyncpg

from actors.notices import ALWAYS, Notice
from persistence.append import kind_of
from protocol import codec
from protocol.events import NOTICE_WORDS_MAX, Noticed

NOTICED: Final = kind_of(Noticed)


async def notify(tx: asyncpg.Connection, *notices: Notice) -> None:
    """Leaves notices in the outbox, in the caller's transaction.

    An operation's `Effect` says `fills_outbox` then; elsewhere a poll finds them within seconds. A notice that points to a stream reaches
    only who may read it when it is delivered: one about what a person may not see any more leaves `stream` out. Nobody is told of what they
    did themselves, unless it is about their security.
    """
    told = [notice for notice in notices if notice.user and (notice.user != notice.actor or notice.kind in ALWAYS)]
    if not told:
        return
    await tx.execute(
        "insert into outbox (kind, user_id, space_id, stream_id, seq, author, payload)"
        " select $1, u, nullif(p, 0), nullif(s, 0), nullif(n, 0), a, b"
        " from unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bytea[]) as x (u, p, s, n, a, b)",
        NOTICED,
        [notice.user for notice in told],
        [notice.space for notice in told],
        [notice.stream for notice in told],
        [notice.seq for notice in told],
        [notice.actor for notice in told],
        [codec.encode(body_of(notice)) for notice in told],
    )


def body_of(notice: Notice) -> Noticed:
    """The event of a notice, cut to its bounds."""
    words = notice.words.replace("\0", "�")[:NOTICE_WORDS_MAX]
    return Noticed(notice.kind, notice.actor, notice.space, notice.stream, notice.seq, notice.subject, words)
