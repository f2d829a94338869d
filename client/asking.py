"""Asking: a request that is answered, however many sockets it takes.

    make(id) ─▶ questions ─▶ answer, or again: on the next socket, or after the wait that a refusal names

Invariant: whoever stops waiting leaves nothing behind; no more than `REQUESTS_MAX` wait at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import trio
from msgspec import Struct

from client.errors import RequestFailed
from client.exchange import Exchange
from client.pending import Asked
from protocol.client_session import backoff_ms
from protocol.codes import TABLE, Retry
from protocol.frames import AnyRequest, Failed, FindMentors, Frame, MentorsFound, MentorsLater

REQUESTS_MAX = 64
"""Requests that wait for an answer at once; further callers queue. The server answers in batches, so more would gain nothing."""

FrameT = TypeVar("FrameT", bound=Frame)


class World(Struct, frozen=True):
    """Time and chance, as given. `wall` is Unix time in seconds, `spread` uniform in [0, 1). Waiting is trio's, whose clock can be set."""

    wall: Callable[[], float]
    spread: Callable[[], float]


class Asking:
    """What a session asks with."""

    def __init__(self, exchange: Exchange, world: World) -> None:
        self._exchange = exchange
        self._world = world
        self._asking = trio.CapacityLimiter(REQUESTS_MAX)

    async def _ask(self, make: Callable[[int], AnyRequest], kind: type[FrameT]) -> FrameT:
        """Asks until there is an answer: again on the next socket, and again after a wait where the code says so."""
        failures = 0
        while True:
            answer = (await self._ask_once(make, socket_bound=False)).answer
            if isinstance(answer, kind):
                return answer
            if not isinstance(answer, Failed):
                raise RequestFailed(0, f"the server answered {type(answer).__name__} where {kind.__name__} belongs")
            if TABLE[answer.code].retry in (Retry.NO, None):
                raise RequestFailed(answer.code, answer.detail)
            failures += 1
            await trio.sleep(max(answer.wait_ms, backoff_ms(failures, self._world.spread())) / 1000)

    async def _ask_long(self, make: Callable[[int], FindMentors]) -> MentorsFound:
        """The same for what may be promised first: where the socket is cut before it was kept, it is asked anew."""
        failures = 0
        while True:
            async with self._asking:
                asked = Asked(make(self._exchange.questions.new_id()), socket_bound=False)
                self._exchange.questions.open(asked)
                try:
                    await asked.answered.wait()
                    if isinstance(asked.answer, MentorsLater) and asked.error is None:
                        self._exchange.questions.promise(asked, asked.answer.ticket)
                        await asked.answered.wait()
                finally:
                    self._exchange.questions.drop(asked)
            if asked.error is not None:
                raise asked.error
            if isinstance(asked.answer, MentorsFound):
                return asked.answer
            if isinstance(asked.answer, Failed):
                if TABLE[asked.answer.code].retry in (Retry.NO, None):
                    raise RequestFailed(asked.answer.code, asked.answer.detail)
                failures += 1
                await trio.sleep(max(asked.answer.wait_ms, backoff_ms(failures, self._world.spread())) / 1000)

    async def _ask_once(self, make: Callable[[int], AnyRequest], socket_bound: bool) -> Asked:
        async with self._asking:
            asked = Asked(make(self._exchange.questions.new_id()), socket_bound)
            self._exchange.questions.open(asked)
            try:
                await asked.answered.wait()
            finally:
                self._exchange.questions.drop(asked)
            if asked.error is not None:
                raise asked.error
            return asked
