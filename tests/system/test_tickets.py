"""Tickets against the running system: given at one gateway, good at the other, and worth nothing once their session is over."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from client import Account, CaughtUp, Credentials, Events, MemoryStore, Session, Settings, connect
from client.link import Link
from client.tickets import TICKET, Kept, Tickets
from client.websocket import WebSocketTransport
from protocol.codec import decode_command, decode_frame, split
from protocol.codes import Code
from protocol.events import SpaceEntered
from protocol.frames import Event
from protocol.operations import Invite, Join
from protocol.values import Role
from tests.system.running import Dev, community, ended, register

pytestmark = pytest.mark.xdist_group("system")
PAYLOAD_MAX = 100
"""Bytes of a resume with five cursors that missed nothing, both ways."""
QUIET = Settings(records=False)


class Recorded:
    """A transport that writes down what crosses it: the names of each message's frames, and its bytes."""

    def __init__(self, url: str) -> None:
        self._inner = WebSocketTransport(url)
        self.sockets = 0
        self.sent: list[tuple[list[str], int]] = []
        self.heard: list[tuple[list[str], int]] = []

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Link]:
        async with self._inner.open() as link:
            self.sockets += 1
            yield RecordedLink(self, link)


class RecordedLink:
    def __init__(self, recorded: Recorded, link: Link) -> None:
        self._recorded = recorded
        self._link = link

    async def send(self, message: bytes) -> None:
        self._recorded.sent.append(([type(decode_command(raw)).__name__ for raw in split(message)], len(message)))
        await self._link.send(message)

    async def receive(self) -> bytes:
        message = await self._link.receive()
        self._recorded.heard.append(([type(decode_frame(raw)).__name__ for raw in split(message)], len(message)))
        return message

    def heard_at(self) -> float:
        return self._link.heard_at()


class Returning:
    """Somebody who followed five streams and went, with a ticket."""

    def __init__(self, grant: Credentials, store: MemoryStore, streams: tuple[int, ...], owner: Session) -> None:
        self.grant = grant
        self.store = store
        self.streams = streams
        """All but the inbox, in a community of the owner's."""
        self.owner = owner

    @asynccontextmanager
    async def back(self, wire: Recorded, store: MemoryStore | None = None) -> AsyncIterator[Session]:
        """They come back."""
        async with connect(wire, self.grant, store=store or self.store, settings=QUIET) as session:
            yield session


@asynccontextmanager
async def returning(url: str) -> AsyncIterator[Returning]:
    grant = await register(url)
    store = MemoryStore()
    async with community(url) as (owner, space, general):
        async with connect(url, grant, store=store, settings=QUIET) as learner:
            await learner.online()
            await owner.do(Invite(space, learner.user, Role.LEARNER))
            await learner.do(Join(space))
            here = next(one for one in (await learner.overview()).spaces if one.space == space)
            others = tuple(stream.stream for stream in here.streams if stream.stream != general)[:3]
            assert len(others) == 3
            await catch_up(learner, store, {learner.inbox, general, *others})
        yield Returning(grant, store, (general, *others), owner)


async def catch_up(session: Session, store: MemoryStore, behind: set[int]) -> None:
    """Follows these up to their ends, which the inbox has with the news of the space; and has a ticket."""
    with session.events(*behind) as events, trio.fail_after(20):
        while behind:
            item = await anext(events)
            if isinstance(item, CaughtUp) and item.stream != session.inbox:
                behind.discard(item.stream)
            elif isinstance(item, Event) and isinstance(item.body, SpaceEntered):
                behind.discard(item.stream)
        assert events.next_nowait() is None, "asking for the next one says that the last was worked through"
        while not store.noted(TICKET):
            await session.ping()


async def said(events: Events, count: int) -> list[str]:
    """The next texts."""
    heard: list[str] = []
    with trio.fail_after(20):
        while len(heard) < count:
            text = getattr(getattr(await anext(events), "body", None), "text", "")
            heard += [text] if text else []
    return heard


async def test_a_device_resumes_at_the_other_gateway_with_one_message_each_way_and_its_older_socket_ends(dev: Dev) -> None:
    async with returning(dev.urls[0]) as person:
        general, wires, copied = person.streams[0], [Recorded(url) for url in dev.urls], person.store.copy()
        async with person.back(wires[0]) as older:
            await older.online()
            async with person.back(wires[1], copied) as newer:
                with newer.events(newer.inbox, *person.streams) as events:
                    await newer.online()
                    assert await ended(older) == Code.TAKEN_OVER
                    await person.owner.say(general, "are you there?")
                    assert await said(events, 1) == ["are you there?"]
                    assert await newer.say(general, "I am") > 0
        assert [wire.sockets for wire in wires] == [1, 1]
        (sent, up_bytes), (heard, down_bytes) = wires[1].sent[0], wires[1].heard[0]
        assert (sent, heard) == (["Resume"], ["Resumed"])
        assert up_bytes + down_bytes <= PAYLOAD_MAX
        assert "Followed" not in [name for names, _ in wires[1].heard for name in names], "the one answer is for all cursors"


async def test_what_was_missed_comes_behind_the_answer_and_nothing_before_it(dev: Dev) -> None:
    async with returning(dev.urls[0]) as person:
        for number in range(3):
            await person.owner.say(person.streams[0], f"missed {number}")
        wire = Recorded(dev.urls[1])
        async with person.back(wire) as session:
            with session.events(person.streams[0]) as events:
                assert await said(events, 3) == ["missed 0", "missed 1", "missed 2"]
        assert wire.sent[0][0] == ["Resume"] and wire.heard[0][0] == ["Resumed"]
        assert [name for names, _ in wire.heard for name in names].count("Followed") == 1


async def test_a_ticket_of_a_session_that_was_ended_is_worth_nothing_on_any_gateway(dev: Dev) -> None:
    for url in dev.urls:
        async with returning(dev.urls[0]) as person:
            async with Account(url) as account:
                await account.logout(person.grant.access_token)
            wire = Recorded(url)
            async with person.back(wire) as session:
                assert await ended(session) == Code.REVOKED
            assert wire.sent[0][0] == ["Resume"] and ["Resumed"] not in [names for names, _ in wire.heard]


async def test_a_forged_ticket_costs_one_answer_and_the_token_is_shown_on_the_same_socket(dev: Dev) -> None:
    async with returning(dev.urls[0]) as person:
        tickets = Tickets(person.store)
        good = tickets.find(person.grant.device, person.store.load().epoch, 0.0)
        assert good is not None
        forged = good.ticket[:-1] + bytes([good.ticket[-1] ^ 1])
        tickets.keep(Kept(forged, good.expires, good.device, good.welcome))
        wire = Recorded(dev.urls[1])
        async with person.back(wire) as session:
            assert await session.say(person.streams[0], "by token, then") > 0
        assert [names for names, _ in wire.sent][:2] == [["Resume"], ["Hello"]]
        assert wire.heard[0][0] == ["Failed"] and wire.sockets == 1
