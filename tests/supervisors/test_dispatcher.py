"""Claims about the dispatcher's task: it parks, wakes, answers, and dies as a supervised child should."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import pytest
import trio
import trio.testing

from actors.cell import Context, Ref
from actors.child import Supervisor, Worker
from supervisors.dispatcher import ROUND_MAX, AskRefused, AskTimeout, Dispatcher, PoolFailed
from supervisors.tree import running
from supervisors.turns import TURN_MAX


@dataclass(frozen=True)
class Ask:
    question: str
    reply_to: Ref[str]


@dataclass(frozen=True)
class Do:
    deed: Callable[[], object]


Message = Ask | Do


class Oracle:
    """Answers `name: question`, except to `never`, and to `later` after five seconds; a `Do` it does."""

    def __init__(self, key: str, context: Context[Message]) -> None:
        self.key = key
        self.context = context

    def receive(self, message: Message) -> None:
        match message:
            case Ask("later", reply_to):
                self.context.after(5.0, Do(lambda: reply_to.tell("at last")))
            case Ask("twice", reply_to):
                assert reply_to.tell("first")
                assert not reply_to.tell("second")
            case Ask("never", _):
                pass
            case Ask(question, reply_to):
                reply_to.tell(f"{self.key}: {question}")
            case Do(deed):
                deed()

    def passivate(self) -> bool:
        return True

    def stopped(self) -> None:
        pass


def silent_dispatcher() -> Dispatcher:
    return Dispatcher(
        clock=trio.current_time,
        wall=time.time,
        random=random.Random(7).random,
        on_crash=lambda pool, key, cause: None,
        on_dead_letter=lambda pool, key, message, count: None,
    )


@asynccontextmanager
async def serving_until_it_fails(dispatcher: Dispatcher) -> AsyncIterator[None]:
    """A dispatcher that is parked within, and whose pools fail before the end."""
    failures: list[PoolFailed] = []

    async def serve(*, task_status: trio.TaskStatus[None]) -> None:
        try:
            await dispatcher.serve(task_status=task_status)
        except PoolFailed as failed:
            failures.append(failed)

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            await nursery.start(serve)
            await trio.testing.wait_all_tasks_blocked()
            yield
    assert len(failures) == 1


async def test_a_parked_dispatcher_wakes_when_something_is_told(autojump_clock: trio.testing.MockClock) -> None:
    dispatcher = silent_dispatcher()
    pool = dispatcher.pool("oracle", Oracle)
    done = trio.Event()
    async with trio.open_nursery() as nursery:
        await nursery.start(dispatcher.serve)
        await trio.testing.wait_all_tasks_blocked()
        pool.get("ann").tell(Do(done.set))
        await done.wait()
        assert trio.current_time() == 0.0, "by the tell, not by a timeout"
        nursery.cancel_scope.cancel()


async def test_a_parked_dispatcher_wakes_for_timers_and_not_before(
    autojump_clock: trio.testing.MockClock,
) -> None:
    dispatcher = silent_dispatcher()
    pool = dispatcher.pool("oracle", Oracle)
    async with trio.open_nursery() as nursery:
        await nursery.start(dispatcher.serve)
        answer = await dispatcher.ask(pool.get("ann"), partial(Ask, "later"), deadline_s=60.0)
        assert (answer, trio.current_time()) == ("at last", 5.0)
        nursery.cancel_scope.cancel()


async def test_a_timer_set_from_outside_a_turn_wakes_a_dispatcher_parked_for_longer(
    autojump_clock: trio.testing.MockClock,
) -> None:
    dispatcher = silent_dispatcher()
    done = trio.Event()
    contexts: list[Context[Message]] = []

    def build(key: str, context: Context[Message]) -> Oracle:
        contexts.append(context)
        return Oracle(key, context)

    dispatcher.pool("oracle", build).get("ann")
    async with trio.open_nursery() as nursery:
        await nursery.start(dispatcher.serve)
        await trio.testing.wait_all_tasks_blocked()
        contexts[0].after(3.0, Do(done.set))
        with trio.fail_after(10.0):
            await done.wait()
        assert trio.current_time() == 3.0
        nursery.cancel_scope.cancel()


async def test_an_earlier_deadline_moves_the_alarm_and_a_later_one_is_still_kept(
    autojump_clock: trio.testing.MockClock,
) -> None:
    dispatcher = silent_dispatcher()
    heard: list[tuple[int, float]] = []
    contexts: list[Context[Message]] = []

    def build(key: str, context: Context[Message]) -> Oracle:
        contexts.append(context)
        return Oracle(key, context)

    def note(number: int) -> Message:
        return Do(lambda: heard.append((number, trio.current_time())))

    dispatcher.pool("oracle", build).get("ann")
    async with trio.open_nursery() as nursery:
        await nursery.start(dispatcher.serve)
        await trio.testing.wait_all_tasks_blocked()
        contexts[0].after(9.0, note(9))
        await trio.sleep(1.0)
        contexts[0].after(1.0, note(2)).cancel()
        contexts[0].after(4.0, note(5))
        await trio.sleep(20.0)
        contexts[0].after(1.0, note(22))
        await trio.sleep(20.0)
        nursery.cancel_scope.cancel()
    assert heard == [(5, 5.0), (9, 9.0), (22, 22.0)]


async def test_other_tasks_run_while_actors_keep_each_other_busy() -> None:
    dispatcher = silent_dispatcher()
    pool = dispatcher.pool("oracle", Oracle)
    handled = 0

    def again() -> None:
        nonlocal handled
        handled += 1
        pool.get("ann").tell(Do(again))

    pool.get("ann").tell(Do(again))
    async with trio.open_nursery() as nursery:
        await nursery.start(dispatcher.serve)
        for _ in range(20):
            await trio.lowlevel.checkpoint()
        # Two tasks take turns in trio, in either order within a batch.
        assert ROUND_MAX < handled <= 22 * ROUND_MAX
        nursery.cancel_scope.cancel()


async def test_what_is_told_between_hold_and_release_is_handled_at_the_release() -> None:
    dispatcher = silent_dispatcher()
    pool = dispatcher.pool("oracle", Oracle)
    handled: list[str] = []
    async with trio.open_nursery() as nursery:
        await nursery.start(dispatcher.serve)
        await trio.testing.wait_all_tasks_blocked()
        dispatcher.hold()
        pool.get("ann").tell(Do(lambda: pool.get("ben").tell(Do(lambda: handled.append("ben")))))
        pool.get("ann").tell(Do(lambda: handled.append("ann")))
        assert handled == []
        dispatcher.release()
        assert handled == ["ann", "ben"], "without a checkpoint, and what they tell others too"
        pool.get("ann").tell(Do(lambda: handled.append("later")))
        await trio.testing.wait_all_tasks_blocked()
        assert handled[-1] == "later", "the serving task is woken as ever afterwards"
        nursery.cancel_scope.cancel()


async def test_a_release_gives_one_round_and_leaves_the_rest_to_the_serving_task() -> None:
    dispatcher = silent_dispatcher()
    pool = dispatcher.pool("oracle", Oracle)
    handled = 0

    def again() -> None:
        nonlocal handled
        handled += 1
        pool.get("ann").tell(Do(again))

    async with trio.open_nursery() as nursery:
        await nursery.start(dispatcher.serve)
        await trio.testing.wait_all_tasks_blocked()
        dispatcher.hold()
        pool.get("ann").tell(Do(again))
        dispatcher.release()
        assert handled <= ROUND_MAX + TURN_MAX
        for _ in range(5):
            await trio.lowlevel.checkpoint()
        assert handled > ROUND_MAX + TURN_MAX
        nursery.cancel_scope.cancel()


async def test_a_timer_set_in_a_release_is_kept(autojump_clock: trio.testing.MockClock) -> None:
    dispatcher = silent_dispatcher()
    pool = dispatcher.pool("oracle", Oracle)
    answers: list[str] = []

    class Listener:
        def tell(self, message: str, size_bytes: int = 0) -> bool:
            answers.append(message)
            return True

        def tell_control(self, message: str) -> None:
            self.tell(message)

    async with trio.open_nursery() as nursery:
        await nursery.start(dispatcher.serve)
        await trio.testing.wait_all_tasks_blocked()
        dispatcher.hold()
        pool.get("ann").tell(Ask("later", Listener()))
        dispatcher.release()
        await trio.sleep(4.9)
        assert answers == []
        await trio.sleep(0.2)
        assert answers == ["at last"]
        nursery.cancel_scope.cancel()


async def test_a_pool_that_fails_in_a_release_fails_the_dispatcher_and_not_the_caller(autojump_clock: trio.testing.MockClock) -> None:
    dispatcher = silent_dispatcher()
    pool = dispatcher.pool("oracle", Oracle, pool_intensity=0)
    ref = pool.get("ann")

    def fail() -> None:
        raise RuntimeError("what all of them depend on is gone")

    spec = Supervisor("root", (Worker("actors", dispatcher.serve, hosts=("oracle",)),))
    async with running(spec, report=lambda *_: None) as tree:
        await trio.testing.wait_all_tasks_blocked()
        dispatcher.hold()
        ref.tell(Do(fail))
        dispatcher.release()
        await trio.sleep(1.0)
        assert tree.state().children[0].restarts == 1
        assert await dispatcher.ask(ref, partial(Ask, "why"), deadline_s=1.0) == "ann: why"


@pytest.mark.parametrize("intensity", [0, 3])
async def test_a_release_that_failed_wakes_the_serving_task_also_where_nobody_else_waits_for_a_turn(intensity: int) -> None:
    dispatcher = silent_dispatcher()
    ref = dispatcher.pool("oracle", Oracle, intensity=intensity, pool_intensity=0).get("ann")

    def fail() -> None:
        raise RuntimeError("what all of them depend on is gone")

    async with serving_until_it_fails(dispatcher):
        dispatcher.hold()
        ref.tell(Do(fail))
        dispatcher.release()


async def test_while_nobody_serves_a_release_gives_no_turns() -> None:
    dispatcher = silent_dispatcher()
    pool = dispatcher.pool("oracle", Oracle)
    handled: list[str] = []
    async with trio.open_nursery() as nursery:
        await nursery.start(dispatcher.serve)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    dispatcher.hold()
    pool.get("ann").tell(Do(lambda: handled.append("told to nobody's dispatcher")))
    dispatcher.release()
    assert handled == []


async def test_every_round_is_enclosed_whoever_gives_it_and_however_it_ends() -> None:
    calls: list[str] = []
    dispatcher = Dispatcher(
        clock=trio.current_time,
        wall=time.time,
        random=random.Random(7).random,
        on_crash=lambda pool, key, cause: calls.append("crash"),
        before_round=lambda: calls.append("("),
        after_round=lambda: calls.append(")"),
    )
    ref = dispatcher.pool("oracle", Oracle, pool_intensity=1).get("ann")

    def fail() -> None:
        raise RuntimeError("gone")

    async with serving_until_it_fails(dispatcher):
        ref.tell(Do(lambda: calls.append("served")))
        await trio.testing.wait_all_tasks_blocked()
        dispatcher.hold()
        ref.tell(Do(lambda: calls.append("released")))
        dispatcher.release()
        ref.tell(Do(fail))
        await trio.testing.wait_all_tasks_blocked()
        dispatcher.hold()
        ref.tell(Do(fail))
        dispatcher.release()
    rounds = "".join(calls).replace("()", "")
    assert rounds == "(served)(released)(crash)(crash)"


async def test_another_thread_can_tell_an_actor() -> None:
    dispatcher = silent_dispatcher()
    pool = dispatcher.pool("oracle", Oracle)
    ref: Ref[Message] = pool.get("ann")
    done = trio.Event()
    handled_in: list[threading.Thread] = []

    def deed() -> None:
        handled_in.append(threading.current_thread())
        done.set()

    async with trio.open_nursery() as nursery:
        await nursery.start(dispatcher.serve)
        assert await trio.to_thread.run_sync(dispatcher.tell_from_thread, ref, Do(deed))
        await done.wait()
        nursery.cancel_scope.cancel()
    assert handled_in == [threading.current_thread()]
    assert not await trio.to_thread.run_sync(dispatcher.tell_from_thread, ref, Do(deed))


async def test_an_ask_is_answered() -> None:
    dispatcher = silent_dispatcher()
    pool = dispatcher.pool("oracle", Oracle)
    async with trio.open_nursery() as nursery:
        await nursery.start(dispatcher.serve)
        assert await dispatcher.ask(pool.get("ann"), partial(Ask, "why"), deadline_s=1.0) == "ann: why"
        nursery.cancel_scope.cancel()


async def test_an_ask_that_times_out_says_that_the_outcome_is_unknown(
    autojump_clock: trio.testing.MockClock,
) -> None:
    dispatcher = silent_dispatcher()
    pool = dispatcher.pool("oracle", Oracle)
    async with trio.open_nursery() as nursery:
        await nursery.start(dispatcher.serve)
        with pytest.raises(AskTimeout, match="outcome is unknown"):
            await dispatcher.ask(pool.get("ann"), partial(Ask, "never"), deadline_s=2.0)
        assert trio.current_time() == 2.0
        nursery.cancel_scope.cancel()


async def test_an_answer_that_comes_too_late_is_counted_and_harms_nobody(
    autojump_clock: trio.testing.MockClock,
) -> None:
    dispatcher = silent_dispatcher()
    pool = dispatcher.pool("oracle", Oracle)
    async with trio.open_nursery() as nursery:
        await nursery.start(dispatcher.serve)
        with pytest.raises(AskTimeout):
            await dispatcher.ask(pool.get("ann"), partial(Ask, "later"), deadline_s=2.0)
        await trio.sleep(10.0)
        assert dispatcher.late_answers == 1
        assert pool.counts.crashes == 0
        nursery.cancel_scope.cancel()


async def test_only_the_first_answer_counts() -> None:
    dispatcher = silent_dispatcher()
    pool = dispatcher.pool("oracle", Oracle)
    async with trio.open_nursery() as nursery:
        await nursery.start(dispatcher.serve)
        assert await dispatcher.ask(pool.get("ann"), partial(Ask, "twice"), deadline_s=1.0) == "first"
        assert dispatcher.late_answers == 1
        assert pool.counts.crashes == 0
        nursery.cancel_scope.cancel()


async def test_an_ask_to_an_actor_that_has_stopped_is_refused_at_once() -> None:
    dispatcher = silent_dispatcher()
    pool = dispatcher.pool("oracle", Oracle)
    ref = pool.get("ann")
    ref.stop()
    with pytest.raises(AskRefused):
        await dispatcher.ask(ref, partial(Ask, "why"), deadline_s=1.0)


async def test_cancelling_the_dispatcher_stops_every_actor() -> None:
    stopped: list[str] = []

    class Mortal(Oracle):
        def stopped(self) -> None:
            stopped.append(self.key)

    dispatcher = silent_dispatcher()
    first, second = dispatcher.pool("first", Mortal), dispatcher.pool("second", Mortal)
    async with trio.open_nursery() as nursery:
        await nursery.start(dispatcher.serve)
        first.get("ann")
        second.get("ben")
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert stopped == ["ben", "ann"], "kinds that were made later stop first"


async def test_a_failed_pool_restarts_the_dispatcher_and_its_actors_replay(
    autojump_clock: trio.testing.MockClock,
) -> None:
    dispatcher = silent_dispatcher()
    pool = dispatcher.pool("oracle", Oracle, pool_intensity=0)
    ref = pool.get("ann")

    def fail() -> None:
        raise RuntimeError("what all of them depend on is gone")

    def report(event: str, path: str, cause: Exception | None) -> None:
        reports.append((event, type(cause)))

    reports: list[tuple[str, type]] = []
    spec = Supervisor("root", (Worker("actors", dispatcher.serve, hosts=("oracle",)),))
    async with running(spec, report=report) as tree:
        ref.tell(Do(fail))
        await trio.sleep(1.0)
        assert ("child_crashed", PoolFailed) in reports
        assert tree.state().children[0].restarts == 1
        assert await dispatcher.ask(ref, partial(Ask, "why"), deadline_s=1.0) == "ann: why"
