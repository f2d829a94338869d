"""What the matching model is fed, and what it learns from: pages of rows after a mark.

    page      mentors in the order of `changed`: from () on all, then whatever changed     Here(candidate) or Gone(user)
    outcomes  mentorships by id, those of which it is known what became of them           Met(factors, good, score, group)

Numbers of `changed` become visible in ascending order (`settling`), so a mark is one number. Somebody who changes while pages are read
moves to the end, and is read again. Beside it the mark has the epoch: of a database that was restored, numbers come again and mean others.
"""

from __future__ import annotations

from typing import Final

import asyncpg
import msgspec

from actors.inference import Candidate
from actors.model_book import PAGE_ROWS_MAX, FeedRow, Gone, Here, Mark, Met, Page
from persistence.epoch import read_epoch
from protocol.values import MentorshipState

GOOD_FROM: Final = 0.6
"""A mentorship that both rated like this went well: its goal was reached or nearly, and it was said to have been worth it."""

_HEAD: Final = "select head from mentor_clock"
_PAGE: Final = "select changed, user_id, candidate from mentor_changes($1, $2)"
_OUTCOMES: Final = """
select o.id, o.factors, o.score, o.state, o.good, coalesce(m.languages[1], '') as language
from mentorships o left join mentors m on m.user_id = o.mentor
where o.id > $1 and o.state in (3, 5, 6) and cardinality(o.factors) > 0 and (o.state <> 6 or o.good is not null)
order by o.id limit $2"""
_CANDIDATE: Final = msgspec.msgpack.Decoder(Candidate)
_PACK: Final = msgspec.msgpack.Encoder()


async def page(connection: asyncpg.Connection, after: Mark, limit: int = PAGE_ROWS_MAX) -> Page:
    """Mentors who changed after the mark; from () on, all there are. Of a mark of another history: nothing, and the mark ()."""
    epoch = await read_epoch(connection)
    history = 0 if epoch is None else epoch.number
    if after and (after[1] != history or after[0] > await connection.fetchval(_HEAD)):
        return Page((), (), more=False)
    rows = await connection.fetch(_PAGE, after[0] if after else 0, limit)
    fed: list[bytes] = []
    for _, user, candidate in rows:
        row: FeedRow = Here(_CANDIDATE.decode(candidate)) if candidate else Gone(user)
        fed.append(_PACK.encode(row))
    return Page(fed, (rows[-1][0], history) if rows else after, len(rows) == limit)


async def outcomes(connection: asyncpg.Connection, after: Mark, limit: int = PAGE_ROWS_MAX) -> Page:
    """What became of those who were shown and asked, after the mark. A proposal that was turned down or never answered is no match, and
    so is a mentorship of which what was said is not good."""
    rows = await connection.fetch(_OUTCOMES, after[0] if after else 0, limit)
    met = [
        _PACK.encode(
            Met(tuple(row["factors"]), row["state"] == MentorshipState.ENDED and row["good"] >= GOOD_FROM, row["score"], row["language"])
        )
        for row in rows
    ]
    return Page(met, (rows[-1]["id"],) if rows else after, len(rows) == limit)
