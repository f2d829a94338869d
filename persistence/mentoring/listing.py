"""One's own mentorships: a page of them for who asks, and how one stands for the inboxes of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import asyncpg

from actors.storage import ListMentorships, MentorshipList, Result
from persistence.mentoring.closing import NOTED
from protocol import codec
from protocol.events import MentorshipNoted
from protocol.frames import MentorshipItem
from protocol.values import MentorshipState

_OWN: Final = """
select o.id, o.mentor, o.learner, a.display_name, o.state, o.subject, o.words, extract(epoch from o.proposed_at)::bigint,
    o.community, o.space_id, o.conversation, o.records,
    case when o.mentor = $1 then o.mentor_over_at is not null else o.learner_over_at is not null end,
    case when o.mentor = $1 then o.learner_over_at is not null else o.mentor_over_at is not null end
from own_mentorships($1, $2, $3, $4) o join accounts a on a.id = case when o.mentor = $1 then o.learner else o.mentor end
order by o.id"""
_NOTED: Final = """
select q.pos, o.* from unnest($1::bigint[], $2::bigint[]) with ordinality as q (mentorship, user_id, pos)
join mentorships o on o.id = q.mentorship and q.user_id in (o.mentor, o.learner)
join accounts a on a.id = q.user_id and a.disabled_at is null
order by o.id for share of o"""
"""Locked until it is in the inbox: whoever covers what was said finds it there, or has covered it before it was read."""
_UNTOLD: Final = """
select x.id as untold, o.* from outbox x join mentorships o on o.id = x.seq
where x.kind = $2 and x.payload is null and x.user_id <> $1 and (o.mentor = $1 or o.learner = $1)
order by x.id limit $3 for update of x"""
UNTOLD_MAX: Final = 500


async def list_mentorships(connection: asyncpg.Connection, queries: Sequence[ListMentorships]) -> list[Result]:
    """One after the other: somebody asks when the app begins."""
    return [await _list(connection, query) for query in queries]


async def _list(connection: asyncpg.Connection, query: ListMentorships) -> Result:
    rows = await connection.fetch(_OWN, query.user, query.after, query.open_only, query.limit + 1)
    items = tuple(
        MentorshipItem(id, mentor, learner, name, MentorshipState(state), *rest)
        for id, mentor, learner, name, state, *rest in rows[: query.limit]
    )
    return MentorshipList(items, len(rows) > query.limit)


async def read_noted(tx: asyncpg.Connection, rows: Sequence[Mapping[str, Any]]) -> dict[int, MentorshipNoted]:
    """By the outbox row's id: how the mentorship stands now. Those that are gone, or whom nobody is left to tell, are left out."""
    asked = [row for row in rows if row["kind"] == NOTED]
    if not asked:
        return {}
    found = await tx.fetch(_NOTED, [row["seq"] for row in asked], [row["user_id"] for row in asked])
    return {asked[row["pos"] - 1]["id"]: _as_noted(row, row["said"]) for row in found}


async def write_down_untold(tx: asyncpg.Connection, user: int) -> int:
    """Before somebody's mentorships are deleted: what others were not told yet, without a word of anybody's. How many; 0: none is left."""
    rows = await tx.fetch(_UNTOLD, user, NOTED, UNTOLD_MAX)
    payloads = [codec.encode(_as_noted(row, "")) for row in rows]
    await tx.execute(
        "update outbox x set payload = q.payload from unnest($1::bigint[], $2::bytea[]) q (id, payload) where x.id = q.id",
        [row["untold"] for row in rows],
        payloads,
    )
    return len(rows)


def _as_noted(row: Mapping[str, Any], words: str) -> MentorshipNoted:
    state = MentorshipState(row["state"])
    return MentorshipNoted(row["id"], row["mentor"], row["learner"], state, row["community"], row["space_id"], row["by_user"], words)
