"""Words in records, covered or given back: a job, since what the server writes of records is a transaction's last call.

    hidden, upheld ─▶ each word that was judged and still stands: ▒▒▒          released ─▶ each that is covered: as it was

Invariant: what somebody has written since is left alone, either way.
"""

from __future__ import annotations

from functools import partial
from typing import Final

import asyncpg
from msgspec import Struct

from actors.jobs import Order, pack
from actors.storage import Fact, Herald
from persistence.bridge import Bridge
from persistence.jobs.enqueue import enqueue
from persistence.records import write_record
from protocol.entities import BadFields, Fields, Value, read_fields
from protocol.merge import unpack_record
from protocol.values import HeldForm, HeldState

JOB: Final = "moderation.records"
COVER: Final = "▒▒▒"
DEADLINE_S: Final = 10.0
COVERED: Final = (HeldState.HIDDEN, HeldState.UPHELD)

_FIND: Final = (
    "select h.stream_id, h.entity, h.key, h.state, h.body, r.cells from held h"
    " join records r on r.stream_id = h.stream_id and r.entity = h.entity and r.key = h.key"
    " where h.id = $1 and h.form = $2 and h.body is not null"
)


class Cover(Struct, frozen=True):
    """The job's payload: how the row stands by then is what is done."""

    held: int


async def order(tx: asyncpg.Connection, held: int) -> None:
    """Orders it, in the transaction that decides."""
    await enqueue(tx, Order(JOB, pack(Cover(held)), key=f"{held}"))


async def carry_out(bridge: Bridge, herald: Herald, held: int) -> None:
    """Covers or gives back. Twice is as once. Raises `StorageError`."""
    facts = await bridge.run(partial(_write, held=held), deadline_s=DEADLINE_S)
    if facts:
        herald.committed(facts)


async def _write(tx: asyncpg.Connection, held: int) -> list[Fact]:
    row = await tx.fetchrow(_FIND, held, HeldForm.RECORD)
    if row is None:
        return []
    try:
        judged = read_fields(bytes(row["body"]))
    except BadFields:
        return []
    present = unpack_record(row["cells"], row["entity"]).fields
    fields = changes(judged, present, cover=row["state"] in COVERED)
    return await write_record(tx, row["stream_id"], row["entity"], row["key"], fields) if fields else []


def changes(judged: Fields, present: Fields, *, cover: bool) -> Fields:
    """What is to be written: words that stand as they were judged, covered; or, where they are to come back, those that are covered."""
    changed: dict[int, Value] = {}
    for number, value in judged.items():
        covered = _covered(value)
        if covered is not None and present.get(number) == (value if cover else covered):
            changed[number] = covered if cover else value
    return changed


def _covered(value: Value) -> Value | None:
    """The same without words; None: it has none."""
    if isinstance(value, str):
        return COVER if value else None
    if isinstance(value, (list, tuple)) and value and all(isinstance(word, str) for word in value):
        return type(value)(COVER for _ in value)
    return None
