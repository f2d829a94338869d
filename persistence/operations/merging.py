"""Changes of records: many of many devices in one transaction, the rules decided between two calls.

    entries ─▶ merge_begin ─▶ rows ─▶ Merging ─▶ merge_write, merge_finish ─▶ outcomes and facts
               locks, numbers,       decides     one call, streams last        one per entry, in order
               seats, records

Invariant: within one batch, a device's numbers strictly ascend and span less than the ring of outcomes (`Numbers.fits`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import asyncpg
import msgspec
from msgspec import Struct

from actors.merging import NO_SEAT, Decision, Merging, Place, Seat
from actors.storage import Decided, Entry, Fact, Refusal
from persistence.append import kind_of, storable
from persistence.operations.kept import WRITE, WRITES, Stood, events, load_conflicts, read_room, settle, writes
from persistence.operations.ungraded import find_ungraded, order_arguments
from protocol.codes import Code
from protocol.conflicts import OPEN
from protocol.entities import TABLE
from protocol.events import Changed
from protocol.merge import Record, unpack_record
from protocol.operations import AnyOperation, Change
from protocol.values import StreamKind

_CHANGED: Final = kind_of(Changed)
_SKEW_MAX_S: Final = 2**31 - 1
_DECIDED_AT_ONCE: Final = 64
"""Entries that are decided before others of the loop have their turn: some 2 ms."""

_NOWHERE: Final = Place(0, 0, 0)

_BEGIN: Final = (
    "select at, code, value, detail, replayed, fresh, stream_kind, read_roles, audience_version, role, community, has_left,"
    " version, cells, is_tombstone, conflict, locked from merge_begin($1, $2, $3, $4, $5, $6, $7, $8)"
)
_CUSTOM: Final = (
    "select q.stream, q.user_id, custom_permissions(q.user_id, s.space_id)"
    " from unnest($1::bigint[], $2::bigint[]) as q (stream, user_id) join streams s on s.id = q.stream"
)
_WRITERS: Final = {one.stream: one.writers for one in TABLE.values() if one.permission is not None}
"""Streams in which a custom role may let somebody write, with the base roles that write there anyway."""
_FINISHES: Final = 18
_FINISH: Final = (
    f"select f.seq, f.at, f.audience_version from {WRITE} as w (done)"
    f" cross join lateral merge_finish(w.done, {', '.join(f'${WRITES + n}' for n in range(1, _FINISHES + 1))}) f"
)
_FINISH_GRADING: Final = _FINISH.replace(
    "merge_finish(w.done",
    f"order_grading(w.done, {', '.join(f'${WRITES + _FINISHES + n}' for n in range(1, 5))}) as g (done)"
    " cross join lateral merge_finish(g.done",
)
"""With answers or questions among what was written: what is to be graded, after the records and before the streams."""


def goes_the_merge_way(operation: AnyOperation | Refusal) -> bool:
    """Whether an entry belongs into a batch of these."""
    return isinstance(operation, Change) or (isinstance(operation, Refusal) and bool(operation.payload))


def payload_of(operation: AnyOperation | Refusal) -> bytes:
    """What is kept of an entry that is refused; empty where nothing is."""
    if isinstance(operation, Change):
        return msgspec.msgpack.encode(operation)
    return operation.payload if isinstance(operation, Refusal) else b""


class Merged(Struct, frozen=True):
    """What a transaction did, once it has committed."""

    decided: list[Decided]
    facts: list[Fact]
    fills_outbox: bool


class Merges:
    """A batch of changes, and of refusals whose payload is kept. Built once, so that it can be sent again unchanged."""

    __slots__ = ("entries",)

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.entries = entries

    async def append(self, connection: asyncpg.Connection) -> Merged:
        """Runs in a READ COMMITTED transaction on the asyncio side. Raises SQLSTATE ED001 where it must be run again."""
        entries = self.entries
        places = [_place(entry) for entry in entries]
        rows = await connection.fetch(
            _BEGIN,
            [entry.user for entry in entries],
            [entry.device for entry in entries],
            [entry.generation for entry in entries],
            [entry.number for entry in entries],
            [entry.digest for entry in entries],
            [place.stream for place in places],
            [place.entity for place in places],
            [place.key for place in places],
        )
        seen = _Seen()
        for entry, place, row in zip(entries, places, rows, strict=True):
            if row["fresh"]:
                seen.add(entry, place, row)
        await seen.ask_custom_roles(connection)
        if len(seen.stood) != rows[0]["locked"]:
            # Made, or moved between the tables, while others were being locked.
            await connection.execute("select begin_again()")
        conflicts = {}
        if seen.conflicts:
            loaded = await load_conflicts(connection, seen.conflicts)
            conflicts = {(draft.place, draft.user): draft for draft in loaded if draft.state in OPEN}
        missing = seen.places - seen.stood.keys()
        room, forgotten = await read_room(connection, missing)
        begun = {place: Record(forgotten[place.stream]) for place in missing if place.stream in forgotten}
        merging = Merging(rows[0]["at"], seen.seats, {**seen.records, **begun}, conflicts, room)
        decisions: list[Decision | None] = []
        for at, (entry, row) in enumerate(zip(entries, rows, strict=True), 1):
            decisions.append(merging.decide(entry) if row["fresh"] else None)
            if at % _DECIDED_AT_ONCE == 0:
                await asyncio.sleep(0)
        facts = await self._write(connection, merging, seen, decisions)
        return Merged(_read(entries, rows, decisions), facts, bool(merging.notes))

    def read(self, merged: Merged) -> tuple[list[Decided], list[Fact]]:
        """What became of each entry, and the events in order."""
        return merged.decided, merged.facts

    def fills_outbox(self, merged: Merged) -> bool:
        """Whether somebody is to hear of a conflict."""
        return merged.fills_outbox

    def holds_back(self, merged: Merged) -> bool:
        """Never: records are judged as they stand."""
        return False

    async def _write(
        self, connection: asyncpg.Connection, merging: Merging, seen: _Seen, decisions: Sequence[Decision | None]
    ) -> list[Fact]:
        """The last call; none where every number was known."""
        fresh = [
            (entry, decision) for entry, decision in zip(self.entries, decisions, strict=True) if decision is not None and entry.device
        ]
        told = events(merging)
        if not (fresh or told or merging.unapplied):
            return []
        new = await settle(connection, merging)
        devices = _devices(fresh)
        guards = _guards(seen, self.entries, decisions)
        ungraded = find_ungraded(merging)
        rows = await connection.fetch(
            _FINISH_GRADING if ungraded else _FINISH,
            *writes(merging, seen.stood, new),
            [entry.device for entry, _ in fresh],
            [entry.number for entry, _ in fresh],
            [entry.digest for entry, _ in fresh],
            [decision.code for _, decision in fresh],
            [decision.value for _, decision in fresh],
            [storable(decision.detail) or None for _, decision in fresh],
            [device.entry.device for device in devices],
            [device.entry.user for device in devices],
            [device.entry.number for device in devices],
            [device.pushed for device in devices],
            [device.refused for device in devices],
            [max(-_SKEW_MAX_S, min(device.entry.skew_s, _SKEW_MAX_S)) for device in devices],
            list(guards),
            list(guards.values()),
            _CHANGED,
            [event.stream for event in told],
            [event.author for event in told],
            [event.body for event in told],
            *(order_arguments(ungraded) if ungraded else ()),
        )
        return [
            Fact(event.stream, seq, event.author, at, event.body, version) for event, (seq, at, version) in zip(told, rows, strict=True)
        ]


class _Seen:
    """What merge_begin found, by what decisions ask for."""

    __slots__ = ("audiences", "conflicts", "places", "records", "seats", "stood")

    def __init__(self) -> None:
        self.seats: dict[tuple[int, int], Seat] = {}
        self.audiences: dict[int, int] = {}
        self.records: dict[Place, Record] = {}
        self.stood: dict[Place, Stood] = {}
        self.conflicts: set[int] = set()
        self.places: set[Place] = set()

    def add(self, entry: Entry, place: Place, row: asyncpg.Record) -> None:
        who = (place.stream, entry.user)
        if who not in self.seats:
            self.seats[who] = NO_SEAT
            if row["stream_kind"] is not None:
                self.audiences[place.stream] = row["audience_version"]
                self.seats[who] = Seat(
                    StreamKind(row["stream_kind"]), row["read_roles"], row["role"] or 0, row["community"] or 0, row["has_left"]
                )
        if row["role"]:
            self.places.add(place)
        if row["version"] is not None and place not in self.stood:
            self.records[place] = unpack_record(row["cells"], place.entity)
            self.stood[place] = Stood(2 if row["is_tombstone"] else 1, row["version"])
        if row["conflict"] is not None:
            self.conflicts.add(row["conflict"])

    async def ask_custom_roles(self, connection: asyncpg.Connection) -> None:
        """Adds what custom roles give to whom the base role does not let write: rare, and nobody else waits for a query. It is read after
        the audience versions that guard what is granted, so a role that is taken meanwhile makes the batch begin again."""
        asking = [who for who, seat in self.seats.items() if seat.role and not seat.role & _WRITERS.get(seat.kind, seat.role)]
        if asking:
            for stream, user, custom in await connection.fetch(_CUSTOM, [who[0] for who in asking], [who[1] for who in asking]):
                self.seats[stream, user] = msgspec.structs.replace(self.seats[stream, user], custom=custom)


class _Device(Struct):
    """One device's share of a batch; `entry` is its last."""

    entry: Entry
    pushed: int = 0
    refused: int = 0


