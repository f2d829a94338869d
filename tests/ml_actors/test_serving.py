"""Versions side by side, in virtual time: who answers whom, what shadows say, promotions and rollbacks that nobody waits for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
import trio
import trio.testing

from actors.inference import Harm, Verdict, Why
from actors.model_book import Card, Entry, State
from actors.storage_port import Unavailable
from ml_actors.kinds import Kind, Options
from ml_actors.library import Library
from ml_actors.registry import seal
from ml_actors.serving import Serving, ServingOptions
from ml_actors.versions import Plan, choose, newest, order, slot
from ml_actors.workers import Process, Worker
from tests.ml_actors.stage import KIND, FakeWorker, Replies, World


def card(version: str) -> Card:
    return Card("echo", version, "echo", "embedded", (), (), {}, "2026-11-23", "tests", "all else")


class Book:
    """`actors.model_book.ModelBook`, whose entries a test sets."""

    def __init__(self) -> None:
        self.listed: list[Entry] = []
        self.away = False

    def set(self, **states: tuple[State, int]) -> None:
        self.listed = [Entry(card(name[1:]), state, percent=percent) for name, (state, percent) in states.items()]

    async def entries(self) -> list[Entry]:
        if self.away:
            raise Unavailable("refused", "as it was told")
        return self.listed

    async def file(self, sha256: str) -> bytes | None:
        return None


class Shelf(Library):
    """Its folders are named and not made: a thread takes real time, and virtual time would not wait for it."""

    async def folder(self, entry: Entry) -> Path:
        return Path(entry.card.version)


class Stage:
    def __init__(self, cache: Path, shipped: Path) -> None:
        self.book = Book()
        self.worlds: dict[str, World] = {}
        options = ServingOptions(("echo",), kinds={"echo": KIND})
        library = Shelf(cache, self.book, shipped=shipped)
        self.serving = Serving(library, options, spawn=_none, random=lambda: 0.0, make_worker=self._make)
        self.replies = Replies()

    def _make(self, kind: Kind, folder: Path, options: Options, memory_mib_max: int) -> Worker:
        title = f"echo@{folder.name}"
        if (error := self.world(title).cannot_begin) is not None:
            raise error
        return FakeWorker(self.world(title), title)

    def world(self, title: str) -> World:
        return self.worlds.setdefault(title, World())

    async def ask(self, count: int = 1, *, first_key: int = 0) -> list[str]:
        """Who answered each; "" where nobody did."""
        before = len(self.replies.told)
        for key in range(first_key, first_key + count):
            self.serving.ask(self.replies.question(key=key))
            await trio.sleep(0.05)
        await trio.sleep(0.2)
        return [by for _, (_, by, _) in sorted(self.replies.told.items())][before:]


def _none(command: Sequence[str], descriptor: int) -> Process:
    raise AssertionError("no process is begun here")


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    shipped = tmp_path / "shipped"
    (shipped / "echo" / "1").mkdir(parents=True)
    seal(shipped / "echo" / "1", card("1"))
    return Stage(tmp_path / "cache", shipped)


@asynccontextmanager
async def served(stage: Stage) -> AsyncIterator[Stage]:
    async with trio.open_nursery() as nursery:
        await nursery.start(stage.serving.serve)
        yield stage
        nursery.cancel_scope.cancel()
    assert all(world.alive == 0 for world in stage.worlds.values())


async def test_without_a_database_what_ships_is_served(stage: Stage, autojump_clock: trio.testing.MockClock) -> None:
    stage.book.away = True
    async with served(stage):
        assert stage.serving.serves("echo")
        assert await stage.ask() == ["echo@1"]


async def test_a_promoted_version_answers_when_it_is_ready_and_until_then_the_one_before(
    stage: Stage, autojump_clock: trio.testing.MockClock
) -> None:
    stage.book.set(v2=(State.ACTIVE, 0))
    async with served(stage):
        stage.world("echo@3").start_s = 4.0
        stage.book.set(v3=(State.ACTIVE, 0), v2=(State.RETIRED, 0))
        await trio.sleep(3)
        assert await stage.ask() == ["echo@2"]
        assert "stands in for echo@3" in stage.replies.degraded[1], "and it is said"
        await trio.sleep(4)
        assert await stage.ask() == ["echo@3"]
        assert stage.world("echo@2").alive == 0
        stage.book.set(v2=(State.ACTIVE, 0), v3=(State.RETIRED, 0))
        await trio.sleep(3)
        assert await stage.ask() == ["echo@2"], "a rollback is a promotion"
        assert Why.AWAY not in stage.replies.whys, "nobody waited, and nobody was sent away"


async def test_a_version_that_cannot_be_loaded_leaves_the_one_before_it_where_it_is(
    stage: Stage, autojump_clock: trio.testing.MockClock
) -> None:
    stage.book.set(v2=(State.ACTIVE, 0))
    async with served(stage):
        stage.world("echo@3").unusable = "a hash is wrong"
        stage.book.set(v3=(State.ACTIVE, 0))
        await trio.sleep(30)
        assert await stage.ask() == ["echo@2"]


async def test_a_canary_answers_its_share_of_the_keys_and_the_same_ones_always(
    stage: Stage, autojump_clock: trio.testing.MockClock
) -> None:
    stage.book.set(v1=(State.ACTIVE, 0), v2=(State.CANARY, 30))
    async with served(stage):
        await trio.sleep(1)
        first = await stage.ask(60)
        assert first == ["echo@2" if slot("echo", key) < 30 else "echo@1" for key in range(60)]
        assert await stage.ask(60) == first
        stage.world("echo@2").fails_to_load = "broken"
        mine = next(key for key in range(60) if slot("echo", key) < 30)
        stage.serving.ask(stage.replies.question("crash", key=mine))
        await trio.sleep(0.5)
        assert await stage.ask(1, first_key=mine) == ["echo@1"], "a canary that fell leaves its share to the active version"


async def test_what_a_shadow_says_is_compared_and_never_used(stage: Stage, autojump_clock: trio.testing.MockClock) -> None:
    stage.book.set(v1=(State.ACTIVE, 0), v2=(State.SHADOW, 0))
    async with served(stage):
        await trio.sleep(1)
        assert await stage.ask(3) == ["echo@1"] * 3
        shadow = stage.serving.shadows["echo@2"]
        assert (shadow.compared, shadow.apart.sum) == (3, 0.0)
        stage.world("echo@2").says = "something else"
        assert await stage.ask(2) == ["echo@1"] * 2
        assert (shadow.compared, shadow.apart.sum) == (5, 2.0)
        stage.serving.ask(stage.replies.question("raise"))
        await trio.sleep(1)
        assert shadow.failed == 1


@pytest.mark.parametrize("score", [1.01, float("nan")])
async def test_a_shadow_that_says_what_nobody_may_read_falls_alone(
    stage: Stage, score: float, autojump_clock: trio.testing.MockClock
) -> None:
    stage.book.set(v1=(State.ACTIVE, 0), v2=(State.SHADOW, 0))
    stage.world("echo@2").result = msgspec.msgpack.encode(Verdict({Harm.TOXIC: score}))
    async with served(stage):
        await trio.sleep(1)
        assert await stage.ask() == ["echo@1"]
        assert stage.serving.places["echo@2"].runner.counts.crashes == 1
        stage.world("echo@2").result = b""
        await trio.sleep(1)
        assert await stage.ask() == ["echo@1"]
        assert stage.serving.shadows["echo@2"].compared == 1


async def test_a_version_whose_process_cannot_be_made_is_tried_again_and_the_others_answer(
    stage: Stage, autojump_clock: trio.testing.MockClock
) -> None:
    stage.book.set(v1=(State.ACTIVE, 0), v2=(State.SHADOW, 0))
    stage.world("echo@2").cannot_begin = OSError(28, "No space left on device")
    async with served(stage):
        await trio.sleep(1)
        assert await stage.ask() == ["echo@1"]
        runner = stage.serving.places["echo@2"].runner
        assert runner.counts.crashes > 1 and "No space left" in runner.last_cause
        stage.world("echo@2").cannot_begin = None
        await trio.sleep(10)
        assert runner.ready


async def test_a_model_without_a_version_that_is_ready_says_so_at_once(stage: Stage, autojump_clock: trio.testing.MockClock) -> None:
    stage.world("echo@1").unusable = "no"
    async with served(stage):
        stage.serving.ask(stage.replies.question())
        assert stage.replies.told[1][:1] == (Why.AWAY,) and not stage.serving.serves("echo")


def test_a_growing_share_keeps_the_keys_that_it_had() -> None:
    ready = {"m@1", "m@2"}
    ten, half = ({key for key in range(500) if choose(Plan("m@1", "m@2", percent), "m", key, ready) == "m@2"} for percent in (10, 50))
    assert ten < half and 20 < len(ten) < 90 and 200 < len(half) < 300
    assert ten != {key for key in range(500) if slot("other", key) < 10}, "nobody is everybody's canary"


def test_versions_are_in_the_order_of_their_numbers() -> None:
    assert sorted(["10", "9", "2.1", "2", "20261123.0300"], key=order) == ["2", "2.1", "9", "10", "20261123.0300"]
    assert newest([card("10"), card("9")])["echo"].version == "10"
