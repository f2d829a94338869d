"""A worker that is told how to fare, and questions whose replies are kept: for what runs models, without processes and in no time."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NoReturn

import msgspec
import trio

from actors.inference import Echo, Echoed, Why
from actors.model_line import Asked
from ml_actors.kinds import Kind, Unusable
from ml_actors.workers import WorkerGone

KIND = Kind("echo", serving="ml_actors.echo", request=Echo, batch_max=4, batch_wait_s=0.01, batch_timeout_s=1.0, start_s=5.0)
_pack = msgspec.msgpack.encode


class World:
    """What workers do, and how many there were."""

    def __init__(self) -> None:
        self.made = 0
        self.alive = 0
        self.start_s = 0.1
        self.fails_to_load = ""
        self.unusable = ""
        self.fed: list[bytes] = []
        self.says = ""
        """In the place of the question's words."""
        self.result = b""
        """In the place of any result."""
        self.cannot_begin: OSError | None = None
        self.batches: list[int] = []

    async def make(self) -> FakeWorker:
        return FakeWorker(self)


class FakeWorker:
    """`ml_actors.workers.Worker`. Obeys the words: wait:S, spin, crash, raise."""

    memory_mib = 1.0

    def __init__(self, world: World, title: str = "echo@1") -> None:
        self._world = world
        self._title = title
        self._gone = trio.Event()
        self.pid = 0

    async def begin(self) -> str:
        self._world.made += 1
        self._world.alive += 1
        self.pid = self._world.made
        await trio.sleep(self._world.start_s)
        if self._world.unusable:
            raise Unusable(self._world.unusable)
        if self._world.fails_to_load:
            raise WorkerGone(self._world.fails_to_load)
        return self._title

    async def feed(self, rows: Sequence[bytes]) -> None:
        self._world.fed += rows

    async def warm(self) -> None:
        pass

    async def answer(self, requests: Sequence[bytes]) -> Sequence[bytes | str]:
        self._world.batches.append(len(requests))
        return [await self._one(msgspec.msgpack.decode(request, type=Echo)) for request in requests]

    async def _one(self, echo: Echo) -> bytes | str:
        act, _, amount = echo.act.partition(":")
        match act:
            case "wait":
                await trio.sleep(float(amount))
            case "spin":
                await trio.sleep_forever()
            case "crash":
                self._gone.set()
                raise WorkerGone("it crashed")
            case "raise":
                return "it raised"
        return self._world.result or _pack(Echoed(self._world.says or echo.words))

    async def watch(self) -> NoReturn:
        await self._gone.wait()
        raise WorkerGone("it crashed")

    def crash(self) -> None:
        self._gone.set()

    async def end(self) -> None:
        self._world.alive -= bool(self.pid)
        self.pid = 0


class Replies:
    """What questions were told, in the order of asking; each at most once."""

    def __init__(self) -> None:
        self.told: dict[int, tuple[Why | None, str, str]] = {}
        """By number: why not, by whom, the words of the answer or of what went wrong."""
        self.degraded: dict[int, str] = {}
        self._last = 0
        self._bell = trio.Event()

    async def wait(self, count: int) -> None:
        """Until so many were told."""
        while len(self.told) < count:
            await self._bell.wait()

    def question(self, act: str = "", *, within_s: float = 60.0, key: int = 0, words: str = "") -> Asked:
        self._last += 1
        request = _pack(Echo(words or str(self._last), act))
        return Asked("echo", key, request, trio.current_time() + within_s, partial(self._tell, self._last))

    def _tell(self, number: int, why: Why | None, by: str, words: str, result: bytes) -> None:
        assert number not in self.told, "each is replied to once"
        self.told[number] = (why, by, words if why is not None else msgspec.msgpack.decode(result, type=Echoed).words)
        if why is None and words:
            self.degraded[number] = words
        self._bell.set()
        self._bell = trio.Event()

    @property
    def whys(self) -> list[Why | None]:
        return [why for _, (why, _, _) in sorted(self.told.items())]
