"""A storm's figure exists only where every device got everything that it had missed, once, in order, and is live. No times are asserted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Literal

import pytest
import trio

from bench import posts_two, storm
from bench.generator import CompilerMissing, GeneratorFailed, compile_generator
from bench.stage import Options
from bench.storm import SOURCE, Load, Returned, Storm, fields_after, open_storm, rooms_of
from protocol.codec import decode_command, decode_operation, encode, encode_event, split
from protocol.cursors import unpack
from protocol.events import Said
from protocol.frames import Done, Follow, Followed, Hello, Limits, Mutate, Resume, Resumed, TakeTicket, Ticket, Welcome
from protocol.operations import Say
from protocol.values import Cursor
from tests import needs
from tests.bench.faulty_server import FaultyServer

ROOMS: Final = (11, 12, 13)
DEVICES: Final = (201, 202)
WRITER: Final = 200
Flaw = Literal[
    "none",
    "skips",
    "doubles",
    "alters",
    "swaps",
    "ends early",
    "ends twice",
    "welcomes another",
    "sends what was had",
    "goes deaf",
    "pages",
]
FOUND: Final[dict[Flaw, str]] = {
    "skips": "was due",
    "doubles": "was due",
    "alters": "was due",
    "swaps": "was due",
    "ends early": "with events up to|live at",
    "ends twice": "live twice",
    "welcomes another": "somebody else",
    "sends what was had": "was due",
    "goes deaf": "no progress",
}


class ForgetfulServer(FaultyServer):
    """Streams in memory, whose second follower's third event comes with one flaw."""

    def __init__(self, flaw: Flaw) -> None:
        super().__init__("educonnect", "none")
        self._flaw = flaw
        self._logs: dict[int, list[str]] = {room: [] for room in ROOMS}
        self._live: list[tuple[trio.SocketStream, int]] = []
        self._device: dict[trio.SocketStream, int] = {}
        self.tickets: list[bytes] = []

    async def _message(self, stream: trio.SocketStream, payload: bytes) -> None:
        for raw in split(payload):
            match decode_command(raw):
                case Hello() as hello:
                    user = hello.device + (self._flaw == "welcomes another" and hello.device == DEVICES[1])
                    self._device[stream] = hello.device
                    await self._send(stream, encode(Welcome(1, 1, user, 1, 0, 1, 0, 300, 0, Limits(65536, 128, 500))))
                    for cursor in hello.cursors:
                        await self._follow(stream, cursor)
                case TakeTicket(id):
                    await self._send(stream, encode(Ticket(id, b"ticket of %d" % self._device[stream], 2_000_000_000)))
                case Resume() as resume:
                    self.tickets.append(resume.ticket)
                    self._device[stream] = int(resume.ticket.rpartition(b" ")[2])
                    cursors = unpack(resume.cursors)
                    missed = tuple(n for n, cursor in enumerate(cursors) if cursor.seq < len(self._logs[cursor.stream]))
                    await self._send(stream, encode(Resumed(0, -5, 300, missed)))
                    self._live += [(stream, cursor.stream) for n, cursor in enumerate(cursors) if n not in missed]
                    for n in missed:
                        await self._follow(stream, cursors[n])
                case Follow(_, room, after):
                    await self._follow(stream, Cursor(room, after))
                case Mutate() as mutate:
                    said = decode_operation(mutate.operation)
                    assert isinstance(said, Say)
                    log = self._logs[said.stream]
                    log.append(said.text)
                    for follower, room in list(self._live):
                        if room == said.stream and not (self._flaw == "goes deaf" and self._device[follower] == DEVICES[1]):
                            try:
                                await self._send(follower, self._event(room, len(log)))
                            except (trio.BrokenResourceError, trio.ClosedResourceError):
                                self._live.remove((follower, room))  # it has left
                    await self._send(stream, encode(Done(mutate.number, len(log))))

    async def _follow(self, stream: trio.SocketStream, cursor: Cursor) -> None:
        room, after, log = cursor.stream, cursor.seq, self._logs[cursor.stream]
        flaw = self._flaw if (self._device[stream], room) == (DEVICES[1], ROOMS[1]) else "none"
        upto = min(len(log), after + 2) if self._flaw == "pages" else len(log)
        seqs = list(range(after + 1, upto + 1))
        match flaw:
            case "skips":
                seqs.remove(after + 3)
            case "doubles":
                seqs.insert(3, after + 3)
            case "swaps":
                seqs[1:3] = reversed(seqs[1:3])
            case "ends early":
                seqs.pop()
            case "sends what was had":
                seqs.insert(0, after)
        for seq in seqs:
            await self._send(stream, self._event(room, seq, flaw == "alters" and seq == after + 3))
        answers = 1 + (flaw == "ends twice")
        for _ in range(answers):
            await self._send(stream, encode(Followed(0, room, seqs[-1] if flaw == "ends early" else upto, upto == len(log))))
        if upto == len(log):
            self._live.append((stream, room))

    def _event(self, room: int, seq: int, altered: bool = False) -> bytes:
        text = self._logs[room][seq - 1]
        return encode_event(room, seq, WRITER, 0, encode(Said(text[:-1] + "?" if altered else text)))


