"""Both lines to models keep the same promises: a Redis list, and a pipe. Against a real server and a real socket."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import msgspec
import pytest
import trio
from msgspec import Raw

from actors.inference import Echo, Echoed, Unanswered, Why
from actors.model_line import AnsweringLine, Asked, AskingLine, Question
from gateway.model_line import RedisAnswering, RedisAsking, answers_key, ask_key, here_key
from gateway.model_pipe import ASKED_MAX, PipeAnswering, PipeAsking
from gateway.models import LinedModels
from gateway.redis_connection import Way, parse_address
from tests.fixtures_valkey import TestValkey, valkey, valkey_server

__all__ = ["valkey", "valkey_server"]

ORIGIN = 77
Kind = Literal["redis", "pipe"]


class Desk:
    """`actors.model_line.ModelDesk` that says words again, when it is told to."""

    models: Sequence[str] = ("echo",)

    def __init__(self) -> None:
        self.ready = True
        self.silent = False
        self.room_left = 10
        self.asked: list[Asked] = []
        self._changed = trio.Event()

    def serves(self, model: str) -> bool:
        return self.ready

    def room(self, model: str) -> int:
        return self.room_left if self.ready else 0

    async def wait_room(self, model: str) -> None:
        while not self.room(model):
            await self._changed.wait()

    def change(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    def ask(self, asked: Asked) -> None:
        self.asked.append(asked)
        if not self.silent:
            words = msgspec.msgpack.decode(asked.request, type=Echo).words
            if words == "broken":
                asked.reply(Why.BROKEN, "echo@1", "as it was told", b"")
            else:
                asked.reply(None, "echo@1", "", msgspec.msgpack.encode(Echoed(words)))


class World:
    def __init__(self, kind: Kind, valkey: TestValkey, folder: Path) -> None:
        self.kind: Kind = kind
        self.valkey = valkey
        self.path = folder / "ml.sock"
        self.desk = Desk()

    def way(self, name: str) -> Way:
        return Way(parse_address(self.valkey.url), name)

    def asking(self, queue_max: int = 5) -> AskingLine:
        if self.kind == "pipe":
            return PipeAsking(self.path, random=lambda: 0.1)
        return RedisAsking(self.way("asking"), origin=ORIGIN, random=lambda: 0.1, queue_max=queue_max)

    def answering(self) -> AnsweringLine:
        return PipeAnswering(self.path) if self.kind == "pipe" else RedisAnswering(self.way("answering"), random=lambda: 0.1)

    @asynccontextmanager
    async def both(self, *, queue_max: int = 5) -> AsyncIterator[LinedModels]:
        async with trio.open_nursery() as nursery:
            stop = await nursery.start(self.answer)
            models = LinedModels(self.asking(queue_max))
            await nursery.start(models.serve)
            with trio.fail_after(20):
                while True:  # a line comes up by itself
                    try:
                        await models.ask(Echo("hello"), 0.5)
                        break
                    except Unanswered:
                        await trio.sleep(0.01)
                self.desk.asked.clear()
                yield models
            stop()
            nursery.cancel_scope.cancel()

    async def answer(self, *, task_status: trio.TaskStatus[Callable[[], None]]) -> None:
        with trio.CancelScope() as scope:
            line = self.answering()
            async with trio.open_nursery() as nursery:
                await nursery.start(line.serve, self.desk)
                task_status.started(scope.cancel)
                await trio.sleep_forever()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: a socket's address has little room."""
    with tempfile.TemporaryDirectory() as made:
        yield Path(made)


@pytest.fixture(params=["redis", "pipe"])
def world(request: pytest.FixtureRequest, valkey: TestValkey, folder: Path) -> World:
    return World(request.param, valkey, folder)


@pytest.fixture
def of_redis(valkey: TestValkey, folder: Path) -> World:
    return World("redis", valkey, folder)


@pytest.fixture
def of_pipe(valkey: TestValkey, folder: Path) -> World:
    return World("pipe", valkey, folder)


async def until(condition: Callable[[], bool]) -> None:
    """The other end is another task, or another program: nothing here is told when it is so far."""
    with trio.fail_after(10):
        while not condition():  # noqa: ASYNC110
            await trio.sleep(0.005)


