"""The epoch: which history of the database this is. Cursors of one epoch mean nothing in another.

    system identifier    another cluster (initdb, a dump loaded elsewhere)
    timeline             this cluster, continued by a standby that was promoted, or from a backup
    bump                 this cluster and timeline, but an operator says so: a disk image was put back

Only a primary knows: a standby may lag or follow another primary tomorrow, and declares nothing.

Invariant: two histories of one database that both acknowledged something have different epochs (but for 1 in 2^53).
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import Final

import asyncpg


@dataclass(frozen=True, slots=True)
class Epoch:
    """What identifies a history. `bump` is 0 until an operator bumps it, and then never a number that was used before."""

    system_identifier: int
    timeline: int
    bump: int

    @property
    def number(self) -> int:
        """The epoch for the wire: compared for equality alone. 53 bits, which every client's number type holds exactly."""
        text = f"{self.system_identifier}/{self.timeline}/{self.bump}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 11


# The control file's timeline lags behind a promotion until the next checkpoint; the name of the segment being written does not.
CLUSTER: Final = """(SELECT system_identifier FROM pg_control_system()) AS system_identifier,
       (SELECT CASE WHEN NOT pg_is_in_recovery()
                    THEN ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint
               END) AS timeline"""
"""Two columns, each computed once a statement (some 20 µs together); `timeline` is null on a standby. What belongs to a history may be read
in the same statement."""
BUMP: Final = "(SELECT bump FROM epoch_bump) AS bump"
"""The third, where the schema exists."""

_READ: Final = f"SELECT {CLUSTER}, to_regclass('epoch_bump') IS NOT NULL AS bumpable"


async def read_epoch(connection: asyncpg.Connection) -> Epoch | None:
    """The epoch of the primary behind `connection`, None on a standby. One query, a second one where `epoch_bump` exists."""
    row = await connection.fetchrow(_READ)
    if row["timeline"] is None:
        return None
    bump = 0
    if row["bumpable"]:
        bump = await connection.fetchval("SELECT bump FROM epoch_bump") or 0
    return Epoch(row["system_identifier"], row["timeline"], bump)


async def bump_epoch(connection: asyncpg.Connection) -> Epoch | None:
    """Declares a new history, for what neither identifier nor timeline shows: an image of the disk that was put back.

    The number is random, not counted: what was put back would count to the same number again. Raises
    `asyncpg.UndefinedTableError` before the schema exists.
    """
    await connection.execute("UPDATE epoch_bump SET bump = $1, at = now()", secrets.randbits(62) + 1)
    return await read_epoch(connection)