@pytest.fixture
def compiled() -> None:
    try:
        compile_generator(SOURCE)
    except CompilerMissing:
        needs.refuse("gcc is not installed (the load generators of the benchmarks are written in C)")


@asynccontextmanager
async def storm_at(flaw: Flaw, folder: Path) -> AsyncIterator[tuple[Storm, ForgetfulServer]]:
    server = ForgetfulServer(flaw)
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listeners[0].socket.getsockname()[1]
        nursery.start_soon(trio.serve_listeners, server.serve, listeners)
        plan = [
            "T 1.0",
            f"S {port}",
            *(f"R {room} 0" for room in ROOMS),
            f"H {fields_after(Hello, 'cursors')}",
            f"E {fields_after(Resume, 'cursors')}",
            f"W 0 {WRITER} {WRITER} token",
            *(f"D 0 {device} {device} token 0 1 2" for device in DEVICES),
        ]
        async with open_storm("\n".join(plan) + "\n", folder) as running:
            yield running, server
        nursery.cancel_scope.cancel()


async def come_back(running: Storm, load: Load) -> Returned:
    await running.write(5)
    returned = await running.storm(2, load)
    await running.probe()
    await running.leave()
    return returned


TOKEN: Final = Load("token", (4, 4, 3))
TICKET: Final = Load("ticket", (5, 4, 0))


@pytest.mark.usefixtures("compiled")
async def test_every_missed_event_of_every_device_is_counted_once(tmp_path: Path) -> None:
    async with storm_at("none", tmp_path) as (running, server):
        for load in (TOKEN, TICKET, TICKET):
            returned = await come_back(running, load)
            assert (returned.messages, returned.deliveries, returned.again) == (len(DEVICES), len(DEVICES) * sum(load.missed), 0)
        assert sorted(server.tickets) == sorted(b"ticket of %d" % device for device in DEVICES * 2)


@pytest.mark.usefixtures("compiled")
async def test_a_page_behind_which_there_is_more_is_asked_for_again(tmp_path: Path) -> None:
    async with storm_at("pages", tmp_path) as (running, _):
        returned = await come_back(running, TOKEN)
        assert (returned.deliveries, returned.again) == (len(DEVICES) * sum(TOKEN.missed), len(DEVICES) * 3)


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("flaw", FOUND)
async def test_a_storm_with_one_flaw_yields_no_figure(flaw: Flaw, tmp_path: Path) -> None:
    async with storm_at(flaw, tmp_path) as (running, _):
        with pytest.raises(GeneratorFailed, match=FOUND[flaw]):
            await come_back(running, TOKEN)


@pytest.mark.parametrize("rooms", [12, 100, 1_000])
def test_a_device_has_as_many_streams_as_it_should_and_all_streams_are_followed(rooms: int) -> None:
    everybody = [rooms_of(device, rooms) for device in range(5 * rooms)]
    assert all(len(set(its)) == storm.STREAMS_EACH for its in everybody)
    followed = [room for its in everybody for room in its]
    assert {followed.count(room) for room in range(rooms)} == {5 * storm.STREAMS_EACH}


async def test_everybody_comes_back_to_the_real_servers_by_token_and_by_ticket() -> None:
    said: list[str] = []
    measured = await storm.measure(Options(rounds=1, quick=True, peers=False), said.append)
    assert len(said) == len(storm.LOADS) and len(measured) == 2 * len(storm.LOADS)
    assert all(one.figure > 0 and one.goal is None for one in measured)
    assert f"{storm.QUICK.devices * 20:,} events checked, 0 pages asked for again" in said[0]


async def test_two_gateways_post_into_the_same_streams_without_a_deadlock() -> None:
    said: list[str] = []
    *costs, deadlocks = await posts_two.measure(Options(rounds=1, quick=True, peers=False), said.append)
    assert len(costs) == 4
    for measured in costs:
        assert measured.peer_figure is not None and measured.ratio == measured.figure / measured.peer_figure
    assert deadlocks.figure == 0 and deadlocks.met