async def why(models: LinedModels, within_s: float = 5.0, words: str = "x") -> Why:
    with pytest.raises(Unanswered) as unanswered:
        await models.ask(Echo(words), within_s)
    return unanswered.value.why


async def test_each_of_many_gets_its_own_answer_and_what_is_broken_says_so(world: World) -> None:
    async with world.both(queue_max=100) as models:
        said: dict[str, str] = {}

        async def ask(words: str) -> None:
            result = (await models.ask(Echo(words), 5.0, key=3)).result
            assert isinstance(result, Echoed)
            said[words] = result.words

        async with trio.open_nursery() as nursery:
            for n in range(40):
                nursery.start_soon(ask, f"w{n}")
            assert await why(models, words="broken") is Why.BROKEN
        assert said == {f"w{n}": f"w{n}" for n in range(40)}
        assert {asked.key for asked in world.desk.asked} == {3, 0}
        big = "ü" * 20_000
        assert (await models.ask(Echo(big), 5.0)).result == Echoed(big)


async def test_the_time_that_is_left_goes_with_a_question(world: World) -> None:
    async with world.both() as models:
        world.desk.silent = True
        began = trio.current_time()
        assert await why(models, 0.3) is Why.LATE
        (asked,) = world.desk.asked
        assert began < asked.late_at <= began + 0.3 + 0.02


async def test_what_is_late_when_it_is_taken_from_redis_is_dropped_unread(of_redis: World) -> None:
    async with of_redis.both() as models:
        of_redis.desk.silent = True
        of_redis.desk.room_left = 0
        assert await why(models, 0.05) is Why.LATE, "taken by the read that was begun while there was room"
        of_redis.desk.asked.clear()
        assert await why(models, 0.05) is Why.LATE, "nobody takes it in its time"
        of_redis.desk.room_left, of_redis.desk.silent = 10, False
        of_redis.desk.change()
        assert (await models.ask(Echo("new"), 5.0)).result == Echoed("new")
        assert words_of(of_redis.desk.asked) == ["new"]


async def test_what_is_late_when_it_is_taken_from_a_pipe_is_dropped_unread(of_pipe: World) -> None:
    async with of_pipe.both() as models, trio.open_nursery() as nursery:
        line = PipeAsking(of_pipe.path, random=lambda: 0.1, clock=lambda: 0.0)  # a second after the machine's start
        await nursery.start(line.serve, lambda reply: None)
        await until(lambda: line.up)
        line.send("echo", Question(1, 0, Raw(msgspec.msgpack.encode(Echo("old")))), 1.0)
        for _ in range(3):
            assert (await models.ask(Echo("new"), 5.0)).result == Echoed("new")
        nursery.cancel_scope.cancel()
    assert words_of(of_pipe.desk.asked) == ["new"] * 3


def words_of(asked: list[Asked]) -> list[str]:
    return [msgspec.msgpack.decode(one.request, type=Echo).words for one in asked]


async def test_without_anybody_who_answers_it_is_said_at_once(world: World) -> None:
    async with trio.open_nursery() as nursery:
        models = LinedModels(world.asking())
        await nursery.start(models.serve)
        if world.kind == "redis":
            await until(lambda: models.up)
        with trio.fail_after(2):
            assert await why(models, 10.0) is Why.AWAY
        nursery.cancel_scope.cancel()


async def test_what_is_more_than_can_wait_in_redis_is_shed_and_what_waits_is_forgotten(of_redis: World) -> None:
    async with of_redis.both(queue_max=3) as models:
        desk = of_redis.desk
        desk.room_left, desk.silent = 0, True
        told: list[Why] = []

        async def ask() -> None:
            told.append(await why(models, 0.3))

        async with trio.open_nursery() as nursery:
            for _ in range(30):
                nursery.start_soon(ask)
        assert told.count(Why.SHED) >= 10 and set(told) == {Why.SHED, Why.LATE}
        with of_redis.valkey.client() as client:
            assert client.llen(ask_key("echo")) <= 3
            assert 0 < client.pttl(ask_key("echo")) <= 600_000
            assert 0 < client.pttl(here_key("echo")) <= 1_500
            client.flushall()
            assert await why(models, 0.2) in (Why.LATE, Why.AWAY), "Redis forgot, and it is said in time"
            desk.room_left, desk.silent = 10, False
            desk.change()
            await until(lambda: bool(client.exists(here_key("echo"))))
        assert (await models.ask(Echo("x"), 5.0)).result == Echoed("x"), "and it goes on by itself"