def _devices(fresh: Sequence[tuple[Entry, Decision]]) -> list[_Device]:
    devices: dict[int, _Device] = {}
    for entry, decision in fresh:
        device = devices.setdefault(entry.device, _Device(entry))
        device.entry = entry
        device.pushed += 1
        device.refused += decision.code is not Code.OK
    return [devices[device] for device in sorted(devices)]


def _guards(seen: _Seen, entries: Sequence[Entry], decisions: Sequence[Decision | None]) -> dict[int, int]:
    """The streams in which something was granted, with the audience that it was granted for."""
    guards: dict[int, int] = {}
    for entry, decision in zip(entries, decisions, strict=True):
        if decision is not None and decision.code is Code.OK and isinstance(entry.operation, Change):
            guards[entry.operation.stream] = seen.audiences[entry.operation.stream]
    return guards


def _read(entries: Sequence[Entry], rows: Sequence[asyncpg.Record], decisions: Sequence[Decision | None]) -> list[Decided]:
    decided: list[Decided] = []
    for entry, row, decision in zip(entries, rows, decisions, strict=True):
        if decision is None:
            code, value, detail, replayed = Code(row["code"]), row["value"], row["detail"] or "", row["replayed"]
        else:
            code, value, detail, replayed = decision.code, decision.value, storable(decision.detail), False
        decided.append(Decided(entry.number, code, value, detail, replayed, entry.generation))
    return decided


def _place(entry: Entry) -> Place:
    operation = entry.operation
    if isinstance(operation, Change):
        return Place(operation.stream, operation.entity, operation.key)
    assert isinstance(operation, Refusal), operation
    return _NOWHERE
