"""Sync over HTTP beside live sockets, on the running system with two gateways: frames as they are, no session of a client between."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import trio
from msgspec import Raw

from client.link import Link
from client.websocket import WebSocketTransport
from protocol.chunks import pack
from protocol.codec import ANSWER_FRAMES_MAX, UnknownEvent, decode_frame, encode, join, split
from protocol.codes import Code
from protocol.entities import SCHEMA, Entity, write_fields
from protocol.frames import (
    Command,
    Done,
    DoneRun,
    Follow,
    Followed,
    Frame,
    Goodbye,
    Hello,
    Inherit,
    Inherited,
    Mutate,
    Overview,
    Ping,
    Pong,
    RecordPage,
    Refused,
    Snapshot,
    Spaces,
    Sync,
    Welcome,
)
from protocol.merge import Outcome, read_outcome
from protocol.operations import Change
from protocol.values import StreamKind
from tests.system.running import NAMES, PASSWORD, Dev

pytestmark = pytest.mark.xdist_group("system")


class Phone:
    """An account's device: its tokens, and both doors."""

    def __init__(self, session: dict[str, Any]) -> None:
        self.session = session
        self.device: int = session["device"]

    async def sync(self, url: str, *commands: Command) -> list[Frame]:
        body = join([encode(Sync(schema=SCHEMA)), *(encode(command) for command in commands)])
        headers = {"authorization": f"Bearer {self.session['access_token']}", "content-type": "application/msgpack"}
        async with httpx.AsyncClient(trust_env=False, timeout=40) as http:
            answer = await http.post(f"{url}/api/v1/sync", content=body, headers=headers)
        assert answer.status_code == 200, answer.text
        return read(answer.content)

    async def own(self, url: str) -> int:
        """The stream of the person's own records."""
        spaces = (await self.sync(url, Overview(1)))[1]
        assert isinstance(spaces, Spaces)
        (stream,) = (stream.stream for space in spaces.spaces for stream in space.streams if stream.kind is StreamKind.OWN)
        return stream

    async def fork(self, url: str) -> Phone:
        """Another device of the account."""
        headers = {"authorization": f"Bearer {self.session['access_token']}"}
        async with httpx.AsyncClient(trust_env=False, timeout=40) as http:
            answer = await http.post(f"{url}/api/v1/devices", json={"name": "copy"}, headers=headers)
        assert answer.status_code == 201, answer.text
        return Phone(answer.json())

    @asynccontextmanager
    async def connect(self, url: str) -> AsyncIterator[Line]:
        async with WebSocketTransport(url).open() as link:
            line = Line(link)
            await line.say(Hello(1, self.session["access_token"], self.device, schema=SCHEMA))
            assert isinstance(await line.hear(Welcome, Goodbye), Welcome)
            yield line


class Line:
    """A socket, frame by frame."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._waiting: list[Frame] = []

    async def say(self, *commands: Command) -> None:
        await self._link.send(join([encode(command) for command in commands]))

    async def hear(self, *kinds: type[Frame]) -> Frame:
        """The next frame of one of these kinds; others are passed over."""
        with trio.fail_after(20):
            while True:
                while self._waiting:
                    frame = self._waiting.pop(0)
                    if isinstance(frame, kinds):
                        return frame
                self._waiting += read(await self._link.receive())


def read(message: bytes) -> list[Frame]:
    frames = map(decode_frame, split(message, ANSWER_FRAMES_MAX))
    return [frame for frame in frames if isinstance(frame, Frame) and not isinstance(frame, UnknownEvent)]


async def register(url: str) -> Phone:
    body = {"name": f"syncer{next(NAMES)}-{os.getpid()}", "password": PASSWORD}
    async with httpx.AsyncClient(trust_env=False, timeout=40) as http:
        answer = await http.post(f"{url}/api/v1/auth/register", json=body)
    assert answer.status_code == 201, answer.text
    return Phone(answer.json())


def drafts(stream: int, keys: range) -> list[bytes]:
    return [encode(Change(stream, Entity.DRAFT, key, 1_800_000_000, write_fields({3: f"draft {key}"}))) for key in keys]


def outcomes(frames: list[Frame]) -> dict[int, int]:
    """Values of what was done, by number."""
    found: dict[int, int] = {}
    for frame in frames:
        if isinstance(frame, Done):
            found[frame.number] = frame.value
        elif isinstance(frame, DoneRun):
            found.update(enumerate(frame.values, frame.first))
    return found


async def test_a_socket_lives_on_while_the_same_device_syncs_over_http_elsewhere(dev: Dev) -> None:
    here, there = dev.urls
    phone = await register(here)
    stream = await phone.own(here)
    async with phone.connect(here) as line:
        await line.say(Follow(1, stream, 0))
        assert isinstance(await line.hear(Followed), Followed)
        assert sorted(outcomes(await phone.sync(there, pack(1, drafts(stream, range(1, 31)))))) == list(range(1, 31))
        await line.say(Ping(5), Mutate(31, Raw(drafts(stream, range(40, 41))[0])))
        assert isinstance(await line.hear(Pong, Goodbye), Pong)
        done = await line.hear(Done, Refused, Goodbye)
        assert isinstance(done, Done) and done.number == 31
    page = (await phone.sync(there, Snapshot(1, stream, bytes_max=60_000)))[1]
    assert isinstance(page, RecordPage) and [record.key for record in page.records] == [*range(1, 31), 40]


async def test_sockets_that_take_over_while_http_syncs_lose_nothing(dev: Dev) -> None:
    """Whichever is first: every number has one outcome, and what HTTP did not answer is the socket's to send."""
    here, there = dev.urls
    phone = await register(here)
    stream = await phone.own(here)
    number = 1
    for _ in range(5):
        numbers = range(number, number + 100)
        answers: list[Frame] = []

        async def visit(numbers: range = numbers, answers: list[Frame] = answers) -> None:
            answers.extend(await phone.sync(there, pack(numbers[0], drafts(stream, numbers))))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(visit)
            async with phone.connect(here) as line:
                await line.say(pack(numbers[0], drafts(stream, numbers)))
                told: dict[int, int] = {}
                while len(told) < len(numbers):
                    frame = await line.hear(Done, DoneRun, Refused, Goodbye)
                    assert isinstance(frame, Done | DoneRun), frame
                    told |= outcomes([frame])
        over_http = outcomes(answers)
        assert over_http.items() <= told.items()
        last = answers[-1]
        assert len(over_http) == len(numbers) or (isinstance(last, Goodbye) and last.code is Code.TAKEN_OVER), answers
        assert sorted(told) == list(numbers)
        assert {read_outcome(value)[0] for value in told.values()} == {Outcome.APPLIED}
        number += 100
    pages = (await phone.sync(there, Snapshot(1, stream, bytes_max=60_000)))[1]
    assert isinstance(pages, RecordPage) and [record.key for record in pages.records] == list(range(1, 501))


async def test_a_copy_that_becomes_a_device_of_its_own_closes_the_others_socket_on_every_gateway(dev: Dev) -> None:
    here, there = dev.urls
    phone = await register(here)
    async with phone.connect(here) as line:
        copy = await phone.fork(there)
        assert copy.device != phone.device
        async with copy.connect(there) as other:
            await other.say(Inherit(3, phone.device, ()))
            assert isinstance(await other.hear(Inherited), Inherited)
            goodbye = await line.hear(Goodbye)
            assert isinstance(goodbye, Goodbye) and goodbye.code is Code.TAKEN_OVER
            await other.say(Ping(9))
            assert isinstance(await other.hear(Pong), Pong)
