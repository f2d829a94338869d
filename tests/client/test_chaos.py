"""Everything at once, from a seed: cuts, refusals, losses, absences, drains, tickets that are void, slow readers; and then every view is
the same."""

from __future__ import annotations

import random

import pytest
import trio
from trio.testing import MockClock

from client import MemoryStore, Settings, connect
from client.fold import Room
from client.session import World
from protocol.codes import Code
from protocol.frames import Draining, Event, Goodbye, Refused
from protocol.operations import Say
from tests.client.conftest import FakeGrant
from tests.client.fake_server import FakeServer

MESSAGES = 60


@pytest.mark.parametrize("seed", range(12))
async def test_after_any_weather_every_device_has_the_same_and_everything_is_there_once(
    server: FakeServer, autojump_clock: MockClock, seed: int
) -> None:
    chance = random.Random(seed)
    calm = False
    server.lose = lambda event: not calm and chance.random() < 0.05
    rooms: list[Room] = []

    async def live(device: int) -> None:
        """One device over several lives of its program, all with one store."""
        store = MemoryStore()
        room = Room(50)
        world = World(lambda: 1_800_000_000.0, chance.random)
        said = 0
        while True:
            async with connect(
                server.transport(), FakeGrant(server, device, 4e9), store=store, settings=Settings(events_max=8), world=world
            ) as session:
                with session.events(50) as events:
                    with trio.move_on_after(chance.uniform(5, 60)):
                        while True:
                            await trio.sleep(chance.uniform(0.1, 2))
                            while (item := events.next_nowait()) is not None:
                                if isinstance(item, Event) and item.stream == 50:
                                    room.apply(item)
                            if said < MESSAGES:
                                session.submit(Say(50, f"{device}:{said}"))
                                said += 1
                            elif room.upto == 3 * MESSAGES and not session.unanswered:
                                rooms.append(room)
                                return
            # The store knows how far this program has come; what was on its way to it comes again.
            assert store.load().cursors.get(50, 0) <= room.upto
            room = Room.beginning_after(50, 0)
            store.forget(50)

    async def weather() -> None:
        nonlocal calm
        for _ in range(40):
            await trio.sleep(chance.uniform(0, 5))
            match chance.randrange(8):
                case 0 | 1:
                    server.cut_all()
                case 2:
                    server.away = not server.away
                case 3:
                    server.refusals.extend([Refused(0, chance.choice([Code.BUSY, Code.UNAVAILABLE]), wait_ms=chance.randrange(2000))] * 3)
                case 4:
                    server.cuts.append(chance.randrange(1, 30))
                case 5:
                    server.tell_all(Draining(chance.randrange(5000)))
                case 6 if server.tickets:
                    # Keys were rotated, or a limit is another one; now and then the server is one that knows no tickets at all.
                    server.tickets = {} if chance.random() < 0.7 else None
                case 6:
                    server.tickets = {}
                case _:
                    server.tell_all(Goodbye(chance.choice([Code.SLOW, Code.FAULT, Code.DEAD]), "", chance.randrange(3000)))
        server.away = False
        server.refusals.clear()
        server.cuts.clear()
        calm = True

    async with trio.open_nursery() as nursery:
        for device in (11, 12, 21):
            nursery.start_soon(live, device)
        nursery.start_soon(weather)
    assert server.resumes, "devices came back by ticket, too"
    assert len(rooms) == 3 and rooms[0] == rooms[1] == rooms[2]
    texts = server.texts(50)
    for device in (11, 12, 21):
        assert [text for text in texts if text.startswith(f"{device}:")] == [f"{device}:{number}" for number in range(MESSAGES)]


class CutAtStep(trio.abc.Instrument):
    """Cancels a scope just before the nth step that any task takes: sooner or later that is at every await there is."""

    def __init__(self, step: int, scope: trio.CancelScope) -> None:
        self._left = step
        self._scope = scope

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._left -= 1
        if self._left == 0:
            self._scope.cancel()


@pytest.mark.parametrize("first", range(1, 24, 2))
async def test_a_program_that_is_cancelled_at_any_await_leaves_its_store_in_order(
    server: FakeServer, autojump_clock: MockClock, first: int
) -> None:
    store = MemoryStore()
    submitted = 0
    for step in range(first, 240, 24):
        with trio.CancelScope() as scope:
            instrument = CutAtStep(step, scope)
            trio.lowlevel.add_instrument(instrument)
            try:
                async with connect(server.transport(), FakeGrant(server, 11, 4e9), store=store) as session:
                    with session.events(50) as events:
                        while True:
                            session.submit(Say(50, str(submitted)))
                            submitted += 1
                            await anext(events)
            finally:
                trio.lowlevel.remove_instrument(instrument)
        assert scope.cancelled_caught
    async with connect(server.transport(), FakeGrant(server, 11, 4e9), store=store) as session:
        await session.settled()
    assert server.texts(50) == [str(number) for number in range(submitted)]
    assert store.load().mutations == ()
