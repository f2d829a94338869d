"""A thousand devices come back at once, each with a day's 200 changes: mutations a second, the wait for a chunk, CPU, growth.

    1,000 members of one community ─ Hello, 200 changes in chunks, two under way ─▶ until all is answered
    before each round the community's records are filled up to 10³, 10⁴, 10⁵, 10⁶ ─▶ cost a mutation at each size

Two gateways, fsync on, TCP on loopback without TLS. Nobody follows the streams; the devices are bench/returners.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Final

import asyncpg
import msgspec
import trio

from bench.figures import Goal, Measured
from bench.ours import Ours
from bench.returners import Answered, Place, changes_of, return_once
from bench.stage import Options, open_stage, spent_s
from protocol.entities import Entity
from protocol.merge import Cell, Record, Stamp, pack_record
from protocol.values import StreamKind

DEVICES: Final = 1_000
QUICK_DEVICES: Final = 20
SIZES: Final = (1_000, 10_000, 100_000, 1_000_000)
FLAT: Final = Goal(ratio_max=1.2)
KEYS: Final = 2_000
"""Lessons and questions that a member writes about in one round: others in each, so that every round is the same work, mostly new records.
Nearly every change makes one; the others meet what the round wrote itself."""
FILLED: Final = (10**6, 10**9)
"""Keys of what is stored beside: lessons of other years."""
GIVE_UP_S: Final = 300.0
STREAMS: Final = {Entity.PROGRESS: StreamKind.PROGRESS, Entity.ANSWER: StreamKind.ANSWERS, Entity.DRAFT: StreamKind.OWN}
CHANGES: Final = 200


class Round(msgspec.Struct, frozen=True):
    """One return of everybody."""

    records: int
    mutations: int
    wall_s: float
    parts_s: dict[str, float]
    chunk_s: list[float]
    outcomes: dict[int, int]
    put_off: int

    @property
    def cost_us(self) -> float:
        return sum(self.parts_s.values()) / self.mutations * 1e6


async def measure(options: Options, say: Callable[[str], None]) -> list[Measured]:
    """Throughput, waiting and cost at each size of the community. There is no peer: see `sync_link` for those."""
    devices = QUICK_DEVICES if options.quick else DEVICES
    sizes = SIZES[:2] if options.quick else SIZES
    async with open_stage(servers=2, people=devices, peers=False) as stage:
        ours = stage.ours
        await ours.rooms(1, devices)
        places = await ours.ask(partial(find_places, ours=ours))
        chance = Random(1)
        await come_back(ours, places[:5], chance, 0, 0)  # nobody's first statement is measured
        rounds = []
        for number, size in enumerate(sizes, 1):
            records = await ours.ask(partial(fill_up, places=places, upto=size, chance=chance))
            one = await come_back(ours, places, chance, records, number)
            rounds.append(one)
            parts = ", ".join(f"{part} {seconds / sum(one.parts_s.values()):.0%}" for part, seconds in one.parts_s.items())
            say(
                f"sync_load: {records:>9,} records stored: {one.mutations:,} mutations of {len(places):,} devices in {one.wall_s:.1f} s, "
                f"{one.mutations / one.wall_s:,.0f}/s, {one.cost_us:.0f} µs server CPU each ({parts}), a chunk p50 "
                f"{_percentile(one.chunk_s, 50) * 1e3:,.0f} ms, p99 {_percentile(one.chunk_s, 99) * 1e3:,.0f} ms; outcomes {one.outcomes}; "
                f"put off and sent again: {one.put_off:,}"
            )
    first, last = rounds[0], rounds[-1]
    note = f"{len(places):,} devices at once, {CHANGES} changes each, two gateways, fsync on"
    return [
        Measured("sync: mutations a second, everybody back at once", last.mutations / last.wall_s, "/s", note=note),
        Measured("sync: p99 from a chunk to its last answer", _percentile(last.chunk_s, 99) * 1e3, "ms", note=note),
        Measured("sync: server CPU a mutation", last.cost_us, "µs", note=note),
        Measured(
            f"sync: cost a mutation with {last.records:,} records stored",
            last.cost_us,
            "µs",
            f"with {first.records:,}",
            first.cost_us,
            last.cost_us / first.cost_us,
            FLAT,
            "records in the same community; flat is the goal",
        ),
    ]


async def come_back(ours: Ours, places: list[Place], chance: Random, records: int, number: int) -> Round:
    """Everybody returns, at the same moment, taking turns at the gateways. Raises `GeneratorFailed`."""
    now = int(time.time())
    keys = range(number * KEYS + 1, (number + 1) * KEYS + 1)
    packed = [changes_of(place, now, keys, chance) for place in places]
    answered: list[Answered] = []

    async def one(n: int) -> None:
        answered.append(await return_once(ours.ports[n % len(ours.ports)], places[n], packed[n], Random(n)))

    before = spent_s(ours)
    began = trio.current_time()
    with trio.fail_after(GIVE_UP_S):
        async with trio.open_nursery() as nursery:
            for n in range(len(places)):
                nursery.start_soon(one, n)
    wall_s = trio.current_time() - began
    outcomes: dict[int, int] = {}
    for device in answered:
        for outcome in device.outcomes:
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
    return Round(
        records,
        sum(outcomes.values()),
        wall_s,
        {part: after_s - before[part] for part, after_s in spent_s(ours).items()},
        [seconds for device in answered for seconds in device.chunk_s],
        dict(sorted(outcomes.items())),
        sum(device.put_off for device in answered),
    )


async def find_places(connection: asyncpg.Connection, ours: Ours) -> list[Place]:
    """Where each person's own records are: their streams in the one community, and those of their own."""
    kinds = {int(kind): entity for entity, kind in STREAMS.items()}
    rows = await connection.fetch(
        "select m.user_id, t.kind, t.id from members m join spaces s on s.id = m.space_id and s.kind in (3, 4)"
        " join streams t on t.space_id = s.id and t.kind = any($1) where m.user_id = any($2)",
        list(kinds),
        [person.user for person in ours.people],
    )
    streams: dict[int, dict[Entity, int]] = {}
    for user, kind, stream in rows:
        streams.setdefault(user, {})[kinds[kind]] = stream
    return [Place(person, streams[person.user]) for person in ours.people]


async def fill_up(connection: asyncpg.Connection, places: list[Place], upto: int, chance: Random) -> int:
    """Puts records into the community's streams until there are `upto`, as devices would have left them. Returns how many there are."""
    cells = pack_record(Record(1, {1: Cell(1, 1, Stamp(1, 1, 1))}))
    present: int = await connection.fetchval("select count(*) from records")
    each = max(0, upto - present) // len(places) + 1
    streams, entities, keys = [], [], []
    for place in places:
        for n in range(each):
            entity = Entity.PROGRESS if n % 2 else Entity.ANSWER
            streams.append(place.streams[entity])
            entities.append(int(entity))
            keys.append(chance.randint(*FILLED))
    if present < upto:
        await connection.execute(
            "insert into records (stream_id, entity, key, version, cells)"
            " select distinct s, e, k, 1, $4::bytea from unnest($1::bigint[], $2::smallint[], $3::bigint[]) as n (s, e, k)"
            " on conflict do nothing",
            streams,
            entities,
            keys,
            cells,
        )
        await connection.execute("analyze records")
    count: int = await connection.fetchval("select count(*) from records")
    return count


def _percentile(values: list[float], percent: int) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]
