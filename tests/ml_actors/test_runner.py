"""One version at work, in virtual time: batches, time-outs, crashes, backoff, feeds, and that each question ends once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.inference import Why
from actors.model_book import Mark, Page
from actors.storage_port import Unavailable
from ml_actors.kinds import Kind
from ml_actors.runner import Phase, Runner
from tests.ml_actors.stage import KIND, Replies, World


class Book:
    """`actors.model_book.Feeds` of numbers."""

    def __init__(self, rows: int) -> None:
        self.rows = [str(n).encode() for n in range(rows)]
        self.away = False
        self.poison = False
        self.asked = 0
        self.history = 1

    async def page(self, model: str, after: Mark) -> Page:
        self.asked += 1
        if self.away:
            raise Unavailable("refused", "as it was told")
        if self.poison:
            raise ValueError("year 34000 is out of range")
        if after and (after[1] != self.history or after[0] > len(self.rows)):
            return Page([], (), False)
        begin = after[0] if after else 0
        rows = self.rows[begin : begin + 10]
        return Page(rows, (begin + len(rows), self.history), begin + len(rows) < len(self.rows))


@asynccontextmanager
async def at_work(world: World, kind: Kind = KIND, feeds: Book | None = None, queue_max: int = 64) -> AsyncIterator[Runner]:
    begun = trio.Event()

    def changed() -> None:
        if runner.phase is not Phase.STARTING:
            begun.set()

    runner = Runner("echo@1", kind, world.make, random=lambda: 0.0, feeds=feeds, on_change=changed, queue_max=queue_max)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(runner.run)
        await begun.wait()
        yield runner
        nursery.cancel_scope.cancel()
    assert world.alive == 0, "no process is left"


async def test_questions_that_come_together_are_one_batch(autojump_clock: trio.testing.MockClock) -> None:
    world, replies = World(), Replies()
    async with at_work(world) as runner:
        for _ in range(6):
            runner.ask(replies.question())
        await trio.sleep(1)
        assert world.batches == [4, 2]
        assert replies.told[6] == (None, "echo@1", "6")


async def test_a_batch_that_never_ends_is_killed_at_its_time_and_the_next_process_answers(autojump_clock: trio.testing.MockClock) -> None:
    world, replies = World(), Replies()
    async with at_work(world) as runner:
        began = trio.current_time()
        runner.ask(replies.question("spin"))
        runner.ask(replies.question())
        await replies.wait(2)
        assert KIND.batch_timeout_s <= trio.current_time() - began < KIND.batch_timeout_s + 0.1
        assert replies.whys == [Why.BROKEN, Why.BROKEN]
        assert "killed for its time" in runner.last_cause
        runner.ask(replies.question())
        assert replies.whys[2] is Why.AWAY, "nobody waits for a process that is being started"
        await trio.sleep(1)
        runner.ask(replies.question())
        await trio.sleep(1)
        assert replies.whys[3] is None and world.made == 2


async def test_a_crash_costs_the_batch_in_hand_and_says_away_to_what_waits(autojump_clock: trio.testing.MockClock) -> None:
    world, replies = World(), Replies()
    async with at_work(world) as runner:
        for act in ("wait:0.5", "", "", "crash", "", ""):
            runner.ask(replies.question(act))
        await trio.sleep(3)
        assert replies.whys == [Why.BROKEN] * 4 + [Why.AWAY] * 2
        assert runner.ready and runner.counts.crashes == 1


async def test_what_raises_costs_itself_alone(autojump_clock: trio.testing.MockClock) -> None:
    world, replies = World(), Replies()
    async with at_work(world) as runner:
        runner.ask(replies.question())
        runner.ask(replies.question("raise"))
        await trio.sleep(1)
        assert replies.whys == [None, Why.BROKEN] and runner.counts.crashes == 0


async def test_late_questions_are_dropped_unread(autojump_clock: trio.testing.MockClock) -> None:
    world, replies = World(), Replies()
    async with at_work(world) as runner:
        runner.ask(replies.question("wait:0.9"))
        await trio.sleep(0.1)
        runner.ask(replies.question(within_s=0.5))
        runner.ask(replies.question())
        await trio.sleep(3)
        assert list(replies.told) == [1, 3] and world.batches == [1, 1] and runner.counts.late == 1


async def test_what_is_more_than_the_bound_is_shed_at_once(autojump_clock: trio.testing.MockClock) -> None:
    world, replies = World(), Replies()
    async with at_work(world, queue_max=3) as runner:
        for _ in range(5):
            runner.ask(replies.question())
        assert replies.whys == [Why.SHED, Why.SHED]


async def test_a_process_that_dies_at_once_is_tried_ever_more_slowly(autojump_clock: trio.testing.MockClock) -> None:
    world = World()
    world.fails_to_load = "no"
    async with at_work(world):
        await trio.sleep(60)
        assert 5 < world.made < 30


async def test_a_version_that_cannot_be_used_is_not_tried_again_and_again(autojump_clock: trio.testing.MockClock) -> None:
    world = World()
    world.unusable = "its hash is another one"
    async with at_work(world) as runner:
        await trio.sleep(65)
        assert runner.last_cause == world.unusable and world.made == 3


async def test_a_fed_model_knows_everything_before_it_answers_and_what_changes_a_second_later(
    autojump_clock: trio.testing.MockClock,
) -> None:
    world, book = World(), Book(35)
    kind = msgspec.structs.replace(KIND, fed=True)
    async with at_work(world, kind, book) as runner:
        assert runner.ready and world.fed == book.rows
        book.rows.append(b"new")
        await trio.sleep(1.1)
        assert world.fed == book.rows
        book.away = True
        await trio.sleep(5)
        assert runner.ready, "it goes on with what it knows"


async def test_a_feed_that_raises_rests_its_own_model_alone_ever_longer(autojump_clock: trio.testing.MockClock) -> None:
    world, book, replies = World(), Book(5), Replies()
    kind = msgspec.structs.replace(KIND, fed=True)
    async with at_work(world, kind, book) as runner:
        book.poison = True
        asked = book.asked
        await trio.sleep(200)
        assert 3 < book.asked - asked == runner.counts.feed_failed < 12
        runner.ask(replies.question())
        await trio.sleep(1)
        assert replies.whys == [None] and runner.counts.crashes == 0, "it goes on with what it knows"
        book.poison = False
        book.rows.append(b"new")
        await trio.sleep(61)
        assert world.fed == book.rows


async def test_a_feed_that_raises_at_the_start_is_tried_again(autojump_clock: trio.testing.MockClock) -> None:
    world, book = World(), Book(5)
    book.poison = True
    async with at_work(world, msgspec.structs.replace(KIND, fed=True), book) as runner:
        await trio.sleep(20)
        assert not runner.ready and "year 34000" in runner.last_cause and 2 < world.made < 20
        book.poison = False
        await trio.sleep(10)
        assert runner.phase is Phase.READY and world.fed == book.rows


async def test_a_model_that_was_fed_from_another_history_begins_again(autojump_clock: trio.testing.MockClock) -> None:
    world, book = World(), Book(35)
    async with at_work(world, msgspec.structs.replace(KIND, fed=True), book) as runner:
        world.fed.clear()
        book.rows, book.history = [b"restored %d" % n for n in range(40)], 2
        await trio.sleep(10)
        assert runner.ready and world.made == 2 and world.fed == book.rows


async def test_a_version_that_is_closed_answers_what_it_has_and_ends(autojump_clock: trio.testing.MockClock) -> None:
    world, replies = World(), Replies()
    runner = Runner("echo@1", KIND, world.make, random=lambda: 0.0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(runner.run)
        await trio.sleep(1)
        for _ in range(6):
            runner.ask(replies.question("wait:0.1"))
        runner.close()
        runner.ask(replies.question())
        assert replies.whys == [Why.AWAY]
    assert replies.whys == [None] * 6 + [Why.AWAY] and world.alive == 0 and runner.phase is Phase.ENDED


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(("", "wait:0.3", "spin", "crash", "raise")), st.floats(0.0, 2.0)), max_size=12))
def test_whatever_a_model_does_each_question_ends_once_or_was_late(acts: list[tuple[str, float]]) -> None:
    world, replies = World(), Replies()

    async def story() -> None:
        async with at_work(world) as runner:
            for act, pause_s in acts:
                runner.ask(replies.question(act, within_s=3.0))
                await trio.sleep(pause_s)
            await trio.sleep(30)
            assert len(replies.told) + runner.counts.late == len(acts)

    trio.run(story, clock=trio.testing.MockClock(autojump_threshold=0))


@pytest.mark.parametrize("batch_wait_s", [0.0, 0.01])
async def test_one_question_alone_waits_no_longer_than_it_must(batch_wait_s: float, autojump_clock: trio.testing.MockClock) -> None:
    world, replies = World(), Replies()
    async with at_work(world, msgspec.structs.replace(KIND, batch_wait_s=batch_wait_s)) as runner:
        began = trio.current_time()
        runner.ask(replies.question())
        await replies.wait(1)
        assert trio.current_time() - began <= batch_wait_s + 0.002
