"""Words in records, covered or given back: a job, since what the server writes of records is a transaction's last call.

    hidden, upheld ─▶ each word that was judged and still stands: ▒▒▒          released ─▶ each that is covered: as it was

Invariant: what somebody has written since is left alone, either way; so is what no person reads but something goes by.
"""

from __future__ import annotations

from functools import partial
from typing import Final

import asyncpg
from msgspec import Struct

from actors.jobs import Order, pack
from actors.merging import Place
from actors.storage import Fact, Herald
from persistence.bridge import Bridge
from persistence.jobs.enqueue import enqueue
from persistence.operations.kept import IS_THERE, lock_record
from persistence.records import write_record
from protocol.entities import COVER, TABLE, BadFields, Declaration, Fields, Value, read_fields
from protocol.values import HeldForm, HeldState

JOB: Final = "moderation.records"
DEADLINE_S: Final = 10.0
COVERED: Final = (HeldState.HIDDEN, HeldState.UPHELD)

_FIND: Final = "select h.stream_id, h.entity, h.key, h.state, h.body from held h where h.id = $1 and h.form = $2 and h.body is not null"


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
    if row is None or row["entity"] not in TABLE:
        return []
    place = Place(row["stream_id"], row["entity"], row["key"])
    # Before it is read, so that nobody writes in between; and what was decided is read again behind it.
    present, stood = await lock_record(tx, place)
    row = await tx.fetchrow(_FIND, held, HeldForm.RECORD)
    if row is None or stood.was != IS_THERE:
        return []
    try:
        judged = read_fields(bytes(row["body"]))
    except BadFields:
        return []
    fields = changes(TABLE[place.entity], judged, present.fields, cover=row["state"] in COVERED)
    return await write_record(tx, *place, fields) if fields else []


def changes(declaration: Declaration, judged: Fields, present: Fields, *, cover: bool) -> Fields:
    """What is to be written: words that stand as they were judged, covered; or, where they are to come back, those that are covered.

    Only words that are shown: what something goes by, such as accepted answers, would be forged by a cover.
    """
    changed: dict[int, Value] = {}
    for number, value in judged.items():
        field = declaration.field(number)
        covered = None if field is None or field.compared else _covered(value)
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
