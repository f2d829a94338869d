"""The audit log: who did what to whom. Written in the transaction of the deed, so that neither exists without the other.

Kept by month; months ahead are prepared by a daily job. A month that nobody prepared fills the default partition, whose rows move when the
month is made, so nothing is ever lost for want of a partition.
"""

from __future__ import annotations

from typing import Any, Final

import asyncpg
import msgspec
import trio
from msgspec import Struct

from actors.storage_port import StorageError
from persistence.bridge import Bridge

MONTHS_AHEAD: Final = 3
PREPARE_EVERY_S: Final = 24 * 3600.0
RETRY_S: Final = 60.0


class Deed(Struct, frozen=True):
    """One line. `action` is a past-tense constant (`member_removed`); `actor` 0 is the system."""

    actor: int
    action: str
    space: int | None = None
    subject: int | None = None
    address: str | None = None
    detail: dict[str, Any] = {}


async def record(tx: asyncpg.Connection, *deeds: Deed) -> None:
    """Writes deeds down, inside the caller's transaction."""
    await tx.execute(
        "insert into audit_log (actor, action, space_id, subject, address, detail)"
        " select a, b, c, d, e, f::jsonb from unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[], $5::text[], $6::text[])"
        " as x (a, b, c, d, e, f)",
        [deed.actor for deed in deeds],
        [deed.action for deed in deeds],
        [deed.space for deed in deeds],
        [deed.subject for deed in deeds],
        [deed.address for deed in deeds],
        [msgspec.json.encode(deed.detail).decode() for deed in deeds],
    )


async def prepare(tx: asyncpg.Connection, months_ahead: int = MONTHS_AHEAD) -> int:
    """Makes the partitions of this month and the next ones; returns how many were missing."""
    made: int = await tx.fetchval("select prepare_audit_partitions($1)", months_ahead)
    return made


async def serve_partitions(bridge: Bridge, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
    """Prepares partitions now and once a day, until cancelled."""
    task_status.started()
    while True:
        try:
            await bridge.run(prepare, deadline_s=30)
        except StorageError:
            await trio.sleep(RETRY_S)
        else:
            await trio.sleep(PREPARE_EVERY_S)
