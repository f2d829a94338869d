"""The crowd counts every delivery, believes no server, and needs no more than a process's share of sockets. No times are asserted here."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from bench import crowd, growth, latency, memory
from bench.crowd_floor import open_floors
from bench.crowd_generator import CrowdRoom, CrowdSeat, open_crowd, quantile, split_rooms
from bench.generator import CompilerMissing, GeneratorFailed, compile_generator
from bench.population import Person, Room
from bench.stage import Options
from protocol.codec import encode
from protocol.frames import VERSION, Hello
from protocol.values import Cursor
from tests import needs
from tests.bench.faulty_server import STREAM, Fault, faulty_server

QUICK = Options(rounds=1, quick=True, peers=False)
MEMBERS = 3
FAULTS: Final[tuple[Fault, ...]] = ("loses", "doubles", "alters", "swaps", "misattributes", "acknowledges nothing")


@pytest.fixture(autouse=True)
def compiled() -> None:
    try:
        compile_generator()
    except CompilerMissing:
        needs.refuse("gcc is not installed (the load generators of the benchmarks are written in C)")


def room(members: int = MEMBERS, stream: int = STREAM) -> CrowdRoom:
    def seat(user: int) -> CrowdSeat:
        return CrowdSeat(0, user, 0, encode(Hello(VERSION, "token", user, (Cursor(stream, 0),))))

    return CrowdRoom(stream, tuple(seat(100 + n) for n in range(members)))


async def test_every_delivery_of_a_crowd_is_counted_once(tmp_path: Path) -> None:
    async with faulty_server("educonnect", "none") as server, open_crowd([room()], [server.port], tmp_path) as generators:
        await generators.connect(MEMBERS)
        said = await generators.say(6, 2)
        assert (said.posts, said.deliveries) == (6, 6 * MEMBERS)
        posted = await generators.post_at(100.0, 0.05, 2)
        assert (posted.posts, posted.deliveries) == (5, 5 * MEMBERS)
        assert 0.0 < posted.p50_ms <= posted.p99_ms <= posted.max_ms


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_crowd_with_one_fault_yields_no_figure(fault: Fault, tmp_path: Path) -> None:
    async with faulty_server("educonnect", fault) as server, open_crowd([room()], [server.port], tmp_path, stall_s=1.0) as generators:
        await generators.connect(MEMBERS)
        with pytest.RaisesGroup(GeneratorFailed):
            await generators.say(6, 2)


async def test_a_crowd_that_grows_takes_in_whole_rooms(tmp_path: Path) -> None:
    rooms = [Room(stream, tuple(Person(n, stream * 10 + n, "") for n in range(MEMBERS))) for stream in (50, 51, 52)]
    async with open_floors(1) as floors, floors.seated(rooms, tmp_path) as generators:
        assert await generators.connect(MEMBERS + 1) == 2 * MEMBERS
        assert (await generators.say(4, 2)).deliveries == 4 * MEMBERS
        assert await generators.connect(3 * MEMBERS) == 3 * MEMBERS
        assert (await generators.say(6, 2)).deliveries == 6 * MEMBERS


async def test_the_floor_delivers_to_each_process_of_a_crowd_and_what_it_delivers_is_checked(tmp_path: Path) -> None:
    rooms = [Room(stream, tuple(Person(n, stream * 10 + n, "") for n in range(MEMBERS))) for stream in (50, 51, 52)]
    async with open_floors(2) as floors, floors.seated(rooms, tmp_path) as generators:
        await generators.connect(3 * MEMBERS)
        assert (await generators.say(6, 2)).deliveries == 6 * MEMBERS


def test_rooms_stay_whole_and_no_process_gets_too_many() -> None:
    rooms = [room(members=50, stream=n) for n in range(1, 101)]
    parts = split_rooms(rooms, sockets_max=1_000)
    assert [one for part in parts for one in part] == rooms
    assert max(sum(len(one.seats) for one in part) for part in parts) <= 1_000
    assert len(parts) <= 6


def test_a_quantile_weighs_each_process_by_what_it_delivered() -> None:
    many_fast = [(1.0, 99.0), (2.0, 99.0)]
    few_slow = [(100.0, 1.0)]
    assert quantile(sorted(many_fast + few_slow), 0.5) == 2.0
    assert quantile(sorted(many_fast + few_slow), 0.999) == 100.0


async def test_a_crowd_is_held_beats_and_posts() -> None:
    held, _, cpu, p50, p99 = await crowd.measure(QUICK, lambda line: None)
    assert held.figure == crowd.QUICK.sockets
    assert cpu.figure > 0.0
    assert 0.0 < p50.figure <= p99.figure


async def test_the_time_from_post_to_delivery_is_measured() -> None:
    p50, p99, answered, cores = await latency.measure(QUICK, lambda line: None)
    assert 0.0 < p50.figure <= p99.figure
    assert answered.figure > 0.0 and cores.figure > 0.0


async def test_growth_is_measured_in_sockets_communities_and_events() -> None:
    said: list[str] = []
    measured = await growth.measure(QUICK, said.append)
    ratios = [one for one in measured if one.unit == "times"]
    assert len(ratios) == 3 and all(one.figure > 0.0 for one in ratios)
    assert any(f"{growth.QUICK.events[-1]:,} stored events" in line for line in said)


async def test_memory_is_measured_between_few_and_many() -> None:
    (one,) = await memory.measure(QUICK, lambda line: None)
    assert one.unit == "KiB RSS" and one.figure > 0.0
