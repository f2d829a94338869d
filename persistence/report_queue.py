"""How many reports nobody has decided, anywhere, and for how long: for whoever looks after the installation. What they say is not read."""

from __future__ import annotations

from typing import Final

import asyncpg
from msgspec import Struct

from persistence.bridge import Bridge

DEADLINE_S: Final = 5.0
COUNTED_MAX: Final = 10_000
"""Beyond it the count says so many: whoever has that many knows."""
_OPEN: Final = """
select count(*), coalesce(extract(epoch from now() - min(at)), 0)::float8 from (select at from reports where state = 1 limit $1) r"""


class OpenReports(Struct, frozen=True):
    """Undecided ones, up to `COUNTED_MAX`; `oldest_s`: how long the first of them has waited, 0 where there is none."""

    count: int = 0
    oldest_s: float = 0.0


async def open_reports(bridge: Bridge) -> OpenReports:
    """Those of now. Raises `StorageError`."""

    async def work(tx: asyncpg.Connection) -> OpenReports:
        row = await tx.fetchrow(_OPEN, COUNTED_MAX)
        assert row is not None
        return OpenReports(row[0], max(0.0, row[1]))

    return await bridge.run(work, deadline_s=DEADLINE_S, readonly=True)
