"""The state law of records: what a reader folds from a stream's events is what a snapshot holds."""

from __future__ import annotations

import asyncpg

from protocol import codec
from protocol.entities import Fields, read_fields
from protocol.events import Changed
from protocol.merge import unpack_record
from tests.persistence.world import World


def fold(rows: list[asyncpg.Record]) -> dict[tuple[int, int], Fields]:
    """What a reader of a stream ends up with."""
    state: dict[tuple[int, int], tuple[int, Fields]] = {}
    for row in rows:
        body = codec.decode_body(row["body"])
        assert isinstance(body, Changed)
        for item in body.records:
            version, fields = state.get((item.entity, item.key), (0, {}))
            if item.version > version:
                state[item.entity, item.key] = (item.version, {} if item.gone else {**fields, **read_fields(item.fields)})
    return {place: fields for place, (_, fields) in state.items() if fields}


async def folds_to_its_records(w: World, stream: int) -> None:
    """The state law: events from the first on give what a snapshot gives."""
    told = fold(await w.rows("select body from log where stream_id = $1 order by seq", stream))
    rows = await w.rows("select entity, key, cells from records where stream_id = $1", stream)
    assert told == {(row["entity"], row["key"]): unpack_record(row["cells"], row["entity"]).fields for row in rows}