async def test_nothing_stays_in_redis_for_ever(of_redis: World) -> None:
    async with of_redis.both() as models:
        of_redis.desk.silent = True
        assert await why(models, 0.02) is Why.LATE
        question = of_redis.desk.asked[-1]
        with trio.move_on_after(0):
            await models.ask(Echo("x"), 5.0)
    async with trio.open_nursery() as nursery:
        line = RedisAnswering(of_redis.way("again"), random=lambda: 0.1)
        await nursery.start(line.serve, of_redis.desk)
        await until(lambda: line._commands.up)
        line._reply(ORIGIN + 1, 1, *_answer(question))  # to a process that asks no more
        with of_redis.valkey.client() as client:
            await until(lambda: bool(client.exists(answers_key(ORIGIN + 1))))
            for key in client.scan_iter("ml:v1:*"):
                assert client.pttl(key) > 0, f"{key!r} would stay for ever"
        nursery.cancel_scope.cancel()


async def test_who_answers_in_the_place_of_a_killed_process_has_said_that_it_is_there(of_redis: World) -> None:
    of_redis.desk.ready = False
    async with trio.open_nursery() as nursery:
        stop = await nursery.start(of_redis.answer)
        models = LinedModels(of_redis.asking())
        await nursery.start(models.serve)
        await until(lambda: models.up)
        with of_redis.valkey.client() as client:
            client.set(here_key("echo"), b"1", px=700)  # what the killed one said last
            of_redis.desk.ready = True
            of_redis.desk.change()
            with trio.fail_after(10):
                await models.ask(Echo("hello"), 5.0)
            left_ms = client.pttl(here_key("echo"))
            assert isinstance(left_ms, int)
            assert left_ms > 700, "whoever was answered may ask again"
        stop()
        nursery.cancel_scope.cancel()


def _answer(question: Asked) -> tuple[None, str, str, bytes]:
    return None, "echo@1", "", msgspec.msgpack.encode(Echoed("too late"))


async def test_a_pipe_that_breaks_says_so_at_once_and_is_used_again_when_it_is_back(of_pipe: World) -> None:
    async with trio.open_nursery() as nursery:
        stop = await nursery.start(of_pipe.answer)
        models = LinedModels(of_pipe.asking())
        await nursery.start(models.serve)
        await until(lambda: models.up)
        of_pipe.desk.silent = True
        async with trio.open_nursery() as asking:

            async def cut() -> None:
                await until(lambda: bool(of_pipe.desk.asked))
                stop()

            asking.start_soon(cut)
            with trio.fail_after(5):
                assert await why(models, 30.0) is Why.AWAY
        of_pipe.desk.silent = False
        await nursery.start(of_pipe.answer)
        await until(lambda: models.up)
        assert (await models.ask(Echo("x"), 5.0)).result == Echoed("x")
        nursery.cancel_scope.cancel()


async def test_who_breaks_the_framing_of_a_pipe_is_hung_up_on_and_others_are_not(of_pipe: World) -> None:
    async with of_pipe.both() as models:
        stranger = await trio.open_unix_socket(str(of_pipe.path))
        await stranger.send_all(b"\xff" * 64)
        with trio.fail_after(5):
            assert await stranger.receive_some() == b""
        assert (await models.ask(Echo("x"), 5.0)).result == Echoed("x")
        await stranger.aclose()


async def test_a_pipe_forgets_what_nobody_waits_for(of_pipe: World) -> None:
    async with of_pipe.both() as models:
        of_pipe.desk.silent = True
        line = PipeAsking(of_pipe.path, random=lambda: 0.1)
        async with trio.open_nursery() as nursery:
            await nursery.start(line.serve, lambda reply: None)
            await until(lambda: line.up)
            for ticket in range(3 * ASKED_MAX):
                line.send("echo", Question(ticket, 0, Raw(b"\xc0")), 0.0)
            assert len(line._asked) <= ASKED_MAX
            nursery.cancel_scope.cancel()
        assert models.asking == 0
