"""What an operator sees of notices: what waits, what came back.

Invariant: nothing here says what anybody was told.
"""

from __future__ import annotations

from typing import Final

import asyncpg
from msgspec import Struct

REFUSALS_MAX: Final = 100
_OVERVIEW: Final = """
select (select count(*) from notices where due), (select count(*) from notices where digest),
    (select count(*) from push_subscriptions), (select count(*) from mail_refusals)"""
_REFUSALS: Final = """
select address::text, status, extract(epoch from at)::bigint from mail_refusals order by at desc, address limit $1"""


class Refused(Struct, frozen=True):
    """An address that mail came back from. `at`: Unix seconds."""

    address: str
    status: str
    at: int


class NoticeOverview(Struct, frozen=True):
    """How many notices wait for a decision, and for a digest; how many devices are pushed to; the newest addresses that refuse mail, of
    how many."""

    undecided: int
    for_digests: int
    subscriptions: int
    refusing: int
    refused: tuple[Refused, ...]


async def notice_overview(tx: asyncpg.Connection, limit: int = REFUSALS_MAX) -> NoticeOverview:
    """All of it."""
    counts = await tx.fetchrow(_OVERVIEW)
    assert counts is not None
    undecided, for_digests, subscriptions, refusing = counts
    refused = tuple(Refused(*row) for row in await tx.fetch(_REFUSALS, limit))
    return NoticeOverview(undecided, for_digests, subscriptions, refusing, refused)
