"""Where sieges happen: the port, who attacks it, and how what came of it is said.

    Field ─▶ attack ─▶ Verdict: figures for people, broken promises (none is a success)

Attackers come from loopback addresses of their own block, so that what the server counts by address says who is meant.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import msgspec
import psutil
import trio

from actors.accounts import Claims
from bench.population import Person
from gateway.tokens import KeySet
from proofs.fuzzing.line import Conversation, Line
from protocol.codec import encode
from protocol.codes import Code
from protocol.frames import AnyFrame, Goodbye, Hello, Welcome
from protocol.values import Cursor


class Verdict(msgspec.Struct):
    """What an attack came to."""

    figures: dict[str, object] = msgspec.field(default_factory=dict)
    broken: list[str] = msgspec.field(default_factory=list)

    def count(self, what: object, times: int = 1) -> None:
        """One more of `what`."""
        key = str(what)
        before = self.figures.get(key, 0)
        assert isinstance(before, int)
        self.figures[key] = before + times

    def demand(self, kept: bool, words: str) -> None:
        """A promise."""
        if not kept and words not in self.broken:
            self.broken.append(words)


class Field(msgspec.Struct):
    """One running system under siege. `share`: how much of everything is done, from 0 to 1."""

    url: str
    port: int
    keys: KeySet
    pem: str
    """The server's own keys, for tokens that it would never sign."""
    rogues: list[Person]
    streams: list[int]
    """Two for the rogues' own talk, then some of the good clients'."""
    origin: str
    process: psutil.Process
    share: float = 1.0

    def some(self, whole: int) -> int:
        """So many of `whole`, at least one."""
        return max(1, round(whole * self.share))

    def claims(self, rogue: Person) -> Claims:
        """What the rogue's token says."""
        claims = self.keys.verify(rogue.token, 0.0)
        if not isinstance(claims, Claims):
            # Its beginning lies ahead of the time given: what it says is known all the same.
            claims = self.keys._verified[rogue.token]
        return claims

    @asynccontextmanager
    async def talk(self, source: str) -> AsyncIterator[Conversation]:
        """A socket that completed its handshake. Raises `ConnectionError` where it was refused."""
        async with Line.open(self.port, source) as line:
            conversation = Conversation(line)
            if not await conversation.shake_hands():
                raise ConnectionError(conversation.answered)
            yield conversation

    async def enter(self, talk: Conversation, rogue: Person, cursors: tuple[Cursor, ...] = ()) -> AnyFrame | None:
        """A good Hello; the answer."""
        await talk.send(encode(Hello(1, rogue.token, rogue.device, cursors)))
        return await talk.frame()

    async def _calm(self, rogue: Person, source: str) -> None:
        """Until the rogue is let in again."""
        async with self.talk(source) as talk:
            told = await self.enter(talk, rogue)
        if isinstance(told, Goodbye) and told.code is Code.FLOOD:
            await trio.sleep(told.wait_ms / 1000)

    @asynccontextmanager
    async def member(self, rogue: Person, source: str) -> AsyncIterator[tuple[Conversation, Welcome]]:
        """A socket whose session is open: who was ended for a flood waits as told. Raises `ConnectionError` where it is not."""
        await self._calm(rogue, source)
        async with self.talk(source) as talk:
            welcome = await self.enter(talk, rogue)
            if not isinstance(welcome, Welcome):
                raise ConnectionError(f"not welcome: {welcome!r}, {talk.closed}")
            yield talk, welcome

    def files(self) -> int:
        """Open descriptors of the gateway."""
        return int(self.process.num_fds())

    def resident_mib(self) -> float:
        return float(self.process.memory_info().rss / 2**20)


Attack = Callable[[Field], Awaitable[Verdict]]
